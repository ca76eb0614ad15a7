"""What every benchmark prints: machine, commit, medians with a bootstrap interval, one JSON object last."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binomtest


def summary(values: Sequence[float], seed: int = 0) -> dict[str, float | int]:
    """Return the median of `values` with a 95% percentile-bootstrap interval and their number."""
    data = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).choice(data, (2000, len(data)))
    low, high = np.percentile(np.median(draws, axis=1), (2.5, 97.5))
    return {"median": float(np.median(data)), "low": float(low), "high": float(high), "n": len(data)}


def ratio(ours: Sequence[float], theirs: Sequence[float], seed: int = 0) -> dict[str, float | int]:
    """Return mean(`ours`) / mean(`theirs`) with a 95% percentile-bootstrap interval over repetitions.

    Repetition k measured both, one shortly after the other, so both are redrawn together. Draws in which `theirs` is
    0 throughout have no ratio and are left out.

    Raises:
        ValueError: `theirs` is 0 in every repetition: measure for longer.
    """
    pairs = np.array([ours, theirs], dtype=np.float64)
    if not pairs[1].any():
        raise ValueError("the rival measured 0 in every repetition, so there is no ratio; measure for longer")
    picks = np.random.default_rng(seed).integers(pairs.shape[1], size=(2000, pairs.shape[1]))
    drawn = pairs[:, picks].mean(axis=2)
    low, high = np.percentile(drawn[0][drawn[1] > 0] / drawn[1][drawn[1] > 0], (2.5, 97.5))
    value = pairs[0].mean() / pairs[1].mean()
    return {"ratio": float(value), "low": float(low), "high": float(high), "n": pairs.shape[1]}


def share(k: int, n: int) -> dict[str, float | int]:
    """Return `k` of `n` with its 95% Wilson score interval.

    Raises:
        ValueError: `n` is 0.
    """
    interval = binomtest(k, n).proportion_ci(0.95, method="wilson")
    return {"k": k, "n": n, "rate": k / n, "low": float(interval.low), "high": float(interval.high)}


def report(benchmark: str, n: int, results: Mapping[str, object]) -> str:
    """Return the JSON object of a benchmark, on one line."""
    return json.dumps({"benchmark": benchmark, "commit": commit(), "machine": machine(), "n": n, "results": results})


def machine() -> str:
    """Return architecture, cores, processor and Python in one line."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {_cpu_name()}, Python {platform.python_version()}"


def commit() -> str:
    """Return the short commit, with "+" if the working tree differs from it; "unknown" outside a checkout."""
    folder = Path(__file__).parent
    try:
        name = _git(folder, "rev-parse", "--short", "HEAD")
        return name + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
