"""Commands that run while somebody reads and writes: interactive shells, logcat, uiautomator2's server, killing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from android_env_gym.phone.adbd.process import Process
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import open_process

SETTINGS, CLOCK = "com.android.settings", "com.google.android.deskclock"


def read_all(process: Process) -> bytes:
    data = b"".join(data for fd, data in process.output if fd == 1)
    process.join(5.0)
    return data


@pytest.fixture
def start(served: ServedPhone) -> Iterator:
    started: list[Process] = []

    def run(command: str) -> Process:
        started.append(open_process(served, command))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.join(5.0)


def test_a_short_command_streams_both_channels_and_its_status(start) -> None:
    process = start("echo out; nope; screencap -p | wc -c >/dev/null; exit 7")
    pieces = list(process.output)
    assert (1, b"out\n") in pieces
    assert any(fd == 2 and b"inaccessible" in data for fd, data in pieces)
    assert process.exit == 7


@pytest.mark.parametrize("command", ["", "sh", "exec sh", "/system/bin/sh"])
def test_an_interactive_shell_runs_each_line_at_once_and_keeps_its_variables(start, command: str) -> None:
    process = start(command)
    output = iter(process.output)
    process.feed(b"X=5\necho $")
    process.feed(b"X\n")
    assert next(output) == (1, b"5\n")
    process.feed(b"echo 'over\ntwo lines'; cd /sdcard\npwd\n")
    assert next(output) == (1, b"over\ntwo lines\n")
    assert next(output) == (1, b"/sdcard\n")
    process.feed(b"false\n")
    process.feed(b"")
    assert list(output) == []
    assert process.exit == 1


def test_a_screenshot_is_one_chunk_before_the_text_behind_it(start, served: ServedPhone) -> None:
    process = start("sh")
    process.feed(b"screencap -p; echo NONCE$?\n")
    output = iter(process.output)
    assert next(output) == (1, served.png())
    assert next(output) == (1, b"NONCE0\n")


def test_stdin_reaches_a_file_even_if_the_stream_is_closed_at_once(start, served: ServedPhone) -> None:
    process = start("cat > /sdcard/in.bin")
    data = bytes(range(256)) * 500
    process.feed(data)
    process.feed(b"")
    process.kill()
    process.join(5.0)
    assert served.files.read("/sdcard/in.bin") == data


def test_logcat_follows_the_events_of_the_phone(start, served: ServedPhone) -> None:
    output = iter(start("logcat -b events -v brief -T 1").output)
    assert b"boot_progress_enable_screen" in next(output)[1]
    served.launch(SETTINGS)
    lines = next(output)[1].decode()
    while "input_focus" not in lines:
        lines += next(output)[1].decode()
    assert f"{SETTINGS}/{SETTINGS}.Settings" in lines
    assert lines.startswith("I/")


def test_logcat_through_a_pipe_ends_with_its_reader(start, served: ServedPhone) -> None:
    process = start("logcat | grep -q START")
    served.launch(CLOCK)
    assert read_all(process) == b""
    assert process.exit == 0


def test_killing_ends_the_output_of_an_endless_command(start) -> None:
    process = start("logcat")
    next(iter(process.output))
    process.kill()
    process.kill()
    assert len(read_all(process).splitlines()) <= 10  # what was written before, and then the end
    assert process.exit == 137


def test_the_uiautomator2_server_runs_while_its_stream_is_open(start, served: ServedPhone) -> None:
    line = "CLASSPATH=/data/local/tmp/u2.jar app_process / com.wetest.uia2.Main -p 9008"
    assert b"could not find class" in b"".join(data for _, data in start(line).output)
    assert not served.uiautomator_running
    served.files.write("/data/local/tmp/u2.jar", b"jar")
    first = start(line)
    assert b"Starting Server" in next(iter(first.output))[1]
    assert served.uiautomator_running
    assert b"already registered" in read_all(start(line))
    assert served.uiautomator_running
    first.kill()
    first.join(5.0)
    assert not served.uiautomator_running


def test_a_reboot_ends_the_uiautomator2_server(start, served: ServedPhone) -> None:
    served.files.write("/data/local/tmp/u2.jar", b"jar")
    process = start("CLASSPATH=/data/local/tmp/u2.jar app_process / com.wetest.uia2.Main")
    next(iter(process.output))
    calls: list[str] = []
    served.reboot_listeners.append(lambda: calls.append("hung up"))
    served.reboot()
    assert read_all(process) == b""
    assert calls == ["hung up"]
    assert not served.uiautomator_running
