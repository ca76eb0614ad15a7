"""Reads what an APK says about itself: package name and version, from its binary `AndroidManifest.xml`.

Only `pm install` calls it. The format is `ResourceTypes.h` of Android's frameworks/base: a string pool, then elements.
"""

from __future__ import annotations

import io
import struct
import zipfile

import msgspec

_STRING_POOL, _START_ELEMENT = 0x0001, 0x0102
_UTF8 = 0x100
_TYPE_STRING = 0x03
_NONE = 0xFFFFFFFF


class ApkError(ValueError):
    """Not an APK; the message is the package manager's."""


class Manifest(msgspec.Struct, frozen=True):
    """The head of a manifest."""

    package: str
    version: str = "1.0"
    code: int = 1


def read_manifest(data: bytes) -> Manifest:
    """Return what the APK in `data` says about itself.

    Raises:
        ApkError: It is no ZIP archive, has no manifest, or the manifest names no package.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            xml = archive.read("AndroidManifest.xml")
    except (zipfile.BadZipFile, KeyError) as error:
        raise ApkError(f"INSTALL_PARSE_FAILED_NOT_APK: {error}") from error
    try:
        values = _first_element(xml)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ApkError(f"INSTALL_PARSE_FAILED_BAD_MANIFEST: {error}") from error
    package = str(values.get("package", ""))
    if not package:
        raise ApkError("INSTALL_PARSE_FAILED_BAD_PACKAGE_NAME: the manifest names no package")
    return Manifest(package, str(values.get("versionName", "1.0")), int(values.get("versionCode", 1)))


def _first_element(xml: bytes) -> dict[str, str | int]:
    """Return the attributes of the root element."""
    strings: list[str] = []
    at = struct.unpack_from("<H", xml, 2)[0]
    while at < len(xml):
        kind, header, size = struct.unpack_from("<HHI", xml, at)
        if kind == _STRING_POOL:
            strings = _strings(xml, at, header)
        elif kind == _START_ELEMENT:
            return _attributes(xml, at + header, strings)
        at += max(size, 8)
    return {}


def _attributes(xml: bytes, at: int, strings: list[str]) -> dict[str, str | int]:
    start, length, count = struct.unpack_from("<HHH", xml, at + 8)
    found: dict[str, str | int] = {}
    for index in range(count):
        place = at + start + index * length
        _, name, raw, _, _, kind, value = struct.unpack_from("<IIIHBBI", xml, place)
        is_text = kind == _TYPE_STRING and raw != _NONE
        found[strings[name]] = strings[raw] if is_text else value
    return found


def _strings(xml: bytes, at: int, header: int) -> list[str]:
    count, _, flags, start = struct.unpack_from("<IIII", xml, at + 8)
    offsets = struct.unpack_from(f"<{count}I", xml, at + header)
    return [_string(xml, at + start + offset, utf8=bool(flags & _UTF8)) for offset in offsets]


def _string(xml: bytes, at: int, *, utf8: bool) -> str:
    if utf8:
        at = _length(xml, at, 1)[1]  # the length in characters comes first
        size, at = _length(xml, at, 1)
        return xml[at : at + size].decode()
    size, at = _length(xml, at, 2)
    return xml[at : at + 2 * size].decode("utf-16-le")


def _length(xml: bytes, at: int, width: int) -> tuple[int, int]:
    """Return a length of one or two units of `width` bytes, and where it ends."""
    high = 1 << (8 * width - 1)
    unit = int.from_bytes(xml[at : at + width], "little")
    if not unit & high:
        return unit, at + width
    rest = int.from_bytes(xml[at + width : at + 2 * width], "little")
    return (unit & ~high) << (8 * width) | rest, at + 2 * width


def _empty_apk() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\r\n\r\n")
    return data.getvalue()


PREINSTALLED_APK = _empty_apk()  # what lies at the path of a preinstalled app: a readable archive without code
