"""`WallClock`: lets a served phone's time follow the wall clock, for clients that sleep and then look at the date."""

from __future__ import annotations

import threading
import time

from android_env_gym.phone.adbd.served import ServedPhone

TICK_S = 0.1


class WallClock:
    """Moves a phone's time on, from `start` to `stop`; where actions have moved it further, it waits for the wall.

    Args:
        served: The phone.
    """

    def __init__(self, served: ServedPhone) -> None:
        self._served = served
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="adbd-clock", daemon=True)

    def start(self) -> None:
        """Let time follow from now on, in a thread of its own."""
        self._served.sleeps_for_real = True
        self._thread.start()

    def stop(self) -> None:
        """Stop the clock and wait for its thread; may be called twice."""
        self._stopping.set()
        self._served.sleeps_for_real = False
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        ahead = self._served.state.now / 1000 - time.monotonic()
        while not self._stopping.wait(TICK_S):
            with self._served.lock:
                behind = time.monotonic() + ahead - self._served.state.now / 1000
                if behind > 0:
                    self._served.wait(behind)
