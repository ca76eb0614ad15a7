"""Run folders as `distrl-train train` leaves them, written by hand, and a way to run a benchmark as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from distrl_trainer.evaluation import Outcome, summarise, wilson
from distrl_trainer.report import CurvePoint, Summary
from distrl_trainer.settings import load_config, to_yaml


def run_benchmark(name: str, *arguments: str) -> dict[str, Any]:
    """Return the JSON object that a benchmark prints last."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert list(found) == ["benchmark", "commit", "machine", "n", "results"]
    assert found["benchmark"] == name and found["n"] > 0
    assert "cores" in found["machine"] and found["commit"]
    return found


def check_summary(found: dict[str, Any]) -> None:
    """Check that this is a median with its interval, of a positive quantity."""
    assert set(found) == {"median", "low", "high", "n"}
    assert found["n"] >= 1
    assert 0 <= found["low"] <= found["median"] <= found["high"]


def write_run(folder: Path, before: str, after: str, overrides: tuple[str, ...] = ()) -> None:
    """Write a finished run; of a text such as "1001", each digit is the outcome of one test instance."""
    (folder / "evaluations").mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(load_config(None, overrides)))
    for name, outcomes in (("before", before), ("after-000000200-000000400", after)):
        result = summarise("starter", "test", 0, [_outcome(k, digit == "1") for k, digit in enumerate(outcomes)])
        (folder / "evaluations" / f"{name}.json").write_bytes(msgspec.json.encode(result))
    first, last = wilson(before.count("1"), len(before)), wilson(after.count("1"), len(after))
    summary = Summary(
        before=first,
        after=last,
        env_steps=400,
        trajectories=80,
        updates=20,
        dropped_lag=4,
        infra_errors=0,
        max_lag_admitted=2,
        seconds={"rl": 12.5, "total": 20.0},
        busy={"learner": 0.5, "collectors": 0.75},
        algorithm="aride",
        seed=0,
        chosen="validated best, after 200 steps",
        demonstrations=8,
        curve=[CurvePoint(env_steps=0, rate=first), CurvePoint(env_steps=200, rate=last)],
    )
    (folder / "summary.json").write_bytes(msgspec.json.encode(summary))


def _outcome(number: int, success: bool) -> Outcome:
    return Outcome(
        template=f"template.{number % 2}",
        instance=number // 2,
        success=success,
        steps=3,
        invalid=1,
        false_completion=False,
    )
