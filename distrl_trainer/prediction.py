"""SB3's `predict` on a policy that remembers: past screenshots and action texts travel in `state`.

Invariant: the policy is shown what a collector would show it. Called by `DistRL.predict`, and so by SB3's
`evaluate_policy` and `EvalCallback`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distrl_trainer.observations import View
from distrl_trainer.policy.base import Observation, Policy
from distrl_trainer.prompts import action_text

Past = tuple[tuple[NDArray[np.uint8], ...], tuple[str, ...]]
"""Of one phone: the last screenshots and the last action texts, newest last."""


def predict_actions(
    policy: Policy,
    view: View,
    observation: Mapping[str, Any],
    state: tuple[Past, ...] | None,
    episode_start: NDArray[np.bool_] | None,
    *,
    greedy: bool,
    generator: np.random.Generator | None = None,
) -> tuple[Any, tuple[Past, ...]]:
    """Return typed actions and the next state; arguments as in `DistRL.predict`.

    All phones of one call draw from `generator`, which sampling (not `greedy`) needs: nothing tells whose episode goes
    on, so the draws depend on the calls made.

    Raises:
        TypeError: `observation` is not that of a phone.
        ValueError: There is not one instruction per screenshot.
    """
    if not isinstance(observation, Mapping) or not {"screenshot", "instruction"} <= set(observation):
        got = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
        raise TypeError(
            f"an observation is a dict with screenshot and instruction, got {got}: pass what env.reset gave"
        )
    single = np.ndim(observation["screenshot"]) == 3
    frames = [observation["screenshot"]] if single else list(observation["screenshot"])
    said = observation["instruction"]
    instructions = [said] if single or isinstance(said, str) else list(said)
    if len(instructions) != len(frames):
        raise ValueError(f"got {len(instructions)} instructions for {len(frames)} screenshots; give one for each")
    nothing: Past = ((), ())
    past = list(state) if state is not None else [nothing] * len(frames)
    if episode_start is not None:
        past = [nothing if fresh else one for fresh, one in zip(episode_start, past, strict=True)]
    shown = [
        Observation(
            instruction=str(instruction),
            frames=(*before, frame)[-view.frames :],
            history=texts,
        )
        for instruction, frame, (before, texts) in zip(instructions, frames, past, strict=True)
    ]
    decisions = policy.act(shown, greedy=greedy, streams=None if generator is None else [generator] * len(shown))
    actions = np.empty(len(decisions), dtype=object)
    actions[:] = [decision.action for decision in decisions]
    after = tuple(
        (one.frames, (*one.history, action_text(decision.action))[-view.history :] if view.history else ())
        for one, decision in zip(shown, decisions, strict=True)
    )
    return (actions[0] if single else actions), after
