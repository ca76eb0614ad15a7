"""`AdbDevice` on a served phone, through the genuine adb: an action does there what it does in the phone itself."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from device_fakes import QUICK, Attached, attach
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from android_env_gym.actions import (
    CHARSET,
    Action,
    ActionError,
    Finish,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)
from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.health import absent_devices, list_devices
from android_env_gym.devices.stream import CommandError
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.tasks.base import TaskTemplate
from android_env_gym.tasks.pilot import OracleStuckError, oracle_actions
from android_env_gym.tasks.suites import goal_of, suite


@pytest.fixture(scope="module")
def attached(adb_host):
    with attach(adb_host) as found:
        yield found


@pytest.fixture
def fresh(attached: Attached) -> Attached:
    """The served phone as new, with the device at an episode's start."""
    attached.phone.restore(attached.phone.fork().state)
    attached.device.reset()
    attached.phone.reset()
    return attached


def same_screen(attached: Attached) -> bool:
    return np.array_equal(attached.device.screenshot(), attached.phone.screenshot())


# --- actions ---

WALK: tuple[Action, ...] = (
    OpenApp("Settings"),
    Swipe(0.5, 0.8, 0.5, 0.31),
    Swipe(0.313, 0.4, 0.517, 0.77777),
    Tap(0.5, 0.5),
    PressKey("back"),
    PressKey("home"),
    OpenApp("com.google.android.contacts"),
    LongPress(0.4, 0.3),
    PressKey("recents"),
    Wait(3.7),
    PressKey("home"),
    Swipe(0.5, 0.01, 0.5, 0.6),
    Swipe(0.5, 0.5, 0.5, 0.5),
    Tap(0.0, 0.0),
    Tap(1.0, 1.0),
    OpenApp("Notes"),
)


def test_every_action_does_what_it_does_in_the_phone_itself(fresh):
    twin = fresh.phone.fork()
    for action in WALK:
        fresh.device.perform(action)
        twin.perform(action)
        assert fresh.phone.state == twin.state, action
        assert np.array_equal(fresh.device.screenshot(), twin.screenshot()), action
    assert fresh.device.unsettled == 0


def test_the_tree_is_the_tree_of_the_phone(fresh):
    fresh.device.perform(OpenApp("Contacts"))

    def said(nodes):
        # A device lists window by window, the phone in drawing order.
        return sorted((n.bounds, n.text, n.label, n.resource_id, n.editable, n.clickable, n.checked) for n in nodes)

    assert said(n for n in fresh.device.ui_tree() if n.text or n.label) == said(
        n for n in fresh.phone.ui_tree() if n.text or n.label
    )


def test_what_no_device_performs_is_refused(fresh):
    with pytest.raises(ActionError, match="Finish ends an episode"):
        fresh.device.perform(Finish())
    before = fresh.phone.state
    fresh.device.perform(OpenApp("No such app"))
    assert fresh.phone.state == before


# --- text ---

HOSTILE = (
    "'; reboot; '",
    '"; rm -rf /sdcard; "',
    "$(input keyevent 3)",
    "`input keyevent 3`",
    "a && input keyevent 3 || b | c > /sdcard/d",
    "%s %20 \\n \\x41 -n --es text",
    "héllo wörld ✓ 漢字 שלום مرحبا 😀👩‍👩‍👧",
    "${IFS}~*?[a]!#",
    "x" * 4000,
)


@pytest.fixture
def field(fresh) -> Attached:
    """A text field with the focus."""
    fresh.device.perform(OpenApp("Contacts"))
    fresh.device.perform(Tap(0.5, 0.09))
    for node in fresh.device.ui_tree():
        if node.editable and not node.focused:
            left, top, right, bottom = node.bounds
            width, height = fresh.device.info().size
            fresh.device.perform(Tap((left + right) / 2 / width, (top + bottom) / 2 / height))
    assert fresh.phone.state.system.focus, "the test needs a focused field"
    return fresh


def check_typed(attached: Attached, text: str) -> None:
    """Type `text`; the phone's whole state, clock included, must be what typing alone makes of it."""
    before, commands = attached.phone.state, attached.served.files.list("/sdcard")
    twin = attached.phone.fork()
    twin.perform(TypeText(text))
    try:
        attached.device.perform(TypeText(text))
    except ActionError as error:
        assert "text: got" in str(error) and attached.phone.state == before
    else:
        assert attached.phone.state == twin.state or not text
    assert attached.served.files.list("/sdcard") == commands
    attached.phone.restore(before)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_arrives_as_it_is_and_runs_nothing(field, text):
    check_typed(field, text)
    focused = field.phone.state.system.focus
    field.device.perform(TypeText(text))
    assert dict(field.phone.state.system.stacks[-1].pages[-1].fields).get(focused, "").endswith(text)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.text(alphabet="'\"`$();&|<>\\\n ~*?#!{}[]=%-", max_size=30)))
@example("line\nbreak")
@example("\ud800")
def test_any_text_arrives_as_it_is_or_is_refused_and_runs_nothing(field, text):
    check_typed(field, text)


