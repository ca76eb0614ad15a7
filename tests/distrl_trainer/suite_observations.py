"""What a policy is shown in real episodes of the suites, played by their oracles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product

from android_env_gym.tasks.base import SPLITS
from android_env_gym.tasks.pilot import oracle_actions
from android_env_gym.tasks.suites import goal_of, suites, template
from distrl_trainer.config import EnvConfig
from distrl_trainer.phones import env_spec
from distrl_trainer.policy.base import Observation
from distrl_trainer.prompts import action_text

LONG = "Please " + "look for the entry of that name and then tell me about it, " * 3
"""An instruction longer than every task's."""
SUITES = [name for name in sorted(suites()) if name != "all"]


def shown_on(suite: str, episodes: int, steps: int = 3) -> list[Observation]:
    """Return what a policy is shown in the first `steps` steps of oracle episodes on every template of `suite`."""
    found: list[Observation] = []
    for split in SPLITS:
        # A template's first split is played; some have no goals for training.
        names = [name for name in suites()[suite] if min(template(name).splits(), key=SPLITS.index) == split]
        if not names:
            continue
        phone = env_spec(EnvConfig(suite=suite), split).make()
        for name, instance in product(names, range(episodes)):
            found += islice(_episode(phone, name, instance), steps)
        phone.close()
    return found


def _episode(phone, name: str, instance: int) -> Iterator[Observation]:
    shown, _ = phone.reset(options={"task": name, "instance": instance})
    inner = phone.unwrapped
    history: tuple[str, ...] = ()
    yield Observation(str(shown["instruction"]), (shown["screenshot"],), history)
    for action in oracle_actions(template(name), inner.device, goal_of(inner.task)):
        shown, _, terminated, truncated, _ = phone.step(action)
        if terminated or truncated:
            return
        history = (*history, action_text(action))[-2:]
        yield Observation(str(shown["instruction"]), (shown["screenshot"],), history)
