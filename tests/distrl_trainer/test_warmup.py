"""Demonstrations are verified successes; cloning says whether it has flattened; RL never asks the oracle."""

import ast
import os
from pathlib import Path

import msgspec
import pytest
import torch
from runtime_fakes import TOKENS, FakePolicy, episode, fake_config

import distrl_trainer
from android_env_gym.actions import ActionError, InvalidAction, Tap
from android_env_gym.vector import EnvSpec
from distrl_trainer.config import PolicyConfig
from distrl_trainer.demonstrations import Demonstrations, imitation_loss
from distrl_trainer.inspect_html import load_trajectories
from distrl_trainer.live import LiveView, make_console
from distrl_trainer.observations import View, decode_action, encode_action, observations
from distrl_trainer.policy import load_policy
from distrl_trainer.settings import load_config
from distrl_trainer.train_command import make_warm_start
from distrl_trainer.trajectory import encode
from distrl_trainer.vec_env import PhoneVecEnv
from distrl_trainer.warmup import WarmupError, clone, load_demonstrations, record_demonstrations

VIEW = View(frames=1, history=2)
COLOURS = [[0, 1, 2], [3, 2, 1, 0], [1, 1, 3], [2, 0, 1], [0, 3, 3], [1, 2, 0]]


class Recorder:
    """Encodes every action as one token and remembers it."""

    def encode_action(self, action, observation):
        return (7,)


class Mute:
    def encode_action(self, action, observation):
        raise ActionError("this vocabulary has no words")


def demonstrations():
    return [episode(colours, name=f"d{i}") for i, colours in enumerate(COLOURS * 3)]


@pytest.mark.parametrize(("epochs", "flattened"), [(60, True), (3, False)])
def test_cloning_learns_and_says_whether_the_held_out_loss_is_flat(epochs, flattened):
    policy = FakePolicy()
    config = msgspec.structs.replace(fake_config().warmup, epochs=epochs, lr=0.1, validation_share=0.2)
    seen = []
    result = clone(policy, demonstrations(), config, view=VIEW, seed=0, progress=lambda *numbers: seen.append(numbers))
    losses = result.validation_losses
    assert result.epochs == len(losses) == len(result.train_losses) == len(seen) == epochs
    assert losses[-1] < losses[0] and result.flattened == flattened
    if flattened:
        everything = Demonstrations(demonstrations(), VIEW)
        with torch.no_grad():
            assert imitation_loss(policy, everything.take(range(len(everything)))) < 0.3


def test_cloning_is_reproducible_and_needs_a_held_out_part():
    config = fake_config().warmup
    policies = [FakePolicy(), FakePolicy()]
    for policy in policies:
        clone(policy, demonstrations(), config, view=VIEW, seed=1)
    first, second = (policy.state_dict() for policy in policies)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(WarmupError, match="at least 2"):
        clone(FakePolicy(), demonstrations()[:1], config, view=VIEW, seed=0)


def test_recorded_trajectories_are_encoded_anew_and_bad_files_left_out(tmp_path, caplog):
    good = episode([0, 1, 2], name="good")
    foreign = msgspec.structs.replace(
        good,
        steps=tuple(msgspec.structs.replace(step, token_ids=(99, 98), logprobs=(-1.0, -1.0)) for step in good.steps),
    )
    (tmp_path / "a.traj").write_bytes(encode(foreign))
    (tmp_path / "b.traj").write_bytes(encode(episode([0, 1], success=False)))
    (tmp_path / "c.traj").write_bytes(encode(good)[:50])
    found = load_demonstrations(tmp_path, FakePolicy(), view=VIEW)
    assert [step.token_ids for item in found for step in item.steps] == [(0,), (1,)]
    assert [step.logprobs for step in found[0].steps] == [(0.0,), (0.0,)]
    assert "c.traj" in caplog.text
    with pytest.raises(WarmupError, match=r"3 files"):
        load_demonstrations(tmp_path, Mute(), view=VIEW)


