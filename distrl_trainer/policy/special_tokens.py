"""Tokens that are no text: image placeholders, padding, chat markers. None is sampled, and no task's text becomes one.

Invariants: what `Spellings` returns holds no special token, however the tokenizer normalises text; the ids that may be
sampled are the tokenizer's ordinary tokens and those that end a sequence. Called by `fronts` and `multimodal`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

MASKED = -1e9
"""Logit of a token that cannot be sampled: its probability is exactly 0, yet sums and gradients stay finite."""

_DEFAULTED = ("bos_", "eos_", "pad_", "sep_", "cls_", "unk_", "mask_", "decoder_", "forced_")
"""Fields that configs fill with ids of some other tokenizer where a model's own are not given."""


def special_ids(tokenizer: Any, config: Any = None) -> set[int]:
    """Return the ids of `tokenizer`'s special tokens and of those that `config` names, as image_token_id."""
    ids = {int(one) for one in tokenizer.all_special_ids}
    ids |= {int(one) for one, token in tokenizer.added_tokens_decoder.items() if token.special}
    parts = [config, *(getattr(config, name, None) for name in ("text_config", "vision_config"))]
    for part in (part for part in parts if part is not None):
        named = part.to_dict()
        ids |= {one for name, one in named.items() if _names_a_token(name) and isinstance(one, int) and one >= 0}
    return ids


def _names_a_token(name: str) -> bool:
    """Return whether a config's field names a placeholder; the ends, starts and padding are the tokenizer's to name."""
    return name.endswith(("_token_id", "_token_index")) and not name.startswith(_DEFAULTED)


def allowed_tokens(tokenizer: Any, config: Any, eos: Sequence[int], vocabulary: int) -> Tensor:
    """Return which of `vocabulary` ids may be sampled, `(vocabulary,)` bool.

    Rows of the output layer past the tokenizer's last token stand for nothing and are left out too.
    """
    allowed = torch.arange(vocabulary) < len(tokenizer)
    allowed[[one for one in special_ids(tokenizer, config) if one < vocabulary]] = False
    allowed[[one for one in eos if one < vocabulary]] = True
    return allowed


class Spellings:
    """Breaks up what spells a special token in text from outside, by a space after its first character.

    A task may say "<image>" or "</s>"; the model then reads "< image>" or "< /s>", which is legible and plain text.

    Args:
        tokenizer: The model's own.
        more: Marks that a processor replaces in the text itself.
    """

    def __init__(self, tokenizer: Any, more: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = special_ids(tokenizer) - {tokenizer.unk_token_id}
        marks = {str(tokenizer.convert_ids_to_tokens(one)) for one in self._ids} | set(more)
        longest_first = sorted((mark for mark in marks if len(mark.strip()) > 1), key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def __call__(self, text: str) -> str:
        """Return `text` without special tokens; the same object where there was none."""
        # Each pass makes the text longer, and marks are of a fixed length: it comes to rest.
        while broken := next(self._found(text), None):
            start, end = broken
            # A mark of one character cannot be broken up.
            text = text[:start] + (f"{text[start]} {text[start + 1 : end]}" if end - start > 1 else " ") + text[end:]
        return text

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of special tokens: as written, then as the tokenizer reads the text (it may normalise)."""
        yield from (match.span() for match in self._marks.finditer(text))
        if self._tokenizer.is_fast:
            read = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            for one, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True):
                if one in self._ids and end > start:
                    yield start, end
