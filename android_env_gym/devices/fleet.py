"""`EmulatorFleet`: instances of one AVD kept alive, and `EmulatorDevice`: one of them as a `Device`.

A slot of the fleet has at most one running emulator. It is started when its device is first reset, brought back to its
snapshot at every reset, started anew after `restart_every` episodes and after every crash or hang, with a growing
pause; a slot that fails `quarantine_after` times in a row is left alone for a while. Invariant: every failure reaches
the caller as `DeviceFailure` within the bounds of `EmulatorConfig`, and `close` leaves no process behind.
Callers: `make_device` (a fleet of one per environment), and whoever drives several in one process.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from android_env_gym.actions import Action
from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.base import DeviceFailure, DeviceInfo, UiNode
from android_env_gym.devices.config import AdbConfig, EmulatorConfig
from android_env_gym.devices.emulator import Emulator, reap_orphans
from android_env_gym.devices.frames import Frame
from android_env_gym.devices.sdk import Sdk, has_acceleration

logger = logging.getLogger(__name__)

FOLDER = Path.home() / ".cache" / "android_env_gym" / "emulators"


class Slot:
    """One place for an emulator, with the history that decides about its next start.

    Attributes:
        starts: How many emulators were started here.
        failures: Failures in a row.
    """

    def __init__(
        self, name: str, start: Callable[[], Emulator], config: EmulatorConfig, clock: Callable[[], float]
    ) -> None:
        self._name = name
        self.starts = 0
        self.failures = 0
        self.emulator: Emulator | None = None
        self._start = start
        self._config = config
        self._clock = clock
        self._episodes = 0
        self._next_start = -float("inf")

    def ready(self) -> Emulator:
        """Return a running emulator with Android up, started anew where that is due.

        Raises:
            DeviceFailure: It does not start, or the slot is in quarantine.
        """
        if self._config.restart_every and self._episodes >= self._config.restart_every:
            logger.info("emulator %s: started anew after %d episodes", self._name, self._episodes)
            self.stop()
        if self.emulator is not None:
            try:
                self.emulator.check_alive()
            except DeviceFailure as failure:
                self.failed(failure)
            else:
                self.failures = 0  # it has survived what was played on it
        if self.emulator is None:
            self._launch()
        assert self.emulator is not None
        return self.emulator

    def played(self) -> None:
        """Count an episode that began well."""
        self._episodes += 1

    def failed(self, failure: DeviceFailure) -> None:
        """Count a failure, end the emulator, and set when the next one may start."""
        self.failures += 1
        config = self._config
        pause = min(config.max_backoff_seconds, config.backoff_seconds * 2 ** (self.failures - 1))
        if self.failures >= config.quarantine_after:
            pause = config.quarantine_seconds
            logger.warning("emulator %s: in quarantine for %.0f s after %s", self._name, pause, failure)
        else:
            logger.warning("emulator %s: %s; next start in %.1f s", self._name, failure, pause)
        self.stop()
        self._next_start = self._clock() + pause

    def stop(self) -> None:
        """End the emulator; may be called twice."""
        self._episodes = 0
        emulator, self.emulator = self.emulator, None
        if emulator is not None:
            emulator.stop()

    def _launch(self) -> None:
        left = self._next_start - self._clock()
        if left > 0 and self.failures >= self._config.quarantine_after:
            message = f"in quarantine after {self.failures} failures in a row, for {left:.0f} s more"
            raise DeviceFailure("crashed", f"emulator {self._name}: {message}")
        if left > 0:
            threading.Event().wait(left)
        self.starts += 1
        try:
            self.emulator = self._start()
            self.emulator.await_ready()
        except DeviceFailure as failure:
            self.failed(failure)
            raise
        except BaseException:
            self.stop()
            raise


class EmulatorFleet:
    """`size` slots for emulators of one AVD; nothing is started before it is needed.

    Args:
        sdk: Where the emulator is.
        avd: The virtual device.
        size: How many instances there may be.
        config: How they are started, kept and driven.
        folder: For logs and records of the instances; default: `FOLDER`.
        clock: Seconds, monotonic.

    Raises:
        SdkError: There is no such AVD.
        ValueError: Several writable instances of one AVD: they would share one data folder.
    """

    def __init__(
        self,
        sdk: Sdk,
        avd: str,
        size: int = 1,
        *,
        config: AdbConfig | None = None,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sdk.check_avd(avd)
        self.config = config or AdbConfig()
        self.avd = avd
        settings = self.config.emulator
        if size > 1 and not settings.read_only and not settings.data_root:
            raise ValueError(
                f"{size} writable instances of {avd} would share one data folder: set data_root, or read_only"
            )
        if not has_acceleration():
            logger.warning("no access to /dev/kvm: emulators will take many minutes to boot, if they do")
        place = folder or FOLDER
        reap_orphans(place)

        def starter(index: int) -> Callable[[], Emulator]:
            data = Path(settings.data_root).expanduser() / f"{avd}-{index}" if settings.data_root else None
            if data is not None:
                data.mkdir(parents=True, exist_ok=True)
            return lambda: Emulator(sdk, avd, settings, place, data)

        self.slots: Sequence[Slot] = [Slot(f"{avd} #{index}", starter(index), settings, clock) for index in range(size)]
        atexit.register(self.close)

    def __enter__(self) -> EmulatorFleet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def start(self) -> dict[int, DeviceFailure]:
        """Start all instances at the same time; return, by slot, what kept some from it."""

        def attempt(slot: Slot) -> DeviceFailure | None:
            try:
                slot.ready()
            except DeviceFailure as failure:
                return failure
            return None

        with ThreadPoolExecutor(max_workers=len(self.slots)) as pool:
            results = list(pool.map(attempt, self.slots))
        return {index: failure for index, failure in enumerate(results) if failure is not None}

    def close(self) -> None:
        """End all instances; may be called twice."""
        atexit.unregister(self.close)
        for slot in self.slots:
            slot.stop()


class EmulatorDevice:
    """The phone in slot `index` of `fleet`; closing it ends that slot's emulator.

    Args:
        fleet: Keeps the emulator alive.
        index: The slot; no two devices share one.
    """

    def __init__(self, fleet: EmulatorFleet, index: int = 0) -> None:
        self._fleet = fleet
        self._slot = fleet.slots[index]
        self._phone: AdbDevice | None = None
        # The slot loads the snapshot, so that a reset is not slower for it: the connection is closed before.
        reset = "home" if fleet.config.reset == "snapshot" else fleet.config.reset
        self._config = msgspec.structs.replace(fleet.config, reset=reset)
        self._info = DeviceInfo("emulator", fleet.avd, (0, 0))

    def screenshot(self) -> Frame:
        """Return the screen (see `AdbDevice.screenshot`)."""
        with self._watched() as phone:
            return phone.screenshot()

    def perform(self, action: Action) -> None:
        """Perform one action (see `AdbDevice.perform`)."""
        with self._watched() as phone:
            phone.perform(action)

    def ui_tree(self) -> tuple[UiNode, ...]:
        """Return the visible accessibility nodes (see `AdbDevice.ui_tree`)."""
        with self._watched() as phone:
            return phone.ui_tree()

    def reset(self) -> None:
        """Bring the emulator to the start of an episode: running, at its snapshot, on the home screen.

        Raises:
            DeviceFailure: It could not be brought there; the next call starts another instance.
        """
        emulator = self._slot.ready()
        try:
            if self._phone is None or self._phone.serial != emulator.serial:
                self._let_go()
                self._phone = AdbDevice(emulator.serial, config=self._config)
            if self._fleet.config.reset == "snapshot":
                self._phone.close()
                emulator.load_snapshot(self._fleet.config.snapshot, self._fleet.config.reset_seconds)
            self._phone.reset()
        except DeviceFailure as failure:
            if failure.kind != "reset":  # a request that was refused is no fault of the emulator
                self._slot.failed(failure)
            raise
        self._slot.played()

    def info(self) -> DeviceInfo:
        """Describe the device; its size is (0, 0) before the first reset."""
        if self._phone is not None:
            self._info = msgspec.structs.replace(self._phone.info(), kind="emulator")
        return self._info

    def close(self) -> None:
        """End the emulator; may be called twice."""
        self._let_go()
        self._slot.stop()

    def _let_go(self) -> None:
        if self._phone is not None:
            self._phone.close()
            self._phone = None

    @contextmanager
    def _watched(self) -> Iterator[AdbDevice]:
        """Give the phone; a failure is explained by the end of its emulator, if that is what happened."""
        emulator = self._slot.emulator
        if self._phone is None or emulator is None:
            raise DeviceFailure("lost", f"emulator {self._fleet.avd} is not running; reset the device")
        try:
            yield self._phone
        except DeviceFailure as failure:
            if reason := emulator.why_dead():
                raise DeviceFailure("crashed", reason) from failure
            raise
