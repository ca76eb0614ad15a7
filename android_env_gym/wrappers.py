"""Wrappers around `AndroidTaskEnv`: for stock Stable-Baselines3, frame history, and recording.

Each states its observation and action spaces; none changes rewards or ends of episodes.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from android_env_gym.actions import (
    Action,
    Finish,
    InvalidAction,
    LongPress,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
    from_sample,
)
from android_env_gym.codecs.compact import DIRECTIONS
from android_env_gym.env import AndroidTaskEnv, Observation
from android_env_gym.recording import Recording, frame_hash, write_recording

TEXT_FEATURES = 256
COLUMNS, ROWS, WORDS = 16, 32, 16
SB3_KINDS = ("tap", "long_press", "swipe", "type", "back", "home", "enter", "wait", "finish", "infeasible")
_FIXED: dict[str, Action] = {
    "back": PressKey("back"),
    "home": PressKey("home"),
    "enter": PressKey("enter"),
    "wait": Wait(),
    "finish": Finish(),
    "infeasible": Finish("infeasible"),
}
_WORD = re.compile(r"\"[^\"]+\"|'[^']+'|[^\s\"']+")


class SB3Compatible(gym.Wrapper[Observation, Any, Observation, Any]):
    """Makes the environment usable by stock Stable-Baselines3 (`MultiInputPolicy`).

    Observation: `Dict(screenshot: uint8 (H, W, 3), instruction: float32 (256,))`; the instruction is the set of its
    words and letter trigrams, hashed to 0/1 features (`Text` spaces crash SB3).
    Action: `MultiDiscrete([10, 16, 32, 4, 16])` = kind (`SB3_KINDS`), column and row of the screen cell that is
    touched, direction of a swipe that starts there (up, down, left, right; half a screen long), index of the word
    or quoted phrase of the instruction that is typed. A kind reads only its own entries.
    """

    def __init__(self, env: gym.Env[Observation, Any]) -> None:
        super().__init__(env)
        inner = env.observation_space
        if not isinstance(inner, spaces.Dict) or "screenshot" not in inner.spaces:
            raise ValueError(f"SB3Compatible wraps AndroidTask-v0, got the observation space {type(inner).__name__}")
        features = spaces.Box(0.0, 1.0, (TEXT_FEATURES,), np.float32)
        self.observation_space = spaces.Dict({"screenshot": inner["screenshot"], "instruction": features})
        self.action_space = spaces.MultiDiscrete([len(SB3_KINDS), COLUMNS, ROWS, len(DIRECTIONS), WORDS])
        self._words: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see `AndroidTaskEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._words = [word.strip("\"'.,;:!?") for word in _WORD.findall(observation["instruction"])]
        return _with_features(observation), info

    def step(self, action: NDArray[np.int64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform the action that the five numbers stand for."""
        observation, reward, terminated, truncated, info = self.env.step(self.typed(action))
        return _with_features(observation), float(reward), terminated, truncated, info

    def typed(self, action: NDArray[np.int64]) -> Action | InvalidAction:
        """Return the typed action that `action` stands for in the running episode."""
        kind, column, row, direction, word = (int(number) for number in action)
        x, y = (column + 0.5) / COLUMNS, (row + 0.5) / ROWS
        match SB3_KINDS[kind]:
            case "tap":
                return Tap(x, y)
            case "long_press":
                return LongPress(x, y)
            case "swipe":
                return _swipe_from(x, y, list(DIRECTIONS.values())[direction])
            case "type" if word < len(self._words):
                return TypeText(self._words[word])
            case "type":
                return InvalidAction(f"word {word} of the instruction, which has {len(self._words)}")
            case fixed:
                return _FIXED[fixed]


