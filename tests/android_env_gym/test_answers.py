"""Answers are values: every spelling of the truth is right, and nothing that merely contains it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from android_env_gym.tasks.answers import normal_form, same_amount, same_answer, same_phone

NUMBERS = st.integers(1, 10**9)
TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59))
TRUTHS = ("The door code is 4711", "7:05 PM", "19:05", "12,345", "8.0", "Anna's Pixel 7", "03:af:12:34:5b:99", "007")


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("the  DOOR code is 4711 ", "The door code is 4711"),
        ('"The door code is 4711."', "The door code is 4711"),
        ("7:05pm", "7:05 PM"),
        ("7:05 p.m.", "7:05 PM"),
        ("07:05 pm", "19:05"),
        ("7:05\u202fPM", "7:05 PM"),
        ("12:00 AM", "0:00"),
        ("1,234.50", "1234.5"),
        ("3.0", "3"),
        ("Anna\u00a0Adams", "anna adams"),
    ],
)
def test_spellings_of_one_value(answer: str, truth: str) -> None:
    assert same_answer(answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (None, "4711"),
        ("", "4711"),
        ("7:05 AM", "7:05 PM"),
        ("7:50 PM", "7:05 PM"),
        ("12345", "1234.5"),
        ("7", "007"),
        ("192.168.1.50", "192.168.1.5"),
        ("12:05:33", "12:05"),
        ("not The door code is 4711", "The door code is 4711"),
    ],
)
def test_other_values(answer: str | None, truth: str) -> None:
    assert not same_answer(answer, truth)


@given(st.text())
def test_the_normal_form_is_final(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@given(st.sampled_from(TRUTHS), st.text(st.characters(categories=["L", "N"]), min_size=1), st.booleans())
def test_what_contains_the_truth_is_not_the_truth(truth: str, more: str, first: bool) -> None:
    for separator in (" ", "\n", ", "):
        answer = f"{more}{separator}{truth}" if first else f"{truth}{separator}{more}"
        assert not same_answer(answer, truth) or normal_form(more) == ""


@given(NUMBERS, NUMBERS)
def test_numbers_are_equal_as_numbers(one: int, two: int) -> None:
    for spelling in (f"{one:,}", f"{one}.00", f" {one} ", f"{one}."):
        assert same_answer(spelling, str(one))
        assert same_answer(spelling, str(two)) == (one == two)


@given(TIMES, TIMES)
def test_times_are_equal_as_times(one: tuple[int, int], two: tuple[int, int]) -> None:
    (hour, minute), half = one, "am" if one[0] < 12 else "pm"
    for spelling in (f"{hour}:{minute:02d}", f"{hour % 12 or 12}:{minute:02d} {half}"):
        assert same_answer(spelling, f"{hour:02d}:{minute:02d}")
        assert same_answer(spelling, f"{two[0]:02d}:{two[1]:02d}") == (one == two)


def test_amounts_and_phone_numbers() -> None:
    assert all(same_amount(answer, "$1,234.50") for answer in ("$1234.50", "1,234.5", "1234.5", "$ 1,234.50."))
    assert not any(same_amount(answer, "$1,234.50") for answer in (None, "", "$", "1234", "was $1,234.50", "€1,234.50"))
    assert all(same_phone(answer, "(415) 555-0123") for answer in ("4155550123", "415 555 0123", "415.555.0123"))
    assert not any(same_phone(answer, "(415) 555-0123") for answer in (None, "", "call (415) 555-0123", "555-0123"))
