"""`Board`: the numbers that learner and collector processes share without a lock.

Invariant: every cell has one writer, so a process that is killed or stopped while it writes holds nobody up and spoils
no one else's numbers. Callers: `process_fleet` in the learner, `collector_process` in the collectors.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrl_trainer.collector import CollectorStats
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import TaskQueue

_STATS = tuple(CollectorStats.__struct_fields__)
_ORDERS = 3  # steps allowed, steps of collectors that ended, whether to stop


class Board:
    """Numbers that learner and collectors share without a lock; every cell has one writer."""

    def __init__(self, templates: int, collectors: int, cells: Any = None) -> None:
        """Lay out `cells`, or make them."""
        size = _ORDERS + templates + collectors * (1 + len(_STATS))
        self.cells = multiprocessing.get_context("spawn").RawArray("d", size) if cells is None else cells
        numbers = np.frombuffer(self.cells, dtype=np.float64)
        self._orders, self.probabilities, self._beats, rows = np.split(
            numbers, np.cumsum([_ORDERS, templates, collectors])
        )
        self._rows = rows.reshape(collectors, len(_STATS))

    def allow(self, steps: float) -> None:
        """Set how many environment steps all collectors may make in all."""
        self._orders[0] = steps

    def retire(self, steps: int) -> None:
        """Add the steps of a collector that ended."""
        self._orders[1] += steps

    def stop(self) -> None:
        """Tell collectors to end."""
        self._orders[2] = 1.0

    @property
    def stopped(self) -> bool:
        """Whether collectors have to end."""
        return bool(self._orders[2])

    @property
    def held(self) -> bool:
        """Whether collectors have made all the steps that they are allowed."""
        made = self._orders[1] + self._rows[:, _STATS.index("env_steps")].sum()
        return bool(made >= self._orders[0])

    def beat(self, collector: int) -> None:
        """Give a sign of life."""
        self._beats[collector] += 1.0

    def beats(self, collector: int) -> float:
        """Return how many signs of life one collector gave, all its incarnations together."""
        return float(self._beats[collector])

    def write(self, collector: int, stats: CollectorStats) -> None:
        """Store the counts of one collector."""
        self._rows[collector] = [float(getattr(stats, name)) for name in _STATS]

    def read(self, collector: int) -> CollectorStats:
        """Return the counts of one collector."""
        row = dict(zip(_STATS, self._rows[collector].tolist(), strict=True))
        return CollectorStats(**{name: row[name] if name.endswith("seconds") else int(row[name]) for name in _STATS})

    def clear(self, collector: int) -> None:
        """Forget the counts of one collector."""
        self._rows[collector] = 0.0


class BoardTasks(TaskQueue):
    """Hands out tasks by the board's probabilities, none while it holds collectors back."""

    def __init__(self, board: Board, templates: Sequence[str]) -> None:
        super().__init__(templates)
        self._board = board

    def next(self, generator: np.random.Generator) -> TaskRequest | None:
        """Return the next task, None while held back."""
        self.open = not self._board.held
        # `draw_task` normalises, so a set that is being written is harmless.
        self.probabilities = self._board.probabilities
        return super().next(generator)
