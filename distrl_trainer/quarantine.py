"""`Quarantine`: a phone that fails again and again sits out for a while, so that it does not use up everybody's tasks.

Invariants: never all phones sit out: as long as no phone is well, each of them is tried; what is decided depends on the
clock that was given and on what was recorded, and on nothing else. Caller: `collector.Collector`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

logger = logging.getLogger(__name__)

# Below `fleet.MAX_ATTEMPTS`, so that a task does not use up its attempts on one broken phone.
AFTER = 2
# A guess: the first is about a cable that is plugged in again, the longest about an emulator that boots anew.
FIRST_SECONDS = 15.0
LONGEST_SECONDS = 600.0


class QuarantineState(msgspec.Struct):
    """Failures in a row and the end of the last rest (seconds of the clock), per phone."""

    failures: list[int]
    until: list[float]


class Quarantine:
    """Keeps count of failures in a row, per phone.

    Args:
        phones: How many there are; they are numbered from 0.
        clock: Seconds, never going back: real ones, or nominal ones where equal seeds have to give equal rounds.
    """

    def __init__(self, phones: int, clock: Callable[[], float]) -> None:
        self._phones = QuarantineState([0] * phones, [0.0] * phones)
        self._clock = clock

    def record(self, phone: int, failed: bool) -> None:
        """Take in how an episode on `phone` ended."""
        failures = self._phones.failures
        if not failed:
            failures[phone] = 0
            return
        failures[phone] += 1
        over = failures[phone] - AFTER
        if over >= 0:
            seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2**over)
            self._phones.until[phone] = self._clock() + seconds
            logger.warning("phone %d failed %d times in a row: it sits out for %.0f s", phone, AFTER + over, seconds)

    def fit(self, phones: Iterable[int]) -> list[int]:
        """Return those of `phones` that may play now, in order."""
        failures, until = self._phones.failures, self._phones.until
        if all(count >= AFTER for count in failures):
            return sorted(phones)
        now = self._clock()
        return sorted(phone for phone in phones if failures[phone] < AFTER or now >= until[phone])

    def state(self) -> QuarantineState:
        """Return what decides who may play."""
        return QuarantineState(list(self._phones.failures), list(self._phones.until))

    def load_state(self, state: QuarantineState) -> None:
        """Install what `state` returned, as far as there are as many phones."""
        for phone in range(min(len(self._phones.failures), len(state.failures))):
            self._phones.failures[phone], self._phones.until[phone] = state.failures[phone], state.until[phone]
