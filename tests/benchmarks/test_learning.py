"""The learning benchmark: its numbers on runs written by hand, and one tiny real benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import run_benchmark, write_run
from scipy.stats import t

from benchmarks.learning import ARMS, BenchmarkError, main, train_arms, warm_start
from benchmarks.learning_report import ReportError, load_run, over_seeds, results_of
from distrl_trainer.config import ABLATIONS
from distrl_trainer.settings import load_config

OUTCOMES = {  # arm: before and after, per seed
    "aride": [("00001111", "01111111"), ("00001111", "00111111")],
    "clone-only": [("00001111", "00011111"), ("00001111", "10001110")],
    "no-dper": [("00001111", "00011111"), ("00001111", "00111111")],
}


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    for arm, seeds in OUTCOMES.items():
        for seed, (before, after) in enumerate(seeds):
            write_run(tmp_path / f"seed-{seed}" / arm, before, after, ("--run.seed", str(seed), *ARMS[arm]))
    return tmp_path


def test_every_arm_is_a_valid_setting():
    assert {f"no-{name}" for name in ABLATIONS} <= set(ARMS)
    settings = [load_config(None, arm) for arm in ARMS.values()]
    assert load_config(None, ARMS["no-value"]).algorithm.advantage_baseline == "task_ema"
    assert not load_config(None, ARMS["no-dper"]).replay.prioritised
    assert len({repr(config) for config in settings}) == len(ARMS)


def test_finished_runs_are_used_again_and_summed_up(bench: Path, capsys):
    arguments = ["--out", str(bench), "--seeds", "0", "1", "--arms", "no-dper", "clone-only", "aride", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    results = found["results"]
    assert found["n"] == 6 * 8
    assert list(results["arms"]) == ["aride", "clone-only", "no-dper"]
    assert results["arms"]["aride"]["before"]["k"] == 8 and results["arms"]["aride"]["before"]["n"] == 16
    assert results["arms"]["aride"]["after"]["rate"] == pytest.approx(13 / 16)
    run = results["runs"]["aride"]["1"]
    assert run["gain"]["difference"] == pytest.approx(2 / 8)
    assert run["dropped_lag_share"] == pytest.approx(4 / 80)
    assert run["invalid_per_step"] == {"before": pytest.approx(1 / 3), "after": pytest.approx(1 / 3)}
    assert run["seconds"]["rl"] == 12.5 and run["busy"]["collectors"] == 0.75
    assert (bench / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_differences_are_paired_by_seed_and_instance(bench: Path):
    runs = [load_run(bench / f"seed-{seed}" / arm, arm, seed) for arm in OUTCOMES for seed in (0, 1)]
    results = results_of(runs)
    ahead = results["against_control"]["aride"]
    # Seed 0: aride alone solves two. Seed 1: three alone, and the control one alone.
    assert (ahead["pooled"]["only_second"], ahead["pooled"]["only_first"], ahead["pooled"]["n"]) == (5, 1, 16)
    assert ahead["pooled"]["difference"] == pytest.approx(4 / 16)
    assert ahead["pooled"]["low"] <= 4 / 16 <= ahead["pooled"]["high"]
    assert {seed: one["difference"] for seed, one in ahead["per_seed"].items()} == {"0": 2 / 8, "1": 2 / 8}
    assert results["against_aride"]["no-dper"]["pooled"]["difference"] == pytest.approx(-2 / 16)
    assert set(results["against_control"]) == {"aride", "no-dper"} and set(results["against_aride"]) == {"no-dper"}


def test_interval_over_seeds_is_students():
    found = over_seeds([0.1, 0.2, 0.3])
    half = t.ppf(0.975, 2) * np.std([0.1, 0.2, 0.3], ddof=1) / np.sqrt(3)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    assert over_seeds([0.1]) == {"mean": 0.1, "low": None, "high": None, "n": 1}
    assert over_seeds([0.1, 0.1]) == {
        "mean": pytest.approx(0.1),
        "low": pytest.approx(0.1),
        "high": pytest.approx(0.1),
        "n": 2,
    }


def test_a_damaged_or_mixed_up_run_is_refused_by_name(bench: Path):
    run = bench / "seed-0" / "aride"
    (run / "evaluations" / "after-000000200-000000400.json").write_bytes(
        (run / "evaluations" / "before.json").read_bytes()
    )
    with pytest.raises(ReportError, match=r"aride: the summary's rates are in no file of evaluations/"):
        load_run(run, "aride", 0)
    (run / "summary.json").write_text("{")
    with pytest.raises(ReportError, match="aride"):
        load_run(run, "aride", 0)


def test_a_run_with_other_settings_is_refused(bench: Path, capsys):
    assert main(["--out", str(bench), "--seeds", "0", "--algorithm.gamma", "0.5"]) == 1
    error = capsys.readouterr().err
    assert "aride was made with other settings (algorithm.gamma)" in error


def test_the_control_needs_a_run_to_compare_with(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="add aride to --arms"):
        train_arms(tmp_path, ["clone-only"], 0, [])


def test_the_warm_start_is_the_one_that_a_run_made_itself(tmp_path: Path):
    assert warm_start(tmp_path) is None
    write_run(tmp_path / "aride", "01", "11", ("--warmup.weights", "elsewhere"))
    write_run(tmp_path / "no-bc", "01", "11")
    (tmp_path / "aride" / "warm").mkdir()
    assert warm_start(tmp_path) is None
    (tmp_path / "no-bc" / "warm").mkdir()
    assert warm_start(tmp_path) == tmp_path / "no-bc" / "warm"


@pytest.mark.slow
def test_learning_quick(tmp_path: Path, capsys):
    small = ("--fleet.kind", "serial", "--eval.episodes", "12", "--out", str(tmp_path))
    results = run_benchmark("learning", "--quick", *small)["results"]
    aride, control = results["runs"]["aride"]["0"], results["runs"]["clone-only"]["0"]
    assert aride["before"] == control["before"]  # one warm start for both
    assert aride["env_steps"] >= 120 and aride["updates"] > 0
    assert control["env_steps"] == 0 and control["updates"] > 0
    assert control["seconds"]["control"] >= aride["seconds"]["rl"]
    assert results["against_control"]["aride"]["pooled"]["n"] == 12
    assert (tmp_path / "curves.png").is_file()
    # Once more: nothing is trained again.
    assert main(["--quick", *small, "--json"]) == 0
    told = capsys.readouterr()
    assert "training" not in told.err
    assert json.loads(told.out)["results"]["runs"]["aride"]["0"] == aride
