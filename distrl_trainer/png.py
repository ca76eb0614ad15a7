"""What a PNG claims and whether it keeps it, found out without allocating what it claims.

Frames come from files that anybody may have written. A header of a few bytes can claim 60,000 x 60,000 pixels, and a
small stream can inflate to gigabytes; a decoder that believes them takes the memory of the machine. Invariant: nothing
here allocates more than the caller's bound. Callers: `door` for frames that enter a run, `observations.decode_frame`.

Source: PNG specification (W3C, third edition), sections 5.2 (signature), 5.3 (chunks), 11.2.1 (IHDR), 9.2 (filters).
"""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bit depth, colour type, compression, filter, interlace
_HEADER_END = len(SIGNATURE) + 8 + _HEADER.size + 4
_RGB = 2
_FILTERS = frozenset(range(5))


def png_size(data: bytes) -> tuple[int, int] | None:
    """Return `(height, width)` as the header of a PNG states them; None if `data` does not begin like a PNG."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < _HEADER_END:
        return None
    width, height, *_ = _HEADER.unpack_from(data, 16)
    return height, width


def png_bytes(size: tuple[int, int]) -> int:
    """Return a bound on the bytes of an RGB frame of `size` (height, width).

    A frame of noise does not shrink: its rows, 5 bytes of zlib per 16 KiB block and some chunk headers. A hundredth
    and 4 KiB on top of the raw rows are more than that.
    """
    raw = size[0] * (1 + 3 * size[1])
    return raw + raw // 100 + 4096


def png_problem(data: bytes, size: tuple[int, int]) -> str:
    """Return why `data` is not a plain RGB frame of `size` (height, width), "" if it decodes to exactly that.

    "Plain" is what `observations.encode_frame` writes: 8 bits, no interlace, and no chunks but IHDR, IDAT, IEND.
    """
    if len(data) > png_bytes(size):
        return f"{len(data)} bytes, more than the {png_bytes(size)} that a frame of this size can need"
    claimed = png_size(data)
    if claimed is None:
        return "no PNG"
    if claimed != size:
        return f"a picture of {claimed[1]}x{claimed[0]}, not {size[1]}x{size[0]}"
    depth, colour, _, _, interlace = _HEADER.unpack_from(data, 16)[2:]
    if (depth, colour, interlace) != (8, _RGB, 0):
        return f"bit depth {depth}, colour type {colour}, interlace {interlace}; a frame has 8, {_RGB}, 0"
    return _pixels_problem(data, size)


def _pixels_problem(data: bytes, size: tuple[int, int]) -> str:
    """Return what is wrong with the chunks of `data`, or with the rows that they inflate to."""
    stride = 1 + 3 * size[1]  # bytes of a row: its filter, then RGB
    expected = size[0] * stride
    inflate = zlib.decompressobj()
    rows = b""
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            return "cut off"
        length = int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + length]
        if zlib.crc32(kind + body) != int.from_bytes(data[place + 8 + length : place + 12 + length], "big"):
            return "cut off or damaged: a chunk does not match its checksum"
        if kind not in (b"IHDR", b"IDAT", b"IEND") or (kind == b"IHDR") != (place == len(SIGNATURE)):
            return f"an unexpected chunk {kind!a}"
        if kind == b"IDAT":
            try:
                # One byte more than there may be shows a stream that would go on.
                rows += inflate.decompress(body, expected + 1 - len(rows))
            except zlib.error:
                return "damaged: its pixels do not inflate"
            if len(rows) > expected:
                return f"pixels that inflate to more than {expected} bytes"
        place += 12 + length
    if len(rows) != expected or not inflate.eof:
        return f"pixels of {len(rows)} bytes instead of {expected}"
    if not _FILTERS.issuperset(rows[::stride]):
        return "damaged: an unknown row filter"
    return "" if place == len(data) else "bytes after its end"
