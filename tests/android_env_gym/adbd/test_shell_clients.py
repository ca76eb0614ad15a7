"""The shell's answers in the words of the clients: unmodified adbutils and uiautomator2 parse them.

The clients' own code runs; only their `shell` is a direct call, so that a parser's complaint is about the answer.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import uiautomator2
from adbutils import BrightnessMode
from adbutils._utils import list2cmdline
from adbutils.errors import AdbError
from adbutils.shell import ShellExtension
from uiautomator2 import _AppMixIn
from uiautomator2._input import InputMethodMixIn
from uiautomator2.abstract import ShellResponse

from android_env_gym.phone.adbd import ime
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import run
from android_env_gym.phone.state import ShowShade

SETTINGS, CLOCK, BROWSER = "com.android.settings", "com.google.android.deskclock", "com.android.browser"
APK = Path(uiautomator2.__file__).parent / "assets" / "app-uiautomator.apk"
ADB_KEYBOARD = "com.github.uiautomator/.AdbKeyboard"


class Adb(ShellExtension):
    """adbutils' device without a wire."""

    sync = None

    def __init__(self, served: ServedPhone) -> None:
        self.served = served

    def shell(self, cmd, stream: bool = False, **options) -> str:
        result = run(self.served, cmd if isinstance(cmd, str) else list2cmdline(cmd))
        return (result.stdout + result.stderr).decode().rstrip()

    def install(self, path: str, **options) -> None:
        self.served.files.write("/data/local/tmp/app.apk", Path(path).read_bytes())
        self.install_remote("/data/local/tmp/app.apk")


class U2(_AppMixIn, InputMethodMixIn):
    """uiautomator2's device without a wire."""

    def __init__(self, served: ServedPhone) -> None:
        self.served = served

    @property
    def adb_device(self) -> Adb:
        return Adb(self.served)

    def shell(self, cmd, timeout: float = 60) -> ShellResponse:
        result = run(self.served, cmd if isinstance(cmd, str) else list2cmdline(cmd))
        return ShellResponse((result.stdout + result.stderr).decode(), result.exit)

    @property
    def jsonrpc(self):
        raise AssertionError("these tests use the shell alone")

    @property
    def info(self):
        raise AssertionError("these tests use the shell alone")


@pytest.fixture
def adb(served: ServedPhone) -> Adb:
    return Adb(served)


@pytest.fixture
def u2(served: ServedPhone) -> U2:
    served.receivers.update(ime.receivers(served))
    return U2(served)


def test_adbutils_knows_the_app_in_front(adb: Adb, served: ServedPhone) -> None:
    adb.app_start(SETTINGS, ".Settings")
    current = adb.app_current()
    assert (current.package, current.activity) == (SETTINGS, "com.android.settings.Settings")
    adb.app_start(CLOCK, "com.android.deskclock.DeskClock")
    assert adb.app_current().package == CLOCK
    served.handle(ShowShade("notifications"))
    behind = adb.app_current()  # the shade is no activity: adbutils falls back to the resumed one
    assert (behind.package, behind.pid) == (CLOCK, next(p.pid for p in served.packages() if p.name == CLOCK))
    adb.app_stop(CLOCK)
    assert adb.app_current().package == "com.google.android.apps.nexuslauncher"


def test_adbutils_reads_the_screen(adb: Adb, served: ServedPhone) -> None:
    assert adb.window_size() == (540, 1200)
    assert adb.rotation() == 0
    served.orientation = 1
    assert adb.rotation() == 1
    assert adb.window_size() == served.size == (1200, 540)
    assert adb.is_screen_on()
    adb.switch_screen(False)
    assert not adb.is_screen_on()
    adb.switch_screen(True)
    assert served.screen_on


def test_adbutils_reads_and_sets_brightness(adb: Adb, served: ServedPhone) -> None:
    adb.brightness_value = 200
    assert adb.brightness_value == 200
    assert served.state.system.settings.brightness == pytest.approx(200 / 255)
    adb.brightness_mode = BrightnessMode.MANUAL
    assert adb.brightness_mode == BrightnessMode.MANUAL
    assert not served.state.system.settings.adaptive_brightness


def test_adbutils_switches(adb: Adb, served: ServedPhone) -> None:
    address = adb.wlan_ip()
    assert address.startswith("192.168.")
    adb.switch_wifi(False)
    assert not served.state.system.settings.wifi
    with pytest.raises(AdbError):
        adb.wlan_ip()
    adb.switch_airplane(True)
    assert served.state.system.settings.airplane_mode
    adb.volume_mute()
    assert served.state.system.settings.media_volume == 0


