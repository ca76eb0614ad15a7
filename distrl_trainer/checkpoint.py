"""Checkpoints: a run's whole state as one directory that is either complete and verified, or not there.

Invariant: a directory named `step-*` was renamed into place after every byte of it, and a manifest with a SHA-256 of
each file, had reached the disk. A checkpoint that does not match its manifest is refused by name, never deleted, and
the one before it is used. Nothing is pickled: trees are msgpack, their tensors safetensors. Trajectories are files of
their own, which a checkpoint only names: what it costs does not grow with the replay. Caller: `rl_phase`.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from distrl_trainer.storage import StorageError, sha256_of, sync

LOG = logging.getLogger(__name__)
MANIFEST = "manifest.json"
FORMAT = 2
"""2: the replay part is an index of trajectory files; in format 1 it was the trajectories themselves."""
_NAME = re.compile(r"step-(\d{9})(?:-(\d+))?")
_INT64 = 2**63

Tree = Any
"""Nested dicts, lists, tuples, str, bytes, numbers of any size, None, tensors and arrays. Tuples come back as lists."""


class CheckpointError(Exception):
    """A checkpoint is incomplete, damaged or of another format; the message names it."""


class CheckpointFormatError(CheckpointError):
    """A checkpoint was written by a version of this package that stored other things."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint holds. `files` maps a file name to its SHA-256 (hex)."""

    format: int
    env_steps: int
    files: dict[str, str]


def save(root: Path, env_steps: int, parts: Mapping[str, Tree], *, files: Mapping[str, str] | None = None) -> Path:
    """Write a checkpoint and return its directory.

    Args:
        root: Folder of checkpoints; made if it is missing.
        env_steps: Environment steps so far; part of the name.
        parts: Trees by name; `load` returns them.
        files: Further text files by name, such as `config.yaml`.

    Raises:
        StorageError: The disk refused; earlier checkpoints are intact.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        target = _free_name(root, env_steps)
        draft = root / f".draft-{target.name}-{os.getpid()}"
        # A killed process may have left one, and in a container the next one has the same number.
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            _fill(draft, env_steps, parts, files or {})
            sync(draft)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync(root)
    except (OSError, SafetensorError) as error:
        raise StorageError(
            f"checkpoint at {env_steps} steps could not be written to {root}: {error}; earlier checkpoints are intact; "
            "free some space and continue with --resume"
        ) from error
    return target


def load(folder: Path) -> dict[str, Tree]:
    """Return the parts of the checkpoint in `folder`, verified.

    Raises:
        CheckpointError: It is incomplete, damaged or of another format.
    """
    manifest = verify(folder)
    parts: dict[str, Tree] = {}
    for name in manifest.files:
        if not name.endswith(".msgpack"):
            continue
        part = name.removesuffix(".msgpack")
        try:
            tensors = load_file(folder / f"{part}.safetensors") if f"{part}.safetensors" in manifest.files else {}
            skeleton = msgspec.msgpack.decode((folder / name).read_bytes())
            parts[part] = _join(skeleton, tensors)
        except (msgspec.DecodeError, SafetensorError, KeyError, ValueError, RecursionError) as error:
            raise CheckpointError(f"checkpoint {folder}: {part} cannot be read: {error!r}") from error
    return parts


def verify(folder: Path) -> Manifest:
    """Return the manifest of `folder` after checking every file against it.

    Raises:
        CheckpointError: It is incomplete, damaged or of another format.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder} has no {MANIFEST}: it is half-written") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {folder}: {MANIFEST} is damaged: {error}") from error
    if manifest.format != FORMAT:
        raise CheckpointFormatError(
            f"checkpoint {folder} has format {manifest.format} and this version reads {FORMAT}: finish that run with "
            "the version it was begun with, or begin a new one from its warm start (--warmup.weights RUN/warm)"
        )
    for name, expected in manifest.files.items():
        if not (folder / name).is_file():  # a pipe would never end
            raise CheckpointError(f"checkpoint {folder}: {name} is missing")
        try:
            got = sha256_of(folder / name)
        except OSError as error:
            raise CheckpointError(f"checkpoint {folder}: {name} cannot be read: {error.strerror}") from error
        if got != expected:
            raise CheckpointError(f"checkpoint {folder}: {name} is damaged (SHA-256 differs from the manifest)")
    return manifest


