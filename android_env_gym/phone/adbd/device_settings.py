"""Android's settings (`settings get system screen_brightness`) wired to the phone's own; one table of names.

A name in `WIRED` reads and writes what the Settings app, quick settings and the status bar show. Any other name is
kept as text beside the phone, as Android keeps names that nothing reads. Called by the shell's `settings`, `content`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from android_env_gym.phone.adbd import packages
from android_env_gym.phone.apps.settings.state import Preferences, SettingsState
from android_env_gym.phone.phone import FONT_SCALES
from android_env_gym.phone.state import DeviceSettings, PhoneState, PutSetting
from android_env_gym.phone.system.reduce import handle, with_system
from android_env_gym.phone.world.edit import app_of, put_app

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

NAMESPACES = ("system", "secure", "global")
VOLUME_STEPS = 15
Key = tuple[str, str]


class SettingError(ValueError):
    """A value that this setting cannot have; the message is Android's."""


class Wired(msgspec.Struct, frozen=True):
    """How one of Android's settings is read from and written to the phone; texts as `settings` shows them."""

    read: Callable[[PhoneState], str]
    write: Callable[[PhoneState, str], PhoneState]


def _setting(name: str, show: Callable[[Any], str], parse: Callable[[str], Any]) -> Wired:
    """Wire a field of `DeviceSettings` or, if it has none of that name, of the Settings app's `Preferences`."""
    if name in DeviceSettings.__struct_fields__:
        return Wired(
            lambda state: show(getattr(state.system.settings, name)),
            lambda state, text: handle(state, PutSetting(name, parse(text))),
        )
    if name not in Preferences.__struct_fields__:
        raise KeyError(f"the phone has no setting {name!r}")

    def write(state: PhoneState, text: str) -> PhoneState:
        app = app_of(state, SettingsState)
        preferences = msgspec.structs.replace(app.preferences, **{name: parse(text)})
        return put_app(state, msgspec.structs.replace(app, preferences=preferences))

    return Wired(lambda state: show(getattr(app_of(state, SettingsState).preferences, name)), write)


def _flag(name: str, on: str = "1", off: str = "0") -> Wired:
    """Wire a switch; any number but `off` switches it on."""

    def parse(text: str) -> bool:
        return str(_whole(text)) != off

    return _setting(name, lambda value: on if value else off, parse)


def _share(name: str, steps: int) -> Wired:
    """Wire a level in [0, 1] that Android counts from 0 to `steps`."""
    return _setting(
        name, lambda value: str(round(value * steps)), lambda text: min(max(_whole(text) / steps, 0.0), 1.0)
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"Bad value: {text}: not a number") from None


def _font_size(text: str) -> int:
    try:
        scale = float(text)
    except ValueError:
        raise SettingError(f"Bad value: {text}: not a number") from None
    return min(range(len(FONT_SCALES)), key=lambda index: abs(FONT_SCALES[index] - scale))


def _rotation(state: PhoneState, text: str) -> PhoneState:
    if text not in ("0", "1", "2", "3"):
        raise SettingError(f"Bad value: {text}: allowed are 0, 1, 2, 3")
    return with_system(state, rotation=int(text))


