"""What finished trainings amount to. The unit of a claim about training is the seed.

*Over seeds* is the mean of one number per seed with Student's t interval: where the mean of many more seeds would lie.
It needs two seeds; of one there is no interval. Test episodes of several seeds are never put into one pot: they share
a policy, so an interval over them comes out too narrow, however few the seeds. *Of one policy* is a success rate with
Wilson's interval, and *of two policies* a paired difference with a bootstrap interval: they are about these very
policies on other goals, and say nothing about another training. Called by `benchmarks.learning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from rich.table import Table
from scipy.stats import ttest_1samp, ttest_ind

from benchmarks.learning_results import Evaluated, ReportError, RunResult, changed, paired
from distrl_trainer.evaluation import CONFIDENCE, Comparison, compare_pairs

READING = {
    "over_seeds": "mean over n seeds, one value each, with Student's t 95% interval; null: one seed has no interval",
    "of_one_policy": "success of one policy on n test instances, with Wilson's 95% interval",
    "of_two_policies": "difference of two policies of one seed, paired on n test instances, with a bootstrap 95% "
    "interval: about these two policies, not about training",
    "against_earlier": "difference of the means over seeds of two studies, with Welch's 95% interval",
}
"""How to read the keys of the results."""

Arms = Mapping[str, Mapping[int, RunResult]]
"""Results by arm and seed."""


def by_arm(results: Sequence[RunResult]) -> dict[str, dict[int, RunResult]]:
    """Return `results` by arm, in the order of first appearance, and seed."""
    arms: dict[str, dict[int, RunResult]] = {}
    for result in results:
        arms.setdefault(result.arm, {})[result.seed] = result
    return arms


def results_of(results: Sequence[RunResult], control: str) -> dict[str, Any]:
    """Return all numbers: every run, every arm, and every arm against the control and against the first arm.

    Raises:
        ReportError: Two arms that are compared have no seed in common.
    """
    arms = by_arm(results)
    first = next(iter(arms))
    others = [arm for arm in arms if arm not in (first, control)]
    compared = [arm for arm in arms if arm != control] if control in arms else []
    return {
        "reading": READING,
        "arms": {arm: arm_numbers(found) for arm, found in arms.items()},
        "against_control": {arm: difference(after_of(arms[control]), after_of(arms[arm])) for arm in compared},
        f"against_{first}": {arm: difference(after_of(arms[first]), after_of(arms[arm])) for arm in others},
        "runs": {arm: {str(seed): run_numbers(run) for seed, run in found.items()} for arm, found in arms.items()},
    }


def run_numbers(run: RunResult) -> dict[str, Any]:
    """Return what one training did and cost."""
    return {
        "of_one_policy": {
            name: {**msgspec.to_builtins(tested.success), "templates": msgspec.to_builtins(tested.templates)}
            for name, tested in _evaluations(run)
        },
        "of_two_policies": {"gain": msgspec.to_builtins(compare_pairs(paired(run.before, run.after)))},
        "invalid_per_step": {name: tested.invalid / max(1, tested.steps) for name, tested in _evaluations(run)},
        "false_completions": {name: tested.false_completions for name, tested in _evaluations(run)},
        "env_steps": run.env_steps,
        "trajectories": run.trajectories,
        "updates": run.updates,
        "dropped_lag_share": run.dropped_lag / max(1, run.trajectories),
        "infra_errors": run.infra_errors,
        "max_lag_admitted": run.max_lag_admitted,
        "demonstrations": run.demonstrations,
        "seconds": run.seconds,
        "busy": run.busy,
        "chosen": run.chosen,
        "self_check": run.self_check,
        "settings_changed": changed(run.settings),
        "origins": msgspec.to_builtins(run.origins),
    }


def arm_numbers(runs: Mapping[int, RunResult]) -> dict[str, Any]:
    """Return success before and after, the gain over the warm start and the cost of an arm, over seeds."""
    before = {seed: run.before for seed, run in runs.items()}
    phases = sorted({phase for run in runs.values() for phase in run.seconds})
    return {
        "before": over_seeds({seed: run.before.success.rate for seed, run in runs.items()}),
        "after": over_seeds({seed: run.after.success.rate for seed, run in runs.items()}),
        "gain": difference(before, after_of(runs)),
        "seconds": {
            phase: over_seeds({seed: run.seconds[phase] for seed, run in runs.items() if phase in run.seconds})
            for phase in phases
        },
        "commits": sorted({origin.commit for run in runs.values() for origin in run.origins}),
    }


def after_of(runs: Mapping[int, RunResult]) -> dict[int, Evaluated]:
    """Return the final evaluation of every seed."""
    return {seed: run.after for seed, run in runs.items()}


def difference(first: Mapping[int, Evaluated], second: Mapping[int, Evaluated]) -> dict[str, Any]:
    """Return success of `second` minus `first`, over the seeds that both have and of each of them.

    Raises:
        ReportError: They have no seed in common, or no instance in one of the seeds.
    """
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        raise ReportError(f"no seed in common: {sorted(first)} and {sorted(second)}")
    each: dict[int, Comparison] = {}
    for seed in seeds:
        pairs = paired(first[seed], second[seed])
        if not pairs:
            raise ReportError(f"seed {seed}: no test instance in common; test all arms of a seed on the same ones")
        each[seed] = compare_pairs(pairs)
    return {
        "over_seeds": over_seeds({seed: comparison.difference for seed, comparison in each.items()}),
        "of_two_policies": {str(seed): msgspec.to_builtins(comparison) for seed, comparison in each.items()},
    }


def over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
    """Return the mean of one number per seed with its 95% t interval, which a single seed does not have.

    The interval of a rate may leave [0, 1]: so few seeds that differ so much do not tell more.
    """
    numbers = list(values.values())
    mean = float(np.mean(numbers))
    low: float | None = None
    high: float | None = None
    if len(numbers) > 1:
        low = high = mean
        if np.ptp(numbers) > 0:  # equal values have a standard error of 0, which scipy divides by
            interval = ttest_1samp(numbers, 0.0).confidence_interval(CONFIDENCE)
            low, high = float(interval.low), float(interval.high)
    each = {str(seed): value for seed, value in values.items()}
    return {"mean": mean, "low": low, "high": high, "n": len(numbers), "values": each}


def against_earlier(earlier: Arms, later: Arms) -> dict[str, Any]:
    """Return success after training of `later` minus `earlier`, for every arm of both.

    The two studies share no policy, so their seeds are not paired: Welch's t interval, null if one has a single seed.
    `settings_changed` are those of both that are not the defaults, because a difference may come from them.
    """
    return {
        arm: {
            "difference": welch(
                [run.after.success.rate for run in earlier[arm].values()],
                [run.after.success.rate for run in later[arm].values()],
            ),
            "earlier": arm_numbers(earlier[arm]),
            "settings_changed": [changed(next(iter(study[arm].values())).settings) for study in (earlier, later)],
        }
        for arm in later
        if arm in earlier
    }


def welch(first: Sequence[float], second: Sequence[float]) -> dict[str, Any]:
    """Return mean(`second`) - mean(`first`) with Welch's 95% interval, and the number of values of each."""
    mean = float(np.mean(second) - np.mean(first))
    low: float | None = None
    high: float | None = None
    if min(len(first), len(second)) > 1:
        low = high = mean
        if np.ptp(first) > 0 or np.ptp(second) > 0:
            interval = ttest_ind(second, first, equal_var=False).confidence_interval(CONFIDENCE)
            low, high = float(interval.low), float(interval.high)
    return {"mean": mean, "low": low, "high": high, "n": [len(first), len(second)]}


