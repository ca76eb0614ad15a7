"""Suites from instruction files: what is cleaned and counted, how lines are split and named, episodes with them."""

import json
import os
import random
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gym_fakes import Blind, FakePhone, WifiJudge, WifiOff
from hypothesis import given
from hypothesis import strategies as st

import android_env_gym  # noqa: F401 (registers the environment)
from android_env_gym import __main__ as command_line
from android_env_gym.actions import MAX_INSTRUCTION, Finish, OpenApp, Tap
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.errors import NeedsWorldError, UnknownNameError
from android_env_gym.judges.base import Verdict
from android_env_gym.judges.make import JudgeError
from android_env_gym.judges.state import StateJudge
from android_env_gym.recording import replay
from android_env_gym.tasks.instruction_lists import InstructionFileError, clean, normalise, read_lines
from android_env_gym.tasks.instructions import read_instructions
from android_env_gym.tasks.suites import draw_task, suite
from android_env_gym.wrappers import RecordEpisode

ROOT = Path(__file__).resolve().parents[2]
AITW = Path(os.environ.get("AITW_LISTS") or ROOT.parent / "shared" / "data" / "aitw")
SMALL = (112, 56)


class ScreenJudge:
    """Success on the instruction and actions alone; keeps the evidence that it got."""

    needs_world = False

    def __init__(self):
        self.seen = []

    def judge(self, evidence):
        self.seen.append(evidence)
        return Verdict(OpenApp("Clock") in evidence.actions, reason="looked at the actions")


