"""What a fault of the device does to a run: each fault in each operation, on one of two phones that are in use.

Run with `python -m benchmarks.adb_faults [--repeats 20] [--quick] [--json]`. A fault strikes one request of the first
phone, before it is carried out or after (in turn), while a second thread plays on the second phone. Counted per cell:
steps that were made good, steps that failed with a type and `reward_valid` False, and what must not be: steps longer
than their bound, frames that are not the phone's, steps counted as valid although the phone did something else.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout

import cv2
import msgspec
import numpy as np
from msgspec import structs
from rich.console import Console
from rich.table import Table

from android_env_gym.actions import Action, InvalidAction, OpenApp, Tap, TypeText
from android_env_gym.devices.adb import AdbDevice
from android_env_gym.devices.base import DeviceFailure, UiNode
from android_env_gym.devices.config import AdbConfig, SettleConfig
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.errors import ResetError
from android_env_gym.phone.adbd.faults import KINDS, PICTURE_KINDS, FaultKind, Moment
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.rendering import observe
from android_env_gym.tasks.suites import template
from benchmarks.measure import report
from benchmarks.served_phones import connect, own_adb_server

TASK = "settings.toggle"
CONFIG = AdbConfig(
    settle=SettleConfig(react_seconds=0.0, quiet_seconds=0.0, max_seconds=2.0),
    connect_seconds=5.0,
    command_seconds=2.0,
    step_seconds=6.0,
    reset_seconds=15.0,
)
FAULT_SECONDS = 0.3
STALL_SECONDS = 60.0  # longer than any bound: nobody gets by with waiting
SLACK_SECONDS = 5.0  # for a machine that is busy with other things
RESETS = 3
WORD = "zwölf"
# The request of an operation that the fault strikes; a picture is spoiled where one is sent.
OPERATIONS: dict[str, tuple[str, Action | InvalidAction | None]] = {
    "look": ("screencap", InvalidAction("only looks")),
    "tap": ("click", Tap(0.5, 0.3)),
    "text": ("broadcast", TypeText(WORD)),
    "open": ("am start", OpenApp("com.android.settings")),
    "tree": ("dumpWindow", None),
    "reset": ("", None),
}


class Cell(msgspec.Struct):
    """One fault in one operation. `struck`: the fault met a request; all other counts are of those.

    Attributes:
        good: The step was made good: nothing of the fault is seen.
        failed: It ended as a typed failure, its reward marked invalid.
        hung: It took longer than its bound.
        wrong_frames: A frame was given as good that the phone did not show.
        disguised: A step counted as valid, but the phone did not do it or the reward is not the one deserved.
        stuck: The next episode did not start.
        kinds: Kinds of the failures.
        slowest: Seconds of the slowest step.
        others_steps: Steps that the other phone played meanwhile.
        others_failures: Its failures; there must be none.
    """

    repeats: int = 0
    struck: int = 0
    good: int = 0
    failed: int = 0
    hung: int = 0
    wrong_frames: int = 0
    disguised: int = 0
    stuck: int = 0
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    slowest: float = 0.0
    others_steps: int = 0
    others_failures: int = 0

    @property
    def wrongs(self) -> int:
        """How often something happened that must not."""
        return self.hung + self.wrong_frames + self.disguised + self.stuck + self.others_failures


def main(argv: list[str] | None = None) -> int:
    """Strike, count and print; status 1 if something happened that must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="times that each fault strikes each operation")
    parser.add_argument("--quick", action="store_true", help="once each")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    arguments = parser.parse_args(argv)
    if arguments.repeats < 1:
        parser.error(f"--repeats is {arguments.repeats}; it must be at least 1")
    cv2.setNumThreads(1)
    repeats = 1 if arguments.quick else arguments.repeats
    with redirect_stdout(sys.stderr), own_adb_server():  # adbutils prints what it installs
        cells = run(repeats)
    if not arguments.json:
        Console(width=200).print(as_table(cells))
    total = sum(cell.struck for row in cells.values() for cell in row.values())
    wrongs = {
        name: sum(getattr(cell, name) for row in cells.values() for cell in row.values())
        for name in ("hung", "wrong_frames", "disguised", "stuck", "others_failures")
    }
    results = {"bounds": msgspec.to_builtins(CONFIG), "must_be_0": wrongs, "cells": msgspec.to_builtins(cells)}
    print(report("adb_faults", total, results))
    return 1 if any(wrongs.values()) else 0


