"""How near the goals of `test` are to those of `train`: a report, no promise.

No goal of `test` occurs in `train`, but a goal may have a *train twin*: the same target with another value ("turn Wi-Fi
on" beside "turn Wi-Fi off"). Success on such goals says less about unseen targets. Called by `check`.
"""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.tasks.base import Goal, TaskTemplate, canonical

DRAWS = 2000  # goals drawn per template; where there are more, the share is an estimate


class TrainTwins(msgspec.Struct, frozen=True):
    """Of `test_goals` different goals of split test, `with_twin` have a goal of the same target in train."""

    test_goals: int
    with_twin: int


def train_twins(template: TaskTemplate, draws: int = DRAWS) -> TrainTwins | None:
    """Return how many test goals of `template` have a train twin; None if it has no two splits, or no `values`."""
    if not template.values or template.splits() != ("train", "test"):
        return None
    rng = np.random.default_rng(0)
    targets: dict[str, set[str]] = {"train": set(), "test": set()}
    test_goals: dict[str, str] = {}
    for _ in range(draws):
        goal = template.draw_goal(rng)
        split, target = template.split_of(goal), _target(template, goal)
        targets[split].add(target)
        if split == "test":
            test_goals[canonical(goal)] = target
    return TrainTwins(len(test_goals), sum(target in targets["train"] for target in test_goals.values()))


def _target(template: TaskTemplate, goal: Goal) -> str:
    return canonical({name: value for name, value in goal.items() if name not in template.values})
