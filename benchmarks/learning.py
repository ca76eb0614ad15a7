"""Does reinforcement learning raise success, by how much, at what cost, and what does each ingredient contribute?

    python -m benchmarks.learning [--quick] [--arms aride clone-only ...] [--seeds 0 1 2 3 4] [--out DIR]
        [--results FOLDER] [--section.field value ...] [--json]
    python -m benchmarks.learning --export --out DIR --results FOLDER [--commit NAME]
    python -m benchmarks.learning --from-results FOLDER [--earlier FOLDER] [--json]

The first form trains what is missing. Every run goes through the real command line, one at a time, into
`DIR/seed-K/ARM`; any `--section.field value` of `distrl-train` holds for all of them. All arms of a seed start from the
same warm start, made by the first of them to run.

- `aride` is the trainer as it is; `clone-only` the control: the same time goes into cloning the same demonstrations.
- `no-NAME` switches off one ingredient (`distrl_trainer.config.ABLATIONS`): `no-retrace` takes plain returns for
  advantages, `no-penalty` also takes the penalties from the reward. `no-value` puts a running mean per template in the
  place of V and keeps Retrace; `vtrace` and `td0` set the trace decay to 1 and 0.

Runs that are complete are used again and those cut short are resumed, so a benchmark can be continued and extended; a
run with other settings is refused by name. With `--results`, every finished run leaves a small `seed-K-ARM.json` there
at once. The second form writes these for runs that exist, of older versions too. The third makes the table from such
files alone, whichever machines they come from; `--earlier` sets it against the table of another folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from benchmarks.learning_curves import plot_curves
from benchmarks.learning_report import against_earlier, by_arm, percent, points, results_of, table
from benchmarks.learning_results import (
    OF_EACH_RUN,
    Origin,
    ReportError,
    RunResult,
    check_comparable,
    load_run,
    note_origin,
    read_results,
    write_result,
)
from benchmarks.measure import commit, machine, report
from distrl_trainer.config import ABLATIONS, RunConfig
from distrl_trainer.report import Summary
from distrl_trainer.run_folder import differences
from distrl_trainer.settings import ConfigError, load_config
from distrl_trainer.storage import StorageError

ARMS: dict[str, tuple[str, ...]] = {
    "aride": (),
    "clone-only": ("--algorithm.name", "clone-only"),
    "no-value": ("--algorithm.advantage_baseline", "task_ema"),
    **{f"no-{name}": ("--algorithm.without", name) for name in ABLATIONS},
    "vtrace": ("--algorithm.name", "vtrace"),
    "td0": ("--algorithm.name", "td0"),
}
"""Settings of every arm; this is also the order in which they run."""
CONTROL = "clone-only"
SEEDS = (0, 1, 2, 3, 4)
"""Five: with Student's t the interval over seeds is then half as wide as over three that differ as much."""
QUICK = (
    *("--warmup.demonstrations", "24", "--warmup.epochs", "2", "--warmup.value_steps", "32"),
    *("--run.total_env_steps", "120", "--run.eval_every_env_steps", "60", "--replay.min_steps", "32"),
    *("--eval.episodes", "24", "--eval.validation_episodes", "12", "--fleet.envs_per_collector", "4"),
    *("--algorithm.batch_steps", "32", "--algorithm.minibatch", "32", "--algorithm.cloning_batch", "4"),
    *("--env.max_steps", "5"),
)
"""Settings with which a run shows that everything works, and nothing else."""


class BenchmarkError(RuntimeError):
    """A run cannot be made or used; the message says why."""


def main(argv: list[str] | None = None) -> int:
    """Train or export what is missing, then print."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and (arguments.export or arguments.from_results):
        parser.error(f"settings are of trainings to come, and none begins here: leave out {' '.join(overrides)}")
    if arguments.export and not arguments.results:
        parser.error("--export needs --results FOLDER, where the files go")
    try:
        if arguments.export:
            return _export(arguments)
        found = _from_files(arguments) if arguments.from_results else _trained(arguments, overrides)
        results = _numbers(found, arguments)
    except (BenchmarkError, ReportError, ConfigError, StorageError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 1
    if not arguments.json:
        _print_table(results)
    print(report("learning", len({result.seed for result in found}), results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="tiny runs of one seed: shows that it works")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, metavar="ARM", help=f"{', '.join(ARMS)}; default: aride {CONTROL}"
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="K", help="default: 0 1 2 3 4, quick: 0")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="where each finished run leaves a small JSON")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--export", action="store_true", help="only write --results of the finished runs in --out")
    source.add_argument("--from-results", type=Path, metavar="FOLDER", help="only make the table of the files there")
    parser.add_argument(
        "--commit", default="", metavar="NAME", help="with --export: of runs that have not noted theirs"
    )
    parser.add_argument("--earlier", type=Path, metavar="FOLDER", help="result files of another study, to compare with")
    return parser


def _trained(arguments: argparse.Namespace, overrides: Sequence[str]) -> list[RunResult]:
    """Return the results of all runs asked for, by arm; what is missing is trained."""
    seeds = arguments.seeds or ([0] if arguments.quick else SEEDS)
    arms = [arm for arm in ARMS if arm in (arguments.arms or ["aride", CONTROL])]
    overrides = [*(QUICK if arguments.quick else ()), *overrides]
    return [
        result
        for seed in seeds
        for result in train_arms(arguments.out / f"seed-{seed}", arms, seed, overrides, arguments.results)
    ]


def _from_files(arguments: argparse.Namespace) -> list[RunResult]:
    return [
        result
        for result in read_results(arguments.from_results)
        if result.arm in (arguments.arms or ARMS) and result.seed in (arguments.seeds or [result.seed])
    ]


def _export(arguments: argparse.Namespace) -> int:
    """Write the result files of the finished runs in `--out` and say which; return the exit status."""
    finished = [
        (path.parent, int(path.parent.parent.name.removeprefix("seed-")))
        for path in sorted(arguments.out.glob("seed-*/*/summary.json"))
        if path.parent.name in (arguments.arms or ARMS)
    ]
    chosen = [(folder, seed) for folder, seed in finished if seed in (arguments.seeds or [seed])]
    if not chosen:
        raise ReportError(f"{arguments.out} holds no finished run seed-K/ARM of what was asked for")
    for folder, seed in chosen:
        print(write_result(arguments.results, load_run(folder, folder.name, seed, arguments.commit)))
    return 0


def _numbers(found: Sequence[RunResult], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is reported of `found`, and draw the picture of it into `--out`."""
    if not found:
        raise ReportError(f"{arguments.from_results} holds no result of the arms and seeds asked for")
    found = sorted(found, key=lambda result: list(ARMS).index(result.arm))
    check_comparable(found, _of_arms())
    results = results_of(found, CONTROL)
    if arguments.earlier:
        before = read_results(arguments.earlier)
        check_comparable(before, _of_arms())
        results["against_earlier"] = against_earlier(by_arm(before), by_arm(found))
    picture = arguments.out / "curves.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    plot_curves(picture, found, CONTROL)
    seeds = sorted({result.seed for result in found})
    return {"seeds": seeds, "quick": arguments.quick, "picture": str(picture), **results}


