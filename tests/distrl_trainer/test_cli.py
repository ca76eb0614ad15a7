"""The command line: exit statuses, one-line errors, JSON output, and a whole run that is interrupted and resumed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from runtime_fakes import SMALL

from distrl_trainer import cli
from distrl_trainer.config import RunConfig
from distrl_trainer.run_folder import RunFolder, RunFolderError, differences, write_folder
from distrl_trainer.settings import load_config
from distrl_trainer.storage import StorageError

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
    assert folder.resume(None, ["--run.total_env_steps", "7"]).run.total_env_steps == 7
    other = tmp_path / "other.yaml"
    other.write_text("algorithm:\n  lr: 0.5\n")
    with pytest.raises(RunFolderError, match=r"algorithm\.lr"):
        folder.resume(other, [])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("")
    with pytest.raises(RunFolderError, match="no run's folder"):
        RunFolder(tmp_path / "data").begin(RunConfig())


def test_differences_are_named():
    other = msgspec.structs.replace(RunConfig(), run=msgspec.structs.replace(RunConfig().run, seed=4, out="x"))
    assert differences(RunConfig(), other, ignored=("run.out",)) == ["run.seed"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "policy"
    write_folder(target, lambda folder: (folder / "a").write_text("1") and None)

    def fails(folder: Path) -> None:
        (folder / "a").write_text("2")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        write_folder(target, fails)
    assert (target / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_eval_random_prints_the_contract_last(capsys):
    assert cli.main(["eval", "--policy", "random", "--episodes", "12", "--seed", "1", "--json"]) == 0
    report = last_json(capsys.readouterr().out)
    assert set(report) >= {"success", "invalid", "templates"}
    assert set(report["success"]) == {"k", "n", "rate", "low", "high"}
    assert sum(rate["n"] for rate in report["templates"].values()) == report["success"]["n"] == 12


def test_collect_and_inspect(tmp_path, capsys):
    out, page = tmp_path / "episodes", tmp_path / "page.html"
    assert cli.main(["collect", "--policy", "random", "--episodes", "2", "--out", str(out), "--json"]) == 0
    assert len(list(out.glob("*.traj"))) == 2
    assert cli.main(["inspect", str(out), "--html", str(page), "--json"]) == 0
    assert last_json(capsys.readouterr().out)["episodes"] == 2
    assert page.read_text().startswith("<!doctype html>")


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