def run(repeats: int) -> dict[str, dict[str, Cell]]:
    """Return a cell for each kind of fault and operation."""
    cells: dict[str, dict[str, Cell]] = {kind: {name: Cell() for name in OPERATIONS} for kind in KINDS}
    with ExitStack() as stack:
        struck, other = (Seat(stack, seed) for seed in (1, 2))
        bystander = stack.enter_context(_playing(other))
        for repeat in range(repeats):
            for row, kind in enumerate(KINDS):
                for column, operation in enumerate(OPERATIONS):
                    if kind in PICTURE_KINDS and operation == "tree":
                        continue  # no picture is sent
                    after = (repeat + row + column) % 2 == 1 and kind not in PICTURE_KINDS
                    cell = cells[kind][operation]
                    before = bystander.counts
                    strike(struck, kind, operation, "after" if after else "before", cell)
                    cell.others_steps += bystander.counts[0] - before[0]
                    cell.others_failures += bystander.counts[1] - before[1]
    return cells


class Seat:
    """A served phone and an environment that plays on it; closed by `stack`."""

    def __init__(self, stack: ExitStack, seed: int) -> None:
        self.phone = SimPhone(seed=seed)
        self.server = stack.enter_context(AdbServer(ServedPhone(self.phone)))
        connect([self.server.serial])
        self.device = AdbDevice(self.server.serial, config=CONFIG)
        stack.callback(self.device.close)
        item = template(TASK)
        self.env = AndroidTaskEnv(
            device=self.device, suite=[item], split=item.splits()[0], max_steps=1000, world=self.phone
        )

    def start(self) -> bool:
        """Start an episode in an app with a focused text field; return whether that worked within three attempts."""
        for _ in range(RESETS):
            try:
                self.env.reset(seed=0)
                self.env.step(OpenApp("com.google.android.contacts"))
                *_, truncated, _ = self.env.step(Tap(0.5, 0.09))
            except ResetError:
                continue
            if not truncated:
                return bool(self.phone.state.system.focus)
        return False


class Bystander:
    """The player of the other phone; `counts`: steps and failures."""

    def __init__(self) -> None:
        self.counts = (0, 0)
        self.stop = threading.Event()

    def play(self, seat: Seat) -> None:
        """Play until `stop`, an episode of ten steps after the other, with little pauses for the machine's sake."""
        rng = np.random.default_rng(0)
        while not self.stop.is_set():
            try:
                seat.env.reset()
                for _ in range(10):
                    *_, truncated, info = seat.env.step(Tap(float(rng.random()), float(rng.random())))
                    right = np.array_equal(seat.env.frame, seat.phone.screenshot()) and info["reward_valid"]
                    self._count(1, truncated or not right)
                    if truncated or info["is_success"] or self.stop.wait(0.2):
                        break
            except ResetError:
                self._count(0, True)

    def _count(self, steps: int, failed: bool) -> None:
        self.counts = (self.counts[0] + steps, self.counts[1] + failed)


@contextmanager
def _playing(seat: Seat) -> Iterator[Bystander]:
    bystander = Bystander()
    thread = threading.Thread(target=bystander.play, args=(seat,), name="bystander")
    thread.start()
    try:
        yield bystander
    finally:
        bystander.stop.set()
        thread.join()