@cache
def _of_arms() -> frozenset[str]:
    """Return the settings in which arms may differ."""
    wanted = [load_config(None, arm) for arm in ARMS.values()]
    return frozenset(place for config in wanted for place in differences(RunConfig(), config))


def train_arms(
    folder: Path, arms: Sequence[str], seed: int, overrides: Sequence[str], results: Path | None = None
) -> list[RunResult]:
    """Return the result of one finished run per arm in `folder`, trained unless they are there.

    Each is written into the folder `results`, if there is one, before the next arm begins.

    Raises:
        BenchmarkError: A run failed, was made with other settings, or the control has no run to compare with.
        ReportError, ConfigError: A folder is damaged.
        StorageError: The disk refused.
    """
    found: list[RunResult] = []
    for arm in arms:
        settings = ["--run.seed", str(seed), *overrides, *ARMS[arm]]
        target = folder / arm
        wanted = load_config(None, settings)
        if (target / "config.yaml").is_file():
            _refuse_other_settings(target, wanted)
        if not (target / "summary.json").is_file():
            _train(target, [*settings, *_shared(folder, arm)])
        found.append(load_run(target, arm, seed))
        if results is not None:
            write_result(results, found[-1])
    return found


def warm_start(folder: Path) -> Path | None:
    """Return the warm start that one of the runs in `folder` made itself, None if there is none yet."""
    for arm in ARMS:
        run = folder / arm
        if (run / "warm").is_dir() and not load_config(run / "config.yaml").warmup.weights:
            return run / "warm"
    return None


def _shared(folder: Path, arm: str) -> list[str]:
    """Return the settings that make `arm` comparable with the runs that `folder` holds."""
    warm = warm_start(folder)
    settings = ["--warmup.weights", str(warm)] if warm else []
    if arm != CONTROL:
        return settings
    path = folder / "aride" / "summary.json"
    if not path.is_file():
        raise BenchmarkError(
            f"{CONTROL} gets the time that aride took for RL, but there is no {path}; add aride to --arms"
        )
    seconds = msgspec.json.decode(path.read_bytes(), type=Summary).seconds["rl"]
    return [*settings, "--run.control_seconds", str(seconds)]


def _train(target: Path, settings: Sequence[str]) -> None:
    """Train into `target`, or continue there; what the command says goes to a log beside it."""
    begun = (target / "config.yaml").is_file()
    command = [sys.executable, "-m", "distrl_trainer.cli", "train", "--out", str(target)]
    command += ["--resume"] if begun else settings
    log = target.with_suffix(".log")
    target.parent.mkdir(parents=True, exist_ok=True)
    note_origin(target, Origin(commit=commit(), machine=machine()))
    print(f"{'resuming' if begun else 'training'} {target}, log: {log}", file=sys.stderr, flush=True)
    with log.open("a") as stream, subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT) as process:
        status = process.wait()  # leaving the block waits too: on Ctrl-C the run, which also gets it, saves first
    if status or not (target / "summary.json").is_file():
        last = log.read_text().strip().splitlines()[-1:]
        raise BenchmarkError(f"run {target} ended with status {status} and no summary: {' '.join(last)} (log: {log})")


def _refuse_other_settings(target: Path, wanted: RunConfig) -> None:
    places = differences(load_config(target / "config.yaml"), wanted, ignored=tuple(OF_EACH_RUN - {"run.seed"}))
    if places:
        raise BenchmarkError(
            f"run {target} was made with other settings ({', '.join(places)}); choose another --out or move it away"
        )


def _print_table(results: dict[str, Any]) -> None:
    # A table that is piped must not be cut to the 80 columns that rich assumes there.
    Console(width=140).print(table(results, CONTROL), highlight=False)
    for arm, found in results.get("against_earlier", {}).items():
        now, then = results["arms"][arm]["after"], found["earlier"]["after"]
        print(
            f"{arm}: {percent(then)} earlier ({then['n']} seeds), {percent(now)} now ({now['n']} seeds), "
            f"difference {points(found['difference'])} points, Welch's t over seeds"
        )
    print(f"curves: {results['picture']}")


if __name__ == "__main__":
    sys.exit(main())
