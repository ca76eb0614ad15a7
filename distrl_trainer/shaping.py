"""Reward shaping: what an action costs in training, apart from the task.

A pure function of what the collector knows after a decision. Its result is stored as `Step.reward_shaping` and
never mixed into success. Source: DistRL (arXiv 2410.14803), appendix A.2; the cap on repetitions is ours.
"""

from __future__ import annotations

import msgspec

from android_env_gym.actions import Action, InvalidAction, TypeText


class ShapingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Penalties, each <= 0.

    `invalid`: an answer that is no action. `empty_type`: typing nothing. `repeat`: the same action again on an
    unchanged screen, times how often in a row, never below `repeat_cap`.
    """

    invalid: float = -1.0
    empty_type: float = -1.0
    repeat: float = -0.4
    repeat_cap: float = -1.2


def shaping_reward(
    action: Action | InvalidAction,
    previous: Action | InvalidAction | None,
    screen_unchanged: bool,
    repeats: int,
    config: ShapingConfig,
) -> tuple[float, int]:
    """Return the shaping reward of `action` and the new count of repetitions.

    If several penalties apply, the largest one counts, not their sum.

    Args:
        action: What was chosen now.
        previous: What was chosen one step before, None on the first step.
        screen_unchanged: Whether the screen `action` was chosen on equals the one `previous` was chosen on.
        repeats: The count this function returned one step before, 0 on the first step.
        config: The penalties.
    """
    if isinstance(action, InvalidAction):
        return config.invalid, 0
    repeats = repeats + 1 if screen_unchanged and action == previous else 0
    reward = max(config.repeat * repeats, config.repeat_cap)
    if isinstance(action, TypeText) and not action.text:
        reward = min(reward, config.empty_type)
    return reward, repeats
