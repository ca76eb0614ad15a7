"""The live view: plain lines without a terminal, a panel with one, and what must always show."""

import io

from rich.console import Console

from distrl_trainer.live import LiveView, Status, plain, sparkline

STATUS = Status(
    done=500,
    total=1000,
    success=0.25,
    steps_per_second=61.0,
    updates=8,
    version=8,
    lags={0: 10, 2: 3},
    dropped=1,
    invalid_reward_share=0.02,
    losses={"policy": 0.1234},
    busy={"learner": 0.8},
    episodes=40,
)


def test_plain_line_shows_lags_and_invalid_rewards():
    line = plain("RL", STATUS)
    assert line == (
        "RL 500/1000, success 25.0%, 61 steps/s, updates 8, version 8, lags 0:10 2:3, "
        "dropped 1, invalid rewards 2.0%, policy 0.123, learner busy 80%"
    )


def test_without_a_terminal_lines_are_spaced_in_time():
    out = io.StringIO()
    with LiveView(Console(file=out, width=200), every=1000.0) as view:
        view.phase("RL")
        for _ in range(5):
            view.update(STATUS)
    assert out.getvalue().count("RL 500/1000") == 1


def test_on_a_terminal_a_panel_is_drawn():
    out = io.StringIO()
    with LiveView(Console(file=out, width=100, force_terminal=True)) as view:
        view.phase("RL")
        view.evaluated("before", "30.0%")
        view.update(STATUS)
    text = out.getvalue()
    assert "infrastructure errors" in text and "invalid rewards" in text and "before: 30.0%" in text


def test_sparkline_spans_its_blocks():
    assert sparkline([0.0, 0.5, 1.0, 2.0]) == "▁▅██"
