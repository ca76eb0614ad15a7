"""What a run leaves to look at: `summary.json`, the learning curve, the result table.

Called by `train_command` at the end of a run, and by scripts that compare runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from rich.table import Table

from distrl_trainer.evaluation import Comparison, EvaluationResult, Rate
from distrl_trainer.storage import write_atomic


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A success rate measured after `env_steps` of RL; `kind` is "test" or "validation"."""

    env_steps: int
    rate: Rate
    kind: str = "validation"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary.json`. Keys may be added, never renamed.

    One run is one seed: `before` and `after` are test success rates of its warm start and of its final policy, and
    `comparison` is of these two; what training does in general takes several seeds. `seconds` is wall-clock by phase;
    `busy` shares in [0, 1] by role, of the RL phase since it last started or resumed;
    `self_check` its figures (`self_check.SelfCheck`), empty for the control arm, which uses no ratios.
    """

    before: Rate
    after: Rate
    env_steps: int
    trajectories: int
    updates: int
    dropped_lag: int
    infra_errors: int
    max_lag_admitted: int
    seconds: dict[str, float]
    busy: dict[str, float]
    algorithm: str
    seed: int
    chosen: str
    demonstrations: int
    comparison: Comparison | None = None
    templates_before: dict[str, Rate] = {}
    templates_after: dict[str, Rate] = {}
    curve: list[CurvePoint] = []
    self_check: dict[str, float] = {}


def write_summary(folder: Path, summary: Summary) -> None:
    """Write `folder/summary.json`.

    Raises:
        StorageError: The disk refused.
    """
    write_atomic(folder / "summary.json", msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def plot_curve(path: Path, points: Sequence[CurvePoint], title: str) -> None:
    """Draw success against environment steps with 95% Wilson intervals, as PNG.

    Raises:
        OSError: The disk refused.
    """
    with mpl.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
        axes = figure.add_subplot()
        _draw_validation(axes, [point for point in points if point.kind == "validation"])
        _draw_tests(axes, [point for point in points if point.kind == "test"])
        axes.set(xlabel="environment steps of RL", ylabel="success rate", ylim=(0, 1), title=title)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(axis="y", color="#e4e7ec")
        axes.set_axisbelow(True)
        if points:
            axes.legend(frameon=False, loc="lower right")
        figure.savefig(path)


def _draw_validation(axes: Axes, points: Sequence[CurvePoint]) -> None:
    if not points:
        return
    steps = [point.env_steps for point in points]
    axes.fill_between(
        steps, [p.rate.low for p in points], [p.rate.high for p in points], color="#0b57d0", alpha=0.15, lw=0
    )
    label = f"validation on train goals (n = {points[-1].rate.n})"
    axes.plot(steps, [point.rate.rate for point in points], color="#0b57d0", marker="o", ms=4, label=label)


def _draw_tests(axes: Axes, points: Sequence[CurvePoint]) -> None:
    if not points:
        return
    rates = [point.rate for point in points]
    bars = [[rate.rate - rate.low for rate in rates], [rate.high - rate.rate for rate in rates]]
    steps = [point.env_steps for point in points]
    label = f"test goals (n = {rates[-1].n})"
    axes.errorbar(
        steps, [r.rate for r in rates], yerr=bars, fmt="D", ms=6, color="#e91e63", capsize=4, lw=2, label=label
    )
    for step, rate in zip(steps, rates, strict=True):
        axes.annotate(rate.share(), (step, rate.rate), xytext=(9, 5), textcoords="offset points", color="#ad1457")


def result_table(before: EvaluationResult, after: EvaluationResult) -> Table:
    """Return success of one run's two policies, per template and in total: its warm start and its final policy."""
    table = Table(
        title=f"this run's policy against its warm start, success on split {after.split} of {after.suite}",
        caption="95% Wilson intervals of these two policies; another seed trains another one",
    )
    for column, justify in (("template", "left"), ("n", "right"), ("warm start", "right"), ("final", "right")):
        table.add_column(column, justify="left" if justify == "left" else "right")
    for name, rate in after.templates.items():
        earlier = before.templates.get(name)
        table.add_row(name, str(rate.n), earlier.share(0) if earlier else "-", rate.share(0))
    table.add_section()
    table.add_row("all", str(after.success.n), str(before.success), str(after.success), style="bold")
    return table
