"""Draws what an agent did on what it saw: a touch, a swipe's path, typed text, one frame or a whole strip.

Pure functions of pixels and typed actions; overlays are drawn at `SCALE` times the frame's size, so that small
screens stay readable. Callers: `inspect_html`, scripts that make pictures.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache

import font_roboto
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from android_env_gym.actions import (
    Action,
    Finish,
    InvalidAction,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
)
from distrl_trainer.observations import decode_action, decode_frames
from distrl_trainer.trajectory import Trajectory

SCALE = 2
_LARGE = 2**20
"""Pixels from which a frame is readable as it is: it is not enlarged, nor its overlay, which would take gigabytes."""
_SUPER = 2  # overlays are drawn this much larger still, and shrunk: PIL's shapes are not antialiased
_TOUCH = (233, 30, 99)
_CHIP = (32, 33, 36)
_GOOD = (20, 108, 46)
_BAD = (179, 38, 30)
_MAX_TEXT = 60

Color = tuple[int, int, int]


def describe(action: Action | InvalidAction) -> str:
    """Return `action` in a few words; text is shortened to 60 characters."""
    match action:
        case Tap(x, y):
            return f"tap {x:.2f}, {y:.2f}"
        case LongPress(x, y):
            return f"long press {x:.2f}, {y:.2f}"
        case Swipe(x1, y1, x2, y2):
            return f"swipe {_direction(action)} {x1:.2f}, {y1:.2f} to {x2:.2f}, {y2:.2f}"
        case TypeText(text):
            return f"type \u201c{_short(text)}\u201d"
        case PressKey(key):
            return f"press {key}"
        case OpenApp(app):
            return f"open {_short(app)}"
        case Wait(seconds):
            return f"wait {seconds:g} s"
        case Finish(status, answer):
            return f"finish: {status}" + (f" \u201c{_short(answer)}\u201d" if answer else "")
        case InvalidAction(reason):
            return f"invalid: {_short(reason)}"


def annotate(frame: NDArray[np.uint8], action: Action | InvalidAction | None) -> NDArray[np.uint8]:
    """Return `frame`, enlarged by `SCALE` unless it is large, with `action` drawn on it (None: enlarged only).

    Args:
        frame: `(height, width, 3)` uint8 RGB.
        action: What the agent did when it saw the frame.

    Returns:
        `(SCALE height, SCALE width, 3)` uint8 RGB.
    """
    height, width = frame.shape[:2]
    scale, over = (1, 1) if height * width >= _LARGE else (SCALE, _SUPER)
    image = Image.fromarray(frame).resize((width * scale, height * scale), Image.Resampling.LANCZOS)
    if action is None:
        return np.asarray(image)
    size = (image.width * over, image.height * over)
    overlay = Image.new("RGBA", size, (0, 0, 0, 0))
    _draw(ImageDraw.Draw(overlay), size, action)
    overlay = overlay.resize(image.size, Image.Resampling.LANCZOS)
    return np.asarray(Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB"))


def strip(trajectory: Trajectory, gap: int = 16, background: Color = (255, 255, 255)) -> NDArray[np.uint8]:
    """Return all frames of `trajectory` side by side, each with the action taken on it; the last shows the end.

    Returns:
        `(SCALE height, any width, 3)` uint8 RGB with `gap` pixels of `background` between frames.
    """
    frames = decode_frames(trajectory)
    actions: list[Action | InvalidAction | None] = [decode_action(step) for step in trajectory.steps]
    actions += [None] * (len(frames) - len(actions))
    return beside([annotate(f, a) for f, a in zip(frames, actions, strict=False)], gap, background)


def beside(images: Sequence[NDArray[np.uint8]], gap: int, background: Color) -> NDArray[np.uint8]:
    """Return `(height, width_i, 3)` images of equal height in one row with `gap` pixels of `background` between.

    Raises:
        ValueError: There is no image, or heights differ.
    """
    if not images:
        raise ValueError("a strip needs at least one image, got none")
    spacer = np.full((images[0].shape[0], gap, 3), background, np.uint8)
    row: list[NDArray[np.uint8]] = []
    for image in images:
        row += [image, spacer]
    return np.concatenate(row[:-1], axis=1)


def _draw(draw: ImageDraw.ImageDraw, size: tuple[int, int], action: Action | InvalidAction) -> None:
    unit = size[0] / 100  # one percent of the width: overlays look alike at every resolution
    match action:
        case Tap(x, y):
            _touch(draw, (x * size[0], y * size[1]), unit, rings=1)
        case LongPress(x, y):
            _touch(draw, (x * size[0], y * size[1]), unit, rings=2)
            _chip(draw, size, unit, "hold", _TOUCH)
        case Swipe(x1, y1, x2, y2):
            _arrow(draw, (x1 * size[0], y1 * size[1]), (x2 * size[0], y2 * size[1]), unit)
        case Finish(status, answer):
            mark = "done" if status == "complete" else "not possible"
            _chip(draw, size, unit, f"{mark}: {_short(answer)}" if answer else mark, _GOOD)
        case InvalidAction():
            _chip(draw, size, unit, "invalid", _BAD)
        case _:
            _chip(draw, size, unit, describe(action), _CHIP)


def _touch(draw: ImageDraw.ImageDraw, center: tuple[float, float], unit: float, rings: int) -> None:
    for ring in range(rings, 0, -1):
        _disc(draw, center, (3.2 + 3.0 * ring) * unit, fill=(*_TOUCH, 60), outline=(*_TOUCH, 235), width=1.1 * unit)
    _disc(draw, center, 1.8 * unit, fill=(*_TOUCH, 255), outline=(255, 255, 255, 255), width=0.7 * unit)


def _disc(
    draw: ImageDraw.ImageDraw,
    center: tuple[float, float],
    radius: float,
    *,
    fill: tuple[int, ...],
    outline: tuple[int, ...],
    width: float,
) -> None:
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline, width=round(width))


def _arrow(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], unit: float) -> None:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    _disc(draw, start, 4 * unit, fill=(*_TOUCH, 90), outline=(*_TOUCH, 235), width=0.9 * unit)
    if length < unit:
        return
    ux, uy = dx / length, dy / length
    head = min(9 * unit, length)
    neck = (end[0] - ux * head * 0.8, end[1] - uy * head * 0.8)
    wing = 0.55 * head
    tip = [end, (end[0] - ux * head - uy * wing, end[1] - uy * head + ux * wing), neck]
    tip.append((end[0] - ux * head + uy * wing, end[1] - uy * head - ux * wing))
    # white below first: the path stays visible on screens of its own colour
    draw.line((*start, *neck), fill=(255, 255, 255, 230), width=round(3.6 * unit))
    draw.line((*start, *neck), fill=(*_TOUCH, 255), width=round(2.2 * unit))
    draw.polygon(tip, fill=(*_TOUCH, 255), outline=(255, 255, 255, 230), width=max(1, round(0.5 * unit)))


def _chip(draw: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, text: str, color: Color) -> None:
    font = _font(round(7.5 * unit))
    lines = _wrap(draw, text, font, 0.84 * size[0])
    line_height = 9.5 * unit
    width = max(draw.textlength(line, font=font) for line in lines) + 9 * unit
    height = line_height * len(lines) + 5 * unit
    left, top = (size[0] - width) / 2, size[1] * 0.5 - height / 2
    draw.rounded_rectangle(
        (left, top, left + width, top + height), radius=5 * unit, fill=(*color, 232), outline=(255, 255, 255, 200)
    )
    for index, line in enumerate(lines):
        x = size[0] / 2, top + 2.5 * unit + line_height * (index + 0.5)
        draw.text(x, line, font=font, fill=(255, 255, 255, 255), anchor="mm")


def _wrap(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        trial = f"{lines[-1]} {word}".strip()
        if lines[-1] and draw.textlength(trial, font=font) > width:
            lines.append(word)
        else:
            lines[-1] = trial
    return lines


def _direction(swipe: Swipe) -> str:
    dx, dy = swipe.x2 - swipe.x1, swipe.y2 - swipe.y1
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "\u2026"


@lru_cache(maxsize=8)
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(os.path.join(font_roboto.font_directory, "Roboto-Medium.ttf"), pixels)
