"""A served phone for the tests of the ADB side: started, and where asked for connected to the tests' ADB server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone


@pytest.fixture
def served() -> ServedPhone:
    return ServedPhone(SimPhone(seed=1))


@pytest.fixture
def adb_server(served: ServedPhone, no_adbd_threads: None) -> Iterator[AdbServer]:
    """A served phone that listens; nothing is left of it after the test."""
    with AdbServer(served) as server:
        yield server


@pytest.fixture
def serial(adb_host, adb_server: AdbServer) -> Iterator[str]:
    """The serial of a served phone that the tests' ADB server is connected to."""
    reply = adb_host.run("connect", adb_server.serial)
    assert reply.stdout.startswith(b"connected to"), reply
    yield adb_server.serial
    adb_host.run("disconnect", adb_server.serial)
