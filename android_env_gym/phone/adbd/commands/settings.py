"""`settings`, `svc`, `ime`: what the Settings app shows, from the shell."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands.base import Call, CommandError, RunCommand
from android_env_gym.phone.adbd.device_settings import (
    NAMESPACES,
    SettingError,
    delete_setting,
    get_setting,
    list_settings,
    put_setting,
)
from android_env_gym.phone.adbd.packages import ADB_KEYBOARD, ADB_KEYBOARD_IME, LATIN_IME
from android_env_gym.phone.state import PutSetting

_SERVICES = {"wifi": "wifi", "bluetooth": "bluetooth", "data": "mobile_data", "nfc": "nfc"}


def settings(call: Call) -> int:
    """Get, put, list or delete settings of a namespace."""
    args = list(call.args)
    if args[:1] == ["--user"]:
        args = args[2:]
    match args:
        case ["list", namespace]:
            _check(namespace)
            for name, value in list_settings(call.served, namespace).items():
                call.line(f"{name}={value}")
        case ["get", namespace, name]:
            _check(namespace)
            value = get_setting(call.served, (namespace, name))
            call.line("null" if value is None else value)
        case ["put", namespace, name, value, *_]:
            _check(namespace)
            put(call, (namespace, name), value)
        case ["delete" | "reset", namespace, name]:
            _check(namespace)
            call.line(f"Deleted {int(delete_setting(call.served, (namespace, name)))} rows")
        case [("get" | "put" | "delete" | "list") as verb, *_]:
            raise CommandError(
                f"Bad arguments for {verb}\nallowed: get|delete NAMESPACE KEY, put NAMESPACE KEY VALUE", 255
            )
        case _:
            raise CommandError(f"Invalid command: {' '.join(args[:1])}\nallowed: get, put, delete, list", 255)
    return 0


def _check(namespace: str) -> None:
    if namespace not in NAMESPACES:
        raise CommandError(f"Invalid namespace '{namespace}'; allowed: {', '.join(NAMESPACES)}", 255)


def put(call: Call, key: tuple[str, str], value: str) -> None:
    """Set a setting, or fail with Android's exception."""
    try:
        put_setting(call.served, key, value)
    except SettingError as error:
        raise CommandError(f"java.lang.IllegalArgumentException: {error}", 255) from error


def switch(call: Call, setting: str, on: bool) -> int:
    """Switch one of the phone's own settings."""
    call.served.handle(PutSetting(setting, on))
    return 0


def svc(call: Call) -> int:
    """Switch Wi-Fi, Bluetooth, mobile data or NFC; `svc power stayon|reboot`."""
    match call.args:
        case [("wifi" | "bluetooth" | "data" | "nfc") as service, ("enable" | "disable") as how, *_]:
            switch(call, _SERVICES[service], how == "enable")
        case ["power", "reboot", *_]:
            call.served.reboot()
        case ["power", "stayon", how]:
            put(call, ("global", "stay_on_while_plugged_in"), {"true": "15", "false": "0", "usb": "2"}.get(how, "15"))
        case ["usb", *_]:
            pass
        case ["help" | "--help"] | []:
            call.line("Available commands:\n    help\n    power\n    data\n    wifi\n    usb\n    nfc\n    bluetooth")
        case _:
            raise CommandError(
                f"Unknown arguments: {' '.join(call.args)}; allowed: wifi|bluetooth|data|nfc enable|disable", 1
            )
    return 0


def methods(call: Call) -> list[str]:
    """Return the ids of the installed keyboards."""
    return [LATIN_IME, *([ADB_KEYBOARD_IME] if ADB_KEYBOARD in call.served.installed else [])]


def ime(call: Call) -> int:
    """List, enable, disable, set or reset keyboards."""
    served, known = call.served, methods(call)
    match call.args:
        case ["list", *flags]:
            for method in known if "-a" in flags else [item for item in known if item in served.enabled_methods]:
                call.line(method if "-s" in flags else f"{method}:\n  mId={method} mSettingsActivityName=null")
        case ["enable", method] if method in known:
            already = "already enabled" if method in served.enabled_methods else "now enabled"
            served.enabled_methods.add(method)
            call.line(f"Input method {method}: {already} for user #0")
        case ["disable", method] if method in known:
            served.enabled_methods.discard(method)
            if served.input_method == method:
                served.input_method = LATIN_IME
            call.line(f"Input method {method}: now disabled for user #0")
        case ["set", method] if method in known and method in served.enabled_methods:
            served.input_method = method
            call.line(f"Input method {method} selected for user #0")
        case ["reset", *_]:
            served.input_method, served.enabled_methods = LATIN_IME, {LATIN_IME}
            call.line("Reset current and enabled IMEs for user #0")
        case [("enable" | "disable" | "set") as verb, method]:
            wanted = "selected" if verb == "set" else f"{verb}d"
            raise CommandError(f"Unknown input method {method} cannot be {wanted} for user #0", 255)
        case _:
            raise CommandError(
                f"Unknown command: {' '.join(call.args[:1])}; allowed: list, enable, disable, set, reset", 255
            )
    return 0


COMMANDS: dict[str, RunCommand] = {"settings": settings, "svc": svc, "ime": ime}