WIRED: dict[Key, Wired] = {
    ("global", "airplane_mode_on"): _flag("airplane_mode"),
    ("global", "wifi_on"): _flag("wifi"),
    ("global", "bluetooth_on"): _flag("bluetooth"),
    ("global", "mobile_data"): _flag("mobile_data"),
    ("global", "low_power"): _flag("battery_saver"),
    ("global", "zen_mode"): _flag("do_not_disturb"),
    ("global", "data_roaming"): _flag("roaming"),
    ("global", "auto_time"): _flag("automatic_time"),
    ("global", "wifi_scan_always_enabled"): _flag("wifi_scanning"),
    ("global", "ble_scan_always_enabled"): _flag("bluetooth_scanning"),
    ("global", "adaptive_battery_management_enabled"): _flag("adaptive_battery"),
    ("global", "wfc_ims_enabled"): _flag("wifi_calling"),
    ("system", "screen_brightness"): _share("brightness", 255),
    ("system", "screen_brightness_mode"): _flag("adaptive_brightness"),
    ("system", "accelerometer_rotation"): _flag("auto_rotate"),
    ("system", "user_rotation"): Wired(lambda state: str(state.system.rotation), _rotation),
    ("system", "screen_off_timeout"): _setting(
        "screen_timeout", lambda value: str(value * 1000), lambda text: max(_whole(text) // 1000, 1)
    ),
    ("system", "font_scale"): _setting("font_size", lambda value: f"{FONT_SCALES[value]:g}", _font_size),
    ("system", "volume_music"): _share("media_volume", VOLUME_STEPS),
    ("system", "volume_voice"): _share("call_volume", VOLUME_STEPS),
    ("system", "volume_ring"): _share("ring_volume", VOLUME_STEPS),
    ("system", "volume_alarm"): _share("alarm_volume", VOLUME_STEPS),
    ("system", "vibrate_when_ringing"): _flag("vibrate"),
    ("system", "status_bar_show_battery_percent"): _flag("battery_percentage"),
    ("system", "time_12_24"): _flag("use_24_hour", "24", "12"),
    ("system", "dtmf_tone"): _flag("dial_tones"),
    ("system", "lockscreen_sounds_enabled"): _flag("lock_sounds"),
    ("system", "sound_effects_enabled"): _flag("touch_sounds"),
    ("system", "show_password"): _flag("show_passwords"),
    ("secure", "location_mode"): _flag("location", "3"),
    ("secure", "ui_night_mode"): _flag("dark_theme", "2", "1"),
    ("secure", "night_display_activated"): _flag("night_light"),
    ("secure", "accessibility_display_inversion_enabled"): _flag("color_inversion"),
    ("secure", "accessibility_display_daltonizer_enabled"): _flag("color_correction"),
    ("secure", "accessibility_display_magnification_enabled"): _flag("magnification"),
    ("secure", "high_text_contrast_enabled"): _flag("high_contrast_text"),
    ("secure", "reduce_bright_colors_activated"): _flag("extra_dim"),
    ("secure", "touch_exploration_enabled"): _flag("talkback"),
    ("secure", "one_handed_mode_enabled"): _flag("one_handed_mode"),
    ("secure", "notification_badging"): _flag("notification_dots"),
    ("secure", "notification_bubbles"): _flag("bubbles"),
    ("secure", "notification_history_enabled"): _flag("notification_history"),
    ("secure", "charging_sounds_enabled"): _flag("charging_sounds"),
    ("secure", "backup_enabled"): _flag("backup"),
    ("secure", "spell_checker_enabled"): _flag("spell_checker"),
}
_START: dict[Key, str] = {
    ("global", "adb_enabled"): "1",
    ("global", "animator_duration_scale"): "1.0",
    ("global", "boot_count"): "1",
    ("global", "development_settings_enabled"): "1",
    ("global", "device_provisioned"): "1",
    ("global", "stay_on_while_plugged_in"): "0",
    ("global", "transition_animation_scale"): "1.0",
    ("global", "window_animation_scale"): "1.0",
    ("secure", "android_id"): "b4d1e5e7a2c6f093",
    ("secure", "show_ime_with_hard_keyboard"): "1",
    ("secure", "user_setup_complete"): "1",
    ("system", "pointer_location"): "0",
    ("system", "show_touches"): "0",
}
_INPUT_METHOD: Key = ("secure", "default_input_method")
_INPUT_METHODS: Key = ("secure", "enabled_input_methods")
_DEVICE_NAME: Key = ("global", "device_name")


def get_setting(served: ServedPhone, key: Key) -> str | None:
    """Return a setting as Android's text, None if it is not set."""
    with served.lock:
        if key == _INPUT_METHOD:
            return served.input_method
        if key == _INPUT_METHODS:
            return ":".join(sorted(served.enabled_methods))
        if key in WIRED:
            return WIRED[key].read(served.state)
        if key == _DEVICE_NAME and key not in served.settings:
            return app_of(served.state, SettingsState).hardware.name
        return served.settings.get(key, _START.get(key)) or None


def put_setting(served: ServedPhone, key: Key, value: str) -> None:
    """Set a setting.

    Raises:
        SettingError: The phone cannot have this value.
    """
    with served.lock:
        if key == _INPUT_METHOD:
            served.input_method = value
        elif key == _INPUT_METHODS:
            served.enabled_methods = {name for name in value.split(":") if name}
        elif key in WIRED:
            served.edit(lambda state: WIRED[key].write(state, value))
        else:
            served.settings[key] = value


def delete_setting(served: ServedPhone, key: Key) -> bool:
    """Unset a setting; what is wired goes back to a fresh phone's value. Return whether it was set."""
    with served.lock:
        before = get_setting(served, key)
        if before is None:
            return False
        if key == _INPUT_METHOD:
            served.input_method = packages.LATIN_IME
        elif key in WIRED:
            fresh = WIRED[key].read(_fresh(served.state))
            served.edit(lambda state: WIRED[key].write(state, fresh))
        else:
            served.settings[key] = ""  # hides the start value too
        return True


def list_settings(served: ServedPhone, namespace: str) -> dict[str, str]:
    """Return every setting of a namespace that is set, by name."""
    with served.lock:
        keys = {*WIRED, *_START, *served.settings, _INPUT_METHOD, _INPUT_METHODS, _DEVICE_NAME}
        values = {name: get_setting(served, (space, name)) for space, name in sorted(keys) if space == namespace}
        return {name: value for name, value in values.items() if value is not None}


def _fresh(state: PhoneState) -> PhoneState:
    app = msgspec.structs.replace(app_of(state, SettingsState), preferences=Preferences())
    return with_system(put_app(state, app), settings=DeviceSettings(), rotation=0)
