"""Observations -> the tensors that a transformers image-text-to-text model takes: prompt, images, padding.

Two fronts with one call: `ProcessorFront` over a model's own processor, `PackedFront` over an image
processor and a tokenizer where that processor cannot be made (the Qwen-VL ones need a video processor,
which needs torchvision). Invariant: prompts are padded on the left, so the last position is the last
prompt token of every row; text from outside never becomes a special token. Called by `multimodal`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jinja2 import TemplateError
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from distrl_trainer.policy.base import Observation
from distrl_trainer.policy.special_tokens import Spellings
from distrl_trainer.policy.t5_vision import T5VisionConfig, pixels
from distrl_trainer.prompts import chat_messages, prompt_text

_log = logging.getLogger(__name__)
Frame = NDArray[np.uint8]


class FrontError(ValueError):
    """A model whose inputs cannot be made; the message says which file or field is missing."""


class Front(Protocol):
    """Makes model inputs. `tokenizer` is the model's own."""

    tokenizer: Any

    def __call__(self, observations: Sequence[Observation], codec_prompt: str) -> dict[str, Tensor]:
        """Return left-padded inputs of a batch."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that make this front again."""
        ...


class ProcessorFront:
    """A model's own processor."""

    def __init__(self, processor: Any, frames: int, history: int) -> None:
        self.processor = processor
        self.tokenizer: Any = processor.tokenizer
        self.tokenizer.padding_side = "left"
        self.frames, self.history = frames, history
        self.image_token = str(getattr(processor, "image_token", None) or "<image>")
        marks = [value for name, value in vars(processor).items() if name.endswith("_token") and value]
        self._plain = Spellings(self.tokenizer, [self.image_token, *map(str, marks)])

    def __call__(self, observations: Sequence[Observation], codec_prompt: str) -> dict[str, Tensor]:
        """Return left-padded inputs of a batch."""
        shown = [_shown(observation, self.frames, self.history, self._plain) for observation in observations]
        template = self.processor if getattr(self.processor, "chat_template", None) else self.tokenizer
        texts = [_render(template, one, codec_prompt, self.image_token) for one in shown]
        images = [list(one.frames) for one in shown]
        return dict(self.processor(text=texts, images=images, padding=True, return_tensors="pt"))

    def save(self, folder: Path) -> None:
        """Write processor and tokenizer files."""
        self.processor.save_pretrained(folder)


