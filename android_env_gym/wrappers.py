"""Wrappers around `AndroidTaskEnv`: text actions, numbered actions, stock Stable-Baselines3, recording.

Each states its observation and action spaces; none changes rewards or ends of episodes. What Gymnasium has already
(`FrameStackObservation`, `RecordVideo`, ...) is not here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from android_env_gym.actions import (
    MAX_TEXT,
    Action,
    ActionError,
    Finish,
    InvalidAction,
    LongPress,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
    make_text_space,
)
from android_env_gym.codecs import CompactCodec, get_codec
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


class SB3Compatible(gym.Wrapper[Observation, Any, Observation, Any], gym.utils.RecordConstructorArgs):
    """Makes the environment usable by stock Stable-Baselines3 (`MultiInputPolicy`).

    Observation: `Dict(screenshot: uint8 (H, W, 3), instruction: float32 (256,))`; the instruction is the set of its
    words and letter trigrams, hashed to 0/1 features (`Text` spaces crash SB3).
    Action: `MultiDiscrete([10, 16, 32, 4, 16])` = kind (`SB3_KINDS`), column and row of the screen cell that is
    touched, direction of a swipe that starts there (up, down, left, right; half a screen long), index of the word
    or quoted phrase of the instruction that is typed. A kind reads only its own entries. Around `DiscreteActions` it
    keeps their numbers.
    """

    def __init__(self, env: gym.Env[Observation, Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        inner = env.observation_space
        if not isinstance(inner, spaces.Dict) or "screenshot" not in inner.spaces:
            raise ValueError(f"SB3Compatible wraps AndroidTask-v0, got the observation space {type(inner).__name__}")
        features = spaces.Box(0.0, 1.0, (TEXT_FEATURES,), np.float32)
        self.observation_space = spaces.Dict({"screenshot": inner["screenshot"], "instruction": features})
        self._numbered = isinstance(env.action_space, spaces.Discrete)
        if not self._numbered:
            self.action_space = spaces.MultiDiscrete([len(SB3_KINDS), COLUMNS, ROWS, len(DIRECTIONS), WORDS])
        self._words: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see `AndroidTaskEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._words = words_of(observation["instruction"])
        return _with_features(observation), info

    def step(self, action: NDArray[np.int64]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform the action that the numbers stand for."""
        inner = action if self._numbered else self.typed(action)
        observation, reward, terminated, truncated, info = self.env.step(inner)
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
            case "type":
                return _typed_word(word, self._words)
            case fixed:
                return _FIXED[fixed]


class TextActions(gym.ActionWrapper[Observation, str, Any], gym.utils.RecordConstructorArgs):
    """Takes actions as the text that a language model writes: `env.step("tap 0.5 0.5")`.

    Text that stands for no action is an `InvalidAction`: it performs nothing, uses a step, and its reason is in
    `info["invalid_action"]`.

    Args:
        env: `AndroidTask-v0`.
        codec: Name of the format, see `codecs.get_codec`.

    Raises:
        UnknownNameError: There is no such codec.
    """

    def __init__(self, env: gym.Env[Observation, Any], codec: str = "compact") -> None:
        gym.utils.RecordConstructorArgs.__init__(self, codec=codec)
        super().__init__(env)
        self.codec = get_codec(codec)
        self.action_space = make_text_space(MAX_TEXT)

    def action(self, action: str) -> Action | InvalidAction:
        """Return the typed action that `action` stands for."""
        return self.codec.decode(action)


