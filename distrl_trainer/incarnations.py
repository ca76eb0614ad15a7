"""`Incarnations`: how often each collector of a run was started, on the disk before it is.

Invariant: `take` never returns the same number twice for one collector of one run folder, whatever was killed or
resumed in between, and however many collectors there were at the time. So no two episodes share an id or a random
draw. Caller: `process_fleet.ProcessFleet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from distrl_trainer.fleet import FleetError
from distrl_trainer.storage import write_atomic


class _Stored(msgspec.Struct, frozen=True):
    """The file's content: for each collector the first number that is free."""

    incarnations: list[int]


class Incarnations:
    """Numbers in the file `path`, which is made when the first one is taken.

    Raises:
        FleetError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._free: list[int] = []
        if path.exists():
            try:
                self._free = msgspec.json.decode(path.read_bytes(), type=_Stored).incarnations
            except msgspec.DecodeError as error:
                raise FleetError(
                    f"{path} is damaged: {error}. It keeps the ids of episodes apart: restore it from a copy, or write "
                    'numbers above all in use, such as {"incarnations": [1000]} with one for each collector'
                ) from error

    def take(self, collector: int) -> int:
        """Return a number that `collector` never had; when this returns, it is on the disk.

        Raises:
            StorageError: The disk refused.
        """
        self.raise_to([0] * (collector + 1))
        number = self._free[collector]
        self._free[collector] = number + 1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path, msgspec.json.encode(_Stored(self._free)))
        return number

    def raise_to(self, free: Sequence[int]) -> None:
        """Take in what a checkpoint knows, which may come from another folder."""
        self._free = [max(pair) for pair in zip_longest(self._free, free, fillvalue=0)]

    def free(self) -> list[int]:
        """Return for each collector the first number that is free."""
        return list(self._free)
