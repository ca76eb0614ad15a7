"""The picture of a study: learning curves with their band over seeds, and test success of every arm.

Thin lines and small dots are single seeds; thick lines, bands and bars are means with Student's t 95% intervals over
seeds, drawn only where there are two seeds or more. Called by `benchmarks.learning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from benchmarks.learning_report import by_arm, over_seeds
from benchmarks.learning_results import RunResult

COLOURS = ("#0b57d0", "#188038", "#a142f4", "#d93025", "#00796b", "#795548")
CONTROL_COLOUR = "#e8710a"
BEHIND = "#9aa0a6"
"""Grey: the first arm behind the panel of another one."""
PANELS_PER_ROW = 3


def plot_curves(path: Path, results: Sequence[RunResult], control: str) -> None:
    """Draw `results` as PNG.

    The first panel holds the first arm and the control, each further one an arm before the first arm in grey; the last
    one holds success on test goals.

    Raises:
        OSError: The disk refused.
    """
    arms = by_arm(results)
    first = next(iter(arms))
    panels = [first, *(arm for arm in arms if arm not in (first, control))]
    colours = {arm: COLOURS[number % len(COLOURS)] for number, arm in enumerate(panels)} | {control: CONTROL_COLOUR}
    columns = min(PANELS_PER_ROW, len(panels) + 1)
    rows = -(-(len(panels) + 1) // columns)
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4.4 * columns + 0.8, 3.7 * rows + 0.3), dpi=150, layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flat
        for axes, arm in zip(places, panels, strict=False):
            behind = control if arm == first else first
            if behind in arms and behind != arm:
                _draw_curves(axes, arms[behind], CONTROL_COLOUR if behind == control else BEHIND)
            _draw_curves(axes, arms[arm], colours[arm])
            _finish_curves(axes)
        _draw_tests(places[len(panels)], arms, colours)
        for axes in places[len(panels) + 1 :]:
            axes.set_visible(False)
        figure.suptitle(
            f"{results[0].after.suite}: thin lines and dots are seeds, bands and bars 95% t intervals over them"
        )
        figure.savefig(path)


def common_curve(runs: Mapping[int, RunResult]) -> tuple[np.ndarray, np.ndarray]:
    """Return steps `(P,)` and success `(S, P)` of all `S` seeds there; seeds are validated at slightly other steps.

    A curve is interpolated between its own points and never beyond the last one.
    """
    curves = [line(run) for run in runs.values() if run.curve]
    if not curves:
        return np.empty(0), np.empty((0, 0))
    start, end = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    every = np.unique(np.concatenate([steps for steps, _ in curves]))  # (P,)
    grid = every[(every >= start) & (every <= end)]
    return grid, np.stack([np.interp(grid, steps, rates) for steps, rates in curves])


def line(run: RunResult) -> tuple[np.ndarray, np.ndarray]:
    """Return steps `(P,)` and success `(P,)` of the validations of `run`."""
    steps = np.array([point.env_steps for point in run.curve], dtype=np.float64)
    return steps, np.array([point.rate.rate for point in run.curve])


def _draw_curves(axes: Axes, runs: Mapping[int, RunResult], colour: str) -> None:
    for run in runs.values():
        axes.plot(*line(run), color=colour, lw=0.8, alpha=0.5, marker="o", ms=2)
    steps, rates = common_curve(runs)
    if len(rates) < 2:  # a single seed has no band: its own line is all there is
        axes.plot(steps, rates.mean(0) if len(rates) else [], color=colour, lw=2.2, label=_label(runs))
        return
    found = [over_seeds(dict(enumerate(column))) for column in rates.T]
    low, high = (np.clip([point[side] for point in found], 0, 1) for side in ("low", "high"))
    axes.fill_between(steps, low, high, color=colour, alpha=0.16, lw=0)
    axes.plot(steps, [point["mean"] for point in found], color=colour, lw=2.2, label=_label(runs))


def _label(runs: Mapping[int, RunResult]) -> str:
    arm = next(iter(runs.values())).arm
    return f"{arm} ({len(runs)} seed{'s' if len(runs) > 1 else ''})"


def _finish_curves(axes: Axes) -> None:
    axes.set(title="validation on train goals", ylim=(0, 1), ylabel="success rate")
    axes.set_xlabel("environment steps of RL\n(control: the share of its time, in RL's steps)", fontsize="small")
    axes.title.set_fontsize("medium")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color="#e4e7ec")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right", fontsize="small")


def _draw_tests(axes: Axes, arms: Mapping[str, Mapping[int, RunResult]], colours: Mapping[str, str]) -> None:
    first = next(iter(arms.values()))
    rows = [("warm start", {seed: run.before.success.rate for seed, run in first.items()}, "#5f6368")]
    rows += [
        (arm, {seed: run.after.success.rate for seed, run in runs.items()}, colours[arm]) for arm, runs in arms.items()
    ]
    for row, (_, rates, colour) in enumerate(rows):
        found = over_seeds(rates)
        axes.plot(list(rates.values()), [row + 0.18] * len(rates), "o", color=colour, ms=4, alpha=0.55, mew=0)
        if found["low"] is not None:
            axes.plot([max(0, found["low"]), min(1, found["high"])], [row, row], color=colour, lw=2)
        axes.plot(found["mean"], row, "D", color=colour, ms=7)
        axes.annotate(
            f"{found['mean']:.1%}", (found["mean"], row), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), title="success on test goals")
    axes.title.set_fontsize("medium")
    axes.set_xlabel("dots: seeds; diamonds: their mean", fontsize="small")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="x", color="#e4e7ec")
    axes.set_axisbelow(True)
