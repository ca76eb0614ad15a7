"""A phone of four colours and a policy that can learn it: small enough to train in a test.

The screen has one colour; the right answer is to press the key of that colour. Two right answers are a success.
Spawned processes import this module by name.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np
import torch
from gymnasium import spaces
from safetensors.torch import load_file, save_file

from android_env_gym.actions import (
    MAX_INSTRUCTION,
    Action,
    ActionError,
    Finish,
    InvalidAction,
    PressKey,
    make_action_space,
    make_text_space,
)
from android_env_gym.vector import AsyncEnvPool, EnvSpec
from distrl_trainer.collector_process import CollectorSetup
from distrl_trainer.config import (
    AlgorithmConfig,
    EnvConfig,
    FleetConfig,
    ReplayConfig,
    RunConfig,
    RunSettings,
    WarmupConfig,
)
from distrl_trainer.observations import encode_action, encode_frame
from distrl_trainer.policy.base import Decision, Evaluation, Observation
from distrl_trainer.policy.sampling import check_streams, pick
from distrl_trainer.prompts import action_text
from distrl_trainer.trajectory import Step, Trajectory
from distrl_trainer.vec_env import PhoneVecEnv

SCREEN = (8, 6)
ENV_ID = "runtime_fakes:TrainerPhone-v0"
TEMPLATES = ("fake.even", "fake.odd")
TOKENS: tuple[Action | InvalidAction, ...] = (
    PressKey("back"),
    PressKey("home"),
    PressKey("recents"),
    PressKey("enter"),
    Finish(),
    InvalidAction("a token that is no action"),
)


def colour_frame(colour: int) -> np.ndarray:
    return np.full((*SCREEN, 3), 60 * colour, np.uint8)


class FakePhone(gym.Env):
    """`device` chooses a fault: "sim" none, "fail-odd" breaks in the first step of every odd
    instance, "fail-fifth" of every fifth, "dead" of every one, "fail-half" at the end of every second episode of
    a phone, "exit" ends the process in the middle of an episode, "truncate" runs out of time, "hang" makes the file
    named by FAKE_PHONE_HANGS_AT and never answers.
    """

    def __init__(self, device="sim", split="train", max_steps=6, render_mode=None, **_: Any):
        self.render_mode = render_mode
        self._device, self._split, self._max_steps = device, split, max_steps or 6
        self._episodes = 0
        self.observation_space = spaces.Dict(
            {"screenshot": spaces.Box(0, 255, (*SCREEN, 3), np.uint8), "instruction": make_text_space(MAX_INSTRUCTION)}
        )
        self.action_space = make_action_space()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        options = options or {}
        self._template = options.get("task") or TEMPLATES[0]
        self._instance = options.get("instance") or 0
        self._rng = np.random.default_rng(self._instance)
        self._right, self._steps = 0, 0
        self._episodes += 1
        self._colour = int(self._rng.integers(4))
        return self._observe(), self._info()

    def step(self, action):
        self._steps += 1
        odd, fifth = self._instance % 2 == 1, self._instance % 5 == 0
        if self._device == "dead" or (self._device == "fail-odd" and odd) or (self._device == "fail-fifth" and fifth):
            return self._fail()
        if self._device == "exit" and self._instance % 3 == 0:
            os._exit(3)
        invalid = action.reason if isinstance(action, InvalidAction) else ""
        if action == TOKENS[self._colour]:
            self._right += 1
            self._colour = int(self._rng.integers(4))
        success = self._right >= 2
        finished = isinstance(action, Finish)
        ended = success or finished or self._steps >= self._max_steps
        info = self._info() | {"is_success": success, "invalid_action": invalid, "false_completion": finished}
        if self._device == "hang":
            Path(os.environ["FAKE_PHONE_HANGS_AT"]).touch()
            threading.Event().wait()
        if self._device == "fail-half" and ended and self._episodes % 2 == 0:
            return self._fail()
        if self._device == "truncate" and not ended:
            return self._observe(), 0.0, False, True, info
        return self._observe(), float(success), ended, False, info

    def _fail(self):
        failure = {"kind": "device", "message": "the fake broke"}
        return self._observe(), 0.0, False, True, self._info() | {"failure": failure, "reward_valid": False}

    def _observe(self):
        return {"screenshot": colour_frame(self._colour), "instruction": f"press the colour, {self._template}"}

    def _info(self):
        return {
            "task_id": f"{self._template}/{self._split}/{self._instance}",
            "template": self._template,
            "instance": self._instance,
            "split": self._split,
            "is_success": False,
            "verdict": {"reason": ""},
            "reward_valid": True,
            "failure": {"kind": "", "message": ""},
            "invalid_action": "",
            "false_completion": False,
        }


gym.register(id="TrainerPhone-v0", entry_point=FakePhone)


def fake_spec(device: str = "sim", split: str = "train") -> EnvSpec:
    return EnvSpec(device=device, suite="fake", split=split, max_steps=6, screen=SCREEN, id=ENV_ID)


def fake_pool(count: int = 4, device: str = "sim", workers: int = 0) -> AsyncEnvPool:
    return AsyncEnvPool([fake_spec(device)] * count, workers=workers, step_timeout=20.0)


class FakePhones(PhoneVecEnv):
    def __init__(self, count: int = 4, device: str = "sim", split: str = "train"):
        super().__init__([fake_spec(device, split)] * count)

    @property
    def templates(self):
        return TEMPLATES


def make_streams(count: int, seed: int = 0) -> list[np.random.Generator]:
    """Return one stream of random numbers per observation of a batch."""
    return [np.random.default_rng([seed, row]) for row in range(count)]


class _Net(torch.nn.Module):
    def __init__(self, seed: int):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.trunk = torch.nn.Linear(4, 16)
            self.out = torch.nn.Linear(16, len(TOKENS))
            self.value_head = torch.nn.Linear(16, 1)
        torch.nn.init.zeros_(self.value_head.weight)
        torch.nn.init.zeros_(self.value_head.bias)


class FakePolicy:
    """One token per decision."""

    def __init__(self, seed: int = 0):
        self.version = 0
        self.module = _Net(seed)
        self.shown: list[Observation] = []

    def _hidden(self, observations):
        colours = [int(observation.frames[-1][0, 0, 0]) // 60 for observation in observations]
        return torch.tanh(self.module.trunk(torch.nn.functional.one_hot(torch.tensor(colours), 4).float()))

    @torch.no_grad()
    def act(self, observations: Sequence[Observation], *, greedy=False, streams=None) -> list[Decision]:
        self.shown.extend(observations)
        hidden = self._hidden(observations)
        scores = self.module.out(hidden).log_softmax(-1)
        tokens = pick(scores, check_streams(streams, len(observations), greedy))
        values = self.module.value_head(hidden.detach())[:, 0].tolist()
        return [
            Decision((token,), (float(scores[row, token]),), value, action_text(TOKENS[token]), TOKENS[token])
            for row, (token, value) in enumerate(zip(tokens.tolist(), values, strict=True))
        ]

    def check_tokens(self, token_ids: Sequence[int]) -> str:
        known = all(0 <= token < len(TOKENS) for token in token_ids)
        return "" if known and len(token_ids) == 1 else f"got the tokens {list(token_ids)}; allowed is one below 6"

    def evaluate(self, observations, token_ids) -> Evaluation:
        hidden = self._hidden(observations)
        scores = self.module.out(hidden).log_softmax(-1)
        tokens = torch.tensor([list(ids) for ids in token_ids])
        return Evaluation(
            logprobs=scores.gather(1, tokens),
            entropy=-(scores.exp() * scores).sum(-1, keepdim=True),
            mask=torch.ones_like(tokens, dtype=torch.bool),
            values=self.module.value_head(hidden.detach())[:, 0],
        )

    def values(self, observations):
        return self.module.value_head(self._hidden(observations).detach())[:, 0]

    def encode_action(self, action, observation):
        if action not in TOKENS:
            raise ActionError(f"got {action}, allowed: {TOKENS}")
        return (TOKENS.index(action),)

    def state_dict(self):
        return {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    def load_state_dict(self, tensors):
        self.module.load_state_dict(tensors)

    def parameter_groups(self, lr, value_lr):
        head = list(self.module.value_head.parameters())
        trunk = [*self.module.trunk.parameters(), *self.module.out.parameters()]
        return [{"params": trunk, "lr": lr}, {"params": head, "lr": value_lr}]

    def save(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "model.safetensors")


def load_fake(config, *, seed: int = 0) -> FakePolicy:
    policy = FakePolicy(seed)
    path = Path(config.model) / "model.safetensors"
    if path.exists():
        policy.load_state_dict(load_file(path))
    return policy


def build_fake(setup: CollectorSetup):
    return AsyncEnvPool(setup.envs, workers=setup.workers), FakePolicy()


def build_broken(setup: CollectorSetup):
    raise RuntimeError("this collector cannot start")


def fake_config(**sections: Any) -> RunConfig:
    """Small and fast settings; `sections` replace fields, e.g. `algorithm={"lr": 0.1}`."""
    config = RunConfig(
        env=EnvConfig(max_steps=6),
        algorithm=AlgorithmConfig(batch_steps=32, minibatch=32, lr=3e-2, value_lr=3e-2, cloning_coef=0.0),
        replay=ReplayConfig(capacity_steps=600, min_steps=32),
        fleet=FleetConfig(kind="serial", collectors=1, envs_per_collector=4),
        warmup=WarmupConfig(value_steps=0, epochs=30, batch=16, lr=3e-2),
        run=RunSettings(seed=3),
    )
    for name, fields in sections.items():
        config = msgspec.structs.replace(config, **{name: msgspec.structs.replace(getattr(config, name), **fields)})
    return config


def episode(colours: Sequence[int], tokens: Sequence[int] | None = None, name: str = "t0", **fields: Any) -> Trajectory:
    """An episode over screens of `colours` (T + 1); the last step earns 1 unless `fields` say otherwise."""
    chosen = list(tokens) if tokens is not None else list(colours[:-1])
    last = len(chosen) - 1
    steps = tuple(
        Step((token,), (-1.0,), action_text(TOKENS[token]), encode_action(TOKENS[token]), 0, 0.0, float(t == last))
        for t, token in enumerate(chosen)
    )
    base = Trajectory(
        id=name, template=TEMPLATES[0], task_id=name, split="train", instance=0, instruction="press the colour",
        steps=steps, frames=tuple(encode_frame(colour_frame(colour)) for colour in colours),
        terminated=True, truncated=False, success=True,
    )  # fmt: skip
    return msgspec.structs.replace(base, **fields)


def assert_same(a: Any, b: Any, place: str = "") -> None:
    """Two trees of tensors and plain data are equal; `place` names the first difference."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            assert_same(a[key], b[key], f"{place}/{key}")
    elif isinstance(a, torch.Tensor | np.ndarray):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=place)
    else:
        assert a == b, place


SMALL = [
    "--policy.model", "tiny-untrained", "--fleet.kind", "serial", "--fleet.envs_per_collector", "4",
    "--warmup.demonstrations", "12", "--warmup.epochs", "1", "--warmup.value_steps", "16",
    "--replay.min_steps", "16", "--eval.episodes", "12", "--eval.validation_episodes", "12", "--env.max_steps", "6",
    "--run.total_env_steps", "96", "--run.save_every_env_steps", "32", "--run.eval_every_env_steps", "64",
    "--algorithm.batch_steps", "32", "--algorithm.minibatch", "16", "--algorithm.cloning_batch", "4",
]  # fmt: skip
"""Settings of a run of seconds that goes through every phase."""
