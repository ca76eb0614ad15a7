"""Settings of real devices: plain data, so that they cross processes and can be written in YAML.

All times are in seconds. Callers: `make_device`, `AndroidTaskEnv`, `EnvSpec`, `AdbDevice`, `EmulatorFleet`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PositiveFloat = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]


class SettleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a screen counts as settled after an action: equal frames, no window on its way, at most so long."""

    max_seconds: NonNegative = 4.0
    """Bound: a screen that never rests (a video) is taken as it is after this time."""
    react_seconds: NonNegative = 0.1
    """How long a screen is watched that has not changed at all before the action counts as without effect."""
    still_seconds: NonNegative = 0.04
    """How far apart two frames must at least be taken that are compared."""
    opening_seconds: NonNegative = 1.0
    """How long a window that is being opened is waited for, from the last window event on."""
    quiet_seconds: NonNegative = 0.1
    """How long no window event may have come, on devices that do not log which window has the focus."""
    tolerance: Annotated[float, Meta(ge=0, lt=1)] = 0.0005
    """Share of pixels that may differ between two frames that count as equal (a blinking caret)."""
    events: bool = True
    """Whether the device's event log is followed."""


class EmulatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How emulators are started and kept alive. The phone inside them is driven as `AdbConfig` says."""

    read_only: bool = True
    """Start the AVD read-only, so that several instances share it; False: writable, one instance per AVD."""
    data_root: str = ""
    """Folder with one data folder per instance, given to the emulator as `-datadir`; empty: the AVD's own."""
    arguments: tuple[str, ...] = ()
    """More arguments of the `emulator` command."""
    headless: bool = True
    """Whether emulators run without a window."""
    gpu: str = "swiftshader_indirect"
    """The emulator's `-gpu` mode."""
    boot_seconds: PositiveFloat = 240.0
    """How long an instance may take until it is ready."""
    stop_seconds: PositiveFloat = 20.0
    """How long an instance may take to stop before it is killed."""
    restart_every: Annotated[int, Meta(ge=0)] = 200
    """Episodes after which an instance is started anew; 0: never."""
    backoff_seconds: NonNegative = 2.0
    """Pause before the second attempt to start; doubles with every further one."""
    max_backoff_seconds: NonNegative = 120.0
    """Longest pause between two attempts."""
    quarantine_after: Positive = 5
    """Failures in a row after which an instance is left alone."""
    quarantine_seconds: NonNegative = 600.0
    """How long it is left alone; then it gets one more chance at a time."""


class AdbConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a device behind ADB is driven, and how an episode starts there."""

    reset: Literal["home", "clear", "snapshot"] = "home"
    """Start of an episode: the home screen; also with the data of `packages` cleared; also from `snapshot`."""
    packages: tuple[str, ...] = ()
    """Apps that are stopped (with `reset` "clear": and their data deleted) before an episode."""
    snapshot: str = ""
    """Emulator snapshot that `reset` "snapshot" loads."""
    hook: str = ""
    """Function "module:name" that is called with the `AdbDevice` at the end of every reset."""
    rotation: Literal["natural", "left", "right", "free"] = "natural"
    """How the screen is held during an episode."""
    stay_awake: bool = True
    """Whether the screen is kept on while the device is powered."""
    text: Literal["ime", "clipboard"] = "ime"
    """How text is typed: by uiautomator2's input method (installed on first use), or pasted (changes the clipboard)."""
    apps: dict[str, str] = {}
    """Titles of apps and the packages that `OpenApp` starts for them, beside the well-known ones."""
    settle: SettleConfig = SettleConfig()
    """When a screen counts as settled."""
    connect_seconds: PositiveFloat = 15.0
    """How long a device may take to appear."""
    command_seconds: PositiveFloat = 8.0
    """How long a single answer may take."""
    step_seconds: PositiveFloat = 20.0
    """Bound of one action or one screenshot, repeats included."""
    reset_seconds: PositiveFloat = 40.0
    """Bound of one attempt to start an episode."""
    emulator: EmulatorConfig = EmulatorConfig()
    """How emulators are started and kept alive ("emulator:AVD" only)."""
