"""`TinyPolicy`: the built-in model as a `Policy`. What grounding taught it to read stays, unless told otherwise.

Invariant: the log-probabilities recorded while acting are those of the distribution that was sampled (no
temperature, no truncation), and `evaluate` returns the same numbers for the same weights.
Made by `load_policy`; called by collectors (`act`), the learner (`evaluate`) and evaluation.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from android_env_gym.actions import Action, ActionError
from distrl_trainer.policy import tiny_vocab as vocab
from distrl_trainer.policy.base import Decision, Evaluation, Observation
from distrl_trainer.policy.sampling import Streams, check_end, check_range, check_streams, pick
from distrl_trainer.policy.tiny_model import IMAGE_HEIGHT, IMAGE_WIDTH, KINDS, Inputs, TinyConfig, TinyModel
from distrl_trainer.policy.tiny_text import FEATURES_PER_WORD, parse
from distrl_trainer.prompts import action_text

_KIND_NAMES = (
    "tap", "long_press", "swipe", "type", "press", "open", "wait", "finish", "answer", "invalid", "other",
)  # fmt: skip
_REPEATED, _NOT_REPEATED = KINDS - 1, KINDS - 2
LOOKS_KEPT = 4096
"""Frames whose features are kept: 64 KiB each."""
_POINT = re.compile(r"(?:tap|long_press) ([01]\.\d+) ([01]\.\d+)")


def shrink(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an RGB frame area-resized to the model's `(448, 224, 3)`."""
    if frame.shape[:2] == (IMAGE_HEIGHT, IMAGE_WIDTH):
        return frame
    return cast("NDArray[np.uint8]", cv2.resize(frame, (IMAGE_WIDTH, IMAGE_HEIGHT), interpolation=cv2.INTER_AREA))


def context_ids(history: Sequence[str]) -> tuple[int, int, int, int, int]:
    """Return the last two actions' kinds (newest last), whether their texts are equal, and their cells + 1 (or 0)."""
    last = list(history[-2:])
    absent = [0] * (2 - len(last))
    kinds, cells = absent + [_kind(text) for text in last], absent + [_cell(text) for text in last]
    repeated = len(last) == 2 and last[0] == last[1]
    return kinds[0], kinds[1], _REPEATED if repeated else _NOT_REPEATED, cells[0], cells[1]


def _cell(text: str) -> int:
    point = _POINT.fullmatch(text)
    return 0 if point is None else 1 + vocab.cell_of(float(point[1]), float(point[2]))


def _kind(text: str) -> int:
    match = re.search(r"[a-z_]+", text.lower())
    word = match.group() if match else ""
    for i, name in enumerate(_KIND_NAMES):
        if word.startswith(name):
            return 1 + i
    return len(_KIND_NAMES)


