"""How fast is a phone through ADB? The environment against straightforward uses of adbutils and uiautomator2.

Run with `python -m benchmarks.adb_speed [--quick] [--json]`. Two settings: the served phone as it is, which shows at
once what an action leads to; and a phone that reacts and moves as Android does, where a frame can be taken too early:
how often that happened is counted as `early_frames`. Rivals take the same actions, interleaved block by block, each on
a phone of its own in another process. Then single calls, against the least that the transport takes for them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from android_env_gym.devices.adb import DUMP_DEPTH, AdbDevice
from android_env_gym.devices.automation import Automation
from android_env_gym.devices.frames import decode
from android_env_gym.devices.stream import ShellStream
from android_env_gym.devices.transport import BoundedAdb, BoundedClient, Bounds
from android_env_gym.phone.phone import SimPhone
from benchmarks.adb_rivals import (
    OURS,
    Frame,
    PlainAdbutils,
    PlainUiautomator2,
    Rival,
    draw_actions,
    make_rival,
    rival_names,
)
from benchmarks.measure import ratio, report, share, summary
from benchmarks.served_phones import PhoneProcess, connect, own_adb_server

REACT_SECONDS, MOVE_SECONDS = 0.05, 0.3
SETTINGS = {"at_once": (0.0, 0.0), "moving": (REACT_SECONDS, MOVE_SECONDS)}
WARMING = 1
JPEG_QUALITY = 80
# A frame counts as early if more pixels than this differ from the screen at rest by more than so many levels of 255.
SAME_PIXELS = 0.0005
PNG_LEVELS, JPEG_LEVELS = 8, 24
CALL_SECONDS = 20.0


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 blocks of 2 actions instead of 10 of 10")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    blocks, actions, calls = (2, 2, 8) if arguments.quick else (10, 10, 60)
    with redirect_stdout(sys.stderr), own_adb_server():  # adbutils prints what it installs
        results: dict[str, object] = {name: _steps(name, blocks, actions) for name in SETTINGS}
        results["calls"] = _calls(calls)
    if not arguments.json:
        Console(width=140).print(_table(results))
    print(report("adb_speed", blocks * actions, results))
    return 0


# --- steps ---


class Tally:
    """What one rival did: steps per second of each block, and whether each of its frames was the one at rest."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.early: list[bool] = []
        self.screens: list[int] = []


def _steps(setting: str, blocks: int, actions: int) -> dict[str, object]:
    react, move = SETTINGS[setting]
    names = rival_names()
    tallies = {name: Tally() for name in names}
    with ExitStack() as stack:
        phones = stack.enter_context(PhoneProcess(len(names), react, move))
        serials = dict(zip(names, phones.serials, strict=True))
        connect(list(serials.values()))
        rivals = {name: make_rival(name, serial) for name, serial in serials.items()}
        for rival in rivals.values():
            stack.callback(rival.close)
        for block in range(blocks + 1):
            for turn in range(len(names)):
                number = (block + turn) % len(names)  # who goes first changes
                tally = Tally() if block == 0 else tallies[names[number]]  # the first block warms up
                _block(rivals[names[number]], phones, number, block, WARMING if block == 0 else actions, tally)
    return {"react_seconds": react, "move_seconds": move, **results_of(tallies)}


def _block(rival: Rival, phones: PhoneProcess, number: int, block: int, actions: int, tally: Tally) -> None:
    """Take one block of actions, the same for every rival; only the steps are timed, not the look at the truth."""
    rival.reset()
    phones.restore(number)
    time.sleep(REACT_SECONDS + MOVE_SECONDS)  # the screen may still move
    seconds = 0.0
    for action in draw_actions(np.random.default_rng(block), SimPhone(seed=1), actions):
        started = time.perf_counter()
        rival.step(action)
        seconds += time.perf_counter() - started
        truth = phones.truth(number)
        tally.early.append(not shows(rival.frame, truth))
        tally.screens.append(hash(truth.tobytes()))
    tally.rates.append(actions / seconds)


def shows(frame: Frame, truth: Frame) -> bool:
    """Return whether a screenshot, PNG or JPEG, is that of `truth`."""
    if frame.shape != truth.shape:
        return False
    coded = cv2.imencode(".jpg", truth[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    as_jpeg = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))[..., ::-1]
    return any(
        float((cv2.absdiff(np.ascontiguousarray(frame), np.ascontiguousarray(wanted)).max(axis=2) > limit).mean())
        <= SAME_PIXELS
        for wanted, limit in ((truth, PNG_LEVELS), (as_jpeg, JPEG_LEVELS))
    )