def test_what_is_no_whole_episode_of_valid_actions_is_left_out_in_one_line(tmp_path, caplog):
    good = episode([0, 1, 2], name="good")
    invalid = (msgspec.structs.replace(good.steps[0], action=encode_action(InvalidAction("no JSON"))), good.steps[1])
    nowhere = (msgspec.structs.replace(good.steps[0], action=encode_action(Tap(float("nan"), 0.5))), good.steps[1])
    hostile = {
        "frames": {"frames": (b"x",) * 3}, "pixels": {"frames": (good.frames[0][:60],) * 3},
        "short": {"frames": good.frames[:2]}, "none": {"frames": ()},
        "invalid": {"steps": invalid}, "nowhere": {"steps": nowhere},
    }  # fmt: skip
    for name, changes in hostile.items():
        (tmp_path / f"{name}.traj").write_bytes(encode(msgspec.structs.replace(good, **changes)))
    (tmp_path / "deep.traj").write_bytes(b"\x91" * 100_000)
    (tmp_path / "folder.traj").mkdir()
    os.mkfifo(tmp_path / "pipe.traj")
    (tmp_path / "good.traj").write_bytes(encode(good))
    (found,) = load_demonstrations(tmp_path, load_policy(PolicyConfig(model="tiny-untrained")), view=VIEW)
    assert found.id == "good" and len(found.steps) == 2
    for name in (*hostile, "deep", "folder", "pipe"):
        assert len([record for record in caplog.records if f"/{name}.traj" in record.message]) == 1, name


def test_a_warm_start_keeps_every_recorded_demonstration_and_writes_nowhere_else(tmp_path):
    ids = ["same", "same", "../../../elsewhere", str(tmp_path / "elsewhere"), "a\0b"]
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    for number, name in enumerate(ids):
        (recorded / f"{number}.traj").write_bytes(encode(episode([0, 1, 2], name=name)))
    config = load_config(None, ["--policy.model", "tiny-untrained", "--warmup.trajectories", str(recorded),
                                "--warmup.epochs", "1"])  # fmt: skip
    target = tmp_path / "a" / "warm"
    make_warm_start(config, target, LiveView(make_console(stderr=True)))
    kept = [item.id for item in load_trajectories(target / "demonstrations")]
    assert kept == ids
    assert {path.name for path in tmp_path.rglob("*.traj")} == {
        *(f"{number}.traj" for number in range(5)), *(f"{number:08d}.traj" for number in range(5))
    }  # fmt: skip


def test_demonstrations_of_test_goals_are_refused():
    with pytest.raises(WarmupError, match="train goals only"):
        record_demonstrations(1, EnvSpec(split="test"), Recorder(), view=VIEW, seed=0)


def test_demonstrations_are_successes_of_distinct_train_goals():
    spec = EnvSpec(suite="starter", split="train")
    count = 14
    found = record_demonstrations(count, spec, Recorder(), view=VIEW, seed=3)
    again = record_demonstrations(count, spec, Recorder(), view=VIEW, seed=3)
    assert len(found) == count and len({item.task_id for item in found}) == count
    assert [item.task_id for item in found] == [item.task_id for item in again]
    assert {item.template for item in found} == set(PhoneVecEnv([spec]).templates)
    for item in found:
        assert item.success and item.reward_valid and item.split == "train" and item.terminated
        assert len(item.frames) == len(item.steps) + 1
        assert [step.reward_task for step in item.steps] == [0.0] * (len(item.steps) - 1) + [1.0]
        assert all(step.token_ids == (7,) and step.logprobs == (0.0,) for step in item.steps)
        assert observations(item, VIEW)[0].frames[0].shape == (448, 224, 3)
        assert len(observations(item, VIEW)[-1].history) == min(2, len(item.steps))
        assert all(decode_action(step) not in (TOKENS[5],) for step in item.steps)


def test_a_vocabulary_that_cannot_express_the_oracle_is_reported():
    with pytest.raises(WarmupError, match="has no words"):
        record_demonstrations(1, EnvSpec(suite="starter"), Mute(), view=VIEW, seed=0)


def test_nothing_that_runs_during_rl_can_ask_the_oracle():
    package = Path(distrl_trainer.__file__).parent
    during_rl = ["algorithm", "books", "collector", "fleet", "process_fleet", "make_fleet", "learner", "value_fit"]
    for name in [*during_rl, "replay", "losses", "retrace", "vec_env", "curriculum"]:
        tree = ast.parse((package / f"{name}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"distrl_trainer.warmup", "android_env_gym.tasks.pilot"}, name
