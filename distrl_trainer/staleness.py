"""Staleness: how many versions behind a trajectory may arrive, kept by pacing and enforced by a gate.

Two remedies work together. `PublishPacer` stretches the time between versions so that 95% of the episodes
end within `max_lag` versions of their start; nobody blocks. `StalenessGate` drops what arrives later all
the same. Invariant: nothing the gate admitted had a lag above `max_lag`. Time enters as arguments only.
Called by the learner, which alone knows the current version.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque

import msgspec

logger = logging.getLogger(__name__)

_ARRIVALS_BEFORE_WARNING = 20
_EPISODES_REMEMBERED = 256


def publish_interval(p95_seconds: float, max_lag: int) -> float:
    """Return the shortest time between versions, in seconds, at which a slow episode ends `max_lag` versions behind.

    0 before any episode has ended; infinite for `max_lag` 0, where a version may be published only while
    no episode runs.
    """
    if p95_seconds <= 0:
        return 0.0
    return p95_seconds / max_lag if max_lag > 0 else math.inf


def collection_lag(oldest_version: int, current_version: int) -> int:
    """Return versions between the oldest step of an arriving trajectory and now.

    Never negative: a resumed run publishes above every version that was ever published in its folder.
    """
    return current_version - oldest_version


def admit(oldest_version: int, current_version: int, max_lag: int) -> bool:
    """Return whether a trajectory with this oldest step may enter replay."""
    return collection_lag(oldest_version, current_version) <= max_lag


class StalenessCounts(msgspec.Struct):
    """What a gate has seen; part of a checkpoint. `histogram` maps the lag of every arrival to its count."""

    admitted: int = 0
    dropped: int = 0
    max_lag_admitted: int = 0
    histogram: dict[int, int] = msgspec.field(default_factory=dict)


class StalenessGate:
    """The hard check on arrival; warns once when more than `warn_dropped` of the arrivals had to be dropped.

    `counts` may be read at any time and set when a run resumes.
    """

    def __init__(self, max_lag: int, warn_dropped: float = 0.05, counts: StalenessCounts | None = None) -> None:
        if max_lag < 0:
            raise ValueError(f"max_lag is {max_lag}; it must be 0 or more versions")
        self.max_lag = max_lag
        self.warn_dropped = warn_dropped
        self.counts = counts or StalenessCounts()
        self._warned = False

    def arrive(self, oldest_version: int, current_version: int) -> bool:
        """Count a trajectory that arrives while `current_version` is the newest; return whether it is admitted."""
        lag = collection_lag(oldest_version, current_version)
        self.counts.histogram[lag] = self.counts.histogram.get(lag, 0) + 1
        admitted = admit(oldest_version, current_version, self.max_lag)
        if admitted:
            self.counts.admitted += 1
            self.counts.max_lag_admitted = max(self.counts.max_lag_admitted, lag)
        else:
            self.counts.dropped += 1
            self._warn_if_many()
        return admitted

    @property
    def dropped_share(self) -> float:
        """Return dropped arrivals divided by all arrivals, 0 before the first."""
        return self.counts.dropped / max(1, self.counts.admitted + self.counts.dropped)

    def lags(self) -> list[int]:
        """Return the lag of every arrival, ascending: the values of a logged histogram."""
        return sorted(Counter(self.counts.histogram).elements())

    def _warn_if_many(self) -> None:
        arrivals = self.counts.admitted + self.counts.dropped
        if self._warned or arrivals < _ARRIVALS_BEFORE_WARNING or self.dropped_share <= self.warn_dropped:
            return
        self._warned = True
        logger.warning(
            "%d of %d trajectories arrived more than max_lag=%d versions late and were dropped; "
            "raise staleness.max_lag or algorithm.updates_per_version",
            self.counts.dropped,
            arrivals,
            self.max_lag,
        )


class PublishPacer:
    """Decides when the next version may be published, from the duration of recent episodes."""

    def __init__(self, max_lag: int) -> None:
        if max_lag < 0:
            raise ValueError(f"max_lag is {max_lag}; it must be 0 or more versions")
        self.max_lag = max_lag
        self._seconds: deque[float] = deque(maxlen=_EPISODES_REMEMBERED)
        self._published_at: float | None = None

    def episode_ended(self, seconds: float) -> None:
        """Remember that an episode took `seconds`; the last 256 count."""
        self._seconds.append(seconds)

    def published(self, now: float) -> None:
        """Remember that a version was published at `now`, in seconds of any steady clock."""
        self._published_at = now

    def p95_seconds(self) -> float:
        """Return the 95th percentile (nearest rank) of recent episode seconds, 0 before the first."""
        if not self._seconds:
            return 0.0
        return sorted(self._seconds)[math.ceil(0.95 * len(self._seconds)) - 1]

    def interval(self) -> float:
        """Return the shortest time between versions now, in seconds."""
        return publish_interval(self.p95_seconds(), self.max_lag)

    def may_publish(self, now: float, episodes_running: int = 1) -> bool:
        """Return whether a version published at `now` keeps running episodes within `max_lag`."""
        if self._published_at is None or episodes_running == 0:
            return True
        return now - self._published_at >= self.interval()
