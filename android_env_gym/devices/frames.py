"""Screenshots as bytes: what may be called a good PNG, and how it becomes a frame.

Invariant: what `decode` returns is the whole picture that the device sent. A picture with a missing end or a damaged
part is refused, however much of it could be shown. `adb.AdbDevice` and `health` are the callers.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.devices.base import DeviceFailure

Frame = NDArray[np.uint8]

MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_PREFIX = 4096
BLACK = 3
SAMPLE = 4
DIFFERENT = 2  # levels of 255: screenshots have no noise, and a slow fade must not pass for rest


def checked_png(data: bytes, serial: str) -> bytes:
    """Return the PNG in `data`, without the warnings that devices with several displays print before it.

    Raises:
        DeviceFailure: There is no PNG, or it is cut off or damaged.
    """
    start = data.find(MAGIC, 0, MAX_PREFIX)
    if start < 0:
        said = data[:200].decode(errors="replace").strip()
        raise DeviceFailure("bad_frame", f"{serial}: the screenshot is no PNG but {len(data)} bytes: {said!r}")
    position = start + len(MAGIC)
    while True:
        if position + 12 > len(data):
            raise DeviceFailure("bad_frame", f"{serial}: the screenshot is cut off after {len(data) - start} bytes")
        size, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + size
        if end > len(data):
            raise DeviceFailure("bad_frame", f"{serial}: the screenshot is cut off after {len(data) - start} bytes")
        if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise DeviceFailure("bad_frame", f"{serial}: the screenshot is damaged at byte {position - start}")
        if kind == b"IEND":
            return data[start:end]
        position = end


def decode(png: bytes, serial: str) -> Frame:
    """Return a checked PNG as read-only RGB, `(height, width, 3)`.

    Raises:
        DeviceFailure: It cannot be decoded.
    """
    frame = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_RGB)
    if frame is None:
        raise DeviceFailure("bad_frame", f"{serial}: the screenshot of {len(png)} bytes cannot be decoded")
    frame.flags.writeable = False
    return frame.astype(np.uint8, copy=False)


def is_black(frame: Frame) -> bool:
    """Return whether nothing at all is shown: what a display that is off, or a failed capture, gives."""
    return int(frame.max(initial=0)) <= BLACK


def alike(first: Frame, second: Frame, tolerance: float) -> bool:
    """Return whether at most a share `tolerance` of the pixels differs visibly (every fourth row is looked at)."""
    if first is second:
        return True
    if first.shape != second.shape:
        return False
    difference = cv2.absdiff(np.ascontiguousarray(first[::SAMPLE]), np.ascontiguousarray(second[::SAMPLE]))
    red, green, blue = cv2.split(difference)
    changed = int(np.count_nonzero(cv2.max(cv2.max(red, green), blue) > DIFFERENT))  # 20 times faster than over axis 2
    return changed <= tolerance * difference.shape[0] * difference.shape[1]
