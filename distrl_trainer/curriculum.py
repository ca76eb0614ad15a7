"""Which task comes next: templates by `p (1 - p)` of their running success, mixed with uniform.

Invariant: every template keeps at least its share of the uniform part, so none is ever forgotten, and a
draw depends on the estimates and the passed generator alone. The algorithm records every valid episode and
hands the probabilities to the fleet; the learner keeps its per-template baseline in the same running means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

MAX_INSTANCE = 2**31 - 1


class TaskRequest(msgspec.Struct, frozen=True):
    """One episode to run: `instance` of `template`; `attempt` counts earlier infrastructure failures of it."""

    template: str
    instance: int
    attempt: int = 0


class RunningMeans:
    """A running mean per key: the plain mean of the first values, then exponential with `rate`."""

    def __init__(self, rate: float, start: float, start_weight: int = 0) -> None:
        """Start every key at `start`, which weighs as much as `start_weight` observations."""
        self.rate = rate
        self.start = start
        self.start_weight = start_weight
        self._means: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def record(self, key: str, value: float) -> None:
        """Move the mean of `key` towards `value`."""
        count = self._counts.get(key, 0) + 1
        mean = self[key]
        self._means[key] = mean + max(self.rate, 1.0 / (count + self.start_weight)) * (value - mean)
        self._counts[key] = count

    def __getitem__(self, key: str) -> float:
        return self._means.get(key, self.start)

    def count(self, key: str) -> int:
        """Return how many values were recorded for `key`."""
        return self._counts.get(key, 0)

    def state(self) -> dict[str, dict[str, float]]:
        """Return plain data for a checkpoint."""
        return {"means": dict(self._means), "counts": {key: float(count) for key, count in self._counts.items()}}

    def load_state(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Install what `state` returned."""
        self._means = dict(state["means"])
        self._counts = {key: int(count) for key, count in state["counts"].items()}


class Curriculum:
    """Samples task templates by `(1 - uniform) · p(1-p) / sum + uniform / n` (ALGORITHM section 3).

    Args:
        templates: Template ids to draw from.
        uniform: Share of uniform draws; 1 switches the curriculum off.
        rate: Step of the running success estimates, which start at 1/2 with the weight of two episodes.
    """

    def __init__(self, templates: Sequence[str], uniform: float = 0.2, rate: float = 0.05) -> None:
        if not templates:
            raise ValueError("a curriculum needs at least one task template, got none; name a suite with some")
        if not 0.0 <= uniform <= 1.0:
            raise ValueError(f"uniform is a share in [0, 1], got {uniform}")
        self.templates = tuple(templates)
        self.uniform = uniform
        self.success = RunningMeans(rate, start=0.5, start_weight=2)

    def record(self, template: str, success: bool) -> None:
        """Count one valid episode of `template`."""
        self.success.record(template, float(success))

    def probabilities(self) -> NDArray[np.float64]:
        """Return the sampling probabilities, `(len(templates),)`, in the order of `templates`."""
        estimates = np.array([self.success[template] for template in self.templates])
        interest = estimates * (1.0 - estimates)
        flat = np.full(len(self.templates), 1.0 / len(self.templates))
        if interest.sum() <= 0.0:
            return flat
        return (1.0 - self.uniform) * interest / interest.sum() + self.uniform * flat

    def state(self) -> dict[str, dict[str, float]]:
        """Return plain data for a checkpoint."""
        return self.success.state()

    def load_state(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Install what `state` returned."""
        self.success.load_state(state)


def draw_task(
    templates: Sequence[str], probabilities: NDArray[np.float64], generator: np.random.Generator
) -> TaskRequest:
    """Draw a template by `probabilities` (they are normalised here) and a fresh instance of it."""
    cumulative = np.cumsum(probabilities)
    index = int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))
    index = min(index, len(templates) - 1)
    return TaskRequest(templates[index], int(generator.integers(MAX_INSTANCE)))
