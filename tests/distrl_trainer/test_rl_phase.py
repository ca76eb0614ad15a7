"""What happens to a training when its phones or its judge fail: nothing learned is lost, nothing failed is a rate."""

import json

import msgspec
import pytest
from runtime_fakes import SMALL, assert_same, episode

from distrl_trainer import checkpoint, cli, rl_phase
from distrl_trainer.collector import CollectorError
from distrl_trainer.evaluation import EvaluationResult, Outcome, summarise
from distrl_trainer.fleet import FleetError, SerialFleet
from distrl_trainer.play_commands import policy_folder
from distrl_trainer.train_command import _Recorder

NEVER = ["--run.save_every_env_steps", "1000"]


def nothing_judged(*_, **__) -> EvaluationResult:
    silent = [
        Outcome(template="one.two", instance=k, success=False, steps=1, invalid=0, false_completion=False, judged=False)
        for k in range(12)
    ]
    return summarise("starter", "train", 0, silent, 12)


@pytest.fixture
def warm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "warm"
    assert cli.main(["warmup", "--out", str(folder), *SMALL]) == 0
    return ["--warmup.weights", str(folder)]


@pytest.mark.slow
def test_a_validation_that_fails_costs_no_training(warm, tmp_path, monkeypatch, capsys):
    validate, calls = rl_phase.evaluate, []

    def fails_at_the_second(*arguments, **more):
        calls.append(arguments)
        if len(calls) == 2:
            raise CollectorError("30 episodes in a row failed")
        return validate(*arguments, **more)

    monkeypatch.setattr(rl_phase, "evaluate", fails_at_the_second)
    out = tmp_path / "run"
    assert cli.main(["train", "--out", str(out), *SMALL, *NEVER, *warm]) == 1
    assert "30 episodes in a row failed" in capsys.readouterr().err.strip().splitlines()[-1]
    (saved,) = (out / "checkpoints").iterdir()
    assert int("".join(filter(str.isdigit, saved.name))) >= 64
    assert cli.main(["train", "--out", str(out), "--resume", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["env_steps"] >= 96 and summary["curve"][0]["env_steps"] == 0


@pytest.mark.slow
def test_a_fleet_that_fails_leaves_a_checkpoint(warm, tmp_path, monkeypatch, capsys):
    collect, calls = SerialFleet.collect, []

    def fails_at_the_third(self, steps, stop):
        calls.append(steps)
        if len(calls) == 3:
            raise FleetError("the phones keep failing")
        return collect(self, steps, stop)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SerialFleet, "collect", fails_at_the_third)
        assert cli.main(["train", "--out", str(out), *SMALL, *NEVER, *warm]) == 1
    assert "the phones keep failing" in capsys.readouterr().err.strip().splitlines()[-1]
    assert len(list((out / "checkpoints").iterdir())) == 1
    assert cli.main(["train", "--out", str(out), "--resume"]) == 0


@pytest.mark.slow
def test_a_validation_without_verdicts_chooses_nothing(warm, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rl_phase, "evaluate", nothing_judged)
    assert cli.main(["train", "--out", str(tmp_path / "run"), "--json", *SMALL, *warm]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["curve"] and all(point["rate"]["unjudged"] == 12 for point in summary["curve"])
    assert summary["chosen"].startswith("the last one")


@pytest.mark.slow
def test_half_a_run_and_the_other_half_are_the_whole_bit_for_bit(warm, tmp_path):
    """The end of the first half lies beside the validations' grid, and its validation must leave no trace."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(["train", "--out", str(whole), *SMALL, *warm]) == 0
    assert cli.main(["train", "--out", str(parts), *SMALL, *warm, "--run.total_env_steps", "48"]) == 0
    assert len(json.loads((parts / "summary.json").read_text())["curve"]) == 2
    assert cli.main(["train", "--out", str(parts), "--resume", "--run.total_env_steps", "96"]) == 0
    found = [checkpoint.load(checkpoint.latest_good(run / "checkpoints")) for run in (whole, parts)]
    for part in ("policy", "best", "learner", "books", "loop"):
        assert_same(found[0][part], found[1][part], part)
    numbers = [{name: phase[name] for name in ("curve", "last", "best_steps", "best_rate", "validated_at", "updates")}
               for phase in (one["phase"] for one in found)]  # fmt: skip
    assert numbers[0] == numbers[1]
    files = [(run / "policy" / "model.safetensors").read_bytes() for run in (whole, parts)]
    assert files[0] == files[1]


def test_an_evaluation_without_verdicts_ends_a_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("distrl_trainer.train_command.evaluate", nothing_judged)
    out = tmp_path / "run"
    words = [*SMALL, "--warmup.demonstrations", "0"]
    assert cli.main(["train", "--out", str(out), *words]) == 1
    assert "no episode has a verdict" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(out.rglob("before.json"))


def test_a_warm_start_without_demonstrations_is_one(tmp_path):
    none = [*SMALL, "--warmup.demonstrations", "0"]
    assert cli.main(["warmup", "--out", str(tmp_path / "first"), *none]) == 0
    again = [*none, "--warmup.weights", str(tmp_path / "first")]
    assert cli.main(["warmup", "--out", str(tmp_path / "second"), *again]) == 0
    assert policy_folder(str(tmp_path / "second")) == tmp_path / "second"


def test_a_control_arm_that_could_learn_nothing_is_refused(capsys):
    for words in (["--algorithm.without", "bc"], ["--algorithm.cloning_batch", "0"]):
        assert cli.main(["train", "--dry-run", "--algorithm.name", "clone-only", *words]) in (1, 2)
        assert "clone-only learns from demonstrations alone" in capsys.readouterr().err


def test_recorded_episodes_have_a_verdict_and_are_spread(tmp_path):
    recorder = _Recorder(tmp_path, 3, templates=1)
    good = episode([0, 1], name="one")
    recorder(msgspec.structs.replace(good, reward_valid=False))
    for number in range(5):
        recorder(msgspec.structs.replace(good, id=str(number), task_id=f"t/train/{number}"))
    assert len(list(tmp_path.glob("*.traj"))) == 3