class _Looks:
    """Cell features of the frames seen last, by their pixels, as float16: most frames are seen again and again.

    Each frame is computed alone, so its features do not depend on what was asked before.
    """

    def __init__(self, stem: torch.nn.Module, device: torch.device) -> None:
        self._stem = stem
        self._device = device
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return the features `(B, C, 32, 16)` of `frames`, each `(448, 224, 3 * frames)`."""
        return torch.stack([self._look(frame) for frame in frames]).float()

    @torch.no_grad()
    def _look(self, frame: NDArray[np.uint8]) -> Tensor:
        key = hashlib.blake2b(frame.tobytes(), digest_size=16).digest()
        if key not in self._kept:
            image = torch.from_numpy(frame).permute(2, 0, 1).to(self._device)
            self._kept[key] = self._stem(image[None])[0].half()
        self._kept.move_to_end(key)
        while len(self._kept) > LOOKS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    def forget(self) -> None:
        """Drop all features: the stem has changed."""
        self._kept.clear()


class TinyPolicy:
    """Policy over the tiny model.

    Attributes:
        version: Set by whoever loads weights.
        model: The `TinyModel`; `module` is the same.
        value_trunk_gradient: Whether the value loss reaches the trunk (off: the feature is detached).

    Args:
        tune_reading: Whether training changes what grounding taught (`TinyModel.reading`); None: only if the model was
            not grounded.
    """

    def __init__(
        self, module: TinyModel, *, tune_reading: bool | None = None, max_new_tokens: int = 48, device: str = "cpu"
    ) -> None:
        self.version = 0
        self.model = cast(TinyModel, cast(torch.nn.Module, module).to(device).eval())
        self.module: torch.nn.Module = self.model
        self.device = torch.device(device)
        self.max_new_tokens = min(max_new_tokens, 48)
        self.value_trunk_gradient = False
        self._tune_reading = not module.config.grounded if tune_reading is None else tune_reading
        for parameter in self.model.reading():
            parameter.requires_grad_(self._tune_reading)
        self._looks = _Looks(self.model.stem, self.device)

    @classmethod
    def create(cls, *, seed: int, frames: int = 1, max_new_tokens: int = 48, device: str = "cpu") -> TinyPolicy:
        """Return a policy with random weights drawn from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = TinyModel(TinyConfig(frames=frames))
            module.reset_value_head()
        return cls(module, max_new_tokens=max_new_tokens, device=device)

    @classmethod
    def from_folder(
        cls, folder: Path, *, tune_reading: bool | None = None, max_new_tokens: int = 48, device: str = "cpu"
    ) -> TinyPolicy:
        """Return the policy that `save` wrote to `folder`.

        Raises:
            OSError: `folder` lacks `config.json` or `model.safetensors`.
            safetensors.SafetensorError: The weights are damaged.
            RuntimeError: The weights are those of another model.
        """
        config = cast(TinyConfig, TinyConfig.from_pretrained(folder, local_files_only=True))
        with torch.random.fork_rng(devices=[]):
            module = TinyModel(config)
        module.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
        return cls(module, tune_reading=tune_reading, max_new_tokens=max_new_tokens, device=device)

    def reset_value_head(self, seed: int) -> None:
        """Start the value head anew from `seed`; the first values are 0."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model.reset_value_head()

    def inputs(self, observations: Sequence[Observation]) -> Inputs:
        """Return `observations` as a batch of tensors."""
        frames = [_stack(observation.frames, self.model.config.frames) for observation in observations]
        cells = self.model.stem(self.images(frames)) if self._tune_reading else self._looks(frames)
        words = self.words([observation.instruction for observation in observations])
        return Inputs(cells, words, self.context([observation.history for observation in observations]))

    def images(self, frames: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return uint8 `(B, 3 * frames, 448, 224)` of frames whose last dimension are channels."""
        return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).to(self.device)

    def context(self, histories: Sequence[Sequence[str]]) -> Tensor:
        """Return `(B, 5)` ids of the last actions' texts, newest last."""
        return torch.tensor([context_ids(history) for history in histories], device=self.device)

    def words(self, texts: Sequence[str]) -> Tensor:
        """Return the feature ids of the words of `texts`, `(B, W, F)`, 0 where there is none."""
        parsed = [parse(text).features for text in texts]
        ids = np.zeros((len(parsed), max(1, *map(len, parsed)), FEATURES_PER_WORD), np.int64)
        for row, features in enumerate(parsed):
            for column, word in enumerate(features):
                ids[row, column, : len(word)] = word
        return torch.from_numpy(ids).to(self.device)

    @torch.no_grad()
    def act(
        self, observations: Sequence[Observation], *, greedy: bool = False, streams: Streams | None = None
    ) -> list[Decision]:
        """Choose one action per observation, sampled from the whole softmax unless `greedy`; as `Policy.act`."""
        drawn_from = check_streams(streams, len(observations), greedy)
        if not observations:
            return []
        memory = self.model.encode(self.inputs(observations))
        rows = torch.arange(len(observations), device=self.device)
        tokens = torch.empty(len(observations), 0, dtype=torch.long, device=self.device)
        chosen: list[list[int]] = [[] for _ in observations]
        logprobs: list[list[float]] = [[] for _ in observations]
        values: list[float] = []
        for _ in range(self.max_new_tokens):
            states = self.model.decode(memory, tokens)
            if not values:
                values = self.model.value(memory, states, False).tolist()
            scores = self.model.logits(memory, states[:, -1:])[:, 0].log_softmax(-1)
            token = pick(scores, None if drawn_from is None else [drawn_from[row] for row in rows.tolist()])
            picked = scores.gather(1, token[:, None])[:, 0].tolist()
            for row, one, logprob in zip(rows.tolist(), token.tolist(), picked, strict=True):
                chosen[row].append(one)
                logprobs[row].append(logprob)
            tokens = torch.cat([tokens, token[:, None]], 1)
            keep = [i for i, row in enumerate(rows.tolist()) if not vocab.is_complete(chosen[row])]
            if not keep:
                break
            index = torch.tensor(keep, device=self.device)
            rows, tokens, memory = rows[index], tokens[index], memory.select(index)
        return [
            _decision(ids, logs, value, observation.instruction)
            for ids, logs, value, observation in zip(chosen, logprobs, values, observations, strict=True)
        ]

    def evaluate(self, observations: Sequence[Observation], token_ids: Sequence[Sequence[int]]) -> Evaluation:
        """Return log-probs, exact entropy and values of decisions taken, by teacher forcing."""
        tokens, mask = _pad(token_ids, self.device)
        memory = self.model.encode(self.inputs(observations))
        states = self.model.decode(memory, tokens[:, :-1])
        scores = self.model.logits(memory, states).log_softmax(-1)
        entropy = -(scores.exp() * scores).sum(-1)
        return Evaluation(
            logprobs=torch.where(mask, scores.gather(2, tokens.unsqueeze(-1)).squeeze(-1), 0.0),
            entropy=torch.where(mask, entropy, 0.0),
            mask=mask,
            values=self.model.value(memory, states, self.value_trunk_gradient),
        )

    def check_tokens(self, token_ids: Sequence[int]) -> str:
        """Return why `act` could never have chosen `token_ids`, or an empty string; as `Policy.check_tokens`."""
        reason = check_range(token_ids, vocab.VOCABULARY, self.max_new_tokens)
        if reason:
            return reason
        ends = [end for end in range(1, len(token_ids) + 1) if vocab.is_complete(token_ids[:end])]
        return check_end(len(token_ids), ends[0] if ends else None, self.max_new_tokens)

    def values(self, observations: Sequence[Observation]) -> Tensor:
        """Return `(batch,)` state values."""
        memory = self.model.encode(self.inputs(observations))
        empty = torch.empty(len(observations), 0, dtype=torch.long, device=self.device)
        return self.model.value(memory, self.model.decode(memory, empty), self.value_trunk_gradient)

    def encode_action(self, action: Action, observation: Observation) -> tuple[int, ...]:
        """Return the shortest token ids for `action`; taps move to the centre of their cell.

        Raises:
            ActionError: The vocabulary cannot spell a text of the action, or it takes more than `max_new_tokens`.
        """
        ids = vocab.encode(action, observation.instruction)
        if len(ids) > self.max_new_tokens:
            raise ActionError(f"{action} takes {len(ids)} tokens of the tiny model, allowed are {self.max_new_tokens}")
        return ids

    def state_dict(self) -> dict[str, Tensor]:
        """Return all weights, detached copies on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Install weights that `state_dict` returned."""
        stem = self.model.stem.state_dict()
        if any(not torch.equal(tensors[f"stem.{name}"].to(self.device), now) for name, now in stem.items()):
            self._looks.forget()
        self.model.load_state_dict(tensors, strict=True)

    def parameter_groups(self, lr: float, value_lr: float) -> list[dict[str, object]]:
        """Return optimizer groups: the policy at `lr`, the value head at `value_lr`."""
        named = [(name, parameter) for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        head = [parameter for name, parameter in named if name.startswith("value_head.")]
        trunk = [parameter for name, parameter in named if not name.startswith("value_head.")]
        return [{"params": trunk, "lr": lr, "name": "policy"}, {"params": head, "lr": value_lr, "name": "value"}]

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors` to `folder`, as `save_pretrained` does."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.config.save_pretrained(folder)
        save_file(self.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def _stack(frames: Sequence[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """Return the last `count` frames, the oldest repeated where there are fewer, side by side in channels."""
    if not frames:
        raise ValueError("an observation has no frame; a policy needs at least one screenshot")
    shown = [frames[0]] * (count - len(frames)) + list(frames[-count:])
    return np.concatenate([shrink(frame) for frame in shown], -1)


def _pad(token_ids: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(map(len, token_ids))
    tokens = torch.zeros(len(token_ids), longest, dtype=torch.long)
    mask = torch.zeros(len(token_ids), longest, dtype=torch.bool)
    for row, ids in enumerate(token_ids):
        tokens[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        mask[row, : len(ids)] = True
    return tokens.to(device), mask.to(device)


def _decision(ids: list[int], logprobs: list[float], value: float, instruction: str) -> Decision:
    action = vocab.decode(ids, instruction)
    return Decision(tuple(ids), tuple(logprobs), value, action_text(action), action)