def table(results: Mapping[str, Any], control: str) -> Table:
    """Return the arms of `results`, each with its seeds below, to be printed."""
    shown = Table(caption_justify="left", caption=_caption())
    for number, column in enumerate(("arm", "n", "warm start", "after", "gain, points", f"above {control}, points")):
        shown.add_column(column, justify="left" if number == 0 else "right")
    for arm, found in results["arms"].items():
        ahead = results["against_control"].get(arm)
        gain, n = found["gain"], found["after"]["n"]
        shown.add_row(
            *(arm, f"{n} seed{'s' if n > 1 else ''}", percent(found["before"]), percent(found["after"])),
            *(points(gain["over_seeds"]), points(ahead["over_seeds"]) if ahead else "-"),
            style="bold",
        )
        for seed, run in results["runs"][arm].items():
            before, after = run["of_one_policy"]["before"], run["of_one_policy"]["after"]
            distance = ahead["of_two_policies"].get(seed) if ahead else None
            shown.add_row(
                *(f"  seed {seed}", f"{after['n']} tasks", percent(before), percent(after)),
                *(points(gain["of_two_policies"][seed]), points(distance) if distance else "-"),
                style="dim",
            )
        shown.add_section()
    return shown


def percent(rate: Mapping[str, Any]) -> str:
    """Return a mean or a success rate with its interval, if it has one."""
    value = rate["mean"] if "mean" in rate else rate["rate"]
    return f"{value:.1%} " + (
        f"[{rate['low']:.1%}, {rate['high']:.1%}]" if rate["low"] is not None else "(no interval)"
    )


def points(found: Mapping[str, Any]) -> str:
    """Return a difference in percentage points with its interval, if it has one."""
    value = found["mean"] if "mean" in found else found["difference"]
    text = f"{value * 100:+.1f} "
    return text + (
        f"[{found['low'] * 100:+.1f}, {found['high'] * 100:+.1f}]" if found["low"] is not None else "(no interval)"
    )


def _caption() -> str:
    return (
        "Arms: mean over seeds with Student's t 95% interval, a claim about training; a single seed has none.\n"
        "Seeds: Wilson's interval of one policy, paired bootstrap of two: about these policies, not about training."
    )


def _evaluations(run: RunResult) -> tuple[tuple[str, Evaluated], ...]:
    return ("before", run.before), ("after", run.after)
