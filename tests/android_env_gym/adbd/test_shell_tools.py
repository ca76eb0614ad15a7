"""Small facts that real tools ask a phone for."""

from __future__ import annotations

import io
import zipfile

import pytest

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import run

SETTINGS = "com.android.settings"


def _ask(served: ServedPhone, line: str) -> str:
    done = run(served, line)
    assert (done.exit, done.stderr) == (0, b""), (line, done)
    return done.stdout.decode()


@pytest.mark.parametrize(
    "line",
    ["echo a > /dev/null", "cat < /dev/null", "cat /dev/null", "test -e /dev/null", "frobnicate 2> /dev/null || true"],
)
def test_dev_null_takes_everything_and_gives_nothing(served: ServedPhone, line: str) -> None:
    assert _ask(served, line) == ""
    assert _ask(served, "cp /dev/null /sdcard/empty; stat -c %s /sdcard/empty") == "0\n"
    assert _ask(served, "ls -l /dev/null").startswith("crw-rw-rw-")
    assert run(served, "rm /dev/null").exit == 1


def test_the_policy_says_whether_the_phone_is_awake(served: ServedPhone) -> None:
    assert "interactiveState=INTERACTIVE_STATE_AWAKE" in _ask(served, "dumpsys window policy")
    served.sleep()
    assert "interactiveState=INTERACTIVE_STATE_SLEEP" in _ask(served, "dumpsys window policy")


def test_getevent_describes_the_touch_screen(served: ServedPhone) -> None:
    width, height = served.size
    plain = _ask(served, "getevent -p")
    assert f"0035  : value 0, min 0, max {width - 1}, fuzz 0" in plain
    assert f"0036  : value 0, min 0, max {height - 1}, fuzz 0" in plain
    assert "ABS_MT_POSITION_X" in _ask(served, "getevent -pl")


def test_query_activities_in_full_and_in_brief(served: ServedPhone) -> None:
    query = "cmd package query-activities -a android.intent.action.MAIN -c android.intent.category.LAUNCHER"
    full, brief = _ask(served, query), _ask(served, query + " --brief")
    assert f"packageName={SETTINGS}" in full and f"name={SETTINGS}.Settings" in full
    assert "packageName" not in brief and f"    {SETTINGS}/.Settings" in brief


def test_stack_list_tells_the_top_activity(served: ServedPhone) -> None:
    served.launch(SETTINGS)
    first = _ask(served, "am stack list").split("RootTask")[1]
    assert f"topActivity=ComponentInfo{{{SETTINGS}/{SETTINGS}.Settings}}" in first


@pytest.mark.parametrize("folder", ["/sdcard", "/sdcard/Download", "/data/local/tmp", "/data", "/"])
def test_mkdir_p_minds_no_folder_that_is_there(served: ServedPhone, folder: str) -> None:
    assert _ask(served, f"mkdir -p {folder}") == ""
    assert run(served, f"mkdir {folder}").exit == 1
    assert run(served, "mkdir -p /data/new").exit == 1


def test_cmd_w_waits_for_nothing(served: ServedPhone) -> None:
    assert _ask(served, "cmd -w wifi status") == _ask(served, "cmd wifi status")
    assert run(served, "cmd -w").exit == 20


def test_every_apk_is_there_at_its_path(served: ServedPhone) -> None:
    names = [line.removeprefix("package:") for line in _ask(served, "pm list packages").split()]
    for name in names:
        path = _ask(served, f"pm path {name}").strip().removeprefix("package:")
        assert zipfile.is_zipfile(io.BytesIO(run(served, f"cat {path}").stdout)), path
        assert run(served, f"rm {path}").exit == 1


def test_a_size_can_be_overridden_in_name(served: ServedPhone) -> None:
    physical = _ask(served, "wm size")
    assert _ask(served, "wm size 720x1280; wm size") == physical + "Override size: 720x1280\n"
    assert _ask(served, "wm size reset; wm size") == physical
    assert run(served, "wm size 0x5").exit == 255


def test_an_app_has_another_pid_after_every_stop(served: ServedPhone) -> None:
    pids = set()
    for _ in range(3):
        _ask(served, f"am start -n {SETTINGS}/.Settings")
        pid = _ask(served, f"pidof {SETTINGS}").strip()
        assert f"{pid}:{SETTINGS}/" in _ask(served, "dumpsys activity processes")
        pids.add(pid)
        _ask(served, f"am force-stop {SETTINGS}; am force-stop {SETTINGS}")
        assert run(served, f"pidof {SETTINGS}").exit == 1
    assert len(pids) == 3


def test_logcat_tells_the_time_as_asked(served: ServedPhone) -> None:
    now = served.state.now
    served.record("tag", "message")
    assert _ask(served, "logcat -d -t 1 -v epoch").split()[0] == f"{now // 1000}.{now % 1000:03d}"
    assert _ask(served, "logcat -d -t 1 -v time,usec").split()[1].endswith("000")
    assert _ask(served, "logcat -d -t 1 -v year").startswith("20")
    assert run(served, "logcat -d -v frobnicate").exit == 1


def test_the_files_of_the_kernel_follow_the_phone(served: ServedPhone) -> None:
    before = float(_ask(served, "cat /proc/uptime").split()[0])
    served.wait(60)
    assert float(_ask(served, "cat /proc/uptime").split()[0]) == pytest.approx(before + 60)
    assert _ask(served, "cat /proc/version").startswith("Linux version ")
    assert _ask(served, "grep -c processor /proc/cpuinfo") == "8\n"
    assert _ask(served, "head -n 1 /proc/meminfo").split()[0::2] == ["MemTotal:", "kB"]
    assert f"btime {served.boot_ms // 1000}" in _ask(served, "cat /proc/stat")
    assert _ask(served, "cat /proc/sys/kernel/random/boot_id") == f"{served.boot_id}\n"


def test_motion_events_make_a_gesture(served: ServedPhone) -> None:
    width, height = served.size
    other = ServedPhone(type(served.phone)(seed=1))
    up = (width // 2, height * 3 // 4, width // 2, height // 4)
    other.swipe(*up)
    moves = f"input motionevent MOVE {width // 2} {height // 2}"
    _ask(served, f"input motionevent DOWN {up[0]} {up[1]}; {moves}; input touchscreen motionevent UP {up[2]} {up[3]}")
    assert served.state == other.state != ServedPhone(type(served.phone)(seed=1)).state
    _ask(served, "input motionevent DOWN 1 1; input motionevent CANCEL 1 1; input motionevent UP 1 1")
    assert served.state == other.state
    assert run(served, "input motionevent SIDEWAYS 1 1").exit == 255
