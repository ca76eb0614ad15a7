"""Stored frames: what is no picture, or claims to be a huge one, is refused before anything is allocated."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from distrl_trainer.observations import MAX_PIXELS, FrameError, decode_frame, encode_frame, frame_size

FRAME = np.random.default_rng(0).integers(0, 256, (48, 24, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def test_a_frame_comes_back_bit_for_bit():
    data = encode_frame(FRAME)
    assert frame_size(data) == (48, 24)
    assert np.array_equal(decode_frame(data), FRAME)
    assert np.array_equal(decode_frame(data, limit=48 * 24), FRAME)
    with pytest.raises(FrameError, match="claims 24x48 pixels; allowed are 1151"):
        decode_frame(data, limit=48 * 24 - 1)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (0, 5), (2**31 - 1, 2**31 - 1), (1, MAX_PIXELS + 1)])
def test_a_header_that_claims_too_much_is_not_decoded(width, height, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(FrameError, match=f"claims {width}x{height}"):
        decode_frame(png(width, height, b"\0" * 1000))


def test_what_is_no_whole_png_is_refused():
    whole = encode_frame(FRAME)
    jpeg = cv2.imencode(".jpg", FRAME)[1].tobytes()
    for data in (b"", b"\x89PNG", whole[:20], whole[:24], jpeg, b"GIF89a" + whole, b"\0" * 100, png(24, 48, b"")[:60]):
        with pytest.raises(FrameError):
            decode_frame(data)
