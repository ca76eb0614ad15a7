"""The learning benchmark: its numbers on runs written by hand, and one tiny real benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_fakes import run_benchmark, write_run

from benchmarks.learning import ARMS, CONTROL, BenchmarkError, main, train_arms, warm_start
from benchmarks.learning_report import over_seeds, results_of, welch
from benchmarks.learning_results import ReportError, load_run
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
    assert found["n"] == 2  # seeds, not episodes
    assert list(results["arms"]) == ["aride", "clone-only", "no-dper"]
    assert results["arms"]["aride"]["after"]["mean"] == pytest.approx((7 / 8 + 6 / 8) / 2)
    assert results["arms"]["aride"]["after"]["values"] == {"0": 7 / 8, "1": 6 / 8}
    run = results["runs"]["aride"]["1"]
    assert run["of_one_policy"]["after"]["k"] == 6 and run["of_one_policy"]["after"]["n"] == 8
    assert run["of_two_policies"]["gain"]["difference"] == pytest.approx(2 / 8)
    assert run["dropped_lag_share"] == pytest.approx(4 / 80)
    assert run["invalid_per_step"] == {"before": pytest.approx(1 / 3), "after": pytest.approx(1 / 3)}
    assert run["seconds"]["rl"] == 12.5 and run["busy"]["collectors"] == 0.75
    assert (bench / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_differences_are_paired_by_seed_and_instance(bench: Path):
    runs = [load_run(bench / f"seed-{seed}" / arm, arm, seed) for arm in OUTCOMES for seed in (0, 1)]
    results = results_of(runs, CONTROL)
    ahead = results["against_control"]["aride"]
    # Seed 0: aride alone solves two. Seed 1: three alone, and the control one alone.
    pairs = {seed: (one["only_second"], one["only_first"], one["n"]) for seed, one in ahead["of_two_policies"].items()}
    assert pairs == {"0": (2, 0, 8), "1": (3, 1, 8)}
    assert ahead["over_seeds"]["values"] == {"0": 2 / 8, "1": 2 / 8}
    assert ahead["over_seeds"]["mean"] == pytest.approx(2 / 8)
    assert results["against_aride"]["no-dper"]["over_seeds"]["values"] == {"0": -2 / 8, "1": 0}
    assert set(results["against_control"]) == {"aride", "no-dper"} and set(results["against_aride"]) == {"no-dper"}


def test_the_interval_over_seeds_is_students():
    # By hand: mean 0.2, standard deviation 0.1, t(0.975, 2 degrees) = 4.302653, half 4.302653 x 0.1 / sqrt 3
    found = over_seeds({4: 0.1, 5: 0.2, 9: 0.3})
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((0.2, -0.0484138, 0.4484138))
    assert found["n"] == 3 and found["values"] == {"4": 0.1, "5": 0.2, "9": 0.3}
    # Five seeds: standard deviation of 1 to 5 is sqrt 2.5, t(0.975, 4) = 2.776445, half = 2.776445 x sqrt(2.5 / 5).
    found = over_seeds({seed: float(seed) for seed in range(1, 6)})
    assert (found["low"], found["high"]) == pytest.approx((3 - 1.9632432, 3 + 1.9632432))
    same = over_seeds({0: 0.1, 1: 0.1})
    assert (same["low"], same["high"]) == pytest.approx((0.1, 0.1))


def test_the_interval_between_studies_is_welchs():
    # By hand: means 2 and 6, variances 1 and 4, n = 3 each: standard error sqrt(5 / 3), degrees of freedom
    # (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2) = 50/17, t(0.975, 50/17) = 3.218757.
    found = welch([1.0, 2.0, 3.0], [4.0, 6.0, 8.0])
    assert found["mean"] == pytest.approx(4)
    assert (found["low"], found["high"]) == pytest.approx((4 - 4.1554, 4 + 4.1554), abs=1e-3)
    assert welch([0.5], [0.6, 0.7])["low"] is None


def test_seeds_that_differ_widely_give_a_wide_interval_however_many_episodes_they_have(tmp_path: Path, capsys):
    # Three trainings end at 10%, 50% and 90% of 200 goals. An interval over the 600 episodes together is 50% +- 4
    # and would promise that the next training ends near 50%.
    rates = {0: 20, 1: 100, 2: 180}
    for seed, solved in rates.items():
        after = "1" * solved + "0" * (200 - solved)
        for arm in ("aride", "clone-only"):
            ends = after if arm == "aride" else "0" * 200
            write_run(tmp_path / f"seed-{seed}" / arm, "0" * 200, ends, ("--run.seed", str(seed), *ARMS[arm]))
    assert main(["--out", str(tmp_path), "--seeds", "0", "1", "2"]) == 0
    printed = capsys.readouterr().out
    results = json.loads(printed.splitlines()[-1])["results"]
    claims = [
        results["arms"]["aride"]["after"],
        results["arms"]["aride"]["gain"]["over_seeds"],
        results["against_control"]["aride"]["over_seeds"],
    ]
    for claim in claims:
        assert claim["mean"] == pytest.approx(0.5) and claim["n"] == 3
        assert claim["low"] < 0.1 and claim["high"] > 0.9
    for interval in intervals(results):  # what has 600 episodes in it is no claim, and must not exist
        assert interval["n"] <= 200
    row = next(line for line in printed.splitlines() if "aride" in line)
    assert "3 seeds" in row and "50.0% [-49.4%, 149.4%]" in row and "+50.0 [-49.4, +149.4]" in row


def test_a_single_seed_has_no_interval_over_seeds(bench: Path, capsys):
    assert main(["--out", str(bench), "--seeds", "0"]) == 0
    printed = capsys.readouterr().out
    results = json.loads(printed.splitlines()[-1])["results"]
    assert results["arms"]["aride"]["after"] == {
        "mean": 7 / 8,
        "low": None,
        "high": None,
        "n": 1,
        "values": {"0": 7 / 8},
    }
    row = next(line for line in printed.splitlines() if "aride" in line)
    assert "1 seed" in row and row.count("(no interval)") == 4
    assert "seed 0" in printed and "87.5% [52.9%, 97.8%]" in printed  # one policy keeps Wilson's


def intervals(results: object) -> list[dict[str, float]]:
    """Return every interval in `results`, however deep."""
    if not isinstance(results, dict):
        return []
    own = [results] if isinstance(results.get("n"), int) and "low" in results else []
    return own + [found for value in results.values() for found in intervals(value)]


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
    assert aride["of_one_policy"]["before"] == control["of_one_policy"]["before"]  # one warm start for both
    assert aride["env_steps"] >= 120 and aride["updates"] > 0
    assert control["env_steps"] == 0 and control["updates"] > 0
    assert control["seconds"]["control"] >= aride["seconds"]["rl"]
    ahead = results["against_control"]["aride"]
    assert ahead["of_two_policies"]["0"]["n"] == 12 and ahead["over_seeds"]["low"] is None
    assert (tmp_path / "curves.png").is_file()
    # Once more: nothing is trained again.
    assert main(["--quick", *small, "--json"]) == 0
    told = capsys.readouterr()
    assert "training" not in told.err
    assert json.loads(told.out)["results"]["runs"]["aride"]["0"] == aride
