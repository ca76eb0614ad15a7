"""The door of a run: why a trajectory may not enter, found out before anything relies on it.

Invariant: whatever passed can be counted, stored, decoded and learned from without an exception: no number in it is
not finite, no frame fails to decode, no token is unknown. The check is a pure function of the trajectory and `Rules`,
and allocates no more than the trajectory itself and one frame. Caller: `inbox.Inbox.drain`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import msgspec

from distrl_trainer.observations import decode_action
from distrl_trainer.png import png_bytes, png_problem
from distrl_trainer.shaping import ShapingConfig
from distrl_trainer.trajectory import Step, Trajectory
from distrl_trainer.trajectory_file import is_well_formed

MAX_TEXT = 50_000
"""Characters of any text and bytes of any action; an answer of 4,096 tokens has at most some 20,000 characters."""
MAX_NAME = 500
"""Characters of template, task id, split, failure kind and collector."""
MAX_TOKENS = 4096
"""Tokens of one decision; policies generate some tens."""
_ROUNDING = 1e-3
"""A log-probability may exceed 0 by this much: rounding of a log-softmax in bfloat16."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the trajectories of a run look like.

    Attributes:
        templates: Task templates of the run.
        split: Whose goals the run trains on.
        screen: (height, width) of every frame.
        max_steps: Steps of an episode.
        newest_version: Newest policy version that was ever published.
        shaping: Penalties; they bound the shaping reward.
        check_tokens: Returns what is wrong with the token ids of one decision, "" if nothing is.
    """

    templates: frozenset[str]
    split: str
    screen: tuple[int, int]
    max_steps: int
    newest_version: int
    shaping: ShapingConfig = ShapingConfig()
    check_tokens: Callable[[Sequence[int]], str] | None = None

    @property
    def max_bytes(self) -> int:
        """Return a bound on the size of a file: all frames, all texts, all tokens (18 bytes for id and log-prob)."""
        per_step = png_bytes(self.screen) + 4 * 4 * MAX_TEXT + 18 * MAX_TOKENS
        return (self.max_steps + 1) * per_step + 4 * 8 * MAX_TEXT


def refusal(trajectory: Trajectory, rules: Rules) -> str:
    """Return why `trajectory` may not enter a run with `rules`, "" if it may.

    A trajectory without a valid reward is only counted, so its task need not be known; all else is checked.
    """
    return next(filter(None, _problems(trajectory, rules)), "")


def _problems(trajectory: Trajectory, rules: Rules) -> Iterator[str]:
    if not is_well_formed(trajectory.id):
        yield f"its id {trajectory.id[:100]!a} is not made of at most 100 letters, digits, '.', '_', '-'"
    yield _long_text(trajectory)
    if trajectory.reward_valid:
        yield _foreign_task(trajectory, rules)
    if not math.isfinite(trajectory.seconds) or trajectory.seconds < 0:
        yield f"it took {trajectory.seconds} seconds"
    if len(trajectory.steps) > rules.max_steps:
        yield f"it has {len(trajectory.steps)} steps; an episode has at most {rules.max_steps}"
    if len(trajectory.frames) != len(trajectory.steps) + 1:
        yield f"it has {len(trajectory.frames)} frames for {len(trajectory.steps)} steps"
    floor = min(0.0, rules.shaping.invalid, rules.shaping.empty_type, rules.shaping.repeat_cap)
    for number, step in enumerate(trajectory.steps):
        if problem := _step_problem(step, rules, floor):
            yield f"step {number}: {problem}"
    for number, (before, frame) in enumerate(itertools.pairwise((b"", *trajectory.frames))):
        # Frames of an unchanged screen are equal and need one check.
        if (number == 0 or frame != before) and (problem := png_problem(frame, rules.screen)):
            yield f"frame {number} is {problem}"


def _long_text(trajectory: Trajectory) -> str:
    for name in ("template", "task_id", "split", "failure_kind", "collector"):
        if len(getattr(trajectory, name)) > MAX_NAME:
            return f"its {name} has {len(getattr(trajectory, name))} characters; at most {MAX_NAME} are allowed"
    for name in ("instruction", "verdict_reason", "failure_message"):
        if len(getattr(trajectory, name)) > MAX_TEXT:
            return f"its {name} has {len(getattr(trajectory, name))} characters; at most {MAX_TEXT} are allowed"
    return ""


def _foreign_task(trajectory: Trajectory, rules: Rules) -> str:
    if trajectory.template not in rules.templates:
        return f"its template {trajectory.template!a} is none of the run's {len(rules.templates)}"
    if trajectory.split != rules.split:
        return f"its split is {trajectory.split!a}; the run learns from {rules.split!r} alone"
    return ""


def _step_problem(step: Step, rules: Rules, floor: float) -> str:
    if not 1 <= len(step.token_ids) <= MAX_TOKENS:
        return f"{len(step.token_ids)} tokens; 1 to {MAX_TOKENS} are allowed"
    if len(step.logprobs) != len(step.token_ids):
        return f"{len(step.logprobs)} log-probs for {len(step.token_ids)} tokens"
    if not all(math.isfinite(logprob) and logprob <= _ROUNDING for logprob in step.logprobs):
        return "a log-prob is not finite or exceeds 0"
    return _number_problem(step, rules, floor) or _content_problem(step, rules)


def _number_problem(step: Step, rules: Rules, floor: float) -> str:
    if not math.isfinite(step.value):
        return f"its value is {step.value}"
    if not 0.0 <= step.reward_task <= 1.0:
        return f"its task reward is {step.reward_task}; allowed are 0 to 1"
    if not floor <= step.reward_shaping <= 0.0:
        return f"its shaping reward is {step.reward_shaping}; allowed are {floor} to 0"
    if not 0 <= step.version <= rules.newest_version:
        return f"its version is {step.version}; published are 0 to {rules.newest_version}"
    return ""


def _content_problem(step: Step, rules: Rules) -> str:
    if max(len(step.text), len(step.action), len(step.invalid)) > MAX_TEXT:
        return f"its text, action or reason is longer than {MAX_TEXT}"
    try:
        action = decode_action(step)
    except msgspec.DecodeError as error:
        return f"its action cannot be read: {error}"
    if any(isinstance(field, float) and not math.isfinite(field) for field in msgspec.structs.astuple(action)):
        return "its action holds a number that is not finite"
    return rules.check_tokens(step.token_ids) if rules.check_tokens is not None else ""
