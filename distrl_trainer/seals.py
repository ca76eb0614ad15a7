"""Checksums of what a run keeps: its settings, its small JSON files, the files of its model folders.

Every run has an identity, a random number in the first line of its `config.yaml`, and each checksum is taken over
that identity, the file's name and its content. So a flipped bit, a file cut short, and a file of another run or under
another name are all found before they are used. Invariant: what passes is, byte for byte, what the run wrote. This
tells damage and mix-ups, not forgery: no key is kept. Callers: `run_folder`, `play_commands`, `train_command`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from distrl_trainer.storage import sha256_of, write_atomic

T = TypeVar("T")

MANIFEST = "manifest.json"
_FORMAT = 1
_SEAL = "seal"
_FIRST_LINE = re.compile(r"# run ([0-9a-f]{16}) sha256 ([0-9a-f]{64})[^\n]*\n")
_ADVICE = "settings of a run are changed with --resume --section.field VALUE"


class SealError(Exception):
    """A file is not what the run wrote; the message names it and says what to do."""


class FolderManifest(msgspec.Struct, frozen=True):
    """What a model folder holds: `files` maps a path inside it to its SHA-256 (hex); `run` is whose it is, or empty."""

    format: int
    run: str
    files: dict[str, str]


def seal_settings(text: str, run: str) -> str:
    """Return the settings `text` of `run` under a first line, a YAML comment, that holds both their checksums."""
    return f"# run {run} sha256 {_digest(run, text.encode())}: {_ADVICE}\n{text}"


def settings_run(path: Path) -> str:
    """Return the identity of the run whose settings are in `path`, empty if they carry no seal.

    Raises:
        SealError: The file is empty, cannot be read, or differs from what the run wrote.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(f"{path} cannot be read ({error}); {_REMEDY}") from error
    if not text.strip():
        raise SealError(f"{path} is empty; {_REMEDY}")
    match = _FIRST_LINE.match(text)
    if match is None and text.startswith("# run "):
        raise SealError(f"{path} is damaged: its first line is no seal; {_REMEDY}")
    if match is None:
        return ""
    if match[2] != _digest(match[1], text[match.end() :].encode()):
        raise SealError(
            f"{path} was changed or damaged since the run wrote it; {_REMEDY} ({_ADVICE}; to accept the file as it is, "
            "remove its first line)"
        )
    return match[1]


_REMEDY = "put back a copy: every checkpoints/step-*/ holds a config.yaml"


def write_sealed(path: Path, value: Any, run: str) -> None:
    """Write `value`, which is a struct or a dict, to `path` as JSON with a seal among its keys.

    Raises:
        StorageError: The disk refused.
    """
    content = msgspec.to_builtins(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    sealed = {**content, _SEAL: _json_seal(path, content, run)}
    write_atomic(path, msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n")


def read_sealed(path: Path, kind: type[T], run: str) -> T | None:
    """Return what `path` holds, None if it does not exist. Without a `run`, the seal is not looked at.

    Raises:
        SealError: It is damaged, or it is not the file that this run wrote under this name.
    """
    if not path.exists():
        return None
    again = "move it away to have it made again"
    try:
        content = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        seal = content.pop(_SEAL, None)
        value = msgspec.convert(content, kind)
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise SealError(f"{path} is damaged ({error}); {again}") from error
    if run and seal != _json_seal(path, content, run):
        raise SealError(f"{path} is damaged, or another run's: its seal does not fit its content; {again}")
    return value


def write_manifest(folder: Path, run: str) -> None:
    """Write the manifest of `folder` as it is now; called while the folder is filled, before it gets its name."""
    files = {name: sha256_of(folder / name) for name in _files(folder)}
    content = msgspec.json.encode(FolderManifest(_FORMAT, run, files))
    (folder / MANIFEST).write_bytes(msgspec.json.format(content, indent=2))


def check_manifest(folder: Path, run: str = "") -> bool:
    """Check the files of `folder` against its manifest, and return whether it has one.

    Args:
        folder: Written by a run, or by `distrl-train warmup`; a model of other origin has no manifest.
        run: Whose it must be; empty: anybody's.

    Raises:
        SealError: A file is missing, changed or not of the manifest, or the folder is another run's.
    """
    path = folder / MANIFEST
    remedy = "put back a copy of the folder"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=FolderManifest)
    except FileNotFoundError:
        return False
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise SealError(f"{path} is damaged ({error}); {remedy}") from error
    if manifest.format != _FORMAT:
        raise SealError(f"{path} has format {manifest.format}; this version reads {_FORMAT}")
    if run and manifest.run != run:
        raise SealError(
            f"{folder} belongs to another run than config.yaml; put back a copy of what is wrong of the two"
        )
    found = _files(folder)
    for name, expected in manifest.files.items():
        if name not in found:
            raise SealError(f"{folder} has lost {name}, which its {MANIFEST} lists; {remedy}")
        if sha256_of(folder / name) != expected:
            raise SealError(f"{folder / name} is damaged: its SHA-256 differs from {MANIFEST}; {remedy}")
    added = sorted(name for name in found - set(manifest.files) if not name.endswith(".md"))  # no loader reads those
    if added:
        raise SealError(f"{folder / added[0]} is not in the folder's {MANIFEST}; take it out")
    return True


def _files(folder: Path) -> set[str]:
    """Return the paths of the files in `folder`, but for the manifest and hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)) for path in found} - {MANIFEST}


def _json_seal(path: Path, content: Any, run: str) -> str:
    return _digest(f"{run} {path.name}", msgspec.json.encode(content, order="sorted"))


def _digest(subject: str, data: bytes) -> str:
    return hashlib.sha256(subject.encode() + b"\n" + data).hexdigest()
