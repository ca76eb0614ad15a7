"""Actions: validation, the action space, and the conversion both ways."""

import numpy as np
import pytest
from action_strategies import actions
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.actions import (
    ACTION_TYPES,
    MAX_TEXT,
    ActionError,
    Finish,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
    clean_text,
    from_sample,
    make_action_space,
    make_text_space,
    to_sample,
    validate,
)

SPACE = make_action_space(seed=0)


@given(actions)
def test_every_valid_action_is_a_member_of_the_space_and_comes_back(action):
    sample = to_sample(action)
    assert sample in SPACE
    assert from_sample(sample) == action == validate(action)


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_every_member_of_the_space_is_a_valid_action(seed):
    SPACE.seed(seed)
    sample = SPACE.sample()
    action = from_sample(sample)
    assert validate(action) == action
    assert type(action) is ACTION_TYPES[sample["action_type"]]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Tap(1.01, 0.5), "x: got 1.01, allowed is a number from 0 to 1"),
        (Tap(0.5, float("nan")), "y: got nan"),
        (Tap(10**400, 0.5), "x: got 1000"),
        (LongPress(True, 0.5), "x: got True"),
        (Swipe(0.1, 0.1, 0.1, -0.1), "y2: got -0.1"),
        (Tap("0.5", 0.5), "x: got '0.5'"),
        (Wait(float("inf")), "seconds: got inf, allowed is a number from 0 to 60"),
        (PressKey("bakc"), "unknown key 'bakc'; did you mean 'back'"),
        (Finish("done"), "unknown finish status 'done'"),
        (TypeText("a" * (MAX_TEXT + 1)), f"got {MAX_TEXT + 1} characters, allowed are at most {MAX_TEXT}"),
        (TypeText("two\nlines"), 'press the key "enter" for a line break'),
        (OpenApp("\ud800"), "U+D800"),
        (Finish("complete", 3), "answer: got 3"),
        ("tap", "got 'tap', which is no action; allowed: Tap, LongPress"),
    ],
)
def test_what_is_wrong_is_said(action, said):
    with pytest.raises(ActionError) as error:
        validate(action)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action_type": 8}, "field 'action_type': got 8.0, allowed is an integer from 0 to 7"),
        ({"action_type": 0.5}, "got 0.5"),
        ({"point": [0.1]}, "field 'point': got 1 numbers, allowed are 2"),
        ({"point": ["a", "b"]}, "allowed are 2 numbers"),
        ({"point": [0.1, 7.0]}, "y: got 7.0"),
        ({"colour": 1}, "unknown fields ['colour']; allowed: action_type, point"),
    ],
)
def test_a_wrong_sample_is_refused(change, said):
    with pytest.raises(ActionError) as error:
        from_sample(to_sample(Tap(0.1, 0.2)) | change)
    assert said in str(error.value)


def test_a_missing_field_is_named_and_unused_fields_may_be_missing():
    assert from_sample({"action_type": np.int64(0), "point": np.array([0.25, 0.5], np.float32)}) == Tap(0.25, 0.5)
    with pytest.raises(ActionError, match="field 'text' is missing"):
        from_sample({"action_type": ACTION_TYPES.index(TypeText)})


def test_clean_text_is_always_in_the_text_space():
    space = make_text_space(20)
    assert clean_text("Zoë paid €5 «thanks»", 100) == "Zoë paid €5 «thanks»"
    assert clean_text("a\n b\t\x00c 日") == "a b \ufffdc \ufffd"
    assert clean_text("x" * 50, 20) in space
    assert clean_text("e\u0301") == "é"
