"""Wrappers: ours for text, numbers and stock Stable-Baselines3; Gymnasium's and Minari's on the environment."""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gym_fakes import STRAY, WIN, FakePhone, make_env
from gymnasium.wrappers import FrameStackObservation, NumpyToTorch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_checker import check_env

import android_env_gym  # noqa: F401 (registers the environment)
from android_env_gym.actions import (
    ActionError,
    Finish,
    InvalidAction,
    LongPress,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    to_sample,
)
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.recording import replay
from android_env_gym.wrappers import (
    SB3_KINDS,
    DiscreteActions,
    RecordEpisode,
    SB3Compatible,
    TextActions,
    text_features,
)


def test_sb3s_checker_passes_and_stock_ppo_trains():
    env = SB3Compatible(gym.make("AndroidTask-v0", suite="general", screen=(112, 56), max_steps=5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    model = PPO("MultiInputPolicy", env, n_steps=16, batch_size=8, n_epochs=1, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(32)
    assert model.num_timesteps == 32
    assert any(not (old == new).all() for old, new in zip(before, model.policy.parameters(), strict=True))
    action, _ = model.predict(env.reset(seed=1)[0], deterministic=True)
    assert env.action_space.contains(action)


def number(kind, column=0, row=0, direction=0, word=0):
    return np.array([SB3_KINDS.index(kind), column, row, direction, word])


def test_numbers_become_typed_actions():
    env = SB3Compatible(make_env(screen=(112, 56)))
    env.reset(options={"instance": 7})
    assert env.typed(number("tap", 1, 31)) == Tap(1.5 / 16, 31.5 / 32)
    assert env.typed(number("long_press")) == LongPress(0.5 / 16, 0.5 / 32)
    assert env.typed(number("swipe", 8, 24, 0)) == Swipe(8.5 / 16, 24.5 / 32, 8.5 / 16, 24.5 / 32 - 0.5)
    assert env.typed(number("swipe", 0, 0, 2)) == Swipe(0.5 / 16, 0.5 / 32, 0.0, 0.5 / 32)
    assert env.typed(number("type", word=2)) == TypeText("off")
    assert env.typed(number("type", word=15)) == InvalidAction("word 15 of the instruction, which has 5")
    assert env.typed(number("back")) == PressKey("back")
    assert env.typed(number("infeasible")) == Finish("infeasible")
    observation, reward, terminated, truncated, _ = env.step(number("finish"))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert observation in env.observation_space


def test_instruction_features_tell_instructions_apart():
    one, other = text_features("Turn Wi-Fi on"), text_features("Turn Wi-Fi off")
    assert one.dtype == np.float32 and set(np.unique(one)) == {0.0, 1.0}
    assert (one != other).any() and (text_features("turn WI-FI on") == one).all()


def test_actions_as_text():
    env = TextActions(make_env())
    env.reset(seed=0)
    assert env.step("tap 0.9 0.5")[1:3] == (0.0, False)
    info = env.step("dance")[4]
    assert "dance" in info["invalid_action"] and env.unwrapped.actions[-1] == InvalidAction(info["invalid_action"])
    assert env.step("tap 0.1 0.5")[1:3] == (1.0, True)
    assert "tap 0.1 0.5" in env.action_space and env.action_space.sample() in env.action_space
    with pytest.raises(UnknownNameError, match="codec"):
        TextActions(make_env(), codec="compactt")


def test_actions_as_numbers():
    env = DiscreteActions(make_env(), columns=2, rows=3, words=6)
    env.reset(seed=0)  # Turn Wi-Fi off, N now
    assert env.action_space.n == len(env.meanings) == 2 * 3 + 4 + 6 + 6
    assert env.typed(0) == Tap(0.25, 0.5 / 3) and env.typed(5) == Tap(0.75, 2.5 / 3)
    by_meaning = {meaning: env.typed(number) for number, meaning in enumerate(env.meanings)}
    assert by_meaning["type word 2"] == TypeText("off")
    assert by_meaning["type word 5"] == InvalidAction("word 5 of the instruction, which has 5")
    assert by_meaning["key back"] == PressKey("back") and by_meaning["infeasible"] == Finish("infeasible")
    assert by_meaning["swipe up"] == Swipe(0.5, 0.75, 0.5, 0.25)
    assert env.step(np.int64(env.meanings.index("finish")))[1:3] == (0.0, True)
    for wrong in (22, -1, 1.5, "tap"):
        with pytest.raises(ActionError, match="allowed are 0 to 21"):
            env.typed(wrong)
    with pytest.raises(ValueError, match="got columns=0"):
        DiscreteActions(make_env(), columns=0)


def test_stock_dqn_trains_on_numbered_actions():
    env = SB3Compatible(DiscreteActions(gym.make("AndroidTask-v0", screen=(112, 56), max_steps=4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env)
    model = DQN("MultiInputPolicy", env, buffer_size=64, learning_starts=4, batch_size=4, seed=0, device="cpu")
    assert model.learn(12).num_timesteps == 12


def test_gymnasiums_wrappers_do_what_they_say():
    env = FrameStackObservation(make_env(screen=(60, 27)), 3, padding_type="reset")
    first, _ = env.reset(seed=0)
    assert first in env.observation_space and (first["screenshot"] == 170).all()
    env.step(STRAY)
    second = env.step(WIN)[0]
    assert [int(frame[0, 0, 0]) for frame in second["screenshot"]] == [170, 150, 100]
    assert len(set(second["instruction"])) == 1
    observation, info = NumpyToTorch(make_env()).reset(seed=0)
    assert isinstance(observation["screenshot"], torch.Tensor) and observation["instruction"].startswith("Turn Wi-Fi")
    assert info["instruction"] == observation["instruction"] and info["split"] == "train"


def test_recording_constructor_arguments_lets_gymnasium_make_the_same_again():
    made = gym.make("AndroidTask-v0", suite="general", max_steps=4, device_config={"wallpaper": 2, "font_scale": 1.3})
    env = SB3Compatible(DiscreteActions(made, words=3))
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.device_config == DeviceConfig(wallpaper=2, font_scale=1.3)
    assert again.action_space == env.action_space and again.observation_space == env.observation_space
    assert (again.reset(seed=3)[0]["screenshot"] == env.reset(seed=3)[0]["screenshot"]).all()
    texts = gym.make(TextActions(gym.make("AndroidTask-v0"), codec="autoui").spec)
    assert texts.get_wrapper_attr("codec").name == "autoui"


def test_recording_over_other_actions_loses_nothing(tmp_path):
    made = RecordEpisode(SB3Compatible(gym.make("AndroidTask-v0", max_steps=5)), tmp_path)
    made.action_space.seed(2)
    made.reset(seed=0)
    ended = False
    while not ended:
        _, _, ended, _, info = made.step(made.action_space.sample())
    found = replay(info["recording"])
    assert len(found.actions) == len(found.frame_hashes) - 1 == 5 and found.actions == made.unwrapped.actions


def test_videos_have_every_frame(tmp_path, monkeypatch):
    clips = []

    class Clip:
        def __init__(self, frames, fps):
            clips.append(frames)

        def write_videofile(self, path, logger):
            Path(path).touch()

    clip = SimpleNamespace(ImageSequenceClip=Clip)  # the encoder: MoviePy is no dependency
    for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
        monkeypatch.setitem(sys.modules, name, clip)
    env = gym.wrappers.RecordVideo(make_env(render_mode="rgb_array"), str(tmp_path), lambda _: True)
    env.reset(seed=0)
    env.step(STRAY)
    env.step(WIN)
    env.close()
    (frames,) = clips
    assert [int(frame[0, 0, 0]) for frame in frames] == [170, 150, 100] and frames[0].shape == (1200, 540, 3)


@pytest.fixture
def minari(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    for needed in ("h5py", "jax"):
        pytest.importorskip(needed, reason="the extra [minari] is not installed; its JAX takes 400 MB")
    return pytest.importorskip("minari")


def test_minari_collects_and_recovers(minari):
    made = gym.make("AndroidTask-v0", suite="general", screen=(56, 28), max_steps=3, device_config={"wallpaper": 1})
    env = minari.DataCollector(made, record_infos=True)
    env.action_space.seed(0)
    instructions = []
    for episode in range(3):
        observation, _ = env.reset(seed=episode)
        instructions.append(observation["instruction"])
        ended = False
        while not ended:
            _, _, ended, _, _ = env.step(env.action_space.sample())
    env.create_dataset("phone/test-v0")
    dataset = minari.load_dataset("phone/test-v0")
    episodes = list(dataset.iterate_episodes())
    assert len(episodes) == 3 and [item.observations["instruction"][0] for item in episodes] == instructions
    assert episodes[0].observations["screenshot"].shape == (len(episodes[0]) + 1, 56, 28, 3)
    recovered = dataset.recover_environment()
    assert recovered.unwrapped.device_config == DeviceConfig(wallpaper=1)
    again, info = recovered.reset(seed=1)
    assert again["instruction"] == info["instruction"] == instructions[1]


def test_minari_stores_what_is_rare_in_info(minari):
    phone = FakePhone()
    env = minari.DataCollector(make_env(phone, max_steps=4), record_infos=True)
    env.reset(seed=0)
    env.step(to_sample(STRAY))
    assert env.step(to_sample(WIN))[4]["side_effects"] == "system.settings.nfc"
    env.reset(seed=1)
    env.step(to_sample(STRAY))
    phone.faults["perform"] = [DeviceFailure("lost", "the cable came off")]
    assert env.step(to_sample(WIN))[3]
    env.create_dataset("phone/rare-v0")
    won, lost = minari.load_dataset("phone/rare-v0").iterate_episodes()
    assert won.infos["side_effects"].tolist() == [b"", b"", b"system.settings.nfc"]
    assert won.infos["verdict"]["judged"].tolist() == [False, True, True]
    assert lost.infos["failure"]["kind"].tolist() == [b"", b"", b"lost"]
    assert lost.infos["reward_valid"].tolist() == [True, True, False]


def test_wrong_wrapping_is_refused():
    with pytest.raises(ValueError, match="SB3Compatible wraps AndroidTask-v0, got the observation space Box"):
        SB3Compatible(gym.make("CartPole-v1"))