def test_adbutils_reads_packages(adb: Adb, served: ServedPhone) -> None:
    assert {SETTINGS, CLOCK, BROWSER} <= set(adb.list_packages())
    assert adb.list_packages(["-3"]) == []
    info = adb.app_info(CLOCK)
    assert info is not None
    assert (info.version_name, info.version_code) == ("7.10", 74_001_201)
    assert "SYSTEM" in info.flags
    assert isinstance(info.first_install_time, datetime.datetime)
    assert info.path.endswith("base.apk")
    assert adb.app_info("com.example.none") is None


def test_adbutils_reads_the_battery_that_the_status_bar_shows(adb: Adb) -> None:
    battery = adb.battery()
    assert (battery.level, battery.scale, battery.present) == (80, 100, True)
    assert battery.temperature == pytest.approx(26.8)


def test_adbutils_opens_a_page_and_clears_an_app(adb: Adb, served: ServedPhone) -> None:
    adb.open_browser("shoply.com")
    assert adb.app_current().package == BROWSER
    assert any("shoply" in (node.text + node.label).lower() for node in served.tree())
    before = served.state.apps
    adb.app_clear(BROWSER)
    assert adb.app_current().package != BROWSER
    assert served.state.apps != before


def test_uiautomator2_finds_processes(u2: U2, served: ServedPhone) -> None:
    assert SETTINGS not in u2.app_list_running()
    u2.app_start(SETTINGS, ".Settings")
    pid = u2.app_wait(SETTINGS, timeout=1.0, front=True)
    assert pid == next(item.pid for item in served.packages() if item.name == SETTINGS)
    u2.app_stop(SETTINGS)
    assert SETTINGS not in u2.app_list_running()
    assert u2.app_info(CLOCK) == {"versionName": "7.10", "versionCode": 74_001_201}


def test_monkey_needs_physical_keys_or_the_option(u2: U2, served: ServedPhone) -> None:
    served.physical_keys = False
    assert u2.shell(["monkey", "-p", CLOCK, "-c", "android.intent.category.LAUNCHER", "1"]).exit_code == 251
    assert served.package() != CLOCK
    assert u2.shell(["monkey", "--pct-syskeys", "0", "-p", CLOCK, "1"]).exit_code == 0
    assert served.package() == CLOCK
    served.physical_keys = True
    u2.app_start(SETTINGS)
    assert served.package() == SETTINGS
    assert u2.shell(["monkey", "-p", "com.example.none", "1"]).exit_code == 252


def test_uiautomator2_grants_permissions(u2: U2, served: ServedPhone) -> None:
    u2.shell(["pm", "revoke", CLOCK, "android.permission.POST_NOTIFICATIONS"])
    text = u2.shell(["dumpsys", "package", CLOCK]).output
    assert "android.permission.POST_NOTIFICATIONS: granted=false" in text
    u2.app_auto_grant_permissions(CLOCK)
    assert served.granted[CLOCK, "android.permission.POST_NOTIFICATIONS"]


def test_uiautomator2_installs_its_keyboard_and_types_unicode(u2: U2, served: ServedPhone) -> None:
    assert not u2.is_input_ime_installed()
    u2.set_input_ime()
    assert u2.is_input_ime_installed()
    assert u2.adb_device.list_packages(["-3"]) == ["com.github.uiautomator"]
    assert "com.github.uiautomator" not in u2.adb_device.list_packages(["-s"])
    assert u2.current_ime() == ADB_KEYBOARD
    served.launch("com.google.android.contacts")
    field = next(node for node in served.tree() if node.label == "Create contact")
    served.tap((field.bounds[0] + field.bounds[2]) // 2, (field.bounds[1] + field.bounds[3]) // 2)
    edit = next(node for node in served.tree() if node.editable)
    served.tap((edit.bounds[0] + edit.bounds[2]) // 2, (edit.bounds[1] + edit.bounds[3]) // 2)
    text = "Zoë 'q\" $(reboot) `x` ; 👋 مرحبا"
    assert u2.send_keys(text)
    assert any(node.text == text for node in served.tree())
    u2.clear_text()
    assert not any(node.text == text for node in served.tree())
    u2.set_input_ime(False)
    assert u2.current_ime() != ADB_KEYBOARD
    assert u2.app_uninstall("com.github.uiautomator")
    assert not u2.is_input_ime_installed()


def test_an_apk_that_is_none_is_refused(adb: Adb, served: ServedPhone) -> None:
    served.files.write("/data/local/tmp/bad.apk", b"PK not really")
    with pytest.raises(Exception, match="INSTALL_PARSE_FAILED_NOT_APK"):
        adb.install_remote("/data/local/tmp/bad.apk")
    streamed = run(served, f"cmd package install -S {APK.stat().st_size}", APK.read_bytes())
    assert streamed.stdout == b"Success\n"
    assert served.installed["com.github.uiautomator"].code > 1