class FrameHistory(gym.Wrapper[Observation, Any, Observation, Any]):
    """Replaces `screenshot` by the last `frames` screenshots, `(frames, H, W, 3)`, newest last.

    After a reset the first screenshot fills all places.
    """

    def __init__(self, env: gym.Env[Observation, Any], frames: int = 2) -> None:
        super().__init__(env)
        if frames < 1:
            raise ValueError(f"frames: got {frames}, allowed is 1 or more")
        inner = env.observation_space
        assert isinstance(inner, spaces.Dict) and inner["screenshot"].shape is not None
        shape = (frames, *inner["screenshot"].shape)
        self.observation_space = spaces.Dict({**inner.spaces, "screenshot": spaces.Box(0, 255, shape, np.uint8)})
        self._frames: deque[NDArray[np.uint8]] = deque(maxlen=frames)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see `AndroidTaskEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([observation["screenshot"]] * (self._frames.maxlen or 1))
        return {**observation, "screenshot": np.stack(self._frames)}, info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform `action`; see `AndroidTaskEnv.step`."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(observation["screenshot"])
        return {**observation, "screenshot": np.stack(self._frames)}, float(reward), terminated, truncated, info


class RecordEpisode(gym.Wrapper[Observation, Any, Observation, Any]):
    """Writes every episode that ends to a file in `folder`, for `recording.replay`; `info["recording"]` names it.

    Takes typed actions, `InvalidAction` and members of the action space, as the environment does.
    """

    def __init__(self, env: gym.Env[Observation, Any], folder: Path | str) -> None:
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, AndroidTaskEnv) or inner.device.info().kind != "sim":
            raise ValueError("RecordEpisode records the embedded phone: it wraps AndroidTask-v0 with device='sim'")
        self._inner = inner
        self._folder = Path(folder)
        self._written = sum(1 for _ in self._folder.glob("*.rec"))
        self._actions: list[Action | InvalidAction] = []
        self._rewards: list[float] = []
        self._hashes: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; one that has not ended is forgotten."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._actions, self._rewards = [], []
        self._hashes = [frame_hash(self._inner.frame)]
        return observation, info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform `action`; see `AndroidTaskEnv.step`."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._actions.append(from_sample(action) if isinstance(action, Mapping) else action)
        self._rewards.append(float(reward))
        self._hashes.append(frame_hash(self._inner.frame))
        if terminated or truncated:
            info = {**info, "recording": str(self._write(info))}
        return observation, float(reward), terminated, truncated, info

    def _write(self, info: dict[str, Any]) -> Path:
        task = self._inner.task
        path = self._folder / f"{self._written:05d}-{task.template}-{task.instance}.rec"
        recording = Recording(
            template=task.template,
            split=task.split,
            instance=task.instance,
            seed=task.seed,
            instruction=task.instruction,
            device_config=self._inner.device_config,
            actions=tuple(self._actions),
            rewards=tuple(self._rewards),
            frame_hashes=tuple(self._hashes),
            success=bool(info["is_success"]),
            failure=info["failure"]["kind"],
        )
        write_recording(recording, path)
        self._written += 1
        return path


def text_features(text: str) -> NDArray[np.float32]:
    """Return `(TEXT_FEATURES,)` 0/1 features of `text`: its words and letter trigrams, hashed the same everywhere."""
    features = np.zeros(TEXT_FEATURES, np.float32)
    for word in text.lower().split():
        padded = f"<{word}>"
        for piece in (padded, *(padded[at : at + 3] for at in range(len(padded) - 2))):
            features[zlib.crc32(piece.encode()) % TEXT_FEATURES] = 1.0
    return features


def _with_features(observation: Observation) -> Observation:
    return {"screenshot": observation["screenshot"], "instruction": text_features(observation["instruction"])}


def _swipe_from(x: float, y: float, shape: Swipe) -> Swipe:
    to_x, to_y = x + shape.x2 - shape.x1, y + shape.y2 - shape.y1
    return Swipe(x, y, min(max(to_x, 0.0), 1.0), min(max(to_y, 0.0), 1.0))
