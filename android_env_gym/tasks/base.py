"""`TaskTemplate` draws `Task`s: an instruction, a prepared phone, a check of success, an oracle, a near miss.

A template draws *goal parameters* and, apart from them, the world around. The split is a hash of the
template id and the canonical goal, so no goal of `test` ever occurs in `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from android_env_gym.actions import Action

if TYPE_CHECKING:
    from android_env_gym.phone.state import PhoneState
    from android_env_gym.tasks.pilot import Pilot

Goal = dict[str, str | int | bool]
Split = Literal["train", "test", "unseen-template"]
SPLITS: tuple[Split, ...] = ("train", "test", "unseen-template")
JudgeAt = Literal["step", "finish"]
MIN_GOALS_TO_SPLIT = 20
TEST_SHARE = 0.25


class Task(msgspec.Struct, frozen=True):
    """One instance of a template. `goal` is canonical JSON; `seed` draws the world around it.

    `line` is the id of the line of an instruction file; such tasks have no goal that a program could check.
    """

    template: str
    instance: int
    split: str
    instruction: str
    goal: str = "{}"
    seed: int = 0
    judge_at: JudgeAt = "step"
    max_steps: int = 15
    line: str = ""

    @property
    def task_id(self) -> str:
        """Return e.g. `clock.add_alarm/test/17`, or `general_train/train/3f2a9c12abcd` for a line of a file."""
        return f"{self.template}/{self.split}/{self.line or self.instance}"


class TaskTemplate:
    """A family of tasks. Subclasses are stateless; one instance each is listed in the app's `TEMPLATES`.

    Attributes:
        id: "app.verb_object", e.g. "clock.add_alarm".
        apps: Ids of the apps it needs.
        phrasings: `str.format` patterns over the goal; one is drawn per instance.
        goals: How many distinct goals `draw_goal` can produce (a lower bound suffices above 20).
        oracle_steps: Number of actions the oracle takes at most (difficulty is derived from it).
        judge_at: When success is judged: "finish" for questions and infeasible tasks.
        infeasible: True if the only right answer is `Finish("infeasible")` with nothing changed.
        twin: Of an infeasible template, the id of the feasible one with the same phrasings and goals: no wording tells
            the two apart, and a goal is in the same split for both.
        values: Names of those goal parameters that say what is wanted of the target, which the others name.
        unseen: True puts the whole template into the split `unseen-template`.
        needs_world: False if a task is an instruction and nothing else: no set-up, no check of the state, no oracle.
    """

    id: str
    apps: tuple[str, ...]
    phrasings: tuple[str, ...]
    goals: int
    oracle_steps: int
    judge_at: JudgeAt = "step"
    infeasible: bool = False
    twin: str = ""
    values: tuple[str, ...] = ()
    unseen: bool = False
    needs_world: bool = True

    def draw_goal(self, rng: np.random.Generator) -> Goal:
        """Draw goal parameters."""
        raise NotImplementedError

    def setup(self, state: PhoneState, goal: Goal, rng: np.random.Generator) -> PhoneState:
        """Return `state` prepared: distractors, near-duplicates, the opposite of the goal."""
        return state

    def succeeded(self, before: PhoneState, now: PhoneState, goal: Goal, answer: str | None) -> bool:
        """Return whether `now` satisfies `goal`; `answer` is the text of `Finish`, None before it."""
        raise NotImplementedError

    def allowed(self, goal: Goal) -> tuple[str, ...]:
        """Return the state paths that may change, e.g. ("apps.clock.alarms",); others are side effects."""
        raise NotImplementedError

    def oracle(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Yield the actions of a perfect agent; `pilot` reads the screen after each of them."""
        raise NotImplementedError

    def near_miss(self, pilot: Pilot, goal: Goal) -> Iterator[Action]:
        """Yield a plausible wrong episode: the right kind of change, the wrong target."""
        raise NotImplementedError

    @property
    def difficulty(self) -> int:
        """Return 0-4 by optimal steps: 1, 2-4, 5-8, 9-15, 16+."""
        return sum(self.oracle_steps > bound for bound in (1, 4, 8, 15))

    def splits(self) -> tuple[Split, ...]:
        """Return the splits that this template has instances in."""
        if self.unseen:
            return ("unseen-template",)
        if self.goals >= MIN_GOALS_TO_SPLIT:
            return ("train", "test")
        return ("test",) if unit_hash(self.twin or self.id) < TEST_SHARE else ("train",)

    def split_of(self, goal: Goal) -> Split:
        """Return the split that `goal` belongs to."""
        splits = self.splits()
        if len(splits) == 1:
            return splits[0]
        return "test" if unit_hash((self.twin or self.id) + canonical(goal)) < TEST_SHARE else "train"


def canonical(goal: Goal) -> str:
    """Return `goal` as JSON with sorted keys, the form that is hashed and stored."""
    return msgspec.json.encode(goal, order="sorted").decode()


def unit_hash(text: str) -> float:
    """Return a number in [0, 1) that depends on `text` alone; below `TEST_SHARE` is test."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
