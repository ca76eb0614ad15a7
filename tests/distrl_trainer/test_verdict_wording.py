"""What one run prints at its end is about its own two policies, because one run is one seed."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import msgspec
from rich.console import Console

from distrl_trainer.evaluation import Outcome, compare, summarise, wilson
from distrl_trainer.report import Summary, result_table
from distrl_trainer.run_folder import RunFolder
from distrl_trainer.train_command import _verdict


def evaluation(solved: str):
    outcomes = [
        Outcome(template="one.two", instance=k, success=mark == "1", steps=1, invalid=0, false_completion=False)
        for k, mark in enumerate(solved)
    ]
    return summarise("starter", "test", 0, outcomes)


def test_the_end_of_a_run_speaks_of_this_policy_and_its_warm_start(tmp_path: Path):
    before, after = evaluation("0011"), evaluation("0111")
    summary = Summary(
        before=wilson(2, 4),
        after=wilson(3, 4),
        env_steps=0,
        trajectories=0,
        updates=0,
        dropped_lag=0,
        infra_errors=0,
        max_lag_admitted=0,
        seconds={"total": 9.0},
        busy={},
        algorithm="aride",
        seed=7,
        chosen="last",
        demonstrations=0,
        comparison=compare(before, after),
    )
    first, second = _verdict(summary, RunFolder(tmp_path)).splitlines()[:2]
    assert first.startswith("this policy (seed 7) against its warm start: success 50.0%")
    assert second.startswith("paired on 4 test tasks: +25.0 points") and "between these two" in second
    # Without pairs there is no difference with an interval, and none is printed.
    unpaired = _verdict(msgspec.structs.replace(summary, comparison=None), RunFolder(tmp_path))
    assert "points" not in unpaired
    console = Console(width=140, file=StringIO())
    with console.capture() as captured:
        console.print(result_table(before, after))
    shown = " ".join(captured.get().split())
    assert "this run's policy against its warm start" in shown and "of these two policies" in shown