class PackedFront:
    """A tokenizer and an image processor; placeholders are expanded to as many tokens as an image takes."""

    def __init__(self, config: Any, tokenizer: Any, image_processor: Any | None, frames: int, history: int) -> None:
        self.config, self.tokenizer, self.image_processor = config, tokenizer, image_processor
        self.frames, self.history = frames, history
        self.image_id = _image_token_id(config)
        token = str(tokenizer.convert_ids_to_tokens(self.image_id))
        marks = [getattr(config, name, None) for name in ("vision_start_token_id", "vision_end_token_id")]
        start, end = ("" if mark is None else str(tokenizer.convert_ids_to_tokens(mark)) for mark in marks)
        self.placeholder = start + token + end
        self.image_token = token
        self._plain = Spellings(tokenizer, [mark for mark in (start, token, end) if mark])

    def __call__(self, observations: Sequence[Observation], codec_prompt: str) -> dict[str, Tensor]:
        """Return left-padded inputs of a batch."""
        shown = [_shown(observation, self.frames, self.history, self._plain) for observation in observations]
        images, counts = self._images([frame for one in shown for frame in one.frames])
        rows: list[list[int]] = []
        for one in shown:
            text = _render(self.tokenizer, one, codec_prompt, self.image_token, self.placeholder)
            ids = list(self.tokenizer(text)["input_ids"])
            rows.append(self._expand(ids, [counts.pop(0) for _ in one.frames]))
        ids, mask = pad_left(rows, _pad_id(self.tokenizer))
        inputs = {"input_ids": ids, "attention_mask": mask, **images}
        if "image_grid_thw" in images:
            inputs["mm_token_type_ids"] = (ids == self.image_id).int()
        return inputs

    def _images(self, frames: list[Frame]) -> tuple[dict[str, Tensor], list[int]]:
        if isinstance(self.config, T5VisionConfig):
            return {"pixel_values": pixels(frames, self.config)}, [self.config.image_tokens] * len(frames)
        if self.image_processor is None:
            raise FrontError("the model folder has no preprocessor_config.json; save its image processor there")
        images = dict(self.image_processor(images=frames, return_tensors="pt"))
        if "image_grid_thw" in images:
            merge = int(getattr(self.image_processor, "merge_size", 1)) ** 2
            return images, [int(n) // merge for n in images["image_grid_thw"].prod(-1).tolist()]
        for name in ("image_seq_length", "mm_tokens_per_image"):
            if getattr(self.config, name, None):
                return images, [int(getattr(self.config, name))] * len(frames)
        raise FrontError(f"cannot tell how many tokens an image takes in a {self.config.model_type!r} model")

    def _expand(self, ids: list[int], counts: list[int]) -> list[int]:
        out: list[int] = []
        left = list(counts)
        for one in ids:
            if one != self.image_id:
                out.append(one)
            elif left:
                out += [one] * left.pop(0)
            else:
                raise FrontError(f"the prompt has more than {len(counts)} {self.image_token!r}: the template adds some")
        if left:
            raise FrontError(f"the tokenizer does not keep {self.image_token!r} whole: add it as a special token")
        return out

    def save(self, folder: Path) -> None:
        """Write tokenizer and image processor files."""
        self.tokenizer.save_pretrained(folder)
        if self.image_processor is not None:
            self.image_processor.save_pretrained(folder)


def load_front(reference: str, config: Any, frames: int, history: int) -> Front:
    """Return the front of the model at `reference` (folder or hub id) with transformers `config`.

    Raises:
        FrontError: There is no tokenizer, or no way to tell how images enter.
    """
    if not isinstance(config, T5VisionConfig):
        try:
            processor = AutoProcessor.from_pretrained(reference, trust_remote_code=False)
        except (ImportError, OSError, ValueError, TypeError, KeyError) as error:
            reason = str(error).strip().partition("\n")[0]
            _log.info("%s: no processor (%s); image processor and tokenizer are packed instead", reference, reason)
        else:
            if getattr(processor, "image_processor", None) and getattr(processor, "tokenizer", None):
                return ProcessorFront(processor, frames, history)
    try:
        tokenizer = AutoTokenizer.from_pretrained(reference, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FrontError(f"{reference}: no tokenizer: {str(error).strip().partition(chr(10))[0]}") from error
    tokenizer.padding_side = "left"
    return PackedFront(config, tokenizer, _image_processor(reference, config), frames, history)


def _image_processor(reference: str, config: Any) -> Any | None:
    if isinstance(config, T5VisionConfig):
        return None
    try:
        return AutoImageProcessor.from_pretrained(reference, trust_remote_code=False)
    except (ImportError, OSError, ValueError, KeyError) as error:
        raise FrontError(f"{reference}: no image processor: {str(error).strip().partition(chr(10))[0]}") from error


def _image_token_id(config: Any) -> int:
    for name in ("image_token_id", "image_token_index"):
        if getattr(config, name, None) is not None:
            return int(getattr(config, name))
    raise FrontError(f"a {config.model_type!r} config names no image_token_id; its own processor is needed")


def _shown(observation: Observation, frames: int, history: int, plain: Spellings) -> Observation:
    """Return `observation` with at most `frames` frames and `history` lines, newest last, its texts made `plain`."""
    lines = observation.history[-history:] if history else ()
    return Observation(plain(observation.instruction), observation.frames[-frames:], tuple(map(plain, lines)))


def _render(template: Any, one: Observation, codec_prompt: str, image_token: str, placeholder: str = "") -> str:
    """Return the prompt's text with one image token per frame, by chat template where there is one."""
    plain = (placeholder or image_token) * len(one.frames) + "\n" + prompt_text(one, codec_prompt)
    if not getattr(template, "chat_template", None):
        return plain
    messages = chat_messages(one, codec_prompt, len(one.frames))
    try:
        text = template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except (TemplateError, TypeError):
        text = ""
    if text.count(image_token) >= len(one.frames):
        return text
    # a template for texts alone
    messages = [{"role": "user", "content": plain}]
    return template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _pad_id(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return 0 if pad is None else int(pad)


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return `rows` of token ids padded on the left with `pad`, and the attention mask."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for row, one in enumerate(rows):
        ids[row, longest - len(one) :] = torch.tensor(list(one), dtype=torch.long)
        mask[row, longest - len(one) :] = 1
    return ids, mask
