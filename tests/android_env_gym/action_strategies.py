"""Hypothesis strategies for actions, without time limits (the machine may be busy)."""

from hypothesis import settings
from hypothesis import strategies as st

from android_env_gym.actions import (
    CHARSET,
    FINISH_STATUSES,
    KEYS,
    MAX_TEXT,
    MAX_WAIT,
    Finish,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)

settings.register_profile("steady", deadline=None, max_examples=60)
settings.load_profile("steady")

unit = st.floats(0.0, 1.0)
line = st.text(st.sampled_from(sorted(CHARSET)), max_size=MAX_TEXT)
actions = st.one_of(
    st.builds(Tap, unit, unit),
    st.builds(LongPress, unit, unit),
    st.builds(Swipe, unit, unit, unit, unit),
    st.builds(TypeText, line),
    st.builds(PressKey, st.sampled_from(KEYS)),
    st.builds(OpenApp, line),
    st.builds(Wait, st.floats(0.0, MAX_WAIT)),
    st.builds(Finish, st.sampled_from(FINISH_STATUSES), line),
)
