"""`Faults`: infrastructure trouble on order, for tests and the fault matrix; without an order nothing happens.

A fault strikes the next request whose text contains its `match`. A request's text is the service that the host opens
("shell,v2,raw:input tap 1 2", "exec:screencap -p", "framebuffer:", "sync:"), for file transfers also "sync:RECV /path"
and the like, and for the uiautomator2 server the bytes of the HTTP request, so that a method's name matches.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal, get_args

import msgspec

from android_env_gym.errors import unknown_name

FaultKind = Literal["drop", "stall", "truncate_png", "black_frame", "offline", "die", "reboot"]
Moment = Literal["before", "after"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
# These change what a screenshot gives; the others strike the connection or the whole phone.
PICTURE_KINDS: frozenset[FaultKind] = frozenset({"truncate_png", "black_frame"})


class Fault(msgspec.Struct, frozen=True):
    """One fault on order.

    Attributes:
        kind: "drop" closes the connection; "stall" lets the request wait for `seconds`; "truncate_png" cuts a
            screenshot in half; "black_frame" makes it black; "offline" closes the connection and leaves the next ones
            unanswered for `seconds`; "die" stops listening for `seconds`; "reboot" also restarts the phone.
        seconds: How long it lasts, where that has a meaning.
        match: What the request's text must contain; "" strikes any request.
        moment: "before" the request is carried out, or "after" it and before its reply leaves.
    """

    kind: FaultKind
    seconds: float = 1.0
    match: str = ""
    moment: Moment = "before"


class Faults:
    """A thread-safe switchboard: tests `inject`, the server `take`s.

    Attributes:
        struck: How often each kind has struck.
    """

    def __init__(self) -> None:
        self.struck: Counter[FaultKind] = Counter()
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def inject(
        self, kind: FaultKind, *, times: int = 1, seconds: float = 1.0, match: str = "", moment: Moment = "before"
    ) -> None:
        """Order a fault for the next `times` requests that match; see `Fault` for the arguments.

        Raises:
            UnknownNameError: No such kind or moment.
            ValueError: `times` below 1, or negative `seconds`.
        """
        if kind not in KINDS:
            raise unknown_name("fault", kind, KINDS)
        if moment not in get_args(Moment):
            raise unknown_name("moment of a fault", moment, get_args(Moment))
        if times < 1 or seconds < 0:
            raise ValueError(f"got times={times}, seconds={seconds}; allowed: times from 1, seconds from 0")
        with self._lock:
            self._waiting += [Fault(kind, seconds, match, moment)] * times

    def clear(self) -> None:
        """Cancel what has been ordered and has not struck."""
        with self._lock:
            self._waiting.clear()

    @property
    def waiting(self) -> int:
        """Return how many faults are still to strike."""
        with self._lock:
            return len(self._waiting)

    def take(self, request: str, *, pictures: bool) -> Fault | None:
        """Return the oldest fault for this request and forget it; None if there is none.

        Args:
            request: The request's text, see the module.
            pictures: Whether faults of screenshots are wanted, or the others.
        """
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if (fault.kind in PICTURE_KINDS) == pictures and fault.match in request:
                    self.struck[fault.kind] += 1
                    return self._waiting.pop(index)
        return None
