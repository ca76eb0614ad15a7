"""`Budget`: how much of something all clients of a phone together may use: memory, threads."""

from __future__ import annotations

import threading


class Budget:
    """An amount that many threads take from and give back to.

    Args:
        size: How much there is.
    """

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._left = size

    @property
    def left(self) -> int:
        """Return how much can be taken now."""
        with self._lock:
            return self._left

    def take(self, count: int) -> bool:
        """Take `count`, or nothing if there is not as much; return whether it was taken."""
        with self._lock:
            taken = count <= self._left
            self._left -= count if taken else 0
        return taken

    def give(self, count: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += count