class DiscreteActions(gym.Wrapper[Observation, Any, Observation, Any], gym.utils.RecordConstructorArgs):
    """Numbers a small set of actions, for algorithms that need a `Discrete` space, such as DQN.

    In this order: a tap on each cell of a `columns` x `rows` grid (row by row), swipes (up, down, left, right: from the
    middle), typing each of the first `words` words of the instruction, then back, home, enter, wait, finish,
    infeasible. `meanings` says what each number is. A word that the instruction lacks is an `InvalidAction`.

    Args:
        env: `AndroidTask-v0`; `SB3Compatible` goes around this wrapper.
        columns: Of the grid.
        rows: Of the grid.
        words: Of the instruction, quoted phrases counted as one.
    """

    def __init__(
        self, env: gym.Env[Observation, Any], columns: int = COLUMNS // 2, rows: int = ROWS // 2, words: int = WORDS
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, columns=columns, rows=rows, words=words)
        super().__init__(env)
        if min(columns, rows) < 1 or words < 0:
            raise ValueError(f"got columns={columns}, rows={rows}, words={words}; allowed are >= 1, >= 1 and >= 0")
        cells = [((column + 0.5) / columns, (row + 0.5) / rows) for row in range(rows) for column in range(columns)]
        self._fixed: tuple[Action | None, ...] = (
            *(Tap(x, y) for x, y in cells),
            *DIRECTIONS.values(),
            *((None,) * words),
            *_FIXED.values(),
        )
        self._first_word = len(cells) + len(DIRECTIONS)
        self._words: list[str] = []
        self.action_space = spaces.Discrete(len(self._fixed))

    @property
    def meanings(self) -> tuple[str, ...]:
        """What each number stands for."""
        return tuple(
            f"type word {number - self._first_word}" if action is None else CompactCodec().encode(action)
            for number, action in enumerate(self._fixed)
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see `AndroidTaskEnv.reset`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._words = words_of(observation["instruction"])
        return observation, info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform the action that the number stands for."""
        observation, reward, terminated, truncated, info = self.env.step(self.typed(action))
        return observation, float(reward), terminated, truncated, info

    def typed(self, action: Any) -> Action | InvalidAction:
        """Return the typed action that number `action` stands for in the running episode."""
        if not self.action_space.contains(action):
            raise ActionError(f"got action {action!r}, allowed are 0 to {len(self._fixed) - 1}")
        return self._fixed[int(action)] or _typed_word(int(action) - self._first_word, self._words)


class RecordEpisode(gym.Wrapper[Observation, Any, Observation, Any], gym.utils.RecordConstructorArgs):
    """Writes every episode that ends to a file in `folder`, for `recording.replay`.

    Takes whatever actions the environment takes that it is put around. `info["recording"]` names the file once it is
    written, and is "" before.
    """

    def __init__(self, env: gym.Env[Observation, Any], folder: Path | str) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, folder=str(folder))
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, AndroidTaskEnv) or inner.device.info().kind != "sim":
            raise ValueError("RecordEpisode records the embedded phone: it wraps AndroidTask-v0 with device='sim'")
        self._inner = inner
        self._folder = Path(folder)
        self._written = sum(1 for _ in self._folder.glob("*.rec"))
        self._rewards: list[float] = []
        self._hashes: list[str] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; one that has not ended is forgotten."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._rewards = []
        self._hashes = [frame_hash(self._inner.frame)]
        return observation, {**info, "recording": ""}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform `action`; see `AndroidTaskEnv.step`."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._rewards.append(float(reward))
        self._hashes.append(frame_hash(self._inner.frame))
        path = str(self._write(info)) if terminated or truncated else ""
        return observation, float(reward), terminated, truncated, {**info, "recording": path}

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
            actions=self._inner.actions,
            rewards=tuple(self._rewards),
            frame_hashes=tuple(self._hashes),
            success=bool(info["is_success"]),
            failure=info["failure"]["kind"],
        )
        write_recording(recording, path)
        self._written += 1
        return path


def words_of(instruction: str) -> list[str]:
    """Return the words of `instruction` without punctuation, what stands in quotation marks as one."""
    return [word.strip("\"'.,;:!?") for word in _WORD.findall(instruction)]


def _typed_word(number: int, words: Sequence[str]) -> TypeText | InvalidAction:
    if number < len(words):
        return TypeText(words[number])
    return InvalidAction(f"word {number} of the instruction, which has {len(words)}")


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
