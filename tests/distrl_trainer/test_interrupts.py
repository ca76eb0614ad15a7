"""Signals: each of the three stops a run in order, and a terminal that goes away does not stop one under nohup."""

import os
import signal

import pytest

from distrl_trainer.interrupts import SIGNALS, Interrupted, Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_first_signal_asks_and_a_second_stops(number):
    previous = signal.getsignal(number)
    asked = []
    with Interrupts() as interrupts:
        with interrupts.deferred(lambda: asked.append(number)):
            os.kill(os.getpid(), number)
            assert asked == [number] and interrupts.requested
            with pytest.raises(Interrupted, match=number.name):
                os.kill(os.getpid(), number)
        with pytest.raises(Interrupted):
            interrupts.check()
    assert signal.getsignal(number) is previous


def test_what_nohup_ignores_stays_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert signal.SIGHUP in SIGNALS
