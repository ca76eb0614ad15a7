"""Emoji and scripts that OpenCV cannot draw are drawn as the accessibility tree says them: shaped, in their order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import Focus, Open, Page
from android_env_gym.phone.system.reduce import handle, type_text
from android_env_gym.phone.ui import scripts, text

SIZE = text.font_size(24.0)
SAMPLES = {
    "emoji": "\U0001f600 \U0001f44d \u2764\ufe0f \u263a",
    "hindi": "\u0939\u093f\u0928\u094d\u0926\u0940 \u0928\u092e\u0938\u094d\u0924\u0947",
    "thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "arabic": "\u0645\u0631\u062d\u0628\u0627 \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "hebrew": "\u05e9\u05dc\u05d5\u05dd",
    "tamil": "\u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd",
}
samples = pytest.mark.parametrize("line", SAMPLES.values(), ids=SAMPLES)


def drawn(line: str, width: int = 400) -> NDArray[np.uint8]:
    image = np.zeros((48, width, 3), np.uint8)
    text.draw(image, text.clean(line), 4, 34, (255, 255, 255), 400, SIZE)
    return image


@samples
def test_no_character_becomes_a_question_mark(line: str) -> None:
    words = line.split()
    unknown = " ".join("?" * len(word) for word in words)
    assert not np.array_equal(drawn(line), drawn(unknown))
    assert all(run.font >= 0 or not run.text.strip() for run in scripts.runs(text.clean(line), text.is_plain))


@samples
def test_ink_lies_within_the_measured_width(line: str) -> None:
    width = text.measure(line, 400, SIZE)
    columns = drawn(line).any(axis=(0, 2)).nonzero()[0]
    assert 2 <= columns.min() < 8
    assert width - 6 <= columns.max() <= width + 6


@samples
def test_the_tree_says_what_is_drawn_in_a_field(line: str) -> None:
    phone = SimPhone(seed=3)
    phone.edit(lambda state: handle(handle(state, Open(Page("contacts", "edit", "-1"))), Focus("last")))
    start = phone.state
    phone.edit(lambda state: type_text(state, "."))
    dot = phone.screenshot()
    phone.restore(start)
    phone.edit(lambda state: type_text(state, line))
    node = next(item for item in phone.ui_tree() if item.resource_id == "last")
    assert node.text == line
    left, top, right, bottom = node.bounds
    ink = (phone.screenshot() != dot)[top:bottom, left:right].any(axis=2)
    assert ink.sum() > 60
    assert ink.any(axis=0).nonzero()[0].max() <= 24 + text.measure(line, 400, SIZE) + 8


def test_arabic_runs_from_right_to_left() -> None:
    lam, kashida = "\u0644", "\u0640" * 6
    columns = drawn(lam + kashida).any(axis=2)
    heights = columns.sum(axis=0)
    inked = heights.nonzero()[0]
    assert heights[inked[len(inked) // 2 :]].max() > 2 * heights[inked[: len(inked) // 2]].max()


def test_words_of_a_line_in_arabic_stand_from_right_to_left_and_latin_ones_between_them_do_not() -> None:
    arabic, latin = "\u0645\u0631\u062d\u0628\u0627", "abc"
    first = [run.text for run in scripts.runs(f"{arabic} {latin} {arabic}", text.is_plain)]
    assert [part.strip() for part in first] == [arabic, latin, arabic]
    assert [run.text for run in scripts.runs(f"{arabic} {latin}", text.is_plain)] == [latin + " ", arabic]
    assert [run.text for run in scripts.runs(f"{latin} {arabic}", text.is_plain)] == [latin + " ", arabic]


def test_letters_of_hindi_join() -> None:
    conjunct = "\u0915\u094d\u0937"
    apart = sum(text.measure(char, 400, SIZE) for char in conjunct)
    assert text.measure(conjunct, 400, SIZE) < 0.8 * apart


def test_the_marks_of_thai_stand_above_their_letter() -> None:
    assert text.measure("\u0e17\u0e35\u0e48", 400, SIZE) == text.measure("\u0e17", 400, SIZE)
    assert drawn("\u0e17\u0e35\u0e48").sum() > drawn("\u0e17").sum()


def test_a_family_and_a_flag_are_one_emoji_each() -> None:
    one = text.measure("\U0001f600", 400, SIZE)
    assert text.measure("\U0001f469\u200d\U0001f469\u200d\U0001f467", 400, SIZE) < 1.3 * one
    assert text.measure("\U0001f1e9\U0001f1ea", 400, SIZE) < 1.4 * one


@pytest.mark.parametrize(
    "line", ["Hello", "Zo\u00eb \u0416 \u03a9", "\u4e2d\u6587 \ud55c\uad6d\uc5b4", "a\u2026b \u2022 c"]
)
def test_what_opencv_draws_right_is_left_to_it(line: str) -> None:
    assert scripts.runs(line, text.is_plain) == (scripts.Run(line, -1),)


@pytest.mark.parametrize(
    "line", ["", " ", "\u200d", "\u200d\u200c", "\u0301", "a\u200db", "\U000e0041", "\u0f40 \u0f41", "a\U00012000"]
)
def test_odd_text_is_drawn_without_an_error(line: str) -> None:
    assert drawn(line).shape == (48, 400, 3)
    assert text.measure(text.clean(line), 400, SIZE) >= 0