def test_text_without_a_focused_field_types_nothing(fresh):
    twin = fresh.phone.fork()
    for action in (PressKey("home"), TypeText("lost")):
        fresh.device.perform(action)
        twin.perform(action)
    assert fresh.phone.state == twin.state


def test_text_by_the_clipboard_arrives_too(adb_host):
    with attach(adb_host, AdbConfig(text="clipboard", settle=QUICK.settle)) as found:
        found.device.reset()
        found.device.perform(OpenApp("Contacts"))
        found.device.perform(Tap(0.5, 0.09))
        assert found.phone.state.system.focus
        found.device.perform(TypeText("zwölf ✓"))
        state = found.phone.state.system
        assert dict(state.stacks[-1].pages[-1].fields)[state.focus] == "zwölf ✓"


# --- the same episode through both devices ---


def played(env: AndroidTaskEnv, item: TaskTemplate, instance: int, actions: list[Action] | None) -> list:
    """Play an episode; without `actions`, the oracle's. Return what an agent and a learner saw."""
    observation, info = env.reset(options={"task": item.id, "instance": instance})
    seen: list = [(None, observation, 0.0, False, False, info)]
    source = actions if actions is not None else oracle_actions(item, env.device, goal_of(env.task))
    try:
        for action in source:
            seen.append((action, *env.step(action)))
            if seen[-1][3] or seen[-1][4]:
                break
    except OracleStuckError:
        pass
    return seen


def stray_actions(generator: np.random.Generator, count: int) -> list[Action]:
    def one() -> Action:
        kind = generator.integers(7)
        x, y, x2, y2 = (float(value) for value in generator.random(4))
        if kind == 0:
            return Swipe(x, y, x2, y2)
        if kind == 1:
            return LongPress(x, y)
        if kind == 2:
            return PressKey(str(generator.choice(["back", "home", "recents", "enter", "delete"])))  # pyright: ignore
        if kind == 3:
            return TypeText("".join(generator.choice(sorted(CHARSET), 5)))
        return Tap(x, y)

    return [one() for _ in range(count)]


def check_same_episode(attached: Attached, item: TaskTemplate, instance: int, strays: list[Action]) -> bool:
    """Hold an episode through ADB against the same one in the phone itself; return whether it was solved."""
    split = item.splits()[0]
    with_sim = AndroidTaskEnv(device="sim", suite=[item], split=split, max_steps=40)
    over_adb = AndroidTaskEnv(device=attached.device, suite=[item], split=split, max_steps=40, world=attached.phone)
    wanted = played(with_sim, item, instance, strays or None)
    got = played(over_adb, item, instance, [step[0] for step in wanted[1:]])
    assert len(got) == len(wanted)
    for expected, actual in zip(wanted, got, strict=True):
        assert np.array_equal(expected[1]["screenshot"], actual[1]["screenshot"]), (item.id, instance, expected[0])
        assert expected[1]["instruction"] == actual[1]["instruction"]
        assert expected[2:5] == actual[2:5], (item.id, instance, expected[0])
        assert expected[5] == actual[5], (item.id, instance, expected[0])
    assert with_sim.world is not None and with_sim.world.state == attached.phone.state
    return bool(wanted[-1][5]["is_success"])


@pytest.mark.parametrize("name", ["settings.toggle", "contacts.add_contact", "notes.create_note"])
def test_an_episode_is_the_same_through_adb(attached, name):
    known = {item.id: item for item in suite("all")}
    assert check_same_episode(attached, known[name], 3, [])


def test_stray_actions_do_the_same_through_adb(attached):
    generator = np.random.default_rng(5)
    check_same_episode(attached, suite("starter")[0], 1, stray_actions(generator, 12))


@pytest.mark.slow
def test_fifty_random_episodes_are_the_same_through_adb(attached):
    generator = np.random.default_rng(11)
    known = suite("all")
    solved = 0
    for number in range(50):
        item = known[int(generator.integers(len(known)))]
        strays = stray_actions(generator, 10) if number % 3 == 0 else []
        solved += check_same_episode(attached, item, int(generator.integers(1000)), strays)
    assert solved >= 28, "most of the oracle's 33 episodes should succeed"


# --- looking ---


def test_an_unchanged_screen_is_the_same_object(fresh):
    fresh.device.perform(OpenApp("Settings"))
    first = fresh.device.screenshot()
    assert fresh.device.screenshot() is first and not first.flags.writeable


def test_a_change_from_elsewhere_is_seen(fresh):
    fresh.device.perform(PressKey("home"))
    fresh.device.screenshot()
    fresh.served.launch("com.android.settings")
    assert same_screen(fresh)


def test_the_device_is_described(fresh):
    fresh.device.screenshot()
    info = fresh.device.info()
    assert (info.kind, info.serial, info.size) == ("adb", fresh.serial, (540, 1200)) and info.model


# --- reset, apps, the screen itself ---


def test_a_device_that_sleeps_is_woken_for_an_episode(fresh):
    fresh.served.sleep()
    fresh.device.reset()
    assert fresh.served.screen_on and same_screen(fresh)


