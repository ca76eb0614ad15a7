"""`distrl-train eval` and `collect` on instruction files, with a judge behind a real HTTP server on loopback."""

import json
import logging
import sys

import pytest
from judge_fakes import serve_judge

from android_env_gym.tasks.suites import suite
from distrl_trainer import cli
from distrl_trainer.evaluation import plan
from distrl_trainer.inspect_html import load_trajectories

FEW = ["--episodes", "6", "--json", "--env.max_steps", "2", "--env.screen", "112", "56", "--eval.envs", "2"]


@pytest.fixture
def judge():
    """Lets the tasks on clocks succeed at once and no other."""
    with serve_judge(lambda body: "clock" in body) as server:
        yield server


@pytest.fixture
def lists(tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, lines in {
        "clocks_test": ["Look at the clock", "Read the clock"],
        "mail_test": ["Check my mail", "Write a mail", "Delete a mail"],
        "mail_train": ["Check my mail", "Forward a mail"],
    }.items():
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


def test_eval_has_one_row_per_file(judge, lists, capsys):
    words = ["eval", "--policy", "random", "--suite", f"instructions:{lists}", *FEW]
    assert cli.main([*words, "--split", "test", "--env.judge", judge.name]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {name: (rate["k"], rate["n"]) for name, rate in report["templates"].items()}
    assert rows == {"clocks_test": (3, 3), "mail_test": (0, 3)}
    assert report["success"]["k"] == 3 and report["infra_errors"] == 0
    assert {
        line for line in ("Check my mail", "Write a mail", "Delete a mail") if any(line in a for a in judge.asked)
    } == {
        "Check my mail",
        "Write a mail",
        "Delete a mail",
    }


def test_collect_keeps_every_episode_of_a_line(judge, lists, tmp_path, capsys):
    words = ["collect", "--policy", "random", "--suite", f"instructions:{lists}", "--out", str(tmp_path / "out"), *FEW]
    assert cli.main([*words, "--env.judge", judge.name]) == 0
    capsys.readouterr()
    found = load_trajectories(tmp_path / "out")
    assert len(found) == 6 and {item.instruction for item in found} == {"Forward a mail"}
    (line,) = suite(f"instructions:{lists}")[2].lines["train"]
    assert {item.task_id for item in found} == {f"mail_train/train/{line.id}"}
    assert {item.template for item in found} == {"mail_train"} and all(item.reward_valid for item in found)


def test_a_judge_of_ones_own_in_the_working_directory(lists, tmp_path, capsys, monkeypatch):
    (tmp_path / "own_judge.py").write_text(
        "from android_env_gym.judges.base import Verdict\n"
        "class Believer:\n"
        "    needs_world = False\n"
        "    def judge(self, evidence):\n"
        "        return Verdict(success='Forward' in evidence.task.instruction)\n"
        "class Doubter(Believer):\n"
        "    def judge(self, evidence):\n"
        "        return Verdict(success=False, valid=False, reason='cannot tell')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    words = ["eval", "--policy", "random", "--suite", f"instructions:{lists}", "--split", "train", "--json", *FEW]
    assert cli.main([*words, "--env.judge", "own_judge:Believer"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["success"]["k"] == report["success"]["n"] > 0
    assert cli.main([*words, "--env.judge", "own_judge:Doubter"]) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out.splitlines()[-1])
    assert report["success"]["n"] == report["unjudged"] == 6 and report["success"]["bounds"] == [0.0, 1.0]
    assert "no episode has a verdict" in printed.err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "random", "--env.judge", "no_such_module:Judge"], "No module named"),
        (["--policy", "random", "--env.judge", ".mine:J"], "whole name"),
        (["--policy", "random", "--env.judge", "sttae"], "did you mean 'state'"),
        (["--policy", "random", "--env.judge", "fractions:gcd"], "has no attribute"),
        (["--policy", "random", "--env.judge", "math:gcd"], "unknown judge 0"),
        (["--policy", "random", "--env.judge", "operator:neg"], "made without arguments"),
        (["--policy", "random"], "vlm:MODEL@URL"),
        (["--policy", "random", "--env.judge", "vlm:m"], "vlm:MODEL@URL"),
        (["--policy", "random", "--env.device", "adb:nothing-of-the-kind"], "vlm:MODEL@URL"),
        (["--policy", "oracle"], "no oracle"),
        (["--policy", "random", "--split", "unseen-template"], "choose another split"),
    ],
)
def test_what_a_list_cannot_do_is_said_in_one_line(words, message, lists, capsys):
    assert cli.main(["eval", "--suite", f"instructions:{lists}", *words, *FEW]) == 1
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert cli.main(["eval", "--suite", f"instructions:{lists}/mail_tain.txt", *words, *FEW]) == 1
    assert "did you mean mail_train.txt" in capsys.readouterr().err.strip().splitlines()[-1]


def test_training_with_the_state_judge_is_refused_before_anything_is_made(lists, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["train", "--out", str(out), "--env.suite", f"instructions:{lists}"]) == 1
    assert "vlm:MODEL@URL" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not out.exists()


def test_demonstrations_of_a_list_are_refused(lists, judge, tmp_path, capsys):
    words = ["--env.suite", f"instructions:{lists}", "--env.judge", judge.name, "--policy.model", "tiny-untrained"]
    assert cli.main(["warmup", "--out", str(tmp_path / "warm"), *words]) == 1
    assert "warmup.demonstrations 0" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_plan_goes_through_the_lines_and_says_when_they_repeat(lists, caplog):
    name = f"instructions:{lists}/mail_test.txt,"
    with caplog.at_level(logging.WARNING):
        assert [task.instance for task in plan(name, "train", 3, seed=0)] == [0, 1, 2]
        assert not caplog.records
        plan(name, "train", 4, seed=0)
    assert "mail_test has 3 instructions in split train: 4 episodes" in caplog.text


def test_a_suite_that_prepares_the_phone_is_refused_on_a_real_one_before_it_is_looked_for(capsys):
    words = ["eval", "--policy", "random", "--suite", "starter", "--env.device", "adb:nothing-of-the-kind", *FEW]
    assert cli.main(words) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: the suite and judge must") and 'suite="instructions:FILE"' in last
