"""Folders that are either whole or absent, and what killed writers leave behind.

Invariant: a folder under its final name is complete, and everything in it had reached the disk before it got that
name; until then what was there before is there. Callers: `run_folder`, `train_command`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from safetensors import SafetensorError

from distrl_trainer.storage import StorageError, sync

logger = logging.getLogger(__name__)

_DRAFT = re.compile(r"\.(?P<target>warm|policy)-(?P<pid>\d{1,9})|\.draft-.+-(?P<writer>\d{1,9})")
_OLD = re.compile(r"\.(?P<target>warm|policy)-old-(?P<pid>\d{1,9})")
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d{1,9})\.tmp")
_DEPTH = 2
"""How far below a run's folder `sweep` looks; writers leave drafts in it, `checkpoints/`, `inbox/` and `refused/`."""


def write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Put a folder that `fill` writes in place of `target`, whole or not at all.

    Raises:
        StorageError: The disk refused; what was at `target` is there.
    """
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        fill(draft)
        sync_tree(draft)
        if target.exists():
            target.rename(old)
        draft.rename(target)
        sync(target.parent)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {target}: {error}; free some space and continue with --resume") from error
    finally:
        if old.exists() and not target.exists():
            with suppress(OSError):  # then it stays under its other name, and `sweep` puts it back
                old.rename(target)
        shutil.rmtree(draft, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Bring all files of `folder`, and the names of them, to the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync(Path(place) / name)
        sync(Path(place))


def sweep(root: Path) -> None:
    """Remove the drafts of writers that died, in a run's folder that nobody else works in.

    A folder that was moved aside for one that never came is put back. Drafts of other processes that live are left
    alone: an `inspect` may be writing a page, a collector of a killed run its last trajectory.
    """
    for place, folders, names in os.walk(root):
        folder = Path(place)
        for name in [*folders, *names]:
            path = folder / name
            try:
                _sweep(path)
            except OSError as error:
                logger.warning("could not remove %s, left by a process that died: %s", path, error.strerror)
        deep = len(folder.relative_to(root).parts) >= _DEPTH
        folders[:] = () if deep else [name for name in folders if not name.startswith(".")]


def _sweep(path: Path) -> None:
    if path.is_dir() and (match := _OLD.fullmatch(path.name)):
        target = path.with_name(match["target"])
        if not target.exists():
            logger.warning("%s: put back what a process that died had moved aside", target)
            path.rename(target)
        elif not _lives(match["pid"]):
            shutil.rmtree(path)
    elif path.is_dir() and (match := _DRAFT.fullmatch(path.name)):
        if not _lives(match["pid"] or match["writer"]):
            shutil.rmtree(path)
    elif (match := _TEMPORARY.fullmatch(path.name)) and not path.is_dir() and not _lives(match["pid"]):
        path.unlink()


def _lives(pid: str) -> bool:
    """Return whether another process of this number lives; ours is new here, whatever its number has written before."""
    return int(pid) != os.getpid() and psutil.pid_exists(int(pid))