def write(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def texts(name: str, split: str) -> list[str]:
    return [line.text for template in read_instructions(name).templates for line in template.lines.get(split, ())]


@pytest.fixture
def many(tmp_path):
    return write(tmp_path / "many.txt", *(f"Search for thing {number} on the web" for number in range(200)))


# --- cleaning ---


def test_every_line_is_a_task_or_counted(tmp_path):
    train = write(
        tmp_path / "shop_train.txt",
        "Go to ebay.com", "", "  ", "Go to  ebay.com ", "GO TO EBAY.COM?",  # the same three times
        'Search for "usb c"', "Open the clock", "---", "打开时钟", "x" * (MAX_INSTRUCTION + 1), '"Say ""hi"" to Ann"',
    )  # fmt: skip
    test = write(tmp_path / "shop_test.txt", "Search for 'usb c'", "Open the clock", "Open the clock", "Call Bo")
    report = read_instructions(f"instructions:{train},{test}").report
    first, second = report.files
    assert (first.lines, first.blank, first.unusable, first.duplicates) == (11, 2, 3, 2)
    assert (first.overlaps, first.unquoted, first.train, first.test) == (2, 1, 2, 0)
    assert (second.lines, second.duplicates, second.train, second.test) == (4, 1, 0, 3)
    assert (report.overlaps, report.overlaps_verbatim, report.train, report.test) == (2, 1, 2, 3)
    assert report.examples == (
        ('Search for "usb c"', "Search for 'usb c'"),
        ("Open the clock", "Open the clock"),
    )
    assert sorted(texts(f"instructions:{train},{test}", "train")) == ["Go to ebay.com", 'Say "hi" to Ann']


@given(
    train=st.lists(st.text("abAB '\"?. \t\u201c\u00e9", max_size=6), max_size=12),
    test=st.lists(st.text("abAB '\"?. \t\u201c\u00e9", max_size=6), max_size=12),
    seed=st.integers(0, 9),
)
def test_train_and_test_never_share_an_instruction(tmp_path_factory, train, test, seed):
    folder = tmp_path_factory.mktemp("lists")
    paths = [Path(write(folder / f"{name}.txt", *lines)) for name, lines in (("train", train), ("test", test))]
    try:
        files, report = clean([(paths[0], "train"), (paths[1], "test")])
    except InstructionFileError as error:
        assert "no instruction remains" in str(error)
        return
    keys = [{normalise(line.text) for line in lines} for lines in (files[0].train, files[1].test)]
    assert not keys[0] & keys[1]
    assert [len(some) for some in keys] == [report.train, report.test]  # nor twice in one split
    for file in report.files:
        parts = (file.blank, file.unusable, file.duplicates, file.overlaps, file.train, file.test)
        assert file.lines == sum(parts)
    random.Random(seed).shuffle(train)
    write(paths[0], *train)
    again, _ = clean([(paths[0], "train"), (paths[1], "test")])
    assert [line.id for line in again[0].train] == [line.id for line in files[0].train]


@pytest.mark.parametrize(
    "data",
    [
        "Öffne die Uhr\nCall Bo".encode(),
        b"\xef\xbb\xbf" + "Öffne die Uhr\r\nCall Bo\r\n".encode(),
        "Öffne die Uhr\rCall Bo\r".encode(),
        "\ufeffÖffne die Uhr\r\nCall Bo\r\n".encode("utf-16-le"),
        "\ufeffÖffne die Uhr\nCall Bo\n".encode("utf-16-be"),
    ],
)
def test_encodings_and_line_ends(tmp_path, data):
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    assert read_lines(path) == ["Öffne die Uhr", "Call Bo"]


def test_files_that_cannot_be_used_are_explained(tmp_path):
    write(tmp_path / "general_train.txt", "Open the clock")
    (tmp_path / "latin.txt").write_bytes("Öffne die Uhr".encode("latin-1"))
    write(tmp_path / "empty.txt", "", " ")
    (tmp_path / "folder").mkdir()
    for name, message in (
        (f"{tmp_path}/general_tran.txt", r"did you mean general_train\.txt"),
        (f"{tmp_path}/latin.txt", r"no UTF-8 text \(byte 0 is 0xd6\)"),
        (f"{tmp_path}/empty.txt", "no instruction remains of 2 lines"),
        (f"{tmp_path}/folder", "holds no list"),
        (f"{tmp_path},{tmp_path}/empty.txt", "is a folder"),
        ("", r"TRAIN\.txt,TEST\.txt"),
        (",", r"TRAIN\.txt,TEST\.txt"),
        ("a,b,c", r"TRAIN\.txt,TEST\.txt"),
    ):
        with pytest.raises(InstructionFileError, match=message):
            suite(f"instructions:{name}")
    with pytest.raises(UnknownNameError, match="did you mean 'instructions:FILE'"):
        suite("instruction:FILE")


# --- splits and ids ---


def test_one_file_is_split_by_hash(many, tmp_path):
    (file,) = suite(f"instructions:{many}")
    assert file.id == "many" and file.splits() == ("train", "test")
    train, test = (set(texts(f"instructions:{many}", split)) for split in ("train", "test"))
    assert len(train) + len(test) == 200 and not train & test and 25 <= len(test) <= 75
    # The split of an instruction depends on nothing else: not on the file, its order or what else is in it.
    other = write(tmp_path / "other.txt", "Call Bo", *(text.upper() for text in sorted(train | test, reverse=True)))
    assert {text.casefold() for text in texts(f"instructions:{other}", "test")} - {"call bo"} == {
        text.casefold() for text in test
    }


def test_few_lines_are_all_train_and_one_side_may_be_empty(tmp_path):
    few = write(tmp_path / "few.txt", "Open the clock", "Call Bo")
    (file,) = suite(f"instructions:{few}")
    assert file.splits() == ("train",)
    (file,) = suite(f"instructions:,{few}")
    assert file.splits() == ("test",) and file.goals == 2
    (file,) = suite(f"instructions:{few},")
    assert file.splits() == ("train",)


def test_a_folder_is_one_template_per_file(tmp_path):
    for name in ("web_train", "web_test", "Calls-TRAIN", "constrain", "notes"):
        write(tmp_path / f"{name}.txt", f"Do what {name} says")
    write(tmp_path / "calls.test.txt", "Do what web_train says")  # an overlap with another list's train file
    found = read_instructions(f"instructions:{tmp_path}")
    assert [(file.id, file.splits()) for file in found.templates] == [
        ("Calls-TRAIN", ("train",)),
        ("calls.test", ("test",)),
        ("web_test", ("test",)),
    ]
    assert found.report.overlaps == 1


def test_files_of_the_same_name_get_ids_of_their_own(tmp_path):
    for folder in ("train", "test"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "my list.txt", f"Open the {folder} page")
    one, two = (tmp_path / folder / "my list.txt" for folder in ("train", "test"))
    assert [file.id for file in suite(f"instructions:{one},{two}")] == ["train.my_list", "test.my_list"]


def test_instances_go_through_all_lines_and_ids_stay(many):
    (file,) = suite(f"instructions:{many}")
    lines = len(file.lines["test"])
    tasks = [draw_task(file, "test", instance)[0] for instance in range(2 * lines)]
    assert len({task.instruction for task in tasks[:lines]}) == lines
    assert [task.task_id for task in tasks[:lines]] == [task.task_id for task in tasks[lines:]]
    assert [task.instance for task in tasks] == list(range(2 * lines))
    write(Path(many), "Call Bo", *reversed(Path(many).read_text().splitlines()))
    ids = {line.text: f"many/test/{line.id}" for line in suite(f"instructions:{many}")[0].lines["test"]}
    assert {task.instruction: task.task_id for task in tasks}.items() <= ids.items()
    with pytest.raises(UnknownNameError, match="unseen-template"):
        draw_task(file, "unseen-template", 0)


# --- the environment ---


@pytest.mark.parametrize("judge", [{}, {"judge": "state"}, {"judge": StateJudge()}])
def test_without_a_judge_that_looks_construction_fails_and_names_one(many, judge):
    with pytest.raises(JudgeError, match="vlm:MODEL@URL"):
        gym.make("AndroidTask-v0", suite=f"instructions:{many}", **judge)
    mixed = (*suite(f"instructions:{many}"), WifiOff())
    with pytest.raises(JudgeError, match="'many'"):
        AndroidTaskEnv(suite=mixed, **judge)


def test_what_is_no_judge_is_refused(many):
    with pytest.raises(UnknownNameError, match="vlm:MODEL@URL"):
        AndroidTaskEnv(suite=f"instructions:{many}", judge=None)  # type: ignore[arg-type]
    with pytest.raises(JudgeError, match="want"):
        AndroidTaskEnv(suite=f"instructions:{many}", judge="vlm:model")


def test_an_episode_on_the_embedded_phone(many):
    judge = ScreenJudge()
    env = gym.make("AndroidTask-v0", suite=f"instructions:{many}", judge=judge, split="test", screen=SMALL)
    observation, info = env.reset(seed=3, options={"task": "many", "instance": 5})
    home = observation["screenshot"]
    assert observation["instruction"] in texts(f"instructions:{many}", "test")
    assert env.unwrapped.task.task_id == info["task_id"] and info["template"] == "many" and info["instance"] == 5
    _, reward, terminated, _, _ = env.step(Tap(0.5, 0.01))
    assert (reward, terminated) == (0.0, False)
    _, reward, terminated, truncated, info = env.step(OpenApp("Clock"))
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)
    assert info["side_effects"] == "" and info["verdict"]["reason"] == "looked at the actions"
    assert judge.seen[-1].task.instruction == observation["instruction"] and len(judge.seen[-1].frames) == 3
    again, _ = env.reset(options={"task": "many", "instance": 5})
    assert np.array_equal(again["screenshot"], home)  # the device's own reset policy: a fresh phone


