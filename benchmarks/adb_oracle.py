"""Do the oracles solve their tasks through adbutils and uiautomator2? Every template, on a served phone.

Run with `python -m benchmarks.adb_oracle [--instances K] [--suite S] [--quick] [--json]`. Oracles read the phone's
hierarchy and act through `AdbDevice` alone; the phone's state only prepares the tasks and judges them (`world`). The
settings of the device are the default ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stdout

import cv2
import msgspec
from rich.console import Console

from android_env_gym.devices.adb import AdbDevice
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.errors import ResetError
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.tasks.base import TaskTemplate
from android_env_gym.tasks.pilot import OracleStuckError, oracle_actions
from android_env_gym.tasks.suites import goal_of, suite
from benchmarks.measure import report, share, summary
from benchmarks.served_phones import connect, own_adb_server

QUICK_EVERY = 4


class Episode(msgspec.Struct, frozen=True):
    """How an oracle's episode through ADB ended; `problem` is "" for a success."""

    steps: int
    seconds: float
    problem: str


def main(argv: list[str] | None = None) -> int:
    """Play, count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", default="all")
    parser.add_argument("--instances", type=int, default=3, help="episodes per template")
    parser.add_argument("--quick", action="store_true", help=f"one episode of every {QUICK_EVERY}th template")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    arguments = parser.parse_args(argv)
    if arguments.instances < 1:
        parser.error(f"--instances is {arguments.instances}; it must be at least 1")
    cv2.setNumThreads(1)
    items = [item for item in suite(arguments.suite) if item.needs_world]
    items = items[::QUICK_EVERY] if arguments.quick else items
    instances = 1 if arguments.quick else arguments.instances
    with redirect_stdout(sys.stderr), own_adb_server():  # adbutils prints what it installs
        played = run(items, instances)
    results = results_of(played)
    if not arguments.json:
        for name, problem in results["problems"].items():
            Console().print(f"{name}: {problem}", markup=False)
    print(report("adb_oracle", len(items) * instances, results))
    return 0


def run(items: list[TaskTemplate], instances: int) -> dict[str, list[Episode]]:
    """Return the episodes of each template, all on one served phone."""
    with ExitStack() as stack:
        phone = SimPhone(seed=1)
        server = stack.enter_context(AdbServer(ServedPhone(phone)))
        connect([server.serial])
        device = AdbDevice(server.serial)
        stack.callback(device.close)
        return {item.id: [_episode(item, instance, device, phone) for instance in range(instances)] for item in items}


def _episode(item: TaskTemplate, instance: int, device: AdbDevice, phone: SimPhone) -> Episode:
    env = AndroidTaskEnv(
        device=device, suite=[item], split=item.splits()[0], max_steps=item.oracle_steps + 1, world=phone
    )
    steps, seconds = 0, 0.0
    try:
        env.reset(options={"task": item.id, "instance": instance})
        for action in oracle_actions(item, device, goal_of(env.task)):
            started = time.perf_counter()
            *_, terminated, truncated, info = env.step(action)
            seconds += time.perf_counter() - started
            steps += 1
            if terminated or truncated:
                failure = info["failure"]["message"]
                return Episode(steps, seconds, "" if info["is_success"] else failure or "ended without success")
    except (ResetError, OracleStuckError) as error:
        return Episode(steps, seconds, f"{type(error).__name__}: {error}"[:300])
    return Episode(steps, seconds, "the oracle had no more actions")


def results_of(played: dict[str, list[Episode]]) -> dict[str, Mapping[str, object]]:
    """Return how many were solved with a Wilson interval, the time of a step, and what went wrong."""
    episodes = [episode for found in played.values() for episode in found]
    solved = sum(not episode.problem for episode in episodes)
    return {
        "solved": share(solved, len(episodes)),
        "templates": {name: sum(not episode.problem for episode in found) for name, found in played.items()},
        "seconds_per_step": summary([e.seconds / e.steps for e in episodes if e.steps] or [0.0]),
        "problems": {
            f"{name} {number}": episode.problem
            for name, found in played.items()
            for number, episode in enumerate(found)
            if episode.problem
        },
    }


if __name__ == "__main__":
    sys.exit(main())