def latest_good(root: Path) -> Path | None:
    """Return the newest intact checkpoint under `root`, None if there is none at all.

    Each damaged one is named in the log, none deleted.

    Raises:
        CheckpointError: There are some, and all are damaged.
        CheckpointFormatError: One is of another format: the run was begun by another version.
    """
    refused: list[CheckpointError] = []
    for folder in reversed(_all(root)):
        try:
            verify(folder)
        except CheckpointFormatError:
            raise
        except CheckpointError as error:
            LOG.warning("refused: %s; trying the one before", error)
            refused.append(error)
            continue
        return folder
    if refused:
        raise CheckpointError(
            f"no checkpoint under {root} is intact ({refused[0]}); put back a copy of one, or start a new run"
        )
    return None


def read_part(folder: Path, part: str) -> Tree:
    """Return one part of the checkpoint in `folder`, without its arrays and tensors, unverified.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return msgspec.msgpack.decode((folder / f"{part}.msgpack").read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"checkpoint {folder}: {part}.msgpack cannot be read: {error}") from error


def prune(root: Path, keep: int) -> list[Path]:
    """Remove all but the `keep` newest intact checkpoints and return those, newest first.

    Damaged ones are left for inspection.
    """
    kept: list[Path] = []
    for folder in reversed(_all(root)):
        try:
            verify(folder)
        except CheckpointError:
            continue
        if len(kept) < keep:
            kept.append(folder)
        else:
            shutil.rmtree(folder)
    return kept


def _all(root: Path) -> list[Path]:
    found = [(m, p) for p in root.glob("step-*") if (m := _NAME.fullmatch(p.name))]
    return [p for m, p in sorted(found, key=lambda pair: (int(pair[0][1]), int(pair[0][2] or 1)))]


def _free_name(root: Path, env_steps: int) -> Path:
    target, again = root / f"step-{env_steps:09d}", 1
    while target.exists():
        again += 1
        target = root / f"step-{env_steps:09d}-{again}"
    return target


def _fill(draft: Path, env_steps: int, parts: Mapping[str, Tree], texts: Mapping[str, str]) -> None:
    for name, tree in parts.items():
        tensors: dict[str, torch.Tensor] = {}
        skeleton = _split(tree, name, tensors)
        _write(draft / f"{name}.msgpack", msgspec.msgpack.encode(skeleton))
        if tensors:
            save_file(tensors, draft / f"{name}.safetensors")
            sync(draft / f"{name}.safetensors")
    for name, text in texts.items():
        _write(draft / name, text.encode())
    hashes = {path.name: sha256_of(path) for path in sorted(draft.iterdir())}
    manifest = Manifest(format=FORMAT, env_steps=env_steps, files=hashes)
    _write(draft / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


def _split(tree: Tree, place: str, tensors: dict[str, torch.Tensor]) -> Tree:
    """Return `tree` with its tensors moved to `tensors` and what msgpack lacks put into marked one-key dicts."""
    if isinstance(tree, torch.Tensor):
        # clone: safetensors refuses tensors that share memory (tied weights)
        tensors[place] = tree.detach().cpu().contiguous().clone()
        return {"$tensor": place}
    if isinstance(tree, np.ndarray):
        tensors[place] = torch.from_numpy(np.ascontiguousarray(tree).copy())
        return {"$array": place}
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, int) and not -_INT64 <= tree < _INT64:
        return {"$int": str(tree)}
    if isinstance(tree, Mapping):
        return {key: _split(value, f"{place}.{key}", tensors) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_split(value, f"{place}.{index}", tensors) for index, value in enumerate(tree)]
    return tree


def _join(tree: Tree, tensors: Mapping[str, torch.Tensor]) -> Tree:
    if isinstance(tree, list):
        return [_join(value, tensors) for value in tree]
    if not isinstance(tree, dict):
        return tree
    match tree:
        case {"$tensor": place}:
            return tensors[place]
        case {"$array": place}:
            return tensors[place].numpy()
        case {"$int": digits}:
            return int(digits)
    return {key: _join(value, tensors) for key, value in tree.items()}


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
