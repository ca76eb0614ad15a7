"""Verdicts that cannot be cheated: what is destructive, what it costs, and that an unwary check is found out."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from gym_fakes import STRAY, WIN, FakePhone, WifiOffAtFinish, make_env

from android_env_gym.__main__ import main
from android_env_gym.actions import Finish, Wait
from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.apps.browser.state import BrowserState, Tab, Visit
from android_env_gym.phone.apps.clock.state import Alarm, ClockState, Timer, next_ring
from android_env_gym.phone.apps.contacts.state import ContactsState
from android_env_gym.phone.apps.contacts.tasks import StarContact
from android_env_gym.phone.apps.messages.state import Conversation, MessagesState
from android_env_gym.phone.apps.messages.tasks import AskLastMessage
from android_env_gym.phone.apps.notes.state import Note, NotesState
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import AppState, DeviceConfig, PhoneState
from android_env_gym.phone.world.boot import boot
from android_env_gym.phone.world.diff import diff, side_effects
from android_env_gym.phone.world.edit import app_of, put_app, put_settings
from android_env_gym.phone.world.harm import HARMLESS
from android_env_gym.tasks.attacks import vandalisms, wreck
from android_env_gym.tasks.check import check_template, episode
from android_env_gym.tasks.suites import suites, templates

replace = msgspec.structs.replace
BOOTED = boot(DeviceConfig(), 3)


def put(kind: type[AppState], **changes: object) -> PhoneState:
    return put_app(BOOTED, replace(app_of(BOOTED, kind), **changes))


def harm(now: PhoneState) -> tuple[str, ...]:
    return side_effects(BOOTED, now, ())


# --- what does harm ---


def test_items_are_known_by_their_keys() -> None:
    alarms = app_of(BOOTED, ClockState).alarms
    assert harm(put(ClockState, alarms=alarms[1:])) == (f"apps.clock.alarms.{alarms[0].key}",)
    changed = (replace(alarms[0], vibrate=False), *alarms[1:])
    assert harm(put(ClockState, alarms=changed)) == (f"apps.clock.alarms.{alarms[0].key}.vibrate",)
    assert harm(put(ClockState, alarms=(*alarms, Alarm(99, 7, 0)))) == ("apps.clock.alarms.99",)
    backwards = put(ClockState, alarms=alarms[::-1])
    assert diff(BOOTED, backwards) == ("apps.clock.alarms",) and harm(backwards) == ()
    allowed = (f"apps.clock.alarms.{alarms[0].key}",)
    assert side_effects(BOOTED, put(ClockState, alarms=alarms[2:]), allowed) == (f"apps.clock.alarms.{alarms[1].key}",)


def test_looking_around_does_no_harm() -> None:
    browser = app_of(BOOTED, BrowserState)
    looked = Visit("Shoply", "https://shoply.com", BOOTED.now)
    again = replace(browser.history[-1], at=BOOTED.now)
    went = Tab(1, ("browser://newtab", looked.url), 1)
    history = (looked, again, *browser.history[:-1])
    assert harm(put(BrowserState, tabs=(went, Tab(2)), current=2, history=history)) == ()
    assert harm(put(BrowserState, tabs=())) == ("apps.browser.tabs.1",)
    assert harm(put(BrowserState, history=browser.history[1:])) == (f"apps.browser.history.{browser.history[0].url}",)
    chats = app_of(BOOTED, MessagesState).conversations
    read = tuple(replace(item, unread=False) for item in chats)
    assert harm(put(MessagesState, conversations=(*read, Conversation(99, "New", "1")), next_key=100)) == ()
    assert harm(put(MessagesState, conversations=(replace(chats[0], pinned=True), *chats[1:]))) != ()
    notes = app_of(BOOTED, NotesState).notes
    opened = (Note(99), replace(notes[0], edited=BOOTED.now), *notes[1:])
    assert harm(put(NotesState, notes=opened, next_key=100)) == ()
    assert harm(put(NotesState, notes=(Note(99, "Written"), *notes))) == ("apps.notes.notes.99",)


def test_what_the_phone_does_by_itself_is_nobodys_fault() -> None:
    phone = SimPhone()
    alarm = Alarm(1, 0, 0, armed_at=BOOTED.now)
    phone.apply_setup(put(ClockState, alarms=(alarm,), timers=(Timer(2, 60, "running", BOOTED.now + 60_000),)))
    before = phone.snapshot()
    while phone.state.now <= next_ring(alarm):
        phone.edit(lambda state: replace(state, now=state.now + 3_600_000))
        phone.perform(Wait(1.0))
    clock = app_of(phone.state, ClockState)
    assert not clock.alarms[0].enabled and clock.timers[0].status == "expired"
    assert side_effects(before, phone.state, ()) == ()
    switched = put(ClockState, alarms=(replace(alarm, enabled=False),))
    assert side_effects(put(ClockState, alarms=(alarm,)), switched, ()) == ("apps.clock.alarms.1.enabled",)


def test_every_exception_has_a_reason_and_a_place() -> None:
    assert all(reason for _, reason in HARMLESS.values())
    for pattern in HARMLESS:
        value: object = BOOTED
        for step in pattern.split("."):
            if step == "*":
                assert isinstance(value, tuple)
                break
            value = (
                next(item for item in value if item.__struct_config__.tag == step)
                if isinstance(value, tuple)
                else getattr(value, step)
            )


# --- what it costs ---


@pytest.mark.parametrize("suite", ["starter", "finish"])
def test_a_side_effect_denies_success_until_it_is_undone(suite: str) -> None:
    arguments = {"suite": (WifiOffAtFinish(),)} if suite == "finish" else {}
    phone = FakePhone()
    env = make_env(phone, judge="state", **arguments)
    env.reset(seed=0)
    env.step(STRAY)
    reward, terminated, _, info = env.step(WIN)[1:]
    assert (reward, terminated) == (0.0, False)
    if suite == "starter":
        assert info["verdict"]["reason"] == "the goal is reached, but system.settings.nfc changed too"
    phone.restore(put_settings(phone.state, nfc=True))
    reward, terminated, _, info = env.step(Finish() if suite == "finish" else Wait(1.0))[1:]
    assert (reward, terminated, info["side_effects"]) == (1.0, True, "")


def test_a_side_effect_that_stands_at_the_end_fails_the_episode() -> None:
    env = make_env(judge="state", max_steps=3)
    env.reset(seed=0)
    env.step(STRAY)
    env.step(WIN)
    reward, terminated, _, info = env.step(Finish())[1:]
    assert (reward, terminated, info["is_success"]) == (0.0, True, False)
    assert info["side_effects"] == "system.settings.nfc" and info["false_completion"]


def test_reported_side_effects_do_not_change_the_verdict() -> None:
    env = make_env(judge="state", side_effects="report")
    env.reset(seed=0)
    env.step(STRAY)
    reward, _, _, info = env.step(WIN)[1:]
    assert (reward, info["side_effects"]) == (1.0, "system.settings.nfc")
    with pytest.raises(UnknownNameError, match="side_effects 'ignore'"):
        make_env(judge="state", side_effects="ignore")


# --- attacks ---


def test_vandalism_reaches_every_collection_of_bystanders() -> None:
    changed = set[str]()
    for state in vandalisms(BOOTED, BOOTED, np.random.default_rng(0), 10**6):
        effects = harm(state)
        assert effects
        changed |= set(effects)
    assert {path.split(".")[1] for path in changed if path.startswith("apps")} == {
        *("browser", "clock", "contacts", "messages", "notes", "settings")
    }
    people = app_of(BOOTED, ContactsState).people
    assert {f"apps.contacts.people.{item.key}" for item in people} <= changed
    assert {f"apps.contacts.people.{item.key}.phone" for item in people} <= changed
    assert {"system.settings.airplane_mode", "apps.browser.shop.orders"} & changed == {"system.settings.airplane_mode"}
    assert len(harm(wreck(BOOTED))) > 30


class LaxStar(StarContact):
    """What `contacts.star_contact` once was: it looks at stars alone, and lets all people change."""

    id = "lax.star"

    def succeeded(self, before, now, goal, answer):
        return [item.key for item in app_of(now, ContactsState).people if item.starred] == [0]

    def allowed(self, goal):
        return ("apps.contacts.people",)


class LaxAnswer(AskLastMessage):
    """What `messages.ask_last` once was: the answer has to contain the truth."""

    id = "lax.answer"

    def succeeded(self, before, now, goal, answer):
        return app_of(before, MessagesState).conversations[0].messages[-1].text in (answer or "")


def test_a_lax_check_is_found_out() -> None:
    report = check_template(LaxStar(), 3)
    assert report.vandal and any("the oracle is paid although" in problem for problem in report.problems)
    report = check_template(LaxAnswer(), 3)
    assert report.screen_dump == 3 and "instance 0: screen_dump succeeds" in report.problems


def test_matching_words_is_deterministic() -> None:
    for name in ("settings.toggle", "contacts.open_contact", "notes.ask_note"):
        first, second = (episode(templates()[name], "train", 4, "word_match") for _ in range(2))
        assert first == second


def test_the_command_reports_every_attack_and_rates_per_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--suite", "starter", "--instances", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(report["templates"]) == set(suites()["starter"])
    for counts in report["templates"].values():
        assert set(counts) >= {"instances", "oracle", "no_op", "random", "near_miss", "max_steps", "problems"}
        assert (counts["oracle"], counts["problems"]) == (1, [])
        assert not any(counts[name] for name in ("screen_dump", "infeasible", "launch_finish", "vandal"))
    rate = report["word_match"]["starter"]
    assert rate["n"] == 12 and 0 <= rate["low"] <= rate["rate"] == rate["k"] / 12 <= rate["high"] <= 1
    assert report["train_twins"]["settings.toggle"]["test_goals"] > 0
