"""The installed apps: adding one is a folder beside this file and a line in `APPS`."""

from __future__ import annotations

from typing import Any

from android_env_gym.phone.app import App
from android_env_gym.phone.apps.browser.app import Browser
from android_env_gym.phone.apps.clock.app import Clock
from android_env_gym.phone.apps.contacts.app import Contacts
from android_env_gym.phone.apps.launcher.app import Launcher
from android_env_gym.phone.apps.messages.app import Messages
from android_env_gym.phone.apps.notes.app import Notes
from android_env_gym.phone.apps.settings.app import Settings

APPS: tuple[App[Any], ...] = (
    Launcher(),
    Browser(),
    Clock(),
    Contacts(),
    Messages(),
    Notes(),
    Settings(),
)
APP_BY_ID: dict[str, App[Any]] = {app.id: app for app in APPS}
