"""Can the embedded phone's screens be read? OCR of every text node, and the contrast of text.

Run with `python -m benchmarks.legibility [--quick] --json`; OCR needs the extra `bench` (RapidOCR, with models in its
wheel) and is skipped loudly without it. Every screen of the contact sheet, light and dark, is drawn at 540x1200. A
text node counts if it is fully visible and shown in full; the letters of a word mark count as one. It is read exactly
if what OCR found in its bounds is its text, spaces aside. Contrast is WCAG 2.2's ratio of a text's colour and what is
drawn below its ink.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.phone.phone import SimPhone, laid_out
from android_env_gym.phone.sheet import states
from android_env_gym.phone.state import PhoneState
from android_env_gym.phone.system.reduce import front
from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.layout import Box, Placed
from android_env_gym.phone.ui.paint import paint, text_color
from android_env_gym.phone.ui.theme import RGB, Theme, theme
from benchmarks.measure import report, share

Frame = NDArray[np.uint8]
Reader = Callable[[Frame], list[tuple[Box, str]]]
LEAST_CONTRAST = 4.5  # WCAG 2.2, success criterion 1.4.3, for text below 18 pt
WORST = 10
QUICK_SCREENS = 12


class Contrast(msgspec.Struct, frozen=True):
    """The contrast of one text on one screen."""

    ratio: float
    text: str
    screen: str


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK_SCREENS}th screen")
    parser.add_argument("--json", action="store_true", help="print only the JSON object on standard output")
    parser.add_argument("--show", type=Path, help="write what was read wrongly into this text file")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    found = contrasts()
    results: dict[str, object] = {
        "contrast_least": found[0].ratio,
        "contrast_below_4_5": share(sum(item.ratio < LEAST_CONTRAST for item in found), len(found)),
        "contrast_worst": [msgspec.to_builtins(item) for item in found[:WORST]],
    }
    if importlib.util.find_spec("rapidocr") is None:
        print("SKIPPED OCR: RapidOCR is not installed; pip install 'android-env-gym[bench]'", file=sys.stderr)
        results["read_exactly"] = "skipped: rapidocr is not installed"
    else:
        results |= reading(rapid_ocr(), QUICK_SCREENS if arguments.quick else 1, arguments.show)
    if not arguments.json:
        for name, value in results.items():
            print(f"{name:<24} {value}")
    print(report("legibility", len(found), results))
    return 0


# --- what is drawn ---


def shown_texts(state: PhoneState) -> Iterator[Placed]:
    """Return the text leaves of the screen that are drawn in full: not cut, not below a pop-up, not shortened."""
    leaves: list[Placed] = []
    pending = [laid_out(state).root]
    while pending:
        placed = pending.pop()
        if placed.node.modal:
            leaves.clear()
        if placed.lines and (placed.node.text or placed.node.hint.strip()):
            leaves.append(placed)
        pending += reversed(placed.children)
    return (leaf for leaf in leaves if _in_full(leaf))


def _words(state: PhoneState) -> Iterator[Placed]:
    """Return the shown texts as they are read: a row of single letters, such as a word mark in colours, is one text."""
    letters: list[Placed] = []
    for leaf in shown_texts(state):
        if len(leaf.node.text) == 1 and (not letters or _follows(letters[-1], leaf)):
            letters.append(leaf)
            continue
        yield from _joined(letters)
        letters = [leaf] if len(leaf.node.text) == 1 else []
        if not letters:
            yield leaf
    yield from _joined(letters)


def _follows(one: Placed, other: Placed) -> bool:
    """Return whether a text stands directly behind another."""
    return (one.left + one.width, one.top, one.font) == (other.left, other.top, other.font)


def _joined(letters: list[Placed]) -> Iterator[Placed]:
    if len(letters) < 2:
        yield from letters
        return
    word = "".join(leaf.node.text for leaf in letters)
    node = msgspec.structs.replace(letters[0].node, text=word)
    width = letters[-1].left + letters[-1].width - letters[0].left
    yield msgspec.structs.replace(letters[0], node=node, lines=(word,), width=width)


def _in_full(leaf: Placed) -> bool:
    whole = (leaf.left, leaf.top, leaf.left + leaf.width, leaf.top + leaf.height)
    return leaf.visible == whole and not any(line.endswith(texts.ELLIPSIS) for line in leaf.lines)


def line_boxes(leaf: Placed, density: float) -> list[Box]:
    """Return the box in pixels of every line of a text leaf."""
    font = leaf.font
    if font is None:
        return []
    left, top, right, bottom = (int(side * density + 0.5) for side in leaf.node.padding)
    free = leaf.height - top - bottom - font.line * len(leaf.lines)
    y = leaf.top + top + max(0, free) // 2
    boxes = []
    for index, line in enumerate(leaf.lines):
        width = texts.measure(line, font.weight, font.size)
        rest = leaf.width - left - right - width
        x = leaf.left + left + {"start": 0, "center": rest // 2, "end": rest}[leaf.node.text_align]
        boxes.append((x, y + index * font.line, x + width, y + (index + 1) * font.line))
    return boxes


# --- contrast ---


def contrasts(**settings: Any) -> list[Contrast]:
    """Return the contrast of every shown text of every screen, light and dark, the least first."""
    found: list[Contrast] = []
    for dark in (False, True):
        for state in states(dark_theme=dark, **settings):
            found += contrasts_of(state)
    return sorted(found, key=lambda item: item.ratio)


def contrasts_of(state: PhoneState) -> list[Contrast]:
    """Return the contrast of every shown text of one screen."""
    colors, density = theme(state.system.settings.dark_theme), state.config.density
    laid = laid_out(state)
    frame = paint(laid, colors)
    ground = paint(msgspec.structs.replace(laid, root=_wordless(laid.root)), colors)
    name = screen_name(state)
    return [
        Contrast(_contrast(leaf, frame, ground, colors, density), leaf.node.text or leaf.node.hint, name)
        for leaf in shown_texts(state)
    ]


def screen_name(state: PhoneState) -> str:
    """Return a name of what the screen shows."""
    page = front(state)
    look = "dark" if state.system.settings.dark_theme else "light"
    parts = (page.app, page.name, page.arg, page.dialog, state.system.shade, look)
    return " ".join(part for part in parts if part)


def _wordless(placed: Placed) -> Placed:
    children = tuple(_wordless(child) for child in placed.children)
    return msgspec.structs.replace(placed, lines=(), children=children)


def _contrast(leaf: Placed, frame: Frame, ground: Frame, colors: Theme, density: float) -> float:
    """Return the least contrast but for a twentieth of the pixels that the leaf's ink covers."""
    left, top, right, bottom = leaf.visible
    inked = (frame[top:bottom, left:right] != ground[top:bottom, left:right]).any(axis=2)
    below, counts = np.unique(ground[top:bottom, left:right][inked], axis=0, return_counts=True)
    if not len(below):
        return 1.0  # the text has the colour of its ground
    covered: list[RGB] = [(int(red), int(green), int(blue)) for red, green, blue in below]
    ratios = np.array([ratio(text_color(leaf.node, colors, color), color) for color in covered])
    order = np.argsort(ratios)
    share_below = np.cumsum(counts[order]) / counts.sum()
    return round(float(ratios[order][np.searchsorted(share_below, 0.05)]), 2)


