"""What does replay cost when it is full? Memory, and time and bytes of a checkpoint, by the number of steps held.

Run with `python -m benchmarks.replay_cost [--quick] --json`. Each size is measured in a process of its own. Episodes of
`STEPS` steps with frames of noise, `FRAME_BYTES` each (what a frame of the embedded phone takes as PNG), are admitted
through the inbox, as in a run. Then a checkpoint is written and pruned three times and a batch is drawn ten times.
At last the checkpoint is loaded, which checks every file once. Memory is what the process takes beyond what it took
before the first trajectory. Frames of noise are not decoded here. At 100,000 steps frames have a tenth of the bytes, so
that the disk has room: what they weigh enters only `load_seconds`, `admit_ms` and `draw_ms`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks.measure import report
from distrl_trainer import checkpoint
from distrl_trainer.config import ReplayConfig
from distrl_trainer.replay import Replay
from distrl_trainer.trajectory import Step, Trajectory

SIZES = (1_000, 10_000, 100_000)
STEPS = 5
FRAME_BYTES = 30_000
CACHE_MIB = 64
KEEP = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every size and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the first two sizes, a tenth of each")
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one is not None:
        print(json.dumps(measure(options.one)))
        return
    sizes = [size // 10 for size in SIZES[:2]] if options.quick else SIZES
    results: dict[str, object] = {}
    for size in sizes:
        found = subprocess.run(
            [sys.executable, "-m", "benchmarks.replay_cost", "--one", str(size)], check=True, capture_output=True
        )
        results[str(size)] = json.loads(found.stdout.splitlines()[-1])
        if not options.json:
            print(size, results[str(size)])
    print(report("replay_cost", len(sizes), results))


def measure(size: int) -> dict[str, float]:
    """Return the figures of a replay that holds `size` steps."""
    process = psutil.Process()
    generator = np.random.default_rng(0)
    frame_bytes = FRAME_BYTES if size < SIZES[-1] else FRAME_BYTES // 10
    with tempfile.TemporaryDirectory(prefix="replay-cost-") as temporary:
        root = Path(temporary)
        config = ReplayConfig(capacity_steps=size, cache_mib=CACHE_MIB)
        replay = Replay(config, root / "run")
        replay.files.keep_spent = True
        before = process.memory_info().rss
        begun = time.perf_counter()
        for number in range(size // STEPS):
            replay.add(trajectory(number, generator.bytes(frame_bytes)))
        admitting = time.perf_counter() - begun
        saving = [save(replay, root / "checkpoints", step) for step in range(3)]
        drawing = timed(lambda: replay.sample(generator, n_steps=256), 10)
        memory = process.memory_info().rss - before
        newest = checkpoint.latest_good(root / "checkpoints")
        assert newest is not None
        begun = time.perf_counter()
        Replay(config, root / "run").load_state(checkpoint.load(newest)["replay"])
        return {
            "trajectories": len(replay),
            "frame_bytes": frame_bytes,
            "checkpoint_seconds": float(np.median(saving)),
            "checkpoint_bytes": sum(file.stat().st_size for file in newest.iterdir()),
            "memory_mib": memory / 2**20,
            "admit_ms": 1000 * admitting / len(replay),
            "draw_ms": 1000 * drawing,
            "load_seconds": time.perf_counter() - begun,
        }


def save(replay: Replay, root: Path, step: int) -> float:
    """Write a checkpoint of `replay` alone, as a run does, and return the seconds."""
    begun = time.perf_counter()
    checkpoint.save(root, step, {"replay": replay.state()})
    kept = checkpoint.prune(root, KEEP)
    replay.files.sweep(checkpoint.read_part(folder, "replay")["spent"] for folder in kept)
    return time.perf_counter() - begun


def timed(call: Callable[[], object], times: int) -> float:
    """Return the mean seconds of a call."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times


def trajectory(number: int, frame: bytes) -> Trajectory:
    """Return an episode of `STEPS` steps; its frames differ in their last bytes, as those of a changing screen do."""
    step = Step((1, 2, 3), (-0.1, -0.2, -0.3), "tap 0.50 0.50", b"\x83" * 20, 0, 0.0)
    return Trajectory(
        id=f"c0.0-{number:08d}", template="clock.set_alarm", task_id="", split="train", instance=number,
        instruction="Set an alarm for 7:30.", steps=(step,) * STEPS,
        frames=tuple(frame[:-1] + bytes([index]) for index in range(STEPS + 1)),
        terminated=True, truncated=False, success=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
