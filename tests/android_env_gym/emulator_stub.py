#!/usr/bin/env python3
"""A scripted `emulator` for the tests of the fleet: command line, console and ADB of the real one, on a served phone.

Faults are read from `faults.txt` beside this SDK's `emulator` folder: one word per start, taken from the top. "exit":
ends at once; "never": serves, but never finishes booting; "mute": the console does not answer; "hang": stops answering
anything once it was asked for a sign of life; "crash:N": ends N seconds after the start; "slow:N": boots after N s.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-list-avds", action="store_true")
    parser.add_argument("-avd")
    parser.add_argument("-ports")
    parser.add_argument("-gpu")
    parser.add_argument("-datadir")
    for flag in ("no-audio", "no-boot-anim", "no-snapshot-save", "no-window", "read-only"):
        parser.add_argument(f"-{flag}", action="store_true")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    if arguments.list_avds:
        sys.stdout.write("INFO    | Storing crashdata in: /nowhere\nTiny_API_35\nOther_API_30\n")
        return 0
    fault, _, number = _next_fault(root / "faults.txt").partition(":")
    with (root / "starts.txt").open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\n")
    if fault == "exit":
        sys.stderr.write("PANIC: Cannot find AVD system path\n")
        return 1
    console_port, adb_port = (int(part) for part in arguments.ports.split(","))
    seconds = float(number or 0)
    _serve(console_port, adb_port, fault, seconds)
    return 0


def _next_fault(path: Path) -> str:
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        first, *rest = file.read().splitlines() or [""]
        file.seek(0)
        file.truncate()
        file.write("".join(f"{line}\n" for line in rest))
    return first


def _serve(console_port: int, adb_port: int, fault: str, seconds: float) -> None:
    from android_env_gym.phone.adbd.served import ServedPhone
    from android_env_gym.phone.adbd.server import AdbServer
    from android_env_gym.phone.phone import SimPhone

    if fault == "crash":
        threading.Timer(seconds, lambda: os._exit(7)).start()
    served = ServedPhone(SimPhone(seed=1), f"EMULATOR{console_port}")
    snapshot = served.phone.snapshot()
    if fault in ("never", "slow"):
        served.properties["sys.boot_completed"] = ""
    with AdbServer(served, port=adb_port), socket.create_server(("127.0.0.1", console_port)) as console:
        if fault == "slow":
            threading.Timer(seconds, lambda: served.properties.update({"sys.boot_completed": "1"})).start()
        while True:
            link, _ = console.accept()
            with link, link.makefile("rw", newline="\n") as lines:
                if fault == "mute":
                    time.sleep(60)
                if _talk(lines, served, snapshot, fault):
                    return


def _talk(lines, served, snapshot, fault: str) -> bool:
    """Serve one connection of the console; return whether the emulator was told to end."""
    lines.write("Android Console: type 'help' for a list of commands\r\nOK\r\n")
    lines.flush()
    for line in lines:
        command = line.strip()
        if command == "ping" and fault == "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
        if command == "ping":
            lines.write("I am alive!\r\nOK\r\n")
        elif command == "avd snapshot load start":
            with served.lock:
                served.phone.restore(snapshot)
            lines.write("OK\r\n")
        elif command == "kill":
            lines.write("OK: killing emulator, bye bye\r\n")
            lines.flush()
            return True
        else:
            lines.write("KO: unknown command, try 'help'\r\n")
        lines.flush()
    return False


if __name__ == "__main__":
    sys.exit(main())
