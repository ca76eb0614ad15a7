"""`cmd SERVICE ...`: the shell commands of system services, most of which have a name of their own too."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable

from android_env_gym.phone.adbd.commands.base import Call, CommandError, RunCommand
from android_env_gym.phone.adbd.commands.settings import switch
from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.state import PutSetting, ShowShade
from android_env_gym.phone.world.edit import app_of

_SAME_AS = {
    "package": "pm",
    "activity": "am",
    "window": "wm",
    "input": "input",
    "settings": "settings",
    "content": "content",
    "input_method": "ime",
}
_NOT_FOUND = 20
_ENABLED = {"enable": True, "disable": False, "enabled": True, "disabled": False, "true": True, "false": False}
_YES = {"yes": True, "no": False, "on": True, "off": False}


def cmd(call: Call) -> int:
    """Run a service's command; `-l` lists the services."""
    if call.args[:1] == ["-l"]:
        call.line("Currently running services:")
        for name in sorted((*_SAME_AS, *_SERVICES)):
            call.line(f"  {name}")
        return 0
    given = call.args[1:] if call.args[:1] == ["-w"] else call.args  # every service is there, none to wait for
    if not given:
        raise CommandError("cmd: No service specified; use -l to list all running services", _NOT_FOUND)
    name, *args = given
    if name in _SAME_AS:
        return call.shell(shlex.join([_SAME_AS[name], *args]), call.stdin, call.emit)
    service = _SERVICES.get(name)
    if service is None:
        raise CommandError(f"cmd: Can't find service: {name}", _NOT_FOUND)
    return service(call, args)


def _unknown(args: list[str], allowed: str) -> CommandError:
    return CommandError(f"Unknown command: {' '.join(args) or '(none)'}; allowed: {allowed}", 255)


def _status_bar(call: Call, args: list[str]) -> int:
    panels = {"expand-notifications": "notifications", "expand-settings": "quick", "collapse": ""}
    if args[:1] and args[0] in panels:
        call.served.handle(ShowShade(panels[args[0]]))
        return 0
    raise _unknown(args, ", ".join(panels))


def _ui_mode(call: Call, args: list[str]) -> int:
    match args:
        case ["night"]:
            pass
        case ["night", how] if how in ("yes", "no"):
            switch(call, "dark_theme", how == "yes")
        case _:
            raise _unknown(args, "night [yes|no]")
    call.line(f"Night mode: {'yes' if call.served.state.system.settings.dark_theme else 'no'}")
    return 0


def _wifi(call: Call, args: list[str]) -> int:
    state = call.served.state
    match args:
        case ["set-wifi-enabled", how] if how in _ENABLED:
            return switch(call, "wifi", _ENABLED[how])
        case ["status"]:
            device = state.system.settings
            call.line(f"Wifi is {'enabled' if device.wifi else 'disabled'}")
            if device.wifi and device.wifi_network:
                call.line(f'Wifi is connected to "{device.wifi_network}"')
        case ["list-networks"]:
            call.line("Network Id      SSID                         Security type")
            for index, item in enumerate(network for network in app_of(state, SettingsState).networks if network.saved):
                call.line(f"{index:<15} {item.name:<28} {'wpa2-psk' if item.password else 'open'}")
        case ["list-scan-results"]:
            call.line("    BSSID              Frequency      RSSI           Age(sec)     SSID                 Flags")
            for item in app_of(state, SettingsState).networks:
                call.line(
                    f"  02:00:00:00:00:00    5180      {-90 + 12 * item.strength}(0:0/1:0)     1.2    {item.name}"
                )
        case _:
            raise _unknown(args, "set-wifi-enabled enabled|disabled, status, list-networks, list-scan-results")
    return 0


def _toggled(setting: str) -> Callable[[Call, list[str]], int]:
    def run(call: Call, args: list[str]) -> int:
        words = [word for word in args if word in _ENABLED]
        if not words:
            raise _unknown(args, "enable, disable")
        return switch(call, setting, _ENABLED[words[-1]])

    return run


def _connectivity(call: Call, args: list[str]) -> int:
    match args:
        case ["airplane-mode"]:
            call.line("enabled" if call.served.state.system.settings.airplane_mode else "disabled")
        case ["airplane-mode", how] if how in _ENABLED:
            return switch(call, "airplane_mode", _ENABLED[how])
        case _:
            raise _unknown(args, "airplane-mode [enable|disable]")
    return 0


def _notification(call: Call, args: list[str]) -> int:
    match args:
        case ["set_dnd", how]:
            return switch(call, "do_not_disturb", how not in ("off", "all"))
        case ["list"]:
            for index, note in enumerate(call.served.state.system.notifications):
                call.line(f"0|{note.app}|{index + 1}|null|10100")
        case _:
            raise _unknown(args, "set_dnd on|off, list")
    return 0


def _power(call: Call, args: list[str]) -> int:
    match args:
        case ["set-mode", ("0" | "1") as how]:
            return switch(call, "battery_saver", how == "1")
        case _:
            raise _unknown(args, "set-mode 0|1")


def _location(call: Call, args: list[str]) -> int:
    match args:
        case ["is-location-enabled", *_]:
            call.line(str(call.served.state.system.settings.location).lower())
        case ["set-location-enabled", how, *_] if how in _ENABLED:
            return switch(call, "location", _ENABLED[how])
        case _:
            raise _unknown(args, "is-location-enabled, set-location-enabled true|false")
    return 0


def _media(call: Call, args: list[str]) -> int:
    """Run `volume --stream 3 --set 7 | --get` of the media session service."""
    streams = {"0": "call_volume", "2": "ring_volume", "3": "media_volume", "4": "alarm_volume"}
    words = dict(itertools.pairwise(args))
    setting = streams.get(words.get("--stream", "3"))
    if args[:1] != ["volume"] or setting is None:
        raise _unknown(args, "volume --stream 0|2|3|4 --get | --set 0-15")
    if "--set" in words:
        if not words["--set"].isdecimal():
            raise _unknown(args, "volume --stream 3 --set 0-15")
        call.served.handle(PutSetting(setting, min(int(words["--set"]), 15) / 15))
    volume = round(getattr(call.served.state.system.settings, setting) * 15)
    call.line(f"[V] volume is {volume} in range [0..15]")
    return 0


def _lock(call: Call, args: list[str]) -> int:
    return 0  # the phone has no lock screen to set up


def media(call: Call) -> int:
    """Run `media volume ...`, as older Androids name it."""
    return _media(call, call.args)


_SERVICES: dict[str, Callable[[Call, list[str]], int]] = {
    "bluetooth_manager": _toggled("bluetooth"),
    "connectivity": _connectivity,
    "location": _location,
    "lock_settings": _lock,
    "media_session": _media,
    "nfc": _toggled("nfc"),
    "notification": _notification,
    "power": _power,
    "statusbar": _status_bar,
    "uimode": _ui_mode,
    "wifi": _wifi,
}
COMMANDS: dict[str, RunCommand] = {"cmd": cmd, "media": media}
