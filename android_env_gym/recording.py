"""Recordings of episodes on the embedded phone, and their bit-exact replay.

A recording holds what decides an episode (task, phone, typed actions) and a hash of every full-size frame, so
`replay` proves that this version of the phone still draws the same pixels. Written by `RecordEpisode`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, Finish, InvalidAction
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.tasks import suites
from android_env_gym.tasks.base import TaskTemplate

FORMAT = 1


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """One episode: T `actions` and `rewards`, T + 1 `frame_hashes` of the device's full frames."""

    template: str
    split: str
    instance: int
    seed: int
    instruction: str
    device_config: DeviceConfig
    actions: tuple[Action | InvalidAction, ...]
    rewards: tuple[float, ...]
    frame_hashes: tuple[str, ...]
    success: bool
    failure: str = ""
    format: int = FORMAT


class RecordingError(ValueError):
    """A file is no recording, or one that this version cannot read."""


class ReplayMismatchError(AssertionError):
    """The replay shows something else than the recording.

    Attributes:
        step: Index of the first frame that differs; 0 is the frame after reset.
    """

    def __init__(self, step: int, message: str) -> None:
        super().__init__(message)
        self.step = step


def frame_hash(frame: NDArray[np.uint8]) -> str:
    """Return a hash of the frame's shape and pixels."""
    digest = hashlib.blake2b(repr(frame.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frame).data)
    return digest.hexdigest()


def write_recording(recording: Recording, path: Path) -> None:
    """Write `recording` to `path`; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(msgspec.msgpack.encode(recording))
    os.replace(partial, path)


def read_recording(path: Path | str) -> Recording:
    """Return the recording in the file `path`.

    Raises:
        RecordingError: The file is damaged, no recording, or of another format.
        FileNotFoundError: There is no such file.
    """
    try:
        recording = msgspec.msgpack.decode(Path(path).read_bytes(), type=Recording)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} is not a readable recording: {error}") from error
    if recording.format != FORMAT:
        raise RecordingError(f"{path} has format {recording.format}; this version reads format {FORMAT}")
    if len(recording.frame_hashes) != len(recording.actions) + 1:
        raise RecordingError(
            f"{path}: {len(recording.frame_hashes)} frames do not fit {len(recording.actions)} actions"
        )
    return recording


def replay(path: Path | str, templates: Sequence[TaskTemplate] = ()) -> Recording:
    """Play the recording again on a fresh phone and return it if every frame is the same, bit for bit.

    Args:
        path: File of the recording.
        templates: Your own templates, where the recorded task is none of the package's.

    Raises:
        ReplayMismatchError: At the first frame that differs, or if the task is not drawn as it was.
        RecordingError: The file cannot be read.
        UnknownNameError: The task's template does not exist.
    """
    recording = read_recording(path)
    own = {template.id: template for template in templates}
    template = own.get(recording.template) or suites.template(recording.template)
    task, state = suites.draw_task(template, recording.split, recording.instance, recording.device_config)
    if (task.instruction, task.seed) != (recording.instruction, recording.seed):
        drawn, recorded = (task.instruction, task.seed), (recording.instruction, recording.seed)
        raise ReplayMismatchError(0, f"{path}: the task is drawn as {drawn}, recorded was {recorded}")
    phone = SimPhone(recording.device_config)
    phone.apply_setup(state)
    _compare(path, recording, 0, phone)
    for step, action in enumerate(recording.actions, 1):
        if not isinstance(action, Finish | InvalidAction):
            phone.perform(action)
        _compare(path, recording, step, phone)
    return recording


def _compare(path: Path | str, recording: Recording, step: int, phone: SimPhone) -> None:
    got, recorded = frame_hash(phone.screenshot()), recording.frame_hashes[step]
    if got != recorded:
        after = f"after action {step}, {recording.actions[step - 1]}" if step else "after reset"
        raise ReplayMismatchError(step, f"{path}: frame {step} ({after}) hashes to {got}, recorded was {recorded}")
