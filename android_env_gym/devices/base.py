"""The two seams below the environment: `Device` (pixels and input) and `World` (state, only a simulator has it).

`AndroidTaskEnv` calls them; device kinds (`sim`, later `adb`, `emulator`) implement them. Every
infrastructure problem surfaces as `DeviceFailure`, never as a wrong frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from android_env_gym.actions import Action

if TYPE_CHECKING:
    from android_env_gym.phone.state import PhoneState

FailureKind = Literal["lost", "timeout", "bad_frame", "crashed", "reset", "judge", "worker"]
Bounds = tuple[int, int, int, int]


class DeviceFailure(Exception):
    """The device could not do what was asked; the episode is no evidence about the policy.

    Attributes:
        kind: What went wrong, one of `FailureKind`.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind


class DeviceInfo(msgspec.Struct, frozen=True):
    """What a device is. `size` is `(width, height)` in pixels."""

    kind: str
    serial: str
    size: tuple[int, int]
    model: str = ""


class UiNode(msgspec.Struct, frozen=True):
    """One visible node of the accessibility tree; `bounds` is `(left, top, right, bottom)` in device pixels.

    The tree is flat here, in drawing order, parents before children; `depth` gives the nesting.
    """

    bounds: Bounds
    text: str = ""
    label: str = ""
    resource_id: str = ""
    class_name: str = "android.view.View"
    depth: int = 0
    clickable: bool = False
    long_clickable: bool = False
    scrollable: bool = False
    editable: bool = False
    checkable: bool = False
    checked: bool = False
    selected: bool = False
    focused: bool = False
    enabled: bool = True
    password: bool = False


@runtime_checkable
class Device(Protocol):
    """A phone seen through its screen and touched through its input."""

    def screenshot(self) -> NDArray[np.uint8]:
        """Return the screen as RGB `(height, width, 3)`; the caller must not write into it."""
        ...

    def perform(self, action: Action) -> None:
        """Perform one action (not `Finish`) and return when the screen has settled."""
        ...

    def ui_tree(self) -> tuple[UiNode, ...]:
        """Return the visible accessibility nodes, parents before children."""
        ...

    def reset(self) -> None:
        """Bring the device to its home screen in the state an episode starts from."""
        ...

    def info(self) -> DeviceInfo:
        """Describe the device."""
        ...

    def close(self) -> None:
        """Release the device; may be called twice."""
        ...


@runtime_checkable
class World(Protocol):
    """State access that only the embedded phone has. A snapshot is an immutable value."""

    @property
    def state(self) -> PhoneState:
        """The phone's present state."""
        ...

    def snapshot(self) -> PhoneState:
        """Return the present state (costs a reference)."""
        ...

    def restore(self, snapshot: PhoneState) -> None:
        """Continue from `snapshot`."""
        ...

    def apply_setup(self, state: PhoneState) -> None:
        """Install `state` as an episode's start: home screen, no keyboard, nothing in recents."""
        ...
