"""What is in front, as Android names it: activity, window, component. Pure functions of the phone's state."""

from __future__ import annotations

import zlib

from android_env_gym.phone.adbd import packages
from android_env_gym.phone.state import Page, PhoneState
from android_env_gym.phone.system.reduce import front

SHADE_WINDOW = "NotificationShade"


def window_token(name: str) -> int:
    """Return the hash that stands for a window or activity in dumps; the same in every process."""
    return zlib.crc32(name.encode()) >> 4


def resumed(state: PhoneState) -> tuple[str, str]:
    """Return package and fully qualified activity in front, the launcher's while recents are shown."""
    page = Page("launcher") if state.system.shade == "recents" else front(state)
    return packages.package_of_app(page.app).name, packages.activity_of(page)


def component(state: PhoneState) -> str:
    """Return what is in front as "package/.Activity"."""
    package, activity = resumed(state)
    return f"{package}/{packages.short_activity(package, activity)}"


def focused_window(state: PhoneState) -> str:
    """Return the name of the window that has the focus: "package/activity" or that of the shade."""
    if state.system.shade in ("notifications", "quick"):
        return SHADE_WINDOW
    return "/".join(resumed(state))
