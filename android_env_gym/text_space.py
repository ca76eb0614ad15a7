"""`TextSpace`: a space of texts that Gymnasium and Stable-Baselines3 carry as they are.

Gymnasium's `AsyncVectorEnv` reads a plain `Text` out of its shared memory once, before anything was written, and
shows that text, all blanks, for ever. The three functions that are registered here give this space a memory of its
own, which is read whenever somebody looks. Its `NumpyToTorch` and other conversions of arrays make "<generator object"
of every text and fail on a vector's arrays of texts; two further functions let both pass. Called by Gymnasium; the
space is made by `actions.make_text_space`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils.shared_memory import create_shared_memory, read_from_shared_memory, write_to_shared_memory


class TextSpace(spaces.Text):
    """A `Text` of up to `max_length` characters of `charset`, whose members fit into arrays of objects.

    Buffers of vectorised environments are made from `shape` and `dtype`, which a plain `Text` lacks: stock
    Stable-Baselines3 then fails on it with `'NoneType' object is not iterable`.
    """

    def __init__(self, max_length: int, charset: Iterable[str]) -> None:
        # Sorted, because the order of a set differs between processes, and samples are drawn by position.
        super().__init__(max_length, min_length=0, charset="".join(sorted(charset)))
        self._shape = ()
        self.dtype = np.dtype(object)


class SharedTexts(Sequence[str]):
    """The texts of `n` environments in memory that their processes write: each look reads what is there now.

    A copy is a tuple, as members of Gymnasium's batched space are.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        row = self._rows[index]  # (1 + max_length,): the length, then one code point each
        return row[1 : 1 + row[0]].tobytes().decode("utf-32-le")

    def __deepcopy__(self, memo: object) -> tuple[str, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return repr(tuple(self))


def _rows(space: TextSpace, memory: Any) -> np.ndarray:
    """Return `memory` as int32 `(n, 1 + max_length)`, without a copy."""
    return np.frombuffer(memory.get_obj(), np.int32).reshape(-1, 1 + space.max_length)


@create_shared_memory.register(TextSpace)
def _create(space: TextSpace, n: int = 1, ctx: Any = multiprocessing) -> Any:
    return ctx.Array("i", n * (1 + space.max_length))


@read_from_shared_memory.register(TextSpace)
def _read(space: TextSpace, shared_memory: Any, n: int = 1) -> Any:
    return SharedTexts(_rows(space, shared_memory))


@write_to_shared_memory.register(TextSpace)
def _write(space: TextSpace, index: int, value: str, shared_memory: Any) -> None:
    row = _rows(space, shared_memory)[index]
    row[0] = len(value)
    row[1 : 1 + len(value)] = np.frombuffer(value.encode("utf-32-le"), np.int32)


def _keep_text(value: str, xp: Any, device: Any = None) -> str:
    return value


def _keep_objects(convert: Callable[..., Any]) -> Callable[..., Any]:
    """Return `convert` for arrays that another framework can hold; arrays of Python objects stay as they are."""
    return lambda value, xp, device=None: value if value.dtype.kind == "O" else convert(value, xp, device)


with contextlib.suppress(ImportError):  # without array-api-compat there are no such wrappers
    from gymnasium.wrappers.array_conversion import array_conversion

    array_conversion.register(str, _keep_text)
    array_conversion.register(np.ndarray, _keep_objects(array_conversion.dispatch(np.ndarray)))
