"""Frames: what the agent is shown (`observe`) and what a person is shown (`with_touch`, `Window`).

The observation is a pure function of the device's frame, so equal frames give equal observations on
every machine. Called by `AndroidTaskEnv`.
"""

from __future__ import annotations

import importlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action, InvalidAction, LongPress, Swipe, Tap
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.errors import WindowClosedError

Frame = NDArray[np.uint8]
RED, WHITE = (225, 30, 30), (255, 255, 255)
BAR_HEIGHT = 48
"""Of the instruction above the frame in a window, in pixels: two lines of `FONT_SIZE`."""
FONT_SIZE = 22


def check_frame(frame: object) -> Frame:
    """Return `frame` if it is an RGB picture.

    Raises:
        DeviceFailure: `bad_frame`: not a non-empty `(height, width, 3)` array of uint8.
    """
    if not isinstance(frame, np.ndarray):
        raise DeviceFailure("bad_frame", f"the device returned {type(frame).__name__}, not an array")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        got = f"{frame.dtype} of shape {frame.shape}"
        raise DeviceFailure("bad_frame", f"the device returned {got}, not uint8 of shape (height, width, 3)")
    return frame


def observe(frame: Frame, screen: tuple[int, int]) -> Frame:
    """Return `frame` at `screen` = (height, width): halved exactly while it stays larger, then resized linearly.

    Halving by area first is four times faster than one area resize from 540x1200 and does not alias.
    """
    height, width = screen
    while (
        not (frame.shape[0] % 2 or frame.shape[1] % 2) and frame.shape[0] >= 2 * height and frame.shape[1] >= 2 * width
    ):
        half = (frame.shape[1] // 2, frame.shape[0] // 2)
        frame = np.asarray(cv2.resize(frame, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if frame.shape[:2] != (height, width):
        frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    return frame


def with_touch(frame: Frame, action: Action | InvalidAction | None) -> Frame:
    """Return `frame` with the touch of `action` drawn: a ring for a tap, two for a long press, an arrow for a swipe."""
    if not isinstance(action, Tap | LongPress | Swipe):
        return frame
    drawn, height = frame.copy(), frame.shape[0]
    radius, width = max(3, height // 32), max(1, height // 220)
    for colour, thickness in ((WHITE, 3 * width), (RED, width)):  # a white rim shows on any background
        if isinstance(action, Swipe):
            ends = _pixel(frame, action.x1, action.y1), _pixel(frame, action.x2, action.y2)
            cv2.arrowedLine(drawn, *ends, colour, thickness, tipLength=0.15)
        else:
            cv2.circle(drawn, _pixel(frame, action.x, action.y), radius, colour, thickness)
    if isinstance(action, LongPress):
        cv2.circle(drawn, _pixel(frame, action.x, action.y), 2 * radius, RED, width)
    return drawn


def _pixel(frame: Frame, x: float, y: float) -> tuple[int, int]:
    height, width = frame.shape[:2]
    return min(int(x * width), width - 1), min(int(y * height), height - 1)


class Window:
    """A desktop window that shows an instruction and frames (`render_mode="human"`), drawn by pygame.

    Args:
        title: Window title.
        height: Largest height of a frame on the desktop, in pixels; larger ones are scaled to fit.

    Raises:
        ImportError: pygame is not installed; the message names the extra that brings it.
    """

    def __init__(self, title: str, height: int = 900) -> None:
        try:
            self._pygame: Any = importlib.import_module("pygame")
        except ImportError as error:
            raise ImportError(
                'render_mode="human" needs pygame: pip install "android-env-gym[human]", '
                'or take render_mode="rgb_array"'
            ) from error
        self._title = title
        self._height = height
        self._surface: Any = None
        self._clock = self._pygame.time.Clock()

    def show(self, frame: Frame, fps: float, instruction: str = "") -> None:
        """Draw `instruction` above `frame`, and wait so that at most `fps` frames are shown a second.

        Raises:
            WindowClosedError: The person has closed the window.
        """
        pygame = self._pygame
        scale = min(1.0, self._height / frame.shape[0])
        size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        if self._surface is None:
            pygame.display.init()
            pygame.font.init()
            pygame.display.set_caption(self._title)
            self._surface = pygame.display.set_mode((size[0], size[1] + BAR_HEIGHT))
        elif any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
            raise WindowClosedError("the window was closed; reset() opens another one")
        picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        self._surface.fill(WHITE)
        for number, line in enumerate(self._lines(instruction, size[0])[:2]):
            self._surface.blit(line, (4, 2 + number * BAR_HEIGHT // 2))
        # (height, width, 3) -> (width, height, 3), as pygame has it
        shown = pygame.surfarray.make_surface(np.ascontiguousarray(picture.swapaxes(0, 1)))
        self._surface.blit(shown, (0, BAR_HEIGHT))
        pygame.display.flip()
        self._clock.tick(fps)

    def _lines(self, text: str, width: int) -> list[Any]:
        """Return `text` drawn, in lines that fit into `width` pixels where its words do."""
        font = self._pygame.font.Font(None, FONT_SIZE)
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and font.size(longer)[0] <= width - 8:
                lines[-1] = longer
            else:
                lines.append(word)
        return [font.render(line, True, (0, 0, 0)) for line in lines]

    def close(self) -> None:
        """Close the window; may be called twice."""
        if self._surface is not None:
            self._surface = None
            self._pygame.display.quit()