def test_listed_apps_are_cleared_before_an_episode(adb_host):
    config = AdbConfig(reset="clear", packages=("com.google.android.contacts",), settle=QUICK.settle)
    with attach(adb_host, config) as found:
        found.device.reset()
        emptied = found.phone.state.apps
        found.device.perform(OpenApp("Contacts"))
        found.device.reset()
        assert found.phone.state.apps == emptied
        assert found.served.package() == "com.google.android.apps.nexuslauncher"
        absent = AdbConfig(reset="clear", packages=("org.absent",), settle=QUICK.settle)
        found.device.config = absent
        with pytest.raises(DeviceFailure, match=r"pm on .* ended with status") as caught:
            found.device.reset()
        assert caught.value.kind == "reset"


def open_clock(device) -> None:
    """The hook of the test below."""
    device.launch("com.google.android.deskclock")


def test_a_hook_has_the_last_word_on_a_reset(adb_host):
    with attach(adb_host, AdbConfig(hook=f"{__name__}:open_clock", settle=QUICK.settle)) as found:
        found.device.reset()
        assert found.served.package() == "com.google.android.deskclock"


def test_a_snapshot_needs_an_emulator(adb_host):
    config = AdbConfig(reset="snapshot", snapshot="start")
    with attach(adb_host, config) as found, pytest.raises(DeviceFailure, match="needs an emulator"):
        found.device.reset()


def test_apps_are_launched_stopped_and_cleared(fresh):
    fresh.device.launch("com.android.settings")
    assert fresh.served.package() == "com.android.settings"
    fresh.device.stop("com.android.settings")
    assert fresh.served.package() != "com.android.settings"
    fresh.device.clear("com.google.android.keep")
    with pytest.raises(CommandError, match=r"'org.absent' has nothing to open"):
        fresh.device.launch("org.absent")


def test_the_screen_is_held_upright_or_as_the_settings_say(adb_host):
    with attach(adb_host, AdbConfig(rotation="left", settle=QUICK.settle)) as found:
        found.device.reset()
        assert found.served.orientation == 1
        assert found.device.screenshot().shape == (540, 1200, 3) and same_screen(found)
        found.device.perform(OpenApp("Settings"))
        twin = found.phone.fork()
        for action in (Swipe(0.5, 0.8, 0.5, 0.4), Tap(0.3, 0.5)):
            found.device.perform(action)
            twin.perform(action)
        assert found.phone.state == twin.state


def test_a_device_is_given_back_with_its_own_keyboard(adb_host):
    with attach(adb_host) as found:
        keyboard = found.served.input_method
        found.device.reset()
        found.server.disconnect()  # what is given back is what was there before the first connection
        found.device.screenshot()
        assert found.served.input_method == "com.github.uiautomator/.AdbKeyboard"
        found.device.close()
        assert found.served.input_method == keyboard
        found.device.close()
        found.device.reset()  # and taken again
        found.server.faults.inject("drop", match="pressKey", moment="after")
        with pytest.raises(DeviceFailure):
            found.device.perform(PressKey("home"))
        found.device.close()  # over a connection of its own
        assert found.served.input_method == keyboard


def test_a_device_is_driven_by_one_environment_at_a_time(adb_host):
    with attach(adb_host) as found:
        found.device.reset()
        code = (
            "import sys; from android_env_gym.devices.adb import AdbDevice\n"
            "try: AdbDevice(sys.argv[1]).reset()\n"
            "except Exception as error: sys.exit(f'{type(error).__name__} {error}')"
        )
        elsewhere = subprocess.run([sys.executable, "-c", code, found.serial], capture_output=True, text=True)
        assert elsewhere.stderr.startswith(f"DeviceFailure {found.serial} is driven by another environment")
        second = AdbDevice(found.serial, config=QUICK)
        with pytest.raises(DeviceFailure, match="driven by another environment"):
            second.reset()
        found.device.close()
        second.reset()
        second.close()


# --- who is there ---


def test_devices_are_listed_with_their_health(fresh):
    listed = {item.device: item for item in list_devices()}
    health = listed[f"adb:{fresh.serial}"]
    assert health.usable and health.state == "device" and health.size == (540, 1200)
    assert health.model and health.android and health.screenshot_ms > 0
    fresh.served.properties["sys.boot_completed"] = ""
    try:
        listed = {item.device: item for item in list_devices()}
    finally:
        fresh.served.properties["sys.boot_completed"] = "1"
    assert not listed[f"adb:{fresh.serial}"].usable
    assert listed[f"adb:{fresh.serial}"].reason == "it has not finished booting"


def test_a_device_that_is_away_is_named_in_time(fresh):
    started = time.monotonic()
    missing = absent_devices([fresh.serial, "NOSUCHPHONE", "127.0.0.1:1"], seconds=1.0)
    assert time.monotonic() - started < 8.0
    assert set(missing) == {"NOSUCHPHONE", "127.0.0.1:1"}
    assert f"attached are {fresh.serial}" in missing["NOSUCHPHONE"]
