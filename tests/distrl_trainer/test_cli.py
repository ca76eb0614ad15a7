"""The command line: exit statuses, one-line errors, JSON output, and a whole run that is interrupted and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from runtime_fakes import SMALL

from distrl_trainer import cli
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.policy import load_policy
from distrl_trainer.run_folder import RunFolder, RunFolderError, differences
from distrl_trainer.settings import load_config

CONTRACT = {
    "before", "after", "env_steps", "trajectories", "updates", "dropped_lag", "infra_errors", "max_lag_admitted",
    "seconds", "busy",
}  # fmt: skip


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "distrl_trainer.cli", *words], capture_output=True, text=True, check=False
    )


def last_json(out: str):
    return json.loads(out.strip().splitlines()[-1])


def test_dry_run_prints_settings_that_load_again(tmp_path, capsys):
    assert cli.main(["train", "--dry-run", "--run.seed", "5"]) == 0
    path = tmp_path / "config.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_config(path) == load_config(None, ["--run.seed", "5"])


def test_help_and_dry_run_import_no_torch():
    code = (
        "import sys; from distrl_trainer import cli; cli.main(['train', '--dry-run']); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_wrong_usage_is_status_2(capsys):
    for words in (["trian"], ["train", "--env.suit", "starter"], ["inspect"], ["inspect", "x", "--env.suite", "all"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2, words
    for command in (["eval"], ["collect", "--out", "x"]):
        with pytest.raises(SystemExit) as caught:
            cli.main([*command, "--policy", "random", "--episodes", "1", "--seed", "-1"])
        assert caught.value.code == 2 and "got '-1'; a seed is a whole number, 0 or more" in capsys.readouterr().err
    result = run("train", "--env.max_steps", "0")
    assert result.returncode == 2
    assert result.stderr.strip() == "error: settings: env.max_steps: Expected int >= 1; got 0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--dry-run", "--env.suite", "starte"], "did you mean 'starter'"),
        (["train", "--out", "{tmp}/new", "--eval.split", "unseen-template"], "unseen-template"),
        (["train", "--out", "{tmp}/new", "--policy.model", "tinny"], "unknown model 'tinny'"),
        (["train", "--out", "{tmp}/new", "--resume"], "no run to resume"),
        (["train", "--config", "{tmp}/absent.yaml"], "does not exist"),
        (["eval", "--policy", "randm"], "did you mean random"),
        (["eval", "--policy", "{tmp}"], "holds no policy"),
        (["eval", "--policy", "random", "--suite", "starte", "--episodes", "1"], "did you mean 'starter'"),
        (["inspect", "{tmp}/absent"], "does not exist"),
    ],
)
def test_failures_are_one_line_and_status_1(words, message, tmp_path, capsys):
    assert cli.main([word.format(tmp=tmp_path) for word in words]) == 1
    err = capsys.readouterr().err.strip().splitlines()
    assert err[-1].startswith("error: ") and message in err[-1]
    assert not (tmp_path / "new").exists()


def test_unexpected_errors_are_not_hidden(monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_inspect", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["inspect", "x"])


def test_every_expected_error_exists():
    import importlib

    for name in cli.EXPECTED:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), kind), Exception)


def test_a_folder_with_a_run_is_refused_and_settings_are_kept(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.begin(RunConfig())
    with pytest.raises(RunFolderError, match="--resume"):
        folder.begin(RunConfig())
    assert folder.resumed(None, []) == RunConfig()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("")
    with pytest.raises(RunFolderError, match="no run's folder"):
        RunFolder(tmp_path / "data").begin(RunConfig())


def begun(tmp_path: Path, *overrides: str) -> list[str]:
    """Return the words that resume a run which was begun with `overrides`."""
    RunFolder(tmp_path / "run").begin(load_config(None, overrides))
    return ["train", "--out", str(tmp_path / "run"), "--resume"]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--fleet.kind", "serial"], "fleet.kind (stored 'process', asked for 'serial')"),
        (["--env.suite", "general"], "env.suite"),
        (["--eval.split", "train", "--eval.seed", "3"], "eval.split (stored 'test', asked for 'train'), eval.seed"),
        (["--policy.model", "tiny-untrained"], "policy.model"),
        (["--replay.min-steps", "6000"], "replay.min_steps (stored 512, asked for 6000)"),
        (["--algorithm.name", "vtrace"], "algorithm.name"),
        (["--algorithm.lr", "0.5"], "algorithm.lr"),
        (["--env.device", "adb:1"], "env.device"),
        (["--env.judge", "vlm:m@http://h"], "env.judge"),
        (["--config", "{tmp}/other.yaml"], "env.adb.reset (stored 'home', asked for 'clear')"),
    ],
)
def test_resume_refuses_what_a_run_under_way_cannot_change(words, place, tmp_path, capsys):
    resume = begun(tmp_path, "--replay.capacity-steps", "8000")
    (tmp_path / "other.yaml").write_text("env:\n  adb:\n    reset: clear\n    command_seconds: 9\n")
    stored = (tmp_path / "run" / "config.yaml").read_text()
    for dry in ([], ["--dry-run"]):
        assert cli.main([*resume, *dry, *(word.format(tmp=tmp_path) for word in words)]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(f"error: a run under way keeps its {place}") and "start a new run" in line
    assert (tmp_path / "run" / "config.yaml").read_text() == stored


def test_resume_applies_file_and_words_to_the_stored_settings(tmp_path, capsys):
    resume = begun(tmp_path, "--run.seed", "4", "--env.adb.step-seconds", "30", "--algorithm.name", "vtrace")
    other = tmp_path / "other.yaml"
    other.write_text("env:\n  adb:\n    command_seconds: 9\nrun:\n  total_env_steps: 8\n  keep_checkpoints: 5\n")
    words = ["--config", str(other), "--run.total-env-steps", "7", "--algorithm.entropy-coef", "0.1"]
    assert cli.main([*resume, "--dry-run", *words]) == 0
    other.write_text(capsys.readouterr().out)
    config = load_config(other)
    assert (config.run.seed, config.run.total_env_steps, config.run.keep_checkpoints) == (4, 7, 5)
    assert (config.env.adb.step_seconds, config.env.adb.command_seconds) == (30, 9)
    assert (config.algorithm.lambda_, config.algorithm.entropy_coef) == (1.0, 0.1)
    assert load_config(tmp_path / "run" / "config.yaml").run.total_env_steps == 24_000


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--env.device", "emulator"], "device 'emulator'"), (["--env.judge", "vlm:m@host"], "MODEL@URL")],
)
def test_resume_checks_devices_and_judge_before_it_stores_them(words, message, tmp_path, capsys):
    (tmp_path / "tasks.txt").write_text("open the settings\nopen the clock\n")
    suite = f"instructions:{tmp_path / 'tasks.txt'}"
    words_before = ["--env.device", "adb:0", "--env.judge", "vlm:m@http://host/v1", "--eval.split", "train"]
    resume = [*begun(tmp_path, "--env.suite", suite, *words_before), "--trust-code"]
    stored = (tmp_path / "run" / "config.yaml").read_text()
    assert cli.main([*resume, *words]) == 1
    assert message in capsys.readouterr().err
    assert (tmp_path / "run" / "config.yaml").read_text() == stored
    assert cli.main([*resume, "--dry-run", "--env.device", "adb:1,adb:2", "--env.judge", "vlm:m@http://other/v1"]) == 0


def test_resume_checks_the_torch_device_before_it_stores_it(tmp_path, capsys):
    resume = begun(tmp_path)
    assert cli.main([*resume, "--policy.device", "cuda:99"]) == 1
    assert "policy.device 'cuda:99' cannot be used here" in capsys.readouterr().err
    assert load_config(tmp_path / "run" / "config.yaml") == RunConfig()


def test_changed_settings_are_stored(tmp_path):
    begun(tmp_path)
    folder = RunFolder(tmp_path / "run")
    changed = folder.resumed(None, ["--run.total-env-steps", "7"])
    folder.store(changed)
    assert load_config(folder.config) == changed and changed.run.total_env_steps == 7


def test_differences_are_named():
    other = msgspec.structs.replace(RunConfig(), run=msgspec.structs.replace(RunConfig().run, seed=4, out="x"))
    assert differences(RunConfig(), other, ignored=("run.out",)) == ["run.seed"]


def test_eval_random_prints_the_contract_last(capsys):
    assert cli.main(["eval", "--policy", "random", "--episodes", "12", "--seed", "1", "--json"]) == 0
    report = last_json(capsys.readouterr().out)
    assert set(report) >= {"success", "invalid", "templates"}
    assert set(report["success"]) == {"k", "n", "rate", "low", "high", "unjudged", "bounds"}
    assert sum(rate["n"] for rate in report["templates"].values()) == report["success"]["n"] == 12


def test_collect_and_inspect(tmp_path, capsys):
    out, page = tmp_path / "episodes", tmp_path / "page.html"
    assert cli.main(["collect", "--policy", "random", "--episodes", "2", "--out", str(out), "--json"]) == 0
    assert len(list(out.glob("*.traj"))) == 2
    assert cli.main(["inspect", str(out), "--html", str(page), "--json"]) == 0
    assert last_json(capsys.readouterr().out)["episodes"] == 2
    assert page.read_text().startswith("<!doctype html>")


def test_a_run_of_an_older_version_is_played_and_shown_but_not_resumed(tmp_path, capsys, caplog):
    run = tmp_path / "run"
    begun(tmp_path, "--policy.model", "tiny-untrained", "--env.max-steps", "2")
    load_policy(PolicyConfig(model="tiny-untrained")).save(run / "policy")
    stored = run / "config.yaml"
    (settings,) = re.findall(r"(?s)^# run [^\n]*\n(.*)", stored.read_text())  # it sealed nothing
    stored.write_text(settings.replace("  epochs: 40", "  max_epochs: 40\n  patience: 3"))
    playing = ["--policy", str(run), "--episodes", "1", "--json"]
    assert cli.main(["eval", *playing]) == 0
    assert cli.main(["collect", *playing, "--out", str(run / "episodes")]) == 0
    assert cli.main(["inspect", str(run), "--json"]) == 0
    assert caplog.text.count("unknown key warmup.max_epochs; unknown key warmup.patience") == 3
    for words in (["train", "--out", str(run), "--resume"], ["eval", *playing, "--config", str(stored)]):
        assert cli.main(words) == 1
        assert "unknown key warmup.max_epochs; did you mean" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_interrupted_and_resumed_equals_one_that_was_not(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert cli.main(["train", "--out", str(whole), "--json", *SMALL]) == 0
    summary = last_json(capsys.readouterr().out)
    assert set(summary) >= CONTRACT
    assert summary["env_steps"] >= 96 and summary["updates"] > 0 and summary["before"]["n"] == 12
    for name in ("config.yaml", "summary.json", "curve.png", "policy/config.json", "warm/config.json"):
        assert (whole / name).stat().st_size > 0
    assert list(whole.glob("events.out.tfevents.*")) and list((whole / "episodes").glob("*.traj"))

    def interrupt() -> None:
        while not done.wait(0.02):
            if list((cut / "checkpoints").glob("step-0*")):
                os.kill(os.getpid(), signal.SIGINT)
                return

    done = threading.Event()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    assert cli.main(["train", "--out", str(cut), *SMALL]) == 0
    done.set()
    watcher.join()
    assert f"--out {cut} --resume" in capsys.readouterr().out
    assert not (cut / "summary.json").exists()
    assert cli.main(["train", "--out", str(cut)]) == 1  # there is a run
    assert cli.main(["train", "--out", str(cut), "--resume", "--json"]) == 0
    resumed = last_json(capsys.readouterr().out)
    for key in ("before", "after", "env_steps", "trajectories", "updates", "curve"):
        assert resumed[key] == summary[key], key
    weights = "policy/model.safetensors"
    assert (cut / weights).read_bytes() == (whole / weights).read_bytes()


@pytest.mark.slow
def test_the_control_arm_clones_and_collects_nothing(tmp_path, capsys):
    words = ["--algorithm.name", "clone-only", "--run.control_updates", "3"]
    assert cli.main(["train", "--out", str(tmp_path / "run"), "--json", *SMALL, *words]) == 0
    summary = last_json(capsys.readouterr().out)
    assert (summary["env_steps"], summary["trajectories"], summary["updates"]) == (0, 0, 3)
    assert summary["algorithm"] == "clone-only" and summary["demonstrations"] == 12
    assert not list((tmp_path / "run").glob("inbox/*"))
