"""Does reinforcement learning raise success, by how much, at what cost, and what does each ingredient contribute?

Run with `python -m benchmarks.learning [--quick] [--arms aride clone-only ...] [--seeds 0 1 2] [--out DIR] --json`, and
any `--section.field value` of `distrl-train` for all runs. Every run goes through the real command line, one at a
time, into `DIR/seed-K/ARM`. All arms of a seed start from the same warm start, made by the first of them to run.

- `aride` is the trainer as it is; `clone-only` the control: the same time goes into cloning the same demonstrations.
- `no-NAME` switches off one ingredient (`distrl_trainer.config.ABLATIONS`): `no-retrace` takes plain returns for
  advantages, `no-penalty` also takes the penalties from the reward. `no-value` puts a running mean per template in the
  place of V and keeps Retrace; `vtrace` and `td0` set the trace decay to 1 and 0.

Runs that are complete are used again and those cut short are resumed, so a benchmark can be continued and extended; a
run with other settings is refused by name.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.learning_report import ReportError, Run, load_run, plot_curves, results_of
from benchmarks.measure import report
from distrl_trainer.config import ABLATIONS, RunConfig
from distrl_trainer.report import Summary
from distrl_trainer.run_folder import differences
from distrl_trainer.settings import ConfigError, load_config

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
QUICK = (
    *("--warmup.demonstrations", "24", "--warmup.epochs", "2", "--warmup.value_steps", "32"),
    *("--run.total_env_steps", "120", "--run.eval_every_env_steps", "60", "--replay.min_steps", "32"),
    *("--eval.episodes", "24", "--eval.validation_episodes", "12", "--fleet.envs_per_collector", "4"),
    *("--algorithm.batch_steps", "32", "--algorithm.minibatch", "32", "--algorithm.cloning_batch", "4"),
    *("--env.max_steps", "5"),
)
"""Settings with which a run shows that everything works, and nothing else."""
NOT_COMPARED = ("run.out", "run.control_seconds", "warmup.weights")
"""Settings that this script chooses itself."""


class BenchmarkError(RuntimeError):
    """A run cannot be made or used; the message says why."""


def main(argv: list[str] | None = None) -> int:
    """Train what is missing, then print."""
    arguments, overrides = _parser().parse_known_args(argv)
    seeds = arguments.seeds or ([0] if arguments.quick else [0, 1, 2])
    overrides = [*(QUICK if arguments.quick else ()), *overrides]
    arms = [arm for arm in ARMS if arm in arguments.arms]
    try:
        runs = [run for seed in seeds for run in train_arms(arguments.out / f"seed-{seed}", arms, seed, overrides)]
        runs.sort(key=lambda run: arms.index(run.arm))
        results = results_of(runs, CONTROL)
        picture = arguments.out / "curves.png"
        plot_curves(picture, runs, runs[0].after.suite)
    except (BenchmarkError, ReportError, ConfigError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 1
    results = {"seeds": seeds, "overrides": overrides, "quick": arguments.quick, "picture": str(picture), **results}
    if not arguments.json:
        _print_table(results)
    print(report("learning", sum(run.after.success.n for run in runs), results))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="tiny runs of one seed: shows that it works")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=["aride", CONTROL], metavar="ARM", help=", ".join(ARMS)
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="K", help="default: 0 1 2, quick: 0")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: runs/bench")
    return parser


def train_arms(folder: Path, arms: Sequence[str], seed: int, overrides: Sequence[str]) -> list[Run]:
    """Return one finished run per arm in `folder`, trained unless they are there.

    Raises:
        BenchmarkError: A run failed, was made with other settings, or the control has no run to compare with.
        ReportError, ConfigError: A folder is damaged.
    """
    runs: list[Run] = []
    for arm in arms:
        settings = ["--run.seed", str(seed), *overrides, *ARMS[arm]]
        target = folder / arm
        wanted = load_config(None, settings)
        if (target / "config.yaml").is_file():
            _refuse_other_settings(target, wanted)
        if not (target / "summary.json").is_file():
            _train(target, [*settings, *_shared(folder, arm)])
        runs.append(load_run(target, arm, seed))
    return runs


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
    print(f"{'resuming' if begun else 'training'} {target}, log: {log}", file=sys.stderr, flush=True)
    with log.open("a") as stream, subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT) as process:
        status = process.wait()  # leaving the block waits too: on Ctrl-C the run, which also gets it, saves first
    if status or not (target / "summary.json").is_file():
        last = log.read_text().strip().splitlines()[-1:]
        raise BenchmarkError(f"run {target} ended with status {status} and no summary: {' '.join(last)} (log: {log})")


def _refuse_other_settings(target: Path, wanted: RunConfig) -> None:
    places = differences(load_config(target / "config.yaml"), wanted, ignored=NOT_COMPARED)
    if places:
        raise BenchmarkError(
            f"run {target} was made with other settings ({', '.join(places)}); choose another --out or move it away"
        )


def _print_table(results: dict[str, Any]) -> None:
    print(f"{'arm':<14} {'before':>7} {'after':>7}  {'95% interval':<16} {'gain, points':<22} against the control")
    for arm, found in results["arms"].items():
        after, control = found["after"], results["against_control"].get(arm)
        interval = f"[{after['low']:.1%}, {after['high']:.1%}]"
        gain, ahead = _points(found["gain"]), _points(control) if control else "-"
        print(f"{arm:<14} {found['before']['rate']:7.1%} {after['rate']:7.1%}  {interval:<16} {gain:<22} {ahead}")
    print(f"curves: {results['picture']}")


def _points(difference: dict[str, Any]) -> str:
    value, low, high = (difference["pooled"][name] * 100 for name in ("difference", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    sys.exit(main())
