"""Code that a stored run names is run only when the user says so; a booby trap tells when it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from judge_fakes import serve_judge

from distrl_trainer import cli
from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy import load_policy
from distrl_trainer.run_folder import RunFolder
from distrl_trainer.settings import load_config

TRAP = """
import os, pathlib
pathlib.Path(os.environ["TRAP"]).write_text("sprung")
from android_env_gym.judges.base import Verdict
class Judge:
    needs_world = False
    def judge(self, evidence):
        return Verdict(success=True)
"""
FEW = ["--episodes", "1", "--env.max_steps", "1", "--eval.envs", "1"]


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run from somewhere, whose settings name a judge that lies beside them; the user has entered its folder."""
    folder = RunFolder(tmp_path / "run")
    folder.begin(load_config(None, ["--policy.model", "tiny-untrained", "--env.judge", "booby_trap:Judge"]))
    folder.write_model(folder.policy, load_policy(PolicyConfig(model="tiny-untrained")).save)
    (folder.root / "booby_trap.py").write_text(TRAP)
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    monkeypatch.setattr("sys.path", [place for place in sys.path if place not in ("", os.getcwd())])
    monkeypatch.delitem(sys.modules, "booby_trap", raising=False)
    monkeypatch.chdir(folder.root)
    return folder.root


@pytest.mark.parametrize(
    "words",
    [
        ["eval", "--policy", ".", *FEW],
        ["collect", "--policy", ".", "--out", "out", *FEW],
        ["train", "--out", ".", "--resume"],
    ],
)
def test_the_judge_of_a_stored_run_is_not_imported_unasked(words, run, tmp_path, capsys):
    assert cli.main(words) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "config.yaml names what to run or to ask: env.judge 'booby_trap:Judge'" in line
    assert f"from {run / 'booby_trap.py'}" in line and line.endswith(" ".join([*words, "--trust-code"]))
    assert not (tmp_path / "sprung").exists() and not (run / "out").exists()
    assert str(run) not in sys.path


def test_the_endpoint_of_a_stored_run_gets_neither_screens_nor_key_unasked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    folder = RunFolder(tmp_path / "run")
    with serve_judge(lambda body: True) as endpoint:
        folder.begin(load_config(None, ["--policy.model", "tiny-untrained", "--env.judge", endpoint.name]))
        folder.write_model(folder.policy, load_policy(PolicyConfig(model="tiny-untrained")).save)
        words = ["eval", "--policy", str(folder.root), *FEW]
        assert cli.main(words) == 1
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"env.judge '{endpoint.name}' (it would get the screens and the key in OPENAI_API_KEY)" in line
        assert not endpoint.asked and "sk-secret" not in line
        cli.main([*words, "--trust-code"])
        assert endpoint.asked


def test_with_the_flag_or_typed_it_is(run, tmp_path, capsys):
    assert cli.main(["eval", "--policy", ".", "--trust-code", *FEW]) == 0
    assert (tmp_path / "sprung").exists()
    assert cli.main(["eval", "--policy", ".", "--env.judge", "booby_trap:Judge", *FEW]) == 0
    assert cli.main(["eval", "--policy", ".", "--env.judge", "state", *FEW]) == 0


def test_a_hook_is_code_too_and_inspect_imports_nothing(run, tmp_path, capsys):
    for words in (["--env.judge", "state", "--env.adb.hook", "booby_trap:hook"], ["--env.adb.hook=booby_trap:hook"]):
        other = RunFolder(tmp_path / f"run-{len(words)}")
        other.begin(load_config(None, words))
        other.write_model(other.policy, load_policy(PolicyConfig(model="tiny-untrained")).save)
        assert cli.main(["eval", "--policy", str(other.root), *FEW]) == 1
        assert "env.adb.hook 'booby_trap:hook'" in capsys.readouterr().err
    assert cli.main(["collect", "--policy", "random", "--out", "episodes", *FEW]) == 0
    assert cli.main(["inspect", "."]) == 0
    assert not (tmp_path / "sprung").exists()


def test_the_emulators_command_line_is_code_too(tmp_path, capsys):
    folder = RunFolder(tmp_path / "run")
    script = ["-qemu", "-netdev", "tap,id=n,script=./trap.sh"]
    settings = tmp_path / "given.yaml"
    settings.write_text(
        "env: {device: 'emulator:phone', adb: {emulator: {arguments: [-qemu, -netdev, 'tap,id=n,script=./trap.sh']}}}\n"
    )
    folder.begin(load_config(settings, ["--policy.model", "tiny-untrained"]))
    folder.write_model(folder.policy, load_policy(PolicyConfig(model="tiny-untrained")).save)
    assert cli.main(["eval", "--policy", str(folder.root), *FEW]) == 1
    said = capsys.readouterr().err
    assert f"env.adb.emulator.arguments '{' '.join(script)}' (words of the emulator's command line)" in said
    # What the user gives needs no flag: it fails later, as there is no such emulator.
    for given in (["--config", str(settings)], ["--trust-code"]):
        assert cli.main(["eval", "--policy", str(folder.root), *given, *FEW]) == 1
        assert "--trust-code" not in capsys.readouterr().err


def test_no_library_is_looked_for_in_the_folder_entered(run, tmp_path):
    (run / "torchvision.py").write_text(TRAP)  # libraries import it where it is installed, as many others
    (run / "flash_attn.py").write_text(TRAP)
    command = "import sys; sys.path.remove(''); from distrl_trainer import cli; sys.exit(cli.main(sys.argv[1:]))"
    words = ["eval", "--policy", ".", "--env.judge", "state", *FEW]
    home = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", command, *words],
        env=home,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "sprung").exists()
