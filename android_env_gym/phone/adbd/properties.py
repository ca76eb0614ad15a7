"""System properties (`getprop`) of the served phone, in agreement with its "About phone" page."""

from __future__ import annotations

from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.world.edit import app_of

_SDK = {"12": "31", "13": "33", "14": "34", "15": "35"}
_CODENAMES = {
    "Pixel 6": "oriole",
    "Pixel 6a": "bluejay",
    "Pixel 7": "panther",
    "Pixel 7 Pro": "cheetah",
    "Pixel 8": "shiba",
    "Pixel 8 Pro": "husky",
    "Pixel 9": "tokay",
}


def draw_properties(state: PhoneState, serial: str) -> dict[str, str]:
    """Return the properties of a started phone, from its hardware and its screen."""
    hardware = app_of(state, SettingsState).hardware
    device = _CODENAMES.get(hardware.model, "embedded")
    release, build = hardware.android, hardware.build
    return {
        "dev.bootcomplete": "1",
        "gsm.sim.state": "LOADED",
        "init.svc.bootanim": "stopped",
        "net.bt.name": "Android",
        "persist.sys.locale": "en-US",
        "persist.sys.timezone": "GMT",
        "ro.boot.serialno": serial,
        "ro.build.characteristics": "default",
        "ro.build.date.utc": "1741132800",
        "ro.build.display.id": build,
        "ro.build.fingerprint": f"google/{device}/{device}:{release}/{build}/11988889:user/release-keys",
        "ro.build.id": build,
        "ro.build.tags": "release-keys",
        "ro.build.type": "user",
        "ro.build.user": "android-build",
        "ro.build.version.codename": "REL",
        "ro.build.version.incremental": "11988889",
        "ro.build.version.release": release,
        "ro.build.version.sdk": _SDK.get(release, "35"),
        "ro.build.version.security_patch": "2025-03-05",
        "ro.crypto.state": "encrypted",
        "ro.debuggable": "0",
        "ro.hardware": device,
        "ro.kernel.version": hardware.kernel,
        "ro.product.board": device,
        "ro.product.brand": "google",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.product.device": device,
        "ro.product.locale": "en-US",
        "ro.product.manufacturer": "Google",
        "ro.product.model": hardware.model,
        "ro.product.name": device,
        "ro.secure": "1",
        "ro.serialno": serial,
        "ro.sf.lcd_density": str(round(state.config.density * 160)),
        "service.bootanim.exit": "1",
        "sys.boot_completed": "1",
        "sys.user.0.ce_available": "true",
        "wifi.interface": "wlan0",
    }
