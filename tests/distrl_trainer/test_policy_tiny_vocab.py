"""The tiny model's token space: instructions, copying, actions both ways."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.actions import (
    KEYS,
    Action,
    ActionError,
    Finish,
    InvalidAction,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)
from distrl_trainer.policy import tiny_vocab as vocab
from distrl_trainer.policy.tiny_text import FEATURES, FEATURES_PER_WORD, MAX_SLOTS, parse, word_features

ASCII = st.text(alphabet=string.ascii_letters + string.digits + " .,!?'\"@:-", min_size=1, max_size=30)
INSTRUCTION = 'Text Ana Lopez "Running late, sorry!" at 7:30.'


def test_slots_are_words_and_whole_quoted_spans() -> None:
    parsed = parse(INSTRUCTION)
    assert parsed.slots[:4] == ("Text", "Ana", "Lopez", "Running late, sorry!")
    assert parsed.slots[-1] == "7:30"
    assert parsed.quoted[3:7] == (True, True, True, True) and not parsed.quoted[-1]
    assert parse("don't say 'it is 5 o'clock' now").slots[2] == "it is 5 o'clock"


def test_reading_is_bounded_and_deterministic() -> None:
    assert len(parse("word " * 200).slots) == MAX_SLOTS
    for word in ("Wi-Fi", "é", "7:30", "x" * 100):
        ids = word_features(word)
        assert ids == word_features(word) and len(ids) <= FEATURES_PER_WORD
        assert all(0 < one < FEATURES for one in ids)
    assert word_features("Settings")[0] == word_features("settings")[0]


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (TypeText("Running late, sorry!"), "copy3"),
        (TypeText("Ana"), "copy1"),
        (TypeText("Ana Lopez"), "TYPE copy1 copy2 END"),
        (TypeText("7:30!"), "TYPE copy8 '!' END"),
        (TypeText(""), "TYPE END"),
        (OpenApp("Ana"), "OPEN copy1 END"),
        (Finish("complete", "42"), "ANSWER '4' '2' END"),
        (Finish(), "DONE"),
        (Finish("infeasible"), "INFEASIBLE"),
        (Swipe(0.5, 0.7, 0.5, 0.35), "SWIPE_UP"),
        (Wait(1.0), "WAIT"),
        (PressKey("back"), "BACK"),
    ],
)
def test_the_shortest_tokens_are_found(action: Action, names: str) -> None:
    ids = vocab.encode(action, INSTRUCTION)
    assert vocab.name_tokens(ids) == names
    assert vocab.decode(ids, INSTRUCTION) == action
    assert vocab.is_complete(ids)


@given(text=ASCII, instruction=ASCII)
@settings(max_examples=200, deadline=None)
def test_any_ascii_text_has_an_exact_encoding(text: str, instruction: str) -> None:
    for said in (instruction, f'{instruction} "{text}" {text}'):
        for action in (TypeText(text), OpenApp(text), Finish("complete", text)):
            ids = vocab.encode(action, said)
            assert vocab.decode(ids, said) == action
            assert all(not vocab.is_complete(ids[:n]) for n in range(len(ids))) and vocab.is_complete(ids)


def test_text_outside_ascii_is_copied_or_refused() -> None:
    assert vocab.decode(vocab.encode(TypeText("Zoë"), "call Zoë"), "call Zoë") == TypeText("Zoë")
    with pytest.raises(ActionError, match="ASCII"):
        vocab.encode(TypeText("Zoë"), "call someone")


@given(x=st.floats(0, 1), y=st.floats(0, 1))
def test_points_move_to_the_centre_of_their_cell(x: float, y: float) -> None:
    for action in (Tap(x, y), LongPress(x, y)):
        moved = vocab.decode(vocab.encode(action, ""), "")
        assert isinstance(moved, type(action))
        assert abs(moved.x - x) <= 0.5 / vocab.COLUMNS + 1e-9 and abs(moved.y - y) <= 0.5 / vocab.ROWS + 1e-9
        assert vocab.encode(moved, "") == vocab.encode(action, "")
    swipe = vocab.decode(vocab.encode(Swipe(x, y, y, x), ""), "")
    assert isinstance(swipe, Swipe) and abs(swipe.x2 - y) <= 0.5 / vocab.COLUMNS + vocab.SWIPE_TOLERANCE


def test_every_key_has_a_word_and_every_cell_a_tap() -> None:
    assert {vocab.decode(vocab.encode(PressKey(key), ""), "") for key in KEYS} == {PressKey(key) for key in KEYS}
    taps = {vocab.decode((vocab.CELL_BASE + cell,), "") for cell in range(vocab.CELLS)}
    assert len(taps) == vocab.CELLS == 512


@given(ids=st.lists(st.integers(0, vocab.VOCABULARY - 1), max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_tokens_give_an_action_or_a_reason(ids: list[int]) -> None:
    action = vocab.decode(ids, INSTRUCTION)
    if isinstance(action, InvalidAction):
        assert action.reason
    else:
        assert isinstance(vocab.decode(vocab.encode(action, INSTRUCTION), INSTRUCTION), type(action))
