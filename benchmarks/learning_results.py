"""One finished training as one small JSON file, `seed-K-ARM.json`: all that a table over seeds needs of it.

Such files can be committed, so that seeds trained on several machines make one table. Invariant: results that are put
together differ in nothing but their seed and what their arms are about. Called by `benchmarks.learning`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from distrl_trainer.config import RunConfig
from distrl_trainer.evaluation import EvaluationResult, Outcome, Rate
from distrl_trainer.report import CurvePoint, Summary
from distrl_trainer.settings import to_yaml
from distrl_trainer.storage import write_atomic

OF_EACH_RUN = frozenset({"run.seed", "run.out", "run.control_seconds", "warmup.weights"})
"""Settings in which two runs of one arm may differ: the seed, and what follows from a run's place and speed."""
MISSING = "-"
"""Stands for an instance that has no verdict, in `Evaluated.solved`."""


class ReportError(ValueError):
    """A run's folder or a result file cannot be used for a report; the message says what to do."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run was started or resumed: the commit of the code (a "+" if it was changed), and the machine."""

    commit: str = "unknown"
    machine: str = "unknown"


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation, with one character per instance instead of one object.

    `solved` holds per template the first instance, and from there on "1" (solved), "0" or `MISSING` per instance.
    """

    suite: str
    split: str
    seed: int
    success: Rate
    templates: dict[str, Rate]
    solved: dict[str, tuple[int, str]]
    steps: int
    invalid: int
    false_completions: int
    infra_errors: int
    unjudged: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training. `settings` are all of its settings, as `section.field`; keys may be added, never renamed."""

    arm: str
    seed: int
    origins: list[Origin]
    settings: dict[str, Any]
    before: Evaluated
    after: Evaluated
    curve: list[CurvePoint]
    env_steps: int
    trajectories: int
    updates: int
    dropped_lag: int
    infra_errors: int
    max_lag_admitted: int
    demonstrations: int
    chosen: str
    seconds: dict[str, float]
    busy: dict[str, float]
    self_check: dict[str, Any] | None = None


