"""`Quarantine`: a phone that fails again and again sits out for a while, so that it does not use up everybody's tasks.

Invariant: never all phones sit out: as long as no phone is well, each of them is tried. Caller: `collector.Collector`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

# Below `fleet.MAX_ATTEMPTS`, so that a task does not use up its attempts on one broken phone.
AFTER = 2
FIRST_SECONDS = 15.0
LONGEST_SECONDS = 600.0


class Quarantine:
    """Keeps count of failures in a row, per phone.

    Args:
        phones: How many there are; they are numbered from 0.
        clock: Seconds, monotonic.
    """

    def __init__(self, phones: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = [0] * phones
        self._until = [-float("inf")] * phones
        self._clock = clock

    def record(self, phone: int, failed: bool) -> None:
        """Take in how an episode on `phone` ended."""
        if not failed:
            self._failures[phone] = 0
            return
        self._failures[phone] += 1
        over = self._failures[phone] - AFTER
        if over >= 0:
            seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2**over)
            self._until[phone] = self._clock() + seconds
            logger.warning("phone %d failed %d times in a row: it sits out for %.0f s", phone, AFTER + over, seconds)

    def fit(self, phones: Iterable[int]) -> list[int]:
        """Return those of `phones` that may play now, in order."""
        if all(failures >= AFTER for failures in self._failures):
            return sorted(phones)
        now = self._clock()
        return sorted(phone for phone in phones if self._failures[phone] < AFTER or now >= self._until[phone])
