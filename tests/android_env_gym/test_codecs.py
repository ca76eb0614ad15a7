"""Codecs: round trips, and any text gives an action or a reason."""

import msgspec
import pytest
from action_strategies import actions, line
from hypothesis import assume, example, given
from hypothesis import strategies as st

from android_env_gym.actions import (
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
    validate,
)
from android_env_gym.codecs import CODECS, get_codec
from android_env_gym.errors import UnknownNameError

COMPACT, AUTOUI = get_codec("compact"), get_codec("autoui")


def encoded(codec, action):
    try:
        return codec.encode(action)
    except ActionError:
        return None


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(action=actions)
def test_what_is_encoded_is_one_line_that_decodes_to_the_same_line(codec, action):
    text = encoded(codec, action)
    assume(text is not None)
    decoded = codec.decode(text)
    assert not isinstance(decoded, InvalidAction)
    assert type(decoded) is type(action)
    assert codec.encode(decoded) == text
    assert "\n" not in text


@given(action=actions)
def test_compact_has_words_for_every_action(action):
    assert encoded(COMPACT, action) is not None


@given(text=line)
@example('he said "hi", ok')
@example('", "typed_text": "Action Decision: ')
@example('"')
def test_text_comes_back_exactly(text):
    for codec in CODECS:
        assert codec.decode(codec.encode(TypeText(text))) == TypeText(text)
        assert codec.decode(codec.encode(Finish("complete", text))) == Finish("complete", text)
        assert codec.decode(codec.encode(Finish("infeasible", text))) == Finish("infeasible", text)


@given(x=st.integers(0, 1000), y=st.integers(0, 1000))
def test_points_on_the_grid_come_back_exactly(x, y):
    for codec in CODECS:
        assert codec.decode(codec.encode(Tap(x / 1000, y / 1000))) == Tap(x / 1000, y / 1000)


def _broken_lines():
    lines = st.sampled_from([encoded(codec, a) for codec in CODECS for a in SOME if encoded(codec, a)])
    return st.builds(
        lambda s, at, put, cut: s[:at] + put + s[at + cut :], lines, st.integers(0, 160), st.text(), st.integers(0, 9)
    )


SOME = (
    Tap(0.5, 0.1),
    Swipe(0.5, 0.7, 0.5, 0.2),
    TypeText('a "b", c'),
    PressKey("back"),
    Finish(),
    Wait(2.0),
    OpenApp("Clock"),
)
WORDS = st.sampled_from(["tap", "swipe", "type", "key", "open", "wait", "finish", "answer", "infeasible", "TAP"])


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@given(text=st.one_of(st.text(), _broken_lines(), st.builds("{} {}".format, WORDS, st.text())))
@example("tap 1e999 0")
@example("tap -0 1.")
@example("tap \u0661 0.5")
@example('type "\\ud800"')
@example('type "' + "\\" * 3)
@example("type " + "[" * 3000)
@example('answer "\ud800"')
@example("x" * 100_000)
@example("")
def test_any_text_gives_an_action_or_a_reason(codec, text):
    decoded = codec.decode(text)
    if isinstance(decoded, InvalidAction):
        assert decoded.reason
    else:
        assert validate(decoded) == decoded
    msgspec.msgpack.encode(decoded)


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("tap 0.512 0.330", Tap(0.512, 0.330)),
        ("  TAP\t0.512  0.33 \n", Tap(0.512, 0.33)),
        ("long_press .5 1", LongPress(0.5, 1.0)),
        ("swipe up", Swipe(0.5, 0.75, 0.5, 0.25)),
        ("swipe 0.1 0.2 0.3 0.4", Swipe(0.1, 0.2, 0.3, 0.4)),
        (r'type "a \"b\" \u00e9"', TypeText('a "b" é')),
        ("key back", PressKey("back")),
        ('open "Clock"', OpenApp("Clock")),
        ("wait 2.5", Wait(2.5)),
        ("finish", Finish()),
        ("infeasible", Finish("infeasible")),
        ('answer "7 pm"', Finish("complete", "7 pm")),
    ],
)
def test_compact_reads(text, action):
    assert COMPACT.decode(text) == action


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tap 2 0", "x: got 2.0, allowed is a number from 0 to 1"),
        ("tap 0.5", "want X Y as numbers"),
        ("tpa 1 1", "did you mean 'tap'"),
        ("key bakc", "did you mean 'back'"),
        ("type hello", 'want one JSON string, e.g. "hello"'),
        ('type "a" "b"', "want one JSON string"),
        ("finish now", "finish takes nothing"),
        ("", "unknown action ''"),
    ],
)
def test_compact_says_what_is_wrong(text, said):
    decoded = COMPACT.decode(text)
    assert isinstance(decoded, InvalidAction) and said in decoded.reason


def test_autoui_is_the_format_of_the_papers_with_y_before_x():
    assert AUTOUI.encode(Tap(0.25, 0.75)) == (
        'Action Plan: [DUAL_POINT]; Action Decision: "action_type": "DUAL_POINT", "touch_point": "[0.7500, 0.2500]", '
        '"lift_point": "[0.7500, 0.2500]", "typed_text": ""'
    )
    line = (
        'Action Decision: "action_type": "DUAL_POINT", "touch_point": "[0.8, 0.5]", "lift_point": "[0.2, 0.5]", '
        '"typed_text": "" '
    )
    assert AUTOUI.decode("Action Plan: [DUAL_POINT,TYPE] ; " + line) == Swipe(0.5, 0.8, 0.5, 0.2)
    assert AUTOUI.decode(line) == Swipe(0.5, 0.8, 0.5, 0.2)
    tap = line.replace("[0.2, 0.5]", "[0.79, 0.51]")
    assert AUTOUI.decode(tap) == Tap(0.5, 0.8)


def test_autoui_refuses_what_it_cannot_express():
    with pytest.raises(ActionError, match="autoui has no words for Wait"):
        AUTOUI.encode(Wait(1.0))
    with pytest.raises(ActionError, match="longer than"):
        AUTOUI.encode(Swipe(0.5, 0.5, 0.5, 0.52))


def test_unknown_codec_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'compact'"):
        get_codec("compct")
