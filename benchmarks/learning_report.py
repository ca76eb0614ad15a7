"""What finished trainings amount to: success before and after, gains with intervals, the picture of their curves.

Two kinds of interval, and they answer different questions. *Pooled* ones (paired by task instance, all seeds
together) are about these very policies on other tasks. *Over seeds* (Student's t on one number per seed) are about
another run of the same method; with three seeds they are wide. Called by `benchmarks.learning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from scipy.stats import ttest_1samp

from distrl_trainer.evaluation import EvaluationResult, compare, summarise
from distrl_trainer.report import Summary

SEED_STRIDE = 2**40
"""Beyond every instance number: keeps apart what different seeds did with one task instance."""
COLOURS = ("#0b57d0", "#e8710a", "#188038", "#a142f4", "#d93025", "#00796b", "#795548")
MARKERS = ("o", "s", "^", "v", "P", "X")
PANELS_PER_ROW = 3
LETTERS_PER_PANEL = 48


class ReportError(ValueError):
    """A run's folder lacks what a report needs; the message says what to do."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training."""

    arm: str
    seed: int
    summary: Summary
    before: EvaluationResult
    after: EvaluationResult


def load_run(folder: Path, arm: str, seed: int) -> Run:
    """Return the run in `folder`.

    Raises:
        ReportError: A file is missing or damaged, or the summary's rates are not those of a stored evaluation.
    """
    try:
        summary = msgspec.json.decode((folder / "summary.json").read_bytes(), type=Summary)
        stored = [
            (path, msgspec.json.decode(path.read_bytes(), type=EvaluationResult))
            for path in sorted((folder / "evaluations").glob("*.json"))
        ]
    except (OSError, msgspec.DecodeError) as error:
        raise ReportError(f"run {folder}: {error}; move the folder away to have it trained again") from error
    before = [result for path, result in stored if path.stem == "before" and result.success == summary.before]
    after = [result for path, result in stored if path.stem.startswith("after") and result.success == summary.after]
    if not before or not after:
        names = ", ".join(path.name for path, _ in stored) or "nothing"
        raise ReportError(f"run {folder}: the summary's rates are in no file of evaluations/, which holds {names}")
    return Run(arm=arm, seed=seed, summary=summary, before=before[-1], after=after[-1])


def results_of(runs: Sequence[Run], control: str = "clone-only") -> dict[str, Any]:
    """Return all numbers: every run, every arm, and every arm against the control and against the first arm."""
    arms: dict[str, dict[int, Run]] = {}
    for run in runs:
        arms.setdefault(run.arm, {})[run.seed] = run
    first = next(iter(arms))
    others = [arm for arm in arms if arm not in (first, control)]
    return {
        "runs": {arm: {str(seed): run_numbers(run) for seed, run in found.items()} for arm, found in arms.items()},
        "arms": {arm: arm_numbers(found) for arm, found in arms.items()},
        "against_control": {
            arm: difference(after_of(arms[control]), after_of(found))
            for arm, found in arms.items()
            if control in arms and arm != control
        },
        f"against_{first}": {arm: difference(after_of(arms[first]), after_of(arms[arm])) for arm in others},
    }


def run_numbers(run: Run) -> dict[str, Any]:
    """Return what one training did and cost."""
    summary = run.summary
    return {
        "before": msgspec.to_builtins(summary.before),
        "after": msgspec.to_builtins(summary.after),
        "gain": msgspec.to_builtins(compare(run.before, run.after)),
        "invalid_per_step": {name: r.invalid / max(1, r.steps) for name, r in _evaluations(run)},
        "false_completions": {name: r.false_completions for name, r in _evaluations(run)},
        "env_steps": summary.env_steps,
        "trajectories": summary.trajectories,
        "updates": summary.updates,
        "dropped_lag_share": summary.dropped_lag / max(1, summary.trajectories),
        "infra_errors": summary.infra_errors,
        "max_lag_admitted": summary.max_lag_admitted,
        "seconds": summary.seconds,
        "busy": summary.busy,
        "chosen": summary.chosen,
    }


def arm_numbers(runs: Mapping[int, Run]) -> dict[str, Any]:
    """Return success before and after over all seeds, and the gain."""
    before, after = {seed: run.before for seed, run in runs.items()}, after_of(runs)
    return {
        "before": msgspec.to_builtins(pooled(before).success),
        "after": msgspec.to_builtins(pooled(after).success),
        "gain": difference(before, after),
        "seconds": {
            phase: float(np.mean([run.summary.seconds.get(phase, 0.0) for run in runs.values()]))
            for phase in sorted({phase for run in runs.values() for phase in run.summary.seconds})
        },
    }


