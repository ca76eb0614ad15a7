"""A fresh phone: one seed decides the date, the apps' contents and (if configured) the icon layout."""

from __future__ import annotations

import zlib

import numpy as np

from android_env_gym.phone.apps import APP_BY_ID, APPS
from android_env_gym.phone.state import AppState, DeviceConfig, Page, PhoneState, Stack, SystemState

EPOCH_MS = 1_772_441_000_000  # 2026-03-02 08:43:20 UTC; every phone starts within the four weeks that follow
MINUTE_MS = 60_000


def boot(config: DeviceConfig, seed: int) -> PhoneState:
    """Return the state of a phone that has just started, on its home screen."""
    rng = np.random.default_rng(seed)
    day, minute = int(rng.integers(28)), int(rng.integers(12 * 60))
    now = EPOCH_MS + (day * 24 * 60 + minute) * MINUTE_MS
    apps = tuple(first_data(app.id, seed, now) for app in APPS)
    order = [app.id for app in APPS if app.id != "launcher"]
    if config.shuffle_icons:
        rng.shuffle(order)
    system = SystemState(stacks=(Stack("launcher", (Page("launcher"),)),), home_order=tuple(order))
    return PhoneState(now=now, config=config, system=system, apps=apps)


def first_data(app_id: str, seed: int, now: int) -> AppState:
    """Return what the app with this id holds on a fresh phone of this seed."""
    return APP_BY_ID[app_id].initial(np.random.default_rng([seed, zlib.crc32(app_id.encode())]), now)