def ratio(a: RGB, b: RGB) -> float:
    """Return the contrast ratio of two colours as WCAG 2.2 defines it, 1 to 21."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: RGB) -> float:
    linear = [value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- reading ---


def rapid_ocr() -> Reader:
    """Return RapidOCR as a function from a frame to boxes and words."""
    import logging

    from rapidocr import RapidOCR  # pyright: ignore[reportMissingImports]

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    engine: Any = RapidOCR(params={"Global.use_cls": False, "EngineConfig.onnxruntime.intra_op_num_threads": 1})

    def read(frame: Frame) -> list[tuple[Box, str]]:
        found: Any = engine(np.ascontiguousarray(frame[:, :, ::-1]))
        if found.boxes is None:
            return []
        return [(_around(np.asarray(corners)), word) for corners, word in zip(found.boxes, found.txts, strict=True)]

    return read


def _around(corners: NDArray[np.float32]) -> Box:
    """Return the upright box around four corners (4, 2)."""
    (left, top), (right, bottom) = corners.min(axis=0).astype(int).tolist(), corners.max(axis=0).astype(int).tolist()
    return left, top, right, bottom


def reading(read: Reader, step: int, show: Path | None = None) -> dict[str, Any]:
    """Return the shares of shown texts of every `step`th screen that are read exactly; `show` takes the others."""
    results: dict[str, Any] = {}
    wrong: list[str] = []
    totals = [0, 0]
    for dark in (False, True):
        right, count = 0, 0
        for state in states(dark_theme=dark)[::step]:
            phone = SimPhone(state.config)
            phone.restore(state)
            words = read(phone.screenshot())
            for leaf in _words(state):
                text, seen = leaf.node.text or leaf.node.hint, _seen(leaf, state.config.density, words)
                good = same(text, seen)
                right, count = right + good, count + 1
                if not good:
                    wrong.append(f"{screen_name(state)}: {text!r} read as {seen!r}")
        results["read_exactly_dark" if dark else "read_exactly_light"] = share(right, count)
        totals = [totals[0] + right, totals[1] + count]
    if show is not None:
        show.write_text("\n".join(wrong) + "\n", encoding="utf-8")
    return {"read_exactly": share(*totals), **results}


def _seen(leaf: Placed, density: float, words: Sequence[tuple[Box, str]]) -> str:
    """Return what was read in a leaf's lines, in the order of reading."""
    lines = []
    for left, top, right, bottom in line_boxes(leaf, density):
        inside = [
            (box[0], word)
            for box, word in words
            if left <= (box[0] + box[2]) / 2 <= right and top <= (box[1] + box[3]) / 2 <= bottom
        ]
        lines.append(" ".join(word for _, word in sorted(inside)))
    return " ".join(lines)


def same(text: str, seen: str) -> bool:
    """Return whether OCR read `text`: letter for letter, spaces and typographic variants of a character aside."""
    return _plain(text) == _plain(seen)


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).translate(_VARIANTS)
    return "".join(folded.split())


_VARIANTS = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2022": "\u00b7"})


if __name__ == "__main__":
    sys.exit(main())