def after_of(runs: Mapping[int, Run]) -> dict[int, EvaluationResult]:
    """Return the final evaluation of every seed."""
    return {seed: run.after for seed, run in runs.items()}


def difference(first: Mapping[int, EvaluationResult], second: Mapping[int, EvaluationResult]) -> dict[str, Any]:
    """Return success of `second` minus `first`, over the seeds that both have.

    Raises:
        ReportError: They have no seed in common.
    """
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        raise ReportError(f"no seed in common: {sorted(first)} and {sorted(second)}")
    each = {seed: compare(first[seed], second[seed]) for seed in seeds}
    together = compare(pooled({s: first[s] for s in seeds}), pooled({s: second[s] for s in seeds}))
    return {
        "pooled": msgspec.to_builtins(together),
        "per_seed": {str(seed): msgspec.to_builtins(comparison) for seed, comparison in each.items()},
        "over_seeds": over_seeds([comparison.difference for comparison in each.values()]),
    }


def pooled(results: Mapping[int, EvaluationResult]) -> EvaluationResult:
    """Return the evaluations of several seeds as one; equal instances of different seeds stay apart."""
    some = next(iter(results.values()))
    outcomes = [
        msgspec.structs.replace(outcome, instance=outcome.instance + seed * SEED_STRIDE)
        for seed, result in results.items()
        for outcome in result.outcomes
    ]
    return summarise(some.suite, some.split, some.seed, outcomes)


def over_seeds(differences: Sequence[float]) -> dict[str, float | int | None]:
    """Return the mean of one number per seed with its 95% t interval, which a single seed does not have."""
    mean = float(np.mean(differences))
    low: float | None = None
    high: float | None = None
    if len(differences) > 1:
        low = high = mean
        if np.ptp(differences) > 0:
            interval = ttest_1samp(differences, 0.0).confidence_interval(0.95)
            low, high = float(interval.low), float(interval.high)
    return {"mean": mean, "low": low, "high": high, "n": len(differences)}


def plot_curves(path: Path, runs: Sequence[Run], suite: str) -> None:
    """Draw success on validation against environment steps as PNG: a panel per arm, a line per seed.

    The first arm's lines stand in grey behind the others' panels; diamonds are the test success of the warm
    start and of the final policy.

    Raises:
        OSError: The disk refused.
    """
    arms = list(dict.fromkeys(run.arm for run in runs))
    columns = min(PANELS_PER_ROW, len(arms))
    rows = -(-len(arms) // columns)
    with mpl.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4.2 * columns + 0.6, 3.6 * rows + 0.4), dpi=150, layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for number, (arm, axes) in enumerate(zip(arms, panels.flat, strict=False)):
            behind = [run for run in runs if run.arm == arms[0]] if number else []
            _draw_panel(axes, [run for run in runs if run.arm == arm], behind, COLOURS[number % len(COLOURS)])
        for axes in panels.flat[len(arms) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel("success rate")
        below = "environment steps of RL (control arm: the share of its time, in RL's steps)"
        title = f"Learning on {suite}: validation on train goals (lines), test goals (diamonds)"
        figure.supxlabel(fill(below, LETTERS_PER_PANEL * columns), fontsize="medium")
        figure.suptitle(fill(title, LETTERS_PER_PANEL * columns))
        figure.savefig(path)


def _draw_panel(axes: Axes, runs: Sequence[Run], behind: Sequence[Run], colour: str) -> None:
    for run in behind:
        axes.plot(*_line(run), color="#c4c7cc", lw=1.2, zorder=1, label=run.arm if run is behind[0] else None)
    for run, marker in zip(runs, MARKERS * len(runs), strict=False):
        steps, rates = _line(run)
        axes.plot(steps, rates, color=colour, marker=marker, ms=4, lw=1.5, zorder=3, label=f"seed {run.seed}")
        ends = (0, max(steps, default=run.summary.env_steps))
        tests = (run.summary.before.rate, run.summary.after.rate)
        axes.plot(ends, tests, "D", color="none", mec=colour, mew=1.5, ms=7, zorder=4, clip_on=False)
    before = float(np.mean([run.summary.before.rate for run in runs]))
    after = float(np.mean([run.summary.after.rate for run in runs]))
    axes.set_title(f"{runs[0].arm}: test {before:.1%} → {after:.1%}", fontsize="medium")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.tick_params(labelbottom=True)
    axes.grid(axis="y", color="#e4e7ec")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right", fontsize="small")


def _line(run: Run) -> tuple[list[int], list[float]]:
    points = [point for point in run.summary.curve if point.kind == "validation"]
    return [point.env_steps for point in points], [point.rate.rate for point in points]


def _evaluations(run: Run) -> tuple[tuple[str, EvaluationResult], ...]:
    return ("before", run.before), ("after", run.after)
