"""How fast is the embedded phone? Environment steps per second and core, fork, restore, start, memory.

Run with `python -m benchmarks.phone_speed [--quick] --json`. One process, one thread: `AndroidTask-v0` on suite
`general`, drawn at 540x1200, observed at 224x448, random actions, resets included. A browser page driven by Playwright
is the rival in the same run; it is skipped loudly where Playwright and Chromium are not installed.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import sys
import time

import cv2
import gymnasium as gym
import numpy as np
import psutil

import android_env_gym  # noqa: F401  (registers AndroidTask-v0)
from android_env_gym.phone.phone import SimPhone
from android_env_gym.tasks.attacks import random_actions
from benchmarks.measure import report, summary

BLOCK_STEPS = 300


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    blocks = 4 if arguments.quick else 40
    results: dict[str, object] = {
        "env_steps_per_second": _env_steps(blocks),
        "fork_ms": _fork(200 if arguments.quick else 2000),
        "restore_ms": _restore(200 if arguments.quick else 2000),
        "start_further_phone_ms": _start(20 if arguments.quick else 100),
        "memory_per_further_phone_mb": _memory(20 if arguments.quick else 100),
        "browser_page_steps_per_second": _browser(),
    }
    if not arguments.json:
        for name, value in results.items():
            print(f"{name:<32} {value}")
    print(report("phone_speed", blocks * BLOCK_STEPS, results))
    return 0


def _env_steps(blocks: int) -> dict[str, float | int]:
    env = gym.make("AndroidTask-v0", suite="general")
    rng = np.random.default_rng(0)
    rates = []
    env.reset(seed=0)
    for block in range(blocks + 1):
        steps, started = 0, time.perf_counter()
        while steps < BLOCK_STEPS:
            steps += _episode(env, rng)
        if block:  # the first block warms the caches
            rates.append(steps / (time.perf_counter() - started))
    env.close()
    return summary(rates)


def _episode(env: gym.Env, rng: np.random.Generator) -> int:
    env.reset()
    for count, action in enumerate(random_actions(rng, 15), 1):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            return count
    return 16


def _fork(repetitions: int) -> dict[str, float | int]:
    phone, twins, times = SimPhone(), [], []
    for _ in range(repetitions):
        started = time.perf_counter()
        twins.append(phone.fork())
        times.append((time.perf_counter() - started) * 1000)
    return summary(times)


def _restore(repetitions: int) -> dict[str, float | int]:
    phone = SimPhone()
    start = phone.snapshot()
    times, actions = [], list(random_actions(np.random.default_rng(1), 50))[:-1]
    for index in range(repetitions):
        phone.perform(actions[index % len(actions)])
        started = time.perf_counter()
        phone.restore(start)
        times.append((time.perf_counter() - started) * 1000)
    return summary(times)


def _start(repetitions: int) -> dict[str, float | int]:
    times = []
    for seed in range(repetitions):
        started = time.perf_counter()
        SimPhone(seed=seed).screenshot()
        times.append((time.perf_counter() - started) * 1000)
    return summary(times)


def _memory(phones: int) -> dict[str, float | int]:
    process = psutil.Process()
    warm = [SimPhone(seed=seed) for seed in range(5)]
    for phone in warm:
        phone.screenshot()
    gc.collect()
    before = process.memory_info().rss
    fleet = [SimPhone(seed=100 + seed) for seed in range(phones)]
    for phone in fleet:
        phone.screenshot()
    gc.collect()
    return {"mean": (process.memory_info().rss - before) / len(fleet) / 2**20, "n": len(fleet)}


def _browser() -> dict[str, float | int] | str:
    if importlib.util.find_spec("playwright") is None:
        print("SKIPPED browser_page_steps_per_second: playwright is not installed", file=sys.stderr)
        return "skipped: playwright is not installed"
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    with sync_playwright() as runner:
        browser = runner.chromium.launch()
        page = browser.new_page(viewport={"width": 540, "height": 1200})
        page.set_content('<button onclick="this.textContent=Date.now()">0</button>')
        rates = []
        for _ in range(10):
            started = time.perf_counter()
            for _ in range(5):
                page.mouse.click(20, 20)
                page.screenshot()
            rates.append(5 / (time.perf_counter() - started))
        browser.close()
    return summary(rates)


if __name__ == "__main__":
    sys.exit(main())
