"""Result files: what a run leaves to be committed, read back, and refused if it does not belong with the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from bench_fakes import write_run

from benchmarks.learning import ARMS, main, train_arms
from benchmarks.learning_curves import common_curve
from benchmarks.learning_results import ReportError, load_run, read_origins, read_results, write_result


def _study(folder: Path, seeds: tuple[int, ...] = (0, 1), *overrides: str) -> None:
    for seed in seeds:
        for arm, after in (("aride", "01111111"), ("clone-only", "00011111")):
            settings = ("--run.seed", str(seed), *overrides, *ARMS[arm])
            write_run(folder / f"seed-{seed}" / arm, "00001111", after, settings)


def _export(runs: Path, results: Path, *arguments: str) -> None:
    assert main(["--export", "--out", str(runs), "--results", str(results), *arguments]) == 0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    _study(folder / "runs")
    _export(folder / "runs", folder / "results")
    return folder / "results"


@pytest.fixture
def results(tmp_path: Path, exported: Path) -> Path:
    """Result files of two seeds and two arms, to be changed."""
    return shutil.copytree(exported, tmp_path / "results")


def _edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_result_file_is_small_and_brings_back_the_run(tmp_path: Path):
    _study(tmp_path / "runs")
    run = load_run(tmp_path / "runs" / "seed-1" / "aride", "aride", 1)
    path = write_result(tmp_path / "results", run)
    assert path.name == "seed-1-aride.json" and path.stat().st_size < 20_000
    assert read_results(tmp_path / "results") == [run]
    # Eight instances, in turn of two templates: the outcomes of "01111111" at even and at odd places.
    assert run.after.solved == {"template.0": (0, "0111"), "template.1": (0, "1111")}


def test_the_table_of_the_files_is_that_of_the_runs(tmp_path: Path, capsys):
    _study(tmp_path / "runs")
    results = tmp_path / "results"
    assert main(["--out", str(tmp_path / "runs"), "--seeds", "0", "1", "--results", str(results), "--json"]) == 0
    of_runs = json.loads(capsys.readouterr().out)["results"]
    assert {path.name for path in results.iterdir()} == {
        f"seed-{seed}-{arm}.json" for seed in (0, 1) for arm in ("aride", "clone-only")
    }
    assert main(["--from-results", str(results), "--out", str(tmp_path / "drawn"), "--json"]) == 0
    of_files = json.loads(capsys.readouterr().out)["results"]
    assert (tmp_path / "drawn" / "curves.png").is_file()
    del of_runs["picture"], of_files["picture"]
    assert of_files == of_runs


def test_every_finished_arm_is_written_before_the_next_begins(tmp_path: Path):
    _study(tmp_path / "runs", (0,))
    (tmp_path / "runs" / "seed-0" / "clone-only" / "summary.json").write_text("{")
    with pytest.raises(ReportError, match="clone-only"):
        train_arms(tmp_path / "runs" / "seed-0", ["aride", "clone-only"], 0, [], tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["seed-0-aride.json"]


def test_runs_of_an_older_version_are_exported(tmp_path: Path, capsys):
    _study(tmp_path / "runs", (3,))
    run = tmp_path / "runs" / "seed-3" / "aride"
    # Its summary lacks every key that has been added since; its settings lack one and have one that is gone.
    summary = json.loads((run / "summary.json").read_text())
    for key in ("comparison", "templates_before", "templates_after", "curve"):
        summary.pop(key, None)
    (run / "summary.json").write_text(json.dumps(summary))
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["replay"]["refresh_share"]
    settings["replay"]["gone_since"] = 5
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "runs" / "seed-4" / "aride").mkdir(parents=True)  # has no summary yet
    _export(tmp_path / "runs", tmp_path / "results", "--commit", "abc1234")
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "results" / f"seed-3-{arm}.json") for arm in ("aride", "clone-only")
    ]
    found = read_results(tmp_path / "results")[0]
    assert found.curve == [] and found.settings["replay.gone_since"] == 5
    assert [origin.commit for origin in found.origins] == ["abc1234"]
    # A curve that is not there is no reason not to draw the others.
    assert main(["--from-results", str(tmp_path / "results"), "--out", str(tmp_path), "--arms", "aride"]) == 0


def test_a_setting_that_older_runs_lack_counts_as_its_default(tmp_path: Path, capsys):
    _study(tmp_path / "runs")
    run = tmp_path / "runs" / "seed-1" / "aride"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["replay"]["refresh_share"]
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    _export(tmp_path / "runs", tmp_path / "results")
    assert main(["--from-results", str(tmp_path / "results"), "--out", str(tmp_path)]) == 0


@pytest.mark.parametrize("arm", ["aride", "clone-only"])
def test_other_settings_in_an_arm_or_between_arms_are_refused_by_name(tmp_path: Path, results: Path, capsys, arm: str):
    path = results / f"seed-1-{arm}.json"
    _edit(path, settings={**json.loads(path.read_text())["settings"], "algorithm.gamma": 0.5})
    assert main(["--from-results", str(results), "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert f"seed-1-{arm}" in error and "algorithm.gamma 0.95 and 0.5" in error and error.count("\n") == 1


def test_an_arm_is_what_its_settings_say(tmp_path: Path, results: Path, capsys):
    # A run of the control under the name of the arm would make the gain vanish without a word.
    control = (results / "seed-1-clone-only.json").read_text()
    (results / "seed-1-aride.json").write_text(control)
    assert main(["--from-results", str(results), "--out", str(tmp_path)]) == 1
    assert "seed-1-aride.json is of seed 1, arm clone-only" in capsys.readouterr().err
    _edit(results / "seed-1-aride.json", arm="aride")
    assert main(["--from-results", str(results), "--out", str(tmp_path)]) == 1
    assert "algorithm.name 'aride' and 'clone-only'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("suite", "general"),
        ("split", "train"),
        ("solved", {"template.0": [0, "0111"], "template.1": [4, "1111"]}),
    ],
)
def test_other_test_instances_are_refused_by_name(tmp_path: Path, results: Path, capsys, name: str, value: object):
    path = results / "seed-1-aride.json"
    _edit(path, after={**json.loads(path.read_text())["after"], name: value})
    assert main(["--from-results", str(results), "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "seed-1-aride after" in error and "other instances" in error


def test_a_success_that_its_instances_do_not_bear_out_is_refused(tmp_path: Path, results: Path, capsys):
    path = results / "seed-0-aride.json"
    after = json.loads(path.read_text())["after"]
    _edit(path, after={**after, "success": {**after["success"], "k": 8, "rate": 1.0}})
    with pytest.raises(ReportError, match=r"seed-0-aride\.json: success after"):
        read_results(results)
    path.write_text("{")
    with pytest.raises(ReportError, match=r"seed-0-aride\.json cannot be read"):
        read_results(results)
    with pytest.raises(ReportError, match="holds no seed-K-ARM"):
        read_results(tmp_path)


def test_instances_without_a_verdict_stay_apart_and_pair_with_nothing(tmp_path: Path, results: Path, capsys):
    path = results / "seed-1-aride.json"
    after = json.loads(path.read_text())["after"]
    success = {**after["success"], "k": 6, "n": 7}
    solved = {"template.0": [0, "0111"], "template.1": [0, "1-11"]}
    _edit(path, after={**after, "success": success, "solved": solved, "unjudged": 1})
    assert main(["--from-results", str(results), "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert found["runs"]["aride"]["1"]["of_two_policies"]["gain"]["n"] == 7


def test_two_studies_are_set_against_each_other_over_seeds(tmp_path: Path, capsys):
    _study(tmp_path / "old", (0, 1, 2))
    _study(tmp_path / "new", (0, 1), "--algorithm.gamma", "0.5")
    for name in ("old", "new"):
        _export(tmp_path / name, tmp_path / f"{name}-results")
    capsys.readouterr()
    arguments = ["--from-results", str(tmp_path / "new-results"), "--earlier", str(tmp_path / "old-results")]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(printed.splitlines()[-1])["results"]["against_earlier"]["aride"]
    assert found["difference"]["n"] == [3, 2] and found["difference"]["mean"] == 0
    assert found["settings_changed"] == [{}, {"algorithm.gamma": 0.5}]
    assert "87.5%" in printed and "(3 seeds)" in printed


def test_a_run_notes_each_commit_that_worked_on_it(tmp_path: Path, monkeypatch):
    for commit in ("one", "one", "two"):
        monkeypatch.setattr("benchmarks.learning.commit", lambda commit=commit: commit)
        monkeypatch.setattr("benchmarks.learning.sys.executable", "false")  # a training that fails at once
        with pytest.raises(Exception, match="ended with status 1"):
            train_arms(tmp_path, ["aride"], 0, [])
    assert [origin.commit for origin in read_origins(tmp_path / "aride")] == ["one", "two"]


def test_seeds_validated_at_other_steps_share_the_steps_that_all_have(tmp_path: Path):
    _study(tmp_path / "runs")
    for seed, steps in ((0, (0, 200)), (1, (0, 100, 300))):
        path = tmp_path / "runs" / f"seed-{seed}" / "aride" / "summary.json"
        summary = json.loads(path.read_text())
        rate = {"k": 0, "n": 10, "low": 0.0, "high": 1.0}
        curve = [{"env_steps": step, "rate": {**rate, "rate": step / 400}} for step in steps]
        path.write_text(json.dumps({**summary, "curve": curve}))
    runs = {seed: load_run(tmp_path / "runs" / f"seed-{seed}" / "aride", "aride", seed) for seed in (0, 1)}
    steps, rates = common_curve(runs)
    assert steps.tolist() == [0, 100, 200]  # 300 is beyond what seed 0 has
    assert rates.tolist() == [[0, 0.25, 0.5], [0, 0.25, 0.5]]


def test_settings_and_tables_of_files_do_not_mix(tmp_path: Path, capsys):
    for arguments in (["--from-results", str(tmp_path), "--algorithm.gamma", "0.5"], ["--export"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    assert main(["--from-results", str(tmp_path)]) == 1
    assert "holds no seed-K-ARM.json" in capsys.readouterr().err