def load_run(folder: Path, arm: str, seed: int, commit: str = "") -> RunResult:
    """Return the result of the finished run in `folder`, which may be of an older version.

    Args:
        folder: The run's folder.
        arm: What the run is an arm of.
        seed: Its seed.
        commit: The commit that made the run, used where the run has not noted one.

    Raises:
        ReportError: A file is missing or damaged, or the summary's rates are not those of a stored evaluation.
    """
    try:
        stored_summary = (folder / "summary.json").read_bytes()
        summary = msgspec.json.decode(stored_summary, type=Summary)
        self_check = msgspec.json.decode(stored_summary).get("self_check")
        settings = flat(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
        stored = [
            (path, msgspec.json.decode(path.read_bytes(), type=EvaluationResult))
            for path in sorted((folder / "evaluations").glob("*.json"))
        ]
    except (OSError, msgspec.MsgspecError, yaml.YAMLError) as error:
        raise ReportError(f"run {folder}: {error}; move the folder away to have it trained again") from error
    if settings.get("run.seed") != seed:
        raise ReportError(f"run {folder} has seed {settings.get('run.seed')}, expected {seed}; move it to its place")
    before = [result for path, result in stored if path.stem == "before" and result.success == summary.before]
    after = [result for path, result in stored if path.stem.startswith("after") and result.success == summary.after]
    if not before or not after:
        names = ", ".join(path.name for path, _ in stored) or "nothing"
        raise ReportError(f"run {folder}: the summary's rates are in no file of evaluations/, which holds {names}")
    return RunResult(
        arm=arm,
        seed=seed,
        origins=read_origins(folder) or [Origin(commit=commit or "unknown")],
        settings=settings,
        before=_evaluated(before[-1]),
        after=_evaluated(after[-1]),
        curve=[point for point in summary.curve if point.kind == "validation"],
        env_steps=summary.env_steps,
        trajectories=summary.trajectories,
        updates=summary.updates,
        dropped_lag=summary.dropped_lag,
        infra_errors=summary.infra_errors,
        max_lag_admitted=summary.max_lag_admitted,
        demonstrations=summary.demonstrations,
        chosen=summary.chosen,
        seconds=summary.seconds,
        busy=summary.busy,
        self_check=self_check,
    )


def note_origin(folder: Path, origin: Origin) -> None:
    """Add `origin` to those of the run in `folder`, in a file beside it, unless it is the last of them."""
    noted = read_origins(folder)
    if noted[-1:] != [origin]:
        write_atomic(_origins(folder), msgspec.json.encode([*noted, origin]) + b"\n")


def read_origins(folder: Path) -> list[Origin]:
    """Return where the run in `folder` was started and resumed; empty if that was not noted."""
    path = _origins(folder)
    return msgspec.json.decode(path.read_bytes(), type=list[Origin]) if path.is_file() else []


def write_result(folder: Path, result: RunResult) -> Path:
    """Write `result` to its file in `folder`, one line per field, and return the path.

    Raises:
        StorageError: The disk refused.
    """
    path = folder / f"seed-{result.seed}-{result.arm}.json"
    fields = msgspec.to_builtins(result)
    lines = [f"{msgspec.json.encode(key).decode()}: {msgspec.json.encode(fields[key]).decode()}" for key in fields]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return path


def read_results(folder: Path) -> list[RunResult]:
    """Return the results in `folder`, by seed.

    Raises:
        ReportError: There are none; or one is damaged, contradicts itself or has another one's name.
    """
    paths = sorted(folder.glob("seed-*.json"))
    if not paths:
        raise ReportError(f"{folder} holds no seed-K-ARM.json; write some with --results")
    return sorted((_read_result(path) for path in paths), key=lambda result: (result.seed, result.arm))


def check_comparable(results: Sequence[RunResult], of_arms: Collection[str]) -> None:
    """Check that `results` belong into one table.

    Args:
        results: The results.
        of_arms: Settings in which arms may differ from each other, though not the runs of one arm.

    Raises:
        ReportError: Two of them have other settings, or were tested on other instances; both are named.
    """
    defaults = flat(yaml.safe_load(to_yaml(RunConfig())))
    first_of_arm: dict[str, RunResult] = {}
    for result in results:
        _check_settings(first_of_arm.setdefault(result.arm, result), result, OF_EACH_RUN, defaults)
        _check_settings(results[0], result, OF_EACH_RUN | frozenset(of_arms), defaults)
        _check_instances(results[0], result)


def changed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `settings` that are not the defaults of this version, without the run's own (`OF_EACH_RUN`)."""
    defaults = flat(yaml.safe_load(to_yaml(RunConfig())))
    return {key: value for key, value in settings.items() if key not in OF_EACH_RUN and defaults.get(key) != value}


def flat(sections: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return nested settings as `section.field: value`."""
    found: dict[str, Any] = {}
    for key, value in sections.items():
        found |= flat(value, f"{where}{key}.") if isinstance(value, Mapping) else {f"{where}{key}": value}
    return found


def verdicts(tested: Evaluated) -> dict[tuple[str, int], bool]:
    """Return whether each instance with a verdict was solved, by template and instance."""
    return {
        (template, first + offset): mark == "1"
        for template, (first, marks) in tested.solved.items()
        for offset, mark in enumerate(marks)
        if mark != MISSING
    }


def paired(first: Evaluated, second: Evaluated) -> list[tuple[bool, bool]]:
    """Return the success of both on each instance that both have a verdict on."""
    earlier, later = verdicts(first), verdicts(second)
    return [(earlier[key], later[key]) for key in later if key in earlier]


def _origins(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.origins.json")


def _evaluated(result: EvaluationResult) -> Evaluated:
    of_template: dict[str, dict[int, Outcome]] = {}
    for outcome in result.outcomes:
        of_template.setdefault(outcome.template, {})[outcome.instance] = outcome
    solved = {
        template: (
            min(found),
            "".join(_mark(found.get(k)) for k in range(min(found), max(found) + 1)),
        )
        for template, found in of_template.items()
    }
    return Evaluated(
        suite=result.suite,
        split=result.split,
        seed=result.seed,
        success=result.success,
        templates=result.templates,
        solved=solved,
        steps=result.steps,
        invalid=result.invalid,
        false_completions=result.false_completions,
        infra_errors=result.infra_errors,
        unjudged=result.unjudged,
    )


def _mark(outcome: Outcome | None) -> str:
    return MISSING if outcome is None or not outcome.judged else str(int(outcome.success))


def _read_result(path: Path) -> RunResult:
    try:
        result = msgspec.json.decode(path.read_bytes(), type=RunResult)
    except (OSError, msgspec.MsgspecError) as error:
        raise ReportError(f"result {path} cannot be read ({error}); export it again from its run") from error
    if path.name != f"seed-{result.seed}-{result.arm}.json":
        raise ReportError(f"result {path} is of seed {result.seed}, arm {result.arm}; give it its own name back")
    for when, tested in (("before", result.before), ("after", result.after)):
        found = verdicts(tested)
        success, judged = tested.success, tested.success.n - tested.success.unjudged
        if not found or (success.k, judged) != (sum(found.values()), len(found)):
            raise ReportError(f"result {path}: success {when} is not that of its instances; export it again")
    return result


def _check_settings(first: RunResult, second: RunResult, ignored: frozenset[str], defaults: Mapping[str, Any]) -> None:
    # A setting that an older version lacks counts as its default today, else no two versions could be put together.
    one, two = {**defaults, **first.settings}, {**defaults, **second.settings}
    differing = [
        f"{key} {one.get(key)!r} and {two.get(key)!r}"
        for key in sorted(one.keys() | two.keys())
        if key not in ignored and one.get(key) != two.get(key)
    ]
    if differing:
        raise ReportError(f"{_name(first)} and {_name(second)} have other settings: {', '.join(differing)}")


def _check_instances(first: RunResult, second: RunResult) -> None:
    reference = first.before
    for when, tested in (("before", second.before), ("after", second.after)):
        one, two = verdicts(reference), verdicts(tested)
        same = (reference.suite, reference.split, reference.seed) == (tested.suite, tested.split, tested.seed)
        # Episodes that the infrastructure ended have no verdict, so as many instances may be in one of them alone.
        if not same or len(one.keys() ^ two.keys()) > reference.unjudged + tested.unjudged:
            raise ReportError(
                f"{_name(first)} ({reference.suite}/{reference.split}, seed {reference.seed}, n = {len(one)}) and "
                f"{_name(second)} {when} ({tested.suite}/{tested.split}, seed {tested.seed}, n = {len(two)}) were "
                "tested on other instances; make a table of each"
            )


def _name(result: RunResult) -> str:
    return f"seed-{result.seed}-{result.arm}"
