"""`inspect`: what is drawn on a frame, what stands on the page, what is said about damaged files."""

import base64
import os
import re

import cv2
import msgspec
import numpy as np
import pytest

from android_env_gym.actions import Finish, InvalidAction, LongPress, OpenApp, PressKey, Swipe, Tap, TypeText, Wait
from distrl_trainer import cli, filmstrip
from distrl_trainer.inspect_html import InspectError, advantages, load_trajectories, page, table
from distrl_trainer.observations import encode_action, encode_frame
from distrl_trainer.trajectory import Step, Trajectory, encode

FRAME = np.full((64, 32, 3), 240, np.uint8)
ACTIONS = (Tap(0.25, 0.5), TypeText("<b>milk</b>"), InvalidAction("unknown verb 'tpa'"), Finish())


def trajectory(**changes) -> Trajectory:
    steps = tuple(
        Step(
            token_ids=(1, 2),
            logprobs=(-0.1, -0.4),
            text="",
            action=encode_action(action),
            version=5 + index,
            value=0.5,
            reward_task=float(index == 3),
            reward_shaping=-1.0 if isinstance(action, InvalidAction) else 0.0,
            invalid=action.reason if isinstance(action, InvalidAction) else "",
        )
        for index, action in enumerate(ACTIONS)
    )
    values = {
        "id": "c0.0-00000001",
        "template": "notes.add",
        "task_id": "notes.add/test/1",
        "split": "test",
        "instance": 1,
        "instruction": "Add <milk>",
        "steps": steps,
        "frames": tuple(encode_frame(FRAME) for _ in range(5)),
        "terminated": True,
        "truncated": False,
        "success": True,
    }
    return Trajectory(**{**values, **changes})


def test_a_tap_is_drawn_where_it_was_and_nothing_elsewhere():
    drawn = filmstrip.annotate(FRAME, Tap(0.25, 0.5)).astype(int)
    assert drawn.shape == (128, 64, 3)
    changed = np.argwhere(np.abs(drawn - 240).sum(-1) > 30)
    assert changed.mean(0) == pytest.approx((64, 16), abs=2)
    assert np.ptp(changed[:, 1]) < 12
    assert (filmstrip.annotate(FRAME, None) == 240).all()


@pytest.mark.parametrize(
    "action",
    [*ACTIONS, LongPress(1.0, 1.0), Swipe(0.5, 0.9, 0.5, 0.1), Swipe(0.5, 0.5, 0.5, 0.5), PressKey("back"),
     OpenApp("Clock"), Wait(2.0), TypeText(""), TypeText("word " * 40), Finish("infeasible", "because")],
)  # fmt: skip
def test_every_action_is_drawn_and_described(action):
    assert (filmstrip.annotate(FRAME, action) != 240).any()
    assert 3 < len(filmstrip.describe(action)) < 90


def test_swipes_are_described_by_the_finger():
    assert filmstrip.describe(Swipe(0.5, 0.9, 0.5, 0.1)).startswith("swipe up")
    assert filmstrip.describe(Swipe(0.9, 0.5, 0.1, 0.5)).startswith("swipe left")


def test_strip_shows_every_frame():
    assert filmstrip.strip(trajectory(), gap=4).shape == (128, 5 * 64 + 4 * 4, 3)


def test_advantages_are_on_policy_returns_minus_value_for_lambda_one():
    rewards, gamma = np.array([0.0, 0.0, -1.0, 1.0]), 0.9
    expected = [sum(gamma ** (k - t) * rewards[k] for k in range(t, 4)) - 0.5 for t in range(4)]
    assert advantages(trajectory(), gamma, 1.0) == pytest.approx(expected, abs=1e-6)
    assert advantages(trajectory(steps=(), frames=()), gamma, 1.0) == []


def test_the_page_is_self_contained_escaped_and_complete():
    lost = trajectory(reward_valid=False, failure_kind="lost", failure_message="device offline")
    text = page([trajectory(), lost], "A run", gamma=0.9, lambda_=1.0)
    assert "Add &lt;milk&gt;" in text and "<milk>" not in text and "<b>milk" not in text
    assert not re.search(r"https?://|<script|<link", text)
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(images) == 10
    first = cv2.imdecode(np.frombuffer(base64.b64decode(images[0]), np.uint8), cv2.IMREAD_COLOR)
    assert first is not None and first.shape == (128, 64, 3)
    for word in ("success", "no verdict: lost", "device offline", "unknown verb", "version 5-8", "-0.50", "0 -1"):
        assert word in text
    assert "1 of 1 valid ones succeeded" in text


def test_table_rows_say_how_it_ended():
    ended = trajectory(success=False, false_completion=True)
    assert table([ended])[0][2:5] == ("4", "5-8", "false completion")


def test_a_run_a_folder_and_a_file_can_be_inspected(tmp_path):
    (tmp_path / "episodes").mkdir()
    file = tmp_path / "episodes" / "a.traj"
    file.write_bytes(encode(trajectory()))
    assert load_trajectories(tmp_path) == load_trajectories(file.parent) == load_trajectories(file) == [trajectory()]