def results_of(tallies: dict[str, Tally]) -> dict[str, object]:
    """Return steps per second, frames taken too early and the ratios of this package to each rival."""
    ours = tallies[OURS]
    return {
        "rivals": {
            name: {
                "steps_per_second": summary(tally.rates),
                "early_frames": share(sum(tally.early), len(tally.early)),
                "same_screens": sum(a == b for a, b in zip(tally.screens, ours.screens, strict=True)),
            }
            for name, tally in tallies.items()
        },
        "ratio_of_environment_to": {
            name: ratio(ours.rates, tally.rates) for name, tally in tallies.items() if name != OURS
        },
    }


# --- calls ---


def _calls(count: int) -> dict[str, object]:
    """Time single calls, one after the other on one phone whose screen changes before each."""
    with PhoneProcess(1) as phones, ExitStack() as stack:
        serial = phones.serials[0]
        connect([serial])
        table = _call_table(serial, stack)
        timed: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in calls} for kind, calls in table.items()}
        for repetition in range(count + 1):
            for kind, calls in table.items():
                names = list(calls)
                for turn in range(len(names)):
                    name = names[(repetition + turn) % len(names)]
                    phones.turn(0)
                    started = time.perf_counter()
                    calls[name]()
                    if repetition:  # the first one warms up
                        timed[kind][name].append((time.perf_counter() - started) * 1000)
    return {
        kind: {
            "ms": {name: summary(values) for name, values in calls.items()},
            "ratio_of_ours_to": {name: ratio(calls["ours"], calls[name]) for name in calls if name != "ours"},
        }
        for kind, calls in timed.items()
    }


def _call_table(serial: str, stack: ExitStack) -> dict[str, dict[str, Callable[[], object]]]:
    """Return the calls to time. A floor is the same request over a stream that is open, its answer unread.

    "ours" checks and decodes a screenshot and parses a hierarchy; adbutils and uiautomator2 return the latter as text.
    """
    device = AdbDevice(serial)
    stack.callback(device.close)
    device.screenshot()
    bounds = Bounds(serial, CALL_SECONDS)
    adb = BoundedAdb(BoundedClient(CALL_SECONDS), serial, bounds)
    shell, automation = ShellStream(adb), Automation(adb)
    stack.callback(shell.close)
    stack.callback(automation.close)
    plain, uiautomator = PlainAdbutils(serial), PlainUiautomator2(serial)
    return {
        "screenshot": {
            "ours": device.screenshot,
            "adbutils": plain.shoot,
            "uiautomator2": uiautomator.shoot,
            "floor": lambda: shell.run(["screencap", "-p"]),
            "floor_decoded": lambda: decode(shell.run(["screencap", "-p"])[0], serial),
        },
        "tap": {
            "ours": lambda: automation.call("click", 1, 1),
            "adbutils": lambda: plain.device.click(1, 1),
            "uiautomator2": lambda: uiautomator.device.click(1, 1),
            "floor": lambda: shell.run(["true"]),
        },
        "hierarchy": {
            "ours": device.ui_tree,
            "adbutils": plain.device.dump_hierarchy,
            "uiautomator2": uiautomator.device.dump_hierarchy,
            "floor": lambda: automation.call("dumpWindowHierarchy", False, DUMP_DEPTH),
        },
    }


def _table(results: dict[str, Any]) -> Table:
    """Return the results to read."""
    table = Table("setting", "rival", "per second or ms", "environment is faster by", "frames too early", box=None)
    for setting in SETTINGS:
        found = results[setting]
        for name, measures in found["rivals"].items():
            rate, early = measures["steps_per_second"], measures["early_frames"]
            gain = found["ratio_of_environment_to"].get(name)
            table.add_row(
                setting, name, _interval(rate, "median"), _interval(gain, "ratio"), f"{early['k']}/{early['n']}"
            )
    for kind, found in results["calls"].items():
        for name, measure in found["ms"].items():
            gain = found["ratio_of_ours_to"].get(name)
            inverse = gain and {"ratio": 1 / gain["ratio"], "low": 1 / gain["high"], "high": 1 / gain["low"]}
            table.add_row(kind, name, _interval(measure, "median") + " ms", _interval(inverse, "ratio"), "")
    return table


def _interval(found: dict[str, Any] | None, key: str) -> str:
    return "" if not found else f"{found[key]:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
