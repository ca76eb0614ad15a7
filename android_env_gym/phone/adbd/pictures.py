"""Screenshots that have gone wrong, made from good ones: cut in half, or black. Used by the server's picture faults.

Knows the forms in which a screenshot leaves a phone: PNG (`screencap -p`), raw pixels behind a header (`screencap`,
`framebuffer:`), and base64 in an HTTP answer of the uiautomator2 server. Text before or after a PNG stays as it is.
"""

from __future__ import annotations

import base64
import re
import struct

import cv2
import numpy as np

from android_env_gym.phone.adbd.faults import FaultKind

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_AT = 16
_RAW_HEADER = struct.Struct("<4I")  # screencap's: width, height, pixel format, color space
_RAW_FORMATS = (1, 2)  # RGBA_8888, RGBX_8888
_BASE64_PICTURE = re.compile(rb"(?:/9j/|iVBORw0KGgo)(?:[A-Za-z0-9+/=]|\\n)+")
_CONTENT_LENGTH = re.compile(rb"(?i)(content-length:\s*)\d+")


def is_picture(data: bytes) -> bool:
    """Return whether what a service is about to send holds a screenshot."""
    if data.startswith(b"HTTP/"):
        return _BASE64_PICTURE.search(data) is not None
    return _PNG_MAGIC in data or _is_raw(data)


def spoil(kind: FaultKind, data: bytes) -> bytes:
    """Return `data`, which holds a screenshot, with that cut in half ("truncate_png") or black ("black_frame")."""
    if data.startswith(b"HTTP/"):
        return _black_in_http(data) if kind == "black_frame" else data[: len(data) // 2]
    start = data.find(_PNG_MAGIC)
    if start < 0:
        return spoil_raw(kind, data, _RAW_HEADER.size)
    end = data.find(_PNG_END, start) + len(_PNG_END)
    if kind == "truncate_png":
        return data[: (start + end) // 2] + data[end:]
    width, height = _PNG_SIZE.unpack_from(data, start + _PNG_SIZE_AT)
    return data[:start] + _black(".png", height, width) + data[end:]


def spoil_raw(kind: FaultKind, data: bytes, header: int) -> bytes:
    """Do the same to RGBA pixels behind `header` bytes."""
    if kind == "truncate_png":
        return data[: len(data) // 2]
    count, rest = divmod(len(data) - header, 4)
    return data[:header] + b"\x00\x00\x00\xff" * count + data[len(data) - rest :]


def _is_raw(data: bytes) -> bool:
    if len(data) <= _RAW_HEADER.size:
        return False
    width, height, pixel_format, _ = _RAW_HEADER.unpack_from(data)
    return pixel_format in _RAW_FORMATS and len(data) == _RAW_HEADER.size + 4 * width * height


def _black_in_http(data: bytes) -> bytes:
    head, gap, body = data.partition(b"\r\n\r\n")
    body = _BASE64_PICTURE.sub(_black_base64, body)
    return _CONTENT_LENGTH.sub(rb"\g<1>%d" % len(body), head) + gap + body


def _black_base64(found: re.Match[bytes]) -> bytes:
    picture = base64.b64decode(found.group().replace(b"\\n", b""))
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    if decoded is None:
        return found.group()
    extension = ".png" if picture.startswith(_PNG_MAGIC) else ".jpg"
    return base64.b64encode(_black(extension, *decoded.shape[:2]))


def _black(extension: str, height: int, width: int) -> bytes:
    good, data = cv2.imencode(extension, np.zeros((height, width, 3), np.uint8))
    if not good:
        raise RuntimeError(f"OpenCV could not encode a black {width}x{height} picture as {extension}")
    return data.tobytes()
