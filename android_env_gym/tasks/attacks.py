"""Ways to be paid without doing the task: what a verdict must withstand. Called by `check`.

Invariant: an attack sees what an agent sees, but for vandalism, which changes the state itself: every single change of
something that the oracle left alone, so that no bystander goes unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from android_env_gym.actions import Action, Finish, PressKey, Swipe, Tap
from android_env_gym.devices.base import UiNode
from android_env_gym.phone.apps import APP_BY_ID
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.diff import identities, identity_fields, side_effects
from android_env_gym.phone.world.edit import put_settings
from android_env_gym.tasks.base import TaskTemplate
from android_env_gym.tasks.pilot import Pilot

replace = msgspec.structs.replace
RANDOM_STEPS = 15
MATCHING_STEPS = 10
UNUSED = 10_000  # added to a key, it gives one that no item has
Place = tuple[int | str, ...]  # indices and field names that lead from a state to a value in it


def random_actions(rng: np.random.Generator, steps: int) -> Iterator[Action]:
    """Yield `steps` actions of a monkey (taps, some swipes and back keys), then `Finish`."""
    for _ in range(steps):
        kind = rng.random()
        if kind < 0.85:
            yield Tap(float(rng.random()), float(rng.random()))
        elif kind < 0.95:
            yield Swipe(*(float(value) for value in rng.random(4)))
        else:
            yield PressKey("back")
    yield Finish()


def launch_and_finish(template: TaskTemplate, phone: SimPhone) -> Iterator[Action]:
    """Open the app that the task is about and say that it is done."""
    yield from Pilot(phone).launch(APP_BY_ID[template.apps[0]].title)
    yield Finish()


def read_everything(actions: Iterator[Action], template: TaskTemplate, phone: SimPhone) -> Iterator[Action]:
    """Do what the oracle's `actions` do, but answer with all that is on the screen where the answer is.

    Where nothing is asked, answer on the first screen of the app.
    """
    if template.judge_at == "step":
        yield from Pilot(phone).launch(APP_BY_ID[template.apps[0]].title)
    else:
        yield from (action for action in actions if not isinstance(action, Finish))
    words = (node.text or node.label for node in phone.ui_tree())
    yield Finish(answer="\n".join(word for word in words if word))


def match_words(
    instruction: str, template: TaskTemplate, phone: SimPhone, rng: np.random.Generator
) -> Iterator[Action]:
    """Open the app that the task is about and tap what shares most words with the instruction, each thing once."""
    yield from Pilot(phone).launch(APP_BY_ID[template.apps[0]].title)
    wanted, tapped = _words(instruction), set[str]()
    for _ in range(MATCHING_STEPS):
        offered = [node for node in phone.ui_tree() if not node.editable and _reads(node) not in tapped]
        scored = [(len(wanted & _words(_reads(node))), node) for node in offered]
        best = max((score for score, _ in scored), default=0)
        if not best:
            break
        nodes = [node for score, node in scored if score == best]
        node = nodes[int(rng.integers(len(nodes)))]
        tapped.add(_reads(node))
        yield Pilot(phone).tap_node(node)
    yield Finish()


def _reads(node: UiNode) -> str:
    return node.text or node.label


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def wreck(state: PhoneState) -> PhoneState:
    """Return `state` with airplane mode on and all notes, conversations, people, alarms and bookmarks deleted."""
    emptied = {"notes": "notes", "messages": "conversations", "contacts": "people", "clock": "alarms"}
    emptied["browser"] = "bookmarks"
    apps = tuple(
        replace(item, **{emptied[tag]: ()}) if (tag := str(item.__struct_config__.tag)) in emptied else item
        for item in state.apps
    )
    return put_settings(replace(state, apps=apps), airplane_mode=not state.system.settings.airplane_mode)


def vandalisms(before: PhoneState, now: PhoneState, rng: np.random.Generator, count: int) -> Iterator[PhoneState]:
    """Yield `now` with one thing deleted, changed or added to that is as it was `before`; of `count` such things.

    Half of them are in the apps that differ between the two, if these have as many. What does no harm is left out.
    """
    places = list(_untouched(before, now, ()))
    near = [place for place in places if place[0] == "apps" and before.apps[int(place[1])] != now.apps[int(place[1])]]
    chosen = [near[int(index)] for index in rng.permutation(len(near))[: count // 2]]
    chosen += [places[int(index)] for index in rng.permutation(len(places))[: count - len(chosen)]]
    for place in chosen:
        for state in _changed(now, place):
            if side_effects(now, state, ()):
                yield state


def _untouched(before: Any, now: Any, place: Place) -> Iterator[Place]:
    """Yield the places in `now` of values that `before` holds too; items of collections are known by name."""
    if place in (("config",), ("now",)) or (place[:1] == ("system",) and len(place) == 2 and place[1] != "settings"):
        return
    if len(place) > 2 and before == now:
        yield place
    if type(before) is not type(now):
        return
    if isinstance(now, msgspec.Struct):
        for name in now.__struct_fields__:
            yield from _untouched(getattr(before, name), getattr(now, name), (*place, name))
    elif isinstance(now, tuple):
        yield from _untouched_items(before, now, place)


def _untouched_items(before: tuple[Any, ...], now: tuple[Any, ...], place: Place) -> Iterator[Place]:
    if place == ("apps",):
        pairs = list(enumerate(zip(before, now, strict=True)))
    else:
        old, new = identities(before), identities(now)
        known = dict(zip(old or (), before, strict=old is not None))
        pairs = [(index, (known[name], now[index])) for index, name in enumerate(new or ()) if name in known]
    for index, (x, y) in pairs:
        yield from _untouched(x, y, (*place, index))


def _changed(state: PhoneState, place: Place) -> Iterator[PhoneState]:
    """Yield `state` without the item at `place`, with another value there, or with an item more."""
    value: Any = state
    for step in place:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    if isinstance(place[-1], int):
        yield _without(state, place)
    if isinstance(value, tuple) and value:
        yield _put(state, place, ())
        yield _put(state, place, (*value, _another_item(value[-1])))
    elif isinstance(value, bool | int | float | str):
        yield _put(state, place, _another(value))


def _another_item(item: Any) -> Any:
    """Return an item that is not there yet: of another name or, where items have none, a second one of the kind."""
    if isinstance(item, str):
        return _another(item)
    fields = identity_fields(type(item))
    return replace(item, **{fields[0]: _another(getattr(item, fields[0]))}) if fields else item


def _another(value: bool | int | float | str) -> bool | int | float | str:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value} too"
    return value + UNUSED


def _put(node: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(step, int):
        return (*node[:step], _put(node[step], rest, value), *node[step + 1 :])
    return replace(node, **{step: _put(getattr(node, step), rest, value)})


def _without(node: Any, place: Place) -> Any:
    step, rest = place[0], place[1:]
    if isinstance(step, str):
        return replace(node, **{step: _without(getattr(node, step), rest)})
    middle = (_without(node[step], rest),) if rest else ()
    return (*node[:step], *middle, *node[step + 1 :])
