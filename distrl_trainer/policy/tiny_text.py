"""How the tiny model reads an instruction: words, copy slots and hashed features of each word.

Invariant: a pure function of the text; no vocabulary is fitted, so no task is baked in. Slot i of an
instruction reproduces `Instruction.slots[i]` exactly: a word without its outer punctuation, or, for an
opening quotation mark, the whole quoted span. Called by `tiny_vocab` (copying) and `tiny_policy` (input).
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

MAX_SLOTS = 48
FEATURES_PER_WORD = 24
WORD_BUCKETS = 2048
BIGRAM_BUCKETS = 768
CHAR_CLASSES = 40
CHAR_POSITIONS = 12
_CHAR_BASE = 1 + WORD_BUCKETS
_BIGRAM_BASE = _CHAR_BASE + CHAR_CLASSES * CHAR_POSITIONS
_FLAG_BASE = _BIGRAM_BASE + BIGRAM_BUCKETS
_FLAGS = ("upper", "digit", "quoted", "quote", "long")
FEATURES = _FLAG_BASE + len(_FLAGS)
"""Number of feature ids; id 0 is padding."""

_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}
_OUTER = ".,;:!?()[]{}<>" + "".join({*_QUOTES, *_QUOTES.values()})
_BIGRAMS_PER_WORD = 6


class Instruction(NamedTuple):
    """A parsed instruction: per slot what it copies, whether it lies in (or is) a quoted span, feature ids."""

    slots: tuple[str, ...]
    quoted: tuple[bool, ...]
    features: tuple[tuple[int, ...], ...]


def _spans(text: str) -> list[tuple[int, int]]:
    """Return `(start, end)` of quoted spans, marks included; an apostrophe inside a word opens nothing."""
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        close = _QUOTES.get(text[at])
        if close and (at == 0 or text[at - 1] in " \n(["):
            match = re.compile(re.escape(close) + r"(?=$|[\s.,;:!?)\]])").search(text, at + 2)
            if match:
                spans.append((at, match.end()))
                at = match.end()
                continue
        at += 1
    return spans


def _bucket(text: str, buckets: int) -> int:
    return zlib.crc32(text.encode()) % buckets


def _char_class(char: str) -> int:
    if "a" <= char <= "z":
        return ord(char) - ord("a")
    if "0" <= char <= "9":
        return 26 + ord(char) - ord("0")
    return 36 + _bucket(char, CHAR_CLASSES - 36)


def word_features(word: str, *, quoted: bool = False, quote: bool = False) -> tuple[int, ...]:
    """Return the ids of `word`'s features: its hash, its letters by position, hashed bigrams, flags."""
    lower = word.lower()
    ids = [1 + _bucket(lower, WORD_BUCKETS)]
    ids += [_CHAR_BASE + p * CHAR_CLASSES + _char_class(c) for p, c in enumerate(lower[:CHAR_POSITIONS])]
    pairs = list(pairwise(lower))[:_BIGRAMS_PER_WORD]
    ids += [_BIGRAM_BASE + _bucket(a + b, BIGRAM_BUCKETS) for a, b in pairs]
    flags = (word[:1].isupper(), any(c.isdigit() for c in word), quoted, quote, len(word) > CHAR_POSITIONS)
    ids += [_FLAG_BASE + i for i, flag in enumerate(flags) if flag]
    return tuple(ids[:FEATURES_PER_WORD])


@lru_cache(maxsize=8192)
def parse(instruction: str) -> Instruction:
    """Return the slots of `instruction` in reading order; words beyond `MAX_SLOTS` are not seen."""
    spans = _spans(instruction)
    starts = dict(spans)
    slots: list[tuple[str, bool, bool]] = []
    for match in re.finditer(r"\S+", instruction):
        at = match.start()
        if at in starts:
            slots.append((instruction[at + 1 : starts[at] - 1], True, True))
        inside = any(start <= at < end for start, end in spans)
        slots.append((match.group().strip(_OUTER) or match.group(), inside, False))
    kept = slots[:MAX_SLOTS]
    return Instruction(
        tuple(text for text, _, _ in kept),
        tuple(quoted for _, quoted, _ in kept),
        tuple(word_features('"' if mark else text, quoted=quoted, quote=mark) for text, quoted, mark in kept),
    )