def test_nothing_is_set_up_and_a_device_without_a_world_will_do(many):
    class Phone(FakePhone):
        def apply_setup(self, state):
            raise AssertionError("an instruction has no set-up")

    env = AndroidTaskEnv(device=Phone(), suite=f"instructions:{many}", judge=ScreenJudge(), screen=SMALL)
    env.reset(seed=0)
    blind = AndroidTaskEnv(device=Blind(FakePhone()), suite=f"instructions:{many}", judge=ScreenJudge(), screen=SMALL)
    _, info = blind.reset(seed=0)
    assert info["virtual_time"] == 0 and info["reward_valid"]
    _, reward, terminated, _, info = blind.step(Finish())
    assert (reward, terminated, info["false_completion"]) == (0.0, True, True)
    with pytest.raises(NeedsWorldError, match="the judge must"):
        AndroidTaskEnv(device=Blind(FakePhone()), suite=f"instructions:{many}", judge=WifiJudge())
    with pytest.raises(NeedsWorldError, match=r"the suite must .*instructions:FILE"):
        AndroidTaskEnv(device=Blind(FakePhone()), suite="starter", judge=ScreenJudge())


def test_judging_at_finish_asks_once(many):
    judge = ScreenJudge()
    env = AndroidTaskEnv(suite=f"instructions:{many}", judge=judge, judge_at="finish", screen=SMALL)
    env.reset(seed=0)
    env.step(OpenApp("Clock"))
    assert judge.seen == []
    assert env.step(Finish())[1] == 1.0 and len(judge.seen) == 1


