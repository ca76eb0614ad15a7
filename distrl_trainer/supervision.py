"""When a collector counts as hung, and how many may be replaced before a run gives up.

Invariants: all times are of one monotonic clock and come in as arguments, so a clock that is set changes nothing; a
pause of the learner itself is never taken for silence of a collector; replacing without any success ends after
`fleet.restarts` times, however slowly. Caller: `process_fleet.ProcessFleet`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from distrl_trainer.collector_process import CollectorSetup
from distrl_trainer.config import FleetConfig

# A gap between two looks counts at most as this share of the bound: one long gap, in which the learner trained or was
# stopped itself, never decides.
_LOOK_SHARE = 0.25


class Bounds(msgspec.Struct, frozen=True):
    """Seconds in which a collector has to be heard of: until it has phones and policy, and from then on."""

    start: float
    silence: float


def bounds_of(fleet: FleetConfig, setups: Sequence[CollectorSetup]) -> Bounds:
    """Return the bounds for these collectors: the one place where they are derived.

    Between two signs of life a collector plays one step or reset, or acts on one batch; the sum of both leaves room
    for a busy machine.
    """
    return Bounds(fleet.start_seconds, fleet.act_seconds + max(setup.command_seconds for setup in setups))


class Pulse:
    """Adds up the silence of one collector from looks at its counter of signs of life.

    Args:
        bound: Seconds of silence after which it counts as hung.
        now: Seconds.
    """

    def __init__(self, bound: float, now: float) -> None:
        self.bound = bound
        self.silence = 0.0
        self._beats = -1.0
        self._looked = now

    def look(self, beats: float, now: float) -> bool:
        """Take in the counter; return whether the collector has been silent for longer than the bound."""
        gap, self._looked = now - self._looked, now
        if beats != self._beats:
            self._beats, self.silence = beats, 0.0
        else:
            self.silence += min(gap, _LOOK_SHARE * self.bound)
        return self.silence > self.bound


class RestartBudget:
    """How many more collectors may be replaced.

    Each replacement takes one of `restarts`. Time gives them back, all of them in `seconds`, but only if an episode has
    succeeded since the last replacement: a death a day is survived for ever, a loop of crashes is not.
    """

    def __init__(self, restarts: int, seconds: float, now: float) -> None:
        self._most = restarts
        self._left = float(restarts)
        self._seconds = seconds
        self._spent_at = now
        self._succeeded = False

    def succeed(self) -> None:
        """Take in that a valid episode arrived."""
        self._succeeded = True

    def spend(self, now: float) -> bool:
        """Take one at `now`; return False if none is left."""
        if self._succeeded:
            self._left = min(self._most, self._left + self._most * (now - self._spent_at) / self._seconds)
        self._spent_at, self._succeeded = now, False
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