def test_missing_empty_and_damaged_are_named(tmp_path):
    with pytest.raises(InspectError, match="absent does not exist"):
        load_trajectories(tmp_path / "absent")
    with pytest.raises(InspectError, match=r"holds no \.traj"):
        load_trajectories(tmp_path)
    (tmp_path / "half.traj").write_bytes(encode(trajectory())[:-7])
    with pytest.raises(InspectError, match=r"half\.traj is no trajectory, or damaged"):
        load_trajectories(tmp_path)
    (tmp_path / "half.traj").write_bytes(msgspec.msgpack.encode({"id": 1}))
    with pytest.raises(InspectError, match=r"half\.traj"):
        load_trajectories(tmp_path)


def hostile(**changes) -> Trajectory:
    nasty = "[/bold][red]\x1b[2J\r\n\u202e\ud7ff<script>alert(1)</script>"
    return trajectory(**{"instruction": nasty, "task_id": nasty, "verdict_reason": nasty, "id": nasty, **changes})


def shown(path, capsys, *more) -> str:
    assert cli.main(["inspect", str(path), *more]) == 0
    return capsys.readouterr().out


def test_text_of_others_neither_moves_the_cursor_nor_becomes_markup(tmp_path, capsys):
    folder = tmp_path / "[red]\x1b]0;title\x07"
    folder.mkdir()
    (folder / "a.traj").write_bytes(encode(hostile()))
    out = shown(folder, capsys)
    assert "[/bold][red]\\x1b[2J" in out and all(line.isprintable() for line in out.splitlines())
    assert shown(folder, capsys, "--html", str(folder / "p.html")).strip().isprintable()
    text = (folder / "p.html").read_text()
    assert "<script>" not in text and "\x1b" not in text and "\u202e" not in text and "&lt;script&gt;" in text


PNG_OF_60000 = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + 2 * (60_000).to_bytes(4, "big") + b"\x08\x02\0\0\0" + b"\0" * 99
DAMAGED_STEP = msgspec.structs.replace(trajectory().steps[0], action=b"\xc1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": (PNG_OF_60000,) * 5}, "claims 60000x60000 pixels"),
        ({"frames": (b"",) * 5}, "0 bytes is no PNG image"),
        ({"frames": ()}, "0 frames for 4 steps"),
        ({"steps": (DAMAGED_STEP,) * 4}, "MessagePack data is malformed"),
    ],
)
def test_a_hostile_episode_is_one_line_and_the_others_are_shown(changes, message, tmp_path, capsys):
    (tmp_path / "a.traj").write_bytes(encode(hostile(**changes)))
    (tmp_path / "b.traj").write_bytes(encode(trajectory(id="good")))
    for more in ([], ["--html", str(tmp_path / "p.html")], ["--json"]):
        printed = cli.main(["inspect", str(tmp_path), *more]), capsys.readouterr()
        out = printed[1].out + printed[1].err
        (line,) = [line for line in out.splitlines() if "left out" in line and "a.traj" in line]
        assert printed[0] == 0 and message in line
    assert cli.main(["inspect", str(tmp_path / "a.traj")]) == 1
    assert message in capsys.readouterr().err


def test_an_episode_of_blank_screens_that_would_fill_the_memory_is_left_out(tmp_path, capsys):
    blank = encode_frame(np.zeros((2160, 3840, 3), np.uint8))
    frames = tuple(blank + bytes([number % 2]) for number in range(130))  # each unlike the one before it
    steps = trajectory().steps[:1] * 129
    (tmp_path / "a.traj").write_bytes(encode(hostile(frames=frames, steps=steps)))
    assert (tmp_path / "a.traj").stat().st_size < 2**25
    assert cli.main(["inspect", str(tmp_path), "--html", str(tmp_path / "p.html")]) == 1
    assert "a.traj is damaged: its frames claim 1078272000 pixels" in capsys.readouterr().err


def test_pixels_that_cannot_be_decoded_are_one_line_of_the_page_and_places_off_the_screen_are_none():
    cut = encode_frame(FRAME)[:60]
    text = page([trajectory(frames=(cut,) * 5, id="bad"), trajectory()], "title")
    assert "bad cannot be shown: " in text and text.count("<figure>") == 5
    for x, y in ((float("nan"), float("inf")), (1e30, -1e30)):
        nowhere = msgspec.structs.replace(trajectory().steps[0], action=encode_action(Tap(x, y)))
        assert page([trajectory(steps=(nowhere,) * 4)], "title").count("<article>") == 1


def test_what_is_no_regular_file_of_a_sensible_size_is_one_line(tmp_path, capsys):
    (tmp_path / "good.traj").write_bytes(encode(trajectory()))
    os.mkfifo(tmp_path / "pipe.traj")
    (tmp_path / "loop.traj").symlink_to(tmp_path / "loop.traj")
    (tmp_path / "empty.traj").touch()
    (tmp_path / "folder.traj").mkdir()
    (tmp_path / "deep.traj").write_bytes(b"\x91" * 1_000_000)
    with (tmp_path / "huge.traj").open("wb") as file:
        file.truncate(2**30)  # sparse
    out = shown(tmp_path, capsys)
    for name in ("pipe", "loop", "empty", "folder", "deep", "huge"):
        assert len([line for line in out.splitlines() if "left out" in line and f"/{name}.traj" in line]) == 1, name
    for name in ("pipe", "loop", "empty", "huge"):
        assert cli.main(["inspect", str(tmp_path / f"{name}.traj")]) == 1
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    (tmp_path / "config.yaml").write_bytes(b"[" * 100_000)
    assert "notes.add/test/1" in shown(tmp_path, capsys)
