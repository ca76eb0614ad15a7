"""The tiny model's tokens are fine enough: oracles whose taps move to cell centres still succeed."""

from __future__ import annotations

import pytest

from android_env_gym.actions import Action, Finish
from android_env_gym.judges.base import Evidence
from android_env_gym.judges.state import StateJudge
from android_env_gym.phone.phone import SimPhone
from android_env_gym.tasks.pilot import OracleStuckError, oracle_actions
from android_env_gym.tasks.suites import draw_task, goal_of, suite
from distrl_trainer.policy import tiny_vocab

INSTANCES = 30
REQUIRED = 0.99


@pytest.mark.slow
def test_every_starter_oracle_succeeds_in_cells() -> None:
    won: dict[str, int] = {}
    for template in suite("starter"):
        won[template.id] = sum(_succeeds(template.id, instance) for instance in range(INSTANCES))
    total = sum(won.values())
    assert total >= REQUIRED * INSTANCES * len(won), won


def _succeeds(name: str, instance: int) -> bool:
    template = next(item for item in suite("starter") if item.id == name)
    task, state = draw_task(template, "train", instance)
    phone = SimPhone()
    phone.apply_setup(state)
    before = phone.snapshot()
    try:
        for action in oracle_actions(template, phone, goal_of(task)):
            phone.perform(_quantised(action, task.instruction))
    except OracleStuckError:
        return False
    return StateJudge().judge(Evidence(task, (), (), None, before, phone.state)).success


def _quantised(action: Action, instruction: str) -> Action:
    decoded = tiny_vocab.decode(tiny_vocab.encode(action, instruction), instruction)
    assert isinstance(decoded, Action)
    assert not isinstance(decoded, Finish)
    return decoded
