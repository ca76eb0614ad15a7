"""Collectors that break on order: what they do depends on files beside the inbox. Spawned processes import this."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from runtime_fakes import TEMPLATES, FakePolicy, build_fake, fake_spec

from distrl_trainer.collector import CollectorName
from distrl_trainer.collector_process import CollectorSetup
from distrl_trainer.config import PolicyConfig
from distrl_trainer.inbox import Inbox
from distrl_trainer.incarnations import Incarnations
from distrl_trainer.process_fleet import ProcessFleet


def never():
    return False


def hang():
    threading.Event().wait()


class HangingPolicy(FakePolicy):
    """Blocks for ever in `act` once the file `order` exists, and removes it."""

    def __init__(self, order: Path):
        super().__init__()
        self._order = order

    def act(self, *arguments, **more):
        if self._order.exists():
            self._order.unlink()
            hang()
        return super().act(*arguments, **more)


def build_hanging(setup: CollectorSetup):
    pool, _ = build_fake(setup)
    return pool, HangingPolicy(Path(setup.inbox).parent / "hang")


class HungPolicy(FakePolicy):
    """Makes the file `told` in its first `act` and blocks for ever."""

    def __init__(self, told: Path):
        super().__init__()
        self._told = told

    def act(self, *arguments, **more):
        self._told.touch()
        hang()


def setups_in_every_state(root: Path):
    """One collector that builds, one that acts, one that collects, one whose workers step."""
    building, acting, collecting, _ = setups(root, 4)
    stepping = setups(root, 4, device="hang", workers=2)[3]
    return [building, acting, collecting, stepping]


def build_in_every_state(setup: CollectorSetup):
    root = Path(setup.inbox).parent
    pool, policy = build_fake(setup)
    match setup.name.index:
        case 0:
            (root / "building").touch()
            hang()
        case 1:
            policy = HungPolicy(root / "acting")
        case 2:
            (root / "pid").write_text(str(os.getpid()))
            (root / "pid").rename(root / "collecting")
    return pool, policy


def build_away_once(setup: CollectorSetup):
    seen = Path(setup.inbox).parent / "seen"
    if not seen.exists():
        seen.touch()
        raise ConnectionError("the device is away")
    return build_fake(setup)


def build_away(setup: CollectorSetup):
    raise ConnectionError("the device is away")


def build_logging(setup: CollectorSetup):
    """Write each id to `emitted` after its trajectory is in the inbox."""
    put, log = Inbox.put, os.open(Path(setup.inbox).parent / "emitted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def put_and_log(self, trajectory):
        path = put(self, trajectory)
        os.write(log, f"{trajectory.id}\n".encode())
        return path

    Inbox.put = put_and_log
    return build_fake(setup)


def setups(root: Path, count=1, device="sim", **fields):
    return [
        CollectorSetup(
            name=CollectorName(seed=1, index=index), envs=(fake_spec(device),) * 2, policy=PolicyConfig(),
            templates=TEMPLATES, inbox=str(root / "inbox"), weights=str(root / "weights"), **fields,
        )
        for index in range(count)
    ]  # fmt: skip


def fleet_of(root: Path, count=1, device="sim", build=build_fake, setups_=None, **more):
    numbers = Incarnations(root / "fleet.json")
    setups_ = setups_ or setups(root, count, device)
    return ProcessFleet(setups_, inbox=Inbox(root / "inbox"), incarnations=numbers, build=build, **more)
