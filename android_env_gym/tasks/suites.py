"""Which templates there are, which suites they form, and how a task is drawn.

`draw_task(template, split, instance)` is deterministic: the same three values give the same instruction
and, bit for bit, the same phone.
"""

from __future__ import annotations

import importlib
import zlib
from functools import lru_cache

import msgspec
import numpy as np

from android_env_gym.errors import unknown_name
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.state import DeviceConfig, PhoneState
from android_env_gym.phone.world.boot import boot
from android_env_gym.tasks import instructions
from android_env_gym.tasks.base import SPLITS, Goal, Task, TaskTemplate, canonical

MAX_DRAWS = 20_000

STARTER = (
    "browser.search",
    "browser.open_shortcut",
    "clock.toggle_alarm",
    "clock.add_city",
    "contacts.open_contact",
    "contacts.star_contact",
    "messages.open_chat",
    "messages.send_message",
    "notes.open_note",
    "notes.create_note",
    "settings.toggle",
    "settings.open_page",
)


@lru_cache(maxsize=1)
def templates() -> dict[str, TaskTemplate]:
    """Return every template by id, app by app."""
    found: dict[str, TaskTemplate] = {}
    for app in APPS:
        if app.id == "launcher":
            continue
        module = importlib.import_module(f"android_env_gym.phone.apps.{app.id}.tasks")
        found.update({template.id: template for template in module.TEMPLATES})
    return found


@lru_cache(maxsize=1)
def suites() -> dict[str, tuple[str, ...]]:
    """Return the template ids of every suite."""
    everything = tuple(templates())
    webshop = tuple(item for item in everything if item.startswith("browser.shop"))
    return {
        "starter": STARTER,
        "general": tuple(item for item in everything if item not in webshop),
        "webshop": webshop,
        "all": everything,
    }


def suite(name: str) -> tuple[TaskTemplate, ...]:
    """Return the templates of suite `name`; for "instructions:PATH" a template per file, see `tasks.instructions`.

    Raises:
        UnknownNameError: There is no such suite; the message names the nearest ones.
        InstructionFileError: The instruction files cannot be used.
    """
    if name.startswith(instructions.PREFIX):
        return instructions.read_instructions(name).templates
    if name not in suites():
        raise unknown_name("suite", name, (*suites(), f"{instructions.PREFIX}FILE"))
    return tuple(templates()[item] for item in suites()[name])


def template(name: str) -> TaskTemplate:
    """Return the template with this id.

    Raises:
        UnknownNameError: There is no such template; the message names the nearest ones.
    """
    if name not in templates():
        raise unknown_name("task template", name, templates())
    return templates()[name]


def draw_task(
    template: TaskTemplate, split: str, instance: int, config: DeviceConfig | None = None
) -> tuple[Task, PhoneState]:
    """Return instance number `instance` of `template` in `split`, and the phone prepared for it.

    The goal is drawn by rejection until it falls into the split, then the world around it is drawn. An instruction of
    a file comes with the phone as nothing has prepared it.

    Raises:
        UnknownNameError: There is no such split, or the template has no instances in it.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if isinstance(template, instructions.InstructionFile):
        return template.task(split, instance), boot(config or DeviceConfig(), 0)
    if split not in template.splits():
        raise unknown_name(f"split of {template.id}", split, template.splits())
    seed = zlib.crc32(f"{template.id}/{split}/{instance}".encode())
    goal = _draw_goal(template, split, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    state = template.setup(boot(config or DeviceConfig(), seed), goal, rng)
    phrasing = template.phrasings[int(rng.integers(len(template.phrasings)))]
    task = Task(
        template=template.id,
        instance=instance,
        split=split,
        instruction=phrasing.format(**goal),
        goal=canonical(goal),
        seed=seed,
        judge_at=template.judge_at,
    )
    return task, state


def goal_of(task: Task) -> Goal:
    """Return the goal parameters of `task`."""
    return msgspec.json.decode(task.goal, type=dict[str, str | int | bool])


def _draw_goal(template: TaskTemplate, split: str, rng: np.random.Generator) -> Goal:
    for _ in range(MAX_DRAWS):
        goal = template.draw_goal(rng)
        if template.split_of(goal) == split:
            return goal
    raise RuntimeError(f"{template.id} drew {MAX_DRAWS} goals and none is in split {split!r}")
