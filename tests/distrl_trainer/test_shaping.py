"""Shaping: each penalty, its cap, and when a count of repetitions ends."""

from __future__ import annotations

import pytest

from android_env_gym.actions import InvalidAction, Tap, TypeText, Wait
from distrl_trainer.shaping import ShapingConfig, shaping_reward

CONFIG = ShapingConfig()
TAP = Tap(0.5, 0.5)


def test_first_action_costs_nothing():
    assert shaping_reward(TAP, None, False, 0, CONFIG) == (0.0, 0)


def test_repetitions_cost_more_each_time_up_to_the_cap():
    repeats, rewards = 0, []
    for _ in range(5):
        reward, repeats = shaping_reward(TAP, TAP, True, repeats, CONFIG)
        rewards.append(reward)
    assert rewards == pytest.approx([-0.4, -0.8, -1.2, -1.2, -1.2])
    assert repeats == 5


@pytest.mark.parametrize(("previous", "unchanged"), [(TAP, False), (Tap(0.5, 0.6), True), (Wait(), True)])
def test_a_changed_screen_or_another_action_ends_the_count(previous, unchanged):
    assert shaping_reward(TAP, previous, unchanged, 3, CONFIG) == (0.0, 0)


def test_invalid_actions_cost_one_and_end_the_count():
    invalid = InvalidAction("no such verb")
    assert shaping_reward(invalid, invalid, True, 2, CONFIG) == (-1.0, 0)


def test_typing_nothing_costs_one_and_penalties_do_not_add_up():
    empty = TypeText("")
    assert shaping_reward(empty, None, False, 0, CONFIG) == (-1.0, 0)
    assert shaping_reward(empty, empty, True, 0, CONFIG) == (-1.0, 1)
    assert shaping_reward(empty, empty, True, 4, CONFIG) == (-1.2, 5)
    assert shaping_reward(TypeText("a"), None, False, 0, CONFIG) == (0.0, 0)


def test_coefficients_are_settings():
    config = ShapingConfig(invalid=-2.0, repeat=-0.1, repeat_cap=-0.15)
    assert shaping_reward(InvalidAction("x"), None, False, 0, config) == (-2.0, 0)
    assert shaping_reward(TAP, TAP, True, 1, config) == (-0.15, 2)