def test_a_recorded_episode_replays(many, tmp_path):
    templates = suite(f"instructions:{many}")
    env = RecordEpisode(
        gym.make("AndroidTask-v0", suite=templates, judge=ScreenJudge(), screen=SMALL), tmp_path / "rec"
    )
    env.reset(seed=4)
    info = env.step(OpenApp("Clock"))[4]
    assert replay(info["recording"], templates).success


# --- the command ---


def test_the_command_prints_the_report(tmp_path, capsys):
    train = write(tmp_path / "a.txt", "Open the clock", "Open the clock", "Call 'Bo'")
    test = write(tmp_path / "b.txt", 'Call "Bo".', "")
    assert command_line.main(["instructions", train, test, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    counts = {"lines": 5, "blank": 1, "unusable": 0, "duplicates": 1, "overlaps": 1, "overlaps_verbatim": 0}
    assert counts.items() <= report.items() and (report["train"], report["test"]) == (1, 1)
    assert report["suite"] == f"instructions:{train},{test}"
    assert suite(report["suite"])[0].goals == 1
    assert command_line.main(["instructions", train, test]) == 0
    shown = capsys.readouterr().out
    assert "1 train lines" in shown and "Call 'Bo'    (test: Call \"Bo\".)" in shown and report["suite"] in shown
    assert command_line.main(["instructions", f"{tmp_path}/c.txt"]) == 1
    assert "error: there is no file" in capsys.readouterr().err
    assert command_line.main(["check", "--suite", f"instructions:{train}"]) == 1
    assert "no oracle" in capsys.readouterr().err


# --- real lists ---


@pytest.mark.skipif(not AITW.is_dir(), reason=f"no AitW lists in {AITW} (set AITW_LISTS to their folder)")
@pytest.mark.parametrize("name", ["general", "webshop"])
def test_the_real_lists(name):
    both = f"instructions:{AITW / name}_train.txt,{AITW / name}_test.txt"
    report = read_instructions(both).report
    lines = {split: (AITW / f"{name}_{split}.txt").read_text().splitlines() for split in ("train", "test")}
    distinct = {split: {normalise(line) for line in found} for split, found in lines.items()}
    verbatim = len(set(lines["train"]) & set(lines["test"]))
    assert report.lines == len(lines["train"]) + len(lines["test"])
    assert report.overlaps == len(distinct["train"] & distinct["test"]) > 0
    assert report.overlaps >= report.overlaps_verbatim == verbatim
    assert (report.train, report.test) == (len(distinct["train"]) - report.overlaps, len(distinct["test"]))
    assert report.unusable == report.blank == 0
    env = AndroidTaskEnv(suite=both, judge=ScreenJudge(), split="test", screen=SMALL)
    assert env.reset(seed=0)[0]["instruction"] in lines["test"]
