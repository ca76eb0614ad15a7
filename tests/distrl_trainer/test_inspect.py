"""`inspect`: what is drawn on a frame, what stands on the page, what is said about damaged files."""

import base64
import re

import cv2
import msgspec
import numpy as np
import pytest

from android_env_gym.actions import Finish, InvalidAction, LongPress, OpenApp, PressKey, Swipe, Tap, TypeText, Wait
from distrl_trainer import filmstrip
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