def strike(seat: Seat, kind: FaultKind, operation: str, moment: Moment, cell: Cell) -> None:
    """Let one fault strike one operation and note in `cell` what came of it, and whether the next episode starts."""
    faults = seat.server.faults
    cell.repeats += 1
    if not seat.start():
        cell.stuck += 1
        return
    match, action = OPERATIONS[operation]
    before = faults.struck[kind]
    faults.inject(
        kind,
        seconds=STALL_SECONDS if kind == "stall" else FAULT_SECONDS,
        match="screencap" if kind in PICTURE_KINDS else match,
        moment=moment,
    )
    started = time.monotonic()
    if operation == "tree":
        bound, outcome = CONFIG.step_seconds, _tree(seat)
    elif operation == "reset":
        bound, outcome = RESETS * CONFIG.reset_seconds, _reset(seat)
    else:
        assert action is not None
        bound, outcome = 2 * CONFIG.step_seconds, _step(seat, action)  # the action, then the look
    taken = time.monotonic() - started
    faults.clear()
    if faults.struck[kind] == before:
        return
    cell.struck += 1
    cell.slowest = max(cell.slowest, round(taken, 2))
    cell.hung += taken > bound + SLACK_SECONDS
    outcome(cell)
    cell.stuck += not seat.start()


Outcome = Callable[[Cell], None]


def _good(cell: Cell) -> None:
    cell.good += 1


def _wrong_frame(cell: Cell) -> None:
    cell.wrong_frames += 1


def _disguised(cell: Cell) -> None:
    cell.disguised += 1


def _failure(kind: str) -> Outcome:
    def note(cell: Cell) -> None:
        cell.failed += 1
        cell.kinds[kind] = cell.kinds.get(kind, 0) + 1

    return note


def _step(seat: Seat, action: Action | InvalidAction) -> Outcome:
    """Step; hold what the step claims against the phone and against a twin that did the same without a fault."""
    twin, last = seat.phone.fork(), seat.env.frame
    if not isinstance(action, InvalidAction):
        twin.perform(action)
    observation, reward, terminated, truncated, info = seat.env.step(action)
    if truncated:
        typed = not info["reward_valid"] and bool(info["failure"]["kind"]) and not terminated and reward == 0.0
        same = np.array_equal(observation["screenshot"], observe(last, seat.env.screen))
        return _disguised if not typed else _failure(info["failure"]["kind"]) if same else _wrong_frame
    if not np.array_equal(observation["screenshot"], observe(seat.phone.screenshot(), seat.env.screen)):
        return _wrong_frame
    # But for the time: waking a screen that was thought to be off takes some.
    same = structs.replace(seat.phone.state, now=0) == structs.replace(twin.state, now=0)
    deserved = same and bool(reward) == bool(info["is_success"]) and info["reward_valid"]
    return _good if deserved else _disguised


def _tree(seat: Seat) -> Outcome:
    try:
        nodes = seat.device.ui_tree()
    except DeviceFailure as failure:
        return _failure(failure.kind)
    return _good if _said(nodes) == _said(seat.phone.ui_tree()) else _disguised


def _said(nodes: tuple[UiNode, ...]) -> list[tuple[object, ...]]:
    return sorted((node.bounds, node.text, node.label) for node in nodes if node.text or node.label)


def _reset(seat: Seat) -> Outcome:
    try:
        observation, info = seat.env.reset(seed=0)
    except ResetError as error:
        return _failure(error.kind)
    if not np.array_equal(observation["screenshot"], observe(seat.phone.screenshot(), seat.env.screen)):
        return _wrong_frame
    return _good if info["reward_valid"] else _disguised


def as_table(cells: dict[str, dict[str, Cell]]) -> Table:
    """Return the matrix to read."""
    table = Table("fault", *OPERATIONS, title="made good + typed failures of struck; slowest step; what must not be")
    for kind, row in cells.items():
        table.add_row(kind, *(_text(cell) for cell in row.values()))
    return table


def _text(cell: Cell) -> str:
    if not cell.struck:
        return "-"
    wrong = f"  {cell.wrongs} WRONG" if cell.wrongs else ""
    return f"{cell.good} + {cell.failed} of {cell.struck}  {cell.slowest:.1f} s{wrong}"


if __name__ == "__main__":
    sys.exit(main())
