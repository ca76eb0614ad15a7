"""Frames as lossless PNG, actions as msgpack, and the observations a policy saw rebuilt from a trajectory.

Invariant: `observation(trajectory, t, ...)` equals what the collector showed the policy at step t, for the
same `frames` and `history`. The collector encodes; learner, warm start and evaluation rebuild.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, InvalidAction
from distrl_trainer.png import png_size
from distrl_trainer.policy.base import Observation
from distrl_trainer.prompts import action_text
from distrl_trainer.trajectory import Step, Trajectory

# Level 1: on a 448x224 screen 2.2 ms to write and 0.6 ms to read; higher levels cost more for ~5% fewer bytes.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
MAX_PIXELS = 3840 * 2160
"""Pixels of the largest frame that is decoded: a 4K screen. Phones have at most 1440x3200."""


class FrameError(ValueError):
    """A stored frame that is no PNG image, or a larger one than is decoded."""


class View(msgspec.Struct, frozen=True):
    """How much of the past a policy is shown: `frames` screenshots and `history` texts of actions."""

    frames: int = 1
    history: int = 2


def encode_action(action: Action | InvalidAction) -> bytes:
    """Return `action` as msgpack, the form of `Step.action`."""
    return msgspec.msgpack.encode(action)


def decode_action(step: Step) -> Action | InvalidAction:
    """Return the typed action of `step`.

    Raises:
        msgspec.DecodeError: `step.action` is damaged.
    """
    return msgspec.msgpack.decode(step.action, type=Action | InvalidAction)


def encode_frame(frame: NDArray[np.uint8]) -> bytes:
    """Return `(height, width, 3)` uint8 RGB as PNG."""
    written, data = cv2.imencode(".png", frame[..., ::-1], _PNG)
    if not written:
        raise FrameError(f"cannot write a frame of shape {frame.shape} and type {frame.dtype} as PNG")
    return data.tobytes()


def frame_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) as the header of the PNG image in `data` claims.

    Raises:
        FrameError: `data` is no PNG image.
    """
    size = png_size(data)
    if size is None:
        raise FrameError(f"a stored frame of {len(data)} bytes is no PNG image")
    return size


def check_frame(data: bytes, *, limit: int = MAX_PIXELS) -> tuple[int, int]:
    """Return `frame_size`, without decoding anything.

    Raises:
        FrameError: `data` is no PNG image, or claims more pixels than `limit`.
    """
    height, width = frame_size(data)
    if not 0 < height * width <= limit:
        raise FrameError(f"a stored frame of {len(data)} bytes claims {width}x{height} pixels; allowed are {limit}")
    return height, width


def decode_frame(data: bytes, *, limit: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Return the `(height, width, 3)` uint8 RGB image in `data`.

    Nothing is allocated for an image that claims more pixels than `limit`.

    Raises:
        FrameError: `data` is no PNG image, or a larger one.
    """
    height, width = check_frame(data, limit=limit)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[:2] != (height, width):
        raise FrameError(f"a stored frame of {len(data)} bytes is a damaged PNG image of {width}x{height} pixels")
    return np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)


def decode_frames(trajectory: Trajectory) -> list[NDArray[np.uint8]]:
    """Return the T + 1 frames of `trajectory`; equal neighbours (an unchanged screen) share one array."""
    decoded: list[NDArray[np.uint8]] = []
    for index, data in enumerate(trajectory.frames):
        same = index > 0 and data == trajectory.frames[index - 1]
        decoded.append(decoded[-1] if same else decode_frame(data))
    return decoded


def window(
    instruction: str, frames: Sequence[NDArray[np.uint8]], texts: Sequence[str], t: int, view: View
) -> Observation:
    """Return the observation at step `t` of an episode with `frames` 0..t and `action_text`s 0..t-1 at least."""
    shown = tuple(frames[max(0, t + 1 - view.frames) : t + 1])
    past = tuple(texts[max(0, t - view.history) : t]) if view.history else ()
    return Observation(instruction=instruction, frames=shown, history=past)


def observations(trajectory: Trajectory, view: View) -> list[Observation]:
    """Return the T + 1 observations of `trajectory`; the last one follows the last action."""
    frames = decode_frames(trajectory)
    texts = [action_text(decode_action(step)) for step in trajectory.steps]
    return [window(trajectory.instruction, frames, texts, t, view) for t in range(len(frames))]


def observation_at(trajectory: Trajectory, t: int, view: View) -> Observation:
    """Return observation `t` of `trajectory`, decoding only the frames it shows."""
    first, oldest = max(0, t + 1 - view.frames), max(0, t - view.history)
    frames = tuple(decode_frame(data) for data in trajectory.frames[first : t + 1])
    past = tuple(action_text(decode_action(step)) for step in trajectory.steps[oldest:t]) if view.history else ()
    return Observation(instruction=trajectory.instruction, frames=frames, history=past)
