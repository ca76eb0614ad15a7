"""Properties, time, processes, power: `getprop`, `date`, `ps`, `pidof`, `id`, `uptime`, `sleep`, `reboot`, `toybox`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand
from android_env_gym.phone.adbd.packages import Package
from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.world.edit import app_of

MAX_SLEEP_S = 86_400.0
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Row(msgspec.Struct, frozen=True):
    """A process as `ps` shows it."""

    user: str
    pid: int
    parent: int
    name: str
    size: int = 14_612_340
    resident: int = 128_440


_KERNEL_SIDE = (
    Row("root", 1, 0, "init", 10_879_100, 9_216),
    Row("root", 2, 0, "[kthreadd]", 0, 0),
    Row("logd", 412, 1, "logd", 10_900_112, 8_420),
    Row("system", 531, 1, "surfaceflinger", 11_220_404, 48_120),
    Row("root", 702, 1, "zygote64", 14_020_100, 156_300),
    Row("shell", 980, 1, "adbd", 10_954_620, 7_220),
    Row("system", 1412, 702, "system_server", 19_800_212, 412_660),
)


def processes(call: Call) -> list[Row]:
    """Return what runs: the system, the apps that were not stopped, this command."""
    rows = list(_KERNEL_SIDE)
    rows += [
        Row(_user(item), call.served.pid(item), 702, item.name) for item in call.served.running() if item.pid != 1412
    ]
    if call.served.uiautomator_running:
        rows.append(Row("shell", 7_105, 980, "app_process"))
    return [
        *rows,
        Row("shell", 7_301, 980, "sh", 10_761_340, 3_100),
        Row("shell", 7_302, 7_301, "ps", 10_762_900, 3_980),
    ]


def _user(package: Package) -> str:
    names = {1000: "system", 1001: "radio", 2000: "shell"}
    return names.get(package.uid, f"u0_a{package.uid - 10_000}")


def ps(call: Call) -> int:
    """List processes; without `-A` only the shell's own, as on Android."""
    rows = processes(call)
    options = Options(call.args, {"-o", "-p"}, "ps")
    if not options.has("-A", "-e", "-ef", "-o", "-p"):
        rows = [row for row in rows if row.user == "shell" and row.name in ("sh", "ps")]
    if options.has("-p"):
        rows = [row for row in rows if str(row.pid) == options.get("-p")]
    if options.has("-o"):
        return _chosen(call, rows, options.get("-o"))
    call.line("USER            PID   PPID     VSZ    RSS WCHAN            ADDR S NAME                       ")
    for row in rows:
        state, waits = ("R", "0") if row.name == "ps" else ("S", "do_epoll_wait")
        numbers = f"{row.pid:>6} {row.parent:>6} {row.size:>7} {row.resident:>6}"
        call.line(f"{row.user:<12} {numbers} {waits:<19} 0 {state} {row.name}")
    return 0


def _chosen(call: Call, rows: list[Row], wanted: str) -> int:
    columns = re.split(r"[,\s]+", wanted.upper())
    call.line(" ".join(f"{column:<12}" for column in columns).rstrip())
    for row in rows:
        values = {"PID": row.pid, "PPID": row.parent, "USER": row.user, "NAME": row.name, "ARGS": row.name}
        values |= {"CMD": row.name, "VSZ": row.size, "RSS": row.resident}
        call.line(" ".join(f"{values.get(column, '-')!s:<12}" for column in columns).rstrip())
    return 0


def pidof(call: Call) -> int:
    """Print the process ids of names."""
    found = [str(row.pid) for row in processes(call) if row.name in call.args]
    if found:
        call.line(" ".join(found))
    return int(not found)


def kill(call: Call) -> int:
    """Stop an app by its process id; other processes are not the shell user's to end."""
    for arg in (arg for arg in call.args if not arg.startswith("-")):
        row = next((row for row in processes(call) if str(row.pid) == arg or row.name == arg), None)
        if row is None:
            raise CommandError(f"kill: bad pid '{arg}'" if not arg.isdigit() else f"kill: {arg}: No such process")
        raise CommandError(f"kill: {arg}: Operation not permitted")
    return 0


def getprop(call: Call) -> int:
    """Print a property, or all of them."""
    properties = call.served.properties
    if call.args:
        call.line(properties.get(call.args[0], call.args[1] if len(call.args) > 1 else ""))
    else:
        for name in sorted(properties):
            call.line(f"[{name}]: [{properties[name]}]")
    return 0


def setprop(call: Call) -> int:
    """Set a property; those of the build cannot change."""
    if len(call.args) != 2:
        raise CommandError("setprop: Need 2 arguments")
    name, value = call.args
    if name.startswith("ro.") or not re.fullmatch(r"[\w.:@-]+", name):
        raise CommandError(f"Failed to set property '{name}' to '{value}'.\nSee dmesg for error reason.")
    call.served.properties[name] = value
    return 0


def date(call: Call) -> int:
    """Print the phone's time, by a `+FORMAT` if given."""
    moment = datetime.fromtimestamp(call.served.state.now / 1000, UTC)
    layout = next((arg[1:] for arg in call.args if arg.startswith("+")), None)
    if layout is None:
        call.line(f"{moment:%a %b} {moment.day:>2} {moment:%H:%M:%S} UTC {moment.year}")
        return 0
    layout = layout.replace("%s", str(call.served.state.now // 1000)).replace("%N", f"{moment.microsecond * 1000:09d}")
    call.line(moment.strftime(layout))
    return 0


def uptime(call: Call) -> int:
    """Print how long the phone has been on."""
    seconds = (call.served.state.now - call.served.boot_ms) // 1000
    moment = datetime.fromtimestamp(call.served.state.now / 1000, UTC)
    hours, minutes = divmod(seconds // 60, 60)
    call.line(f" {moment:%H:%M:%S} up {hours:>2}:{minutes:02d},  0 users,  load average: 1.02, 0.98, 0.91")
    return 0


def sleep(call: Call) -> int:
    """Let the phone's own time pass; the caller does not wait unless that time follows the wall clock."""
    total = 0.0
    for arg in call.args:
        found = re.fullmatch(r"(\d*\.?\d+|\d+\.)([smhd]?)", arg)
        if found is None:
            raise CommandError(f"sleep: bad number '{arg}'")
        total += float(found.group(1)) * _UNITS[found.group(2)]
    if not call.args or total > MAX_SLEEP_S:
        raise CommandError(
            f"sleep: got {total:g} s, allowed are 0 to {MAX_SLEEP_S:g} s" if call.args else "sleep: Needs 1 argument"
        )
    if call.served.sleeps_for_real:
        call.stopped.wait(total)
    else:
        call.served.wait(total)
    return 0


def reboot(call: Call) -> int:
    """Restart the phone; `-p` switches nothing off here and restarts too."""
    call.served.reboot()
    return 0


def identity(call: Call) -> int:
    """Print the user: `id`, `whoami`, `groups`."""
    groups = "shell input log adb sdcard_rw sdcard_r ext_data_rw net_bt_admin net_bt inet net_bw_stats readproc uhid"
    if call.argv[0] == "whoami" or "-un" in call.args:
        call.line("shell")
    elif call.argv[0] == "groups":
        call.line(groups)
    elif "-u" in call.args:
        call.line("2000")
    else:
        call.line("uid=2000(shell) gid=2000(shell) groups=2000(shell),1004(input),3003(inet) context=u:r:shell:s0")
    return 0


def uname(call: Call) -> int:
    """Print the kernel's name, with `-a` everything."""
    hardware = app_of(call.served.state, SettingsState).hardware
    release = f"{hardware.kernel}-android14-11-g5d1b2e5"
    flags = "".join(arg.lstrip("-") for arg in call.args) or "s"
    parts = {"s": "Linux", "n": "localhost", "r": release, "v": "#1 SMP PREEMPT Wed Mar 5 00:00:00 UTC 2025"}
    parts |= {"m": "aarch64", "o": "Toybox"}
    call.line(" ".join(value for flag, value in parts.items() if flag in flags or "a" in flags))
    return 0


def environment(call: Call) -> int:
    """Print the shell's variables."""
    for name in sorted(call.variables):
        call.line(f"{name}={call.variables[name]}")
    return 0


def getenforce(call: Call) -> int:
    """Print SELinux's mode."""
    call.line("Enforcing")
    return 0


def service(call: Call) -> int:
    """List system services or check one."""
    names = (
        "activity",
        "battery",
        "display",
        "input",
        "input_method",
        "package",
        "power",
        "settings",
        "window",
        "wifi",
    )
    if call.args[:1] == ["check"] and len(call.args) > 1:
        call.line(f"Service {call.args[1]}: {'found' if call.args[1] in names else 'not found'}")
    elif call.args[:1] == ["list"]:
        call.line(f"Found {len(names)} services:")
        for index, name in enumerate(names):
            call.line(f"{index}\t{name}: []")
    else:
        raise CommandError("Usage: service [-h|-?]\n       service list\n       service check SERVICE", 10)
    return 0


def app_process(call: Call) -> int:
    """Run a Java program: uiautomator2's server until it is stopped, others are not on the phone."""
    classes = call.variables.get("CLASSPATH", "")
    name = next((arg for arg in call.args if re.fullmatch(r"[\w$]+(\.[\w$]+)+", arg)), "")
    if name != "com.wetest.uia2.Main" or not any(call.served.files.exists(path) for path in classes.split(":")):
        call.err(f'Error: could not find class "{name}" in CLASSPATH={classes!r}')
        call.out("Aborted \n")
        return 134
    if call.served.uiautomator_running:
        call.out(
            "[server] INFO: [UiAutomator2Server] Starting Server\njava.lang.IllegalStateException: UiAutomationService "
        )
        call.line("android.accessibilityservice.IAccessibilityServiceClient$Stub$Proxy@5deffd5already registered!")
        return 1
    call.served.uiautomator_running = True
    starts = call.served.boots
    try:
        call.line("[server] INFO: [UiAutomator2Server] Starting Server")
        while not call.stopped.is_set() and call.served.boots == starts:
            call.stopped.wait(0.2)
    finally:
        if call.served.boots == starts:
            call.served.uiautomator_running = False
    return 137


def top(call: Call) -> int:
    """Print the processes once."""
    rows = processes(call)
    call.line(f"Tasks: {len(rows)} total,   1 running, {len(rows) - 1} sleeping,   0 stopped,   0 zombie")
    call.line("  PID USER         PR  NI VIRT  RES  SHR S[%CPU] %MEM     TIME+ ARGS")
    for line in _top_rows(rows):
        call.line(line)
    return 0


def _top_rows(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        sizes = f"{row.size // 1024:>4}M {row.resident // 1024:>4}M  20M"
        share = row.resident / 80_000
        yield f"{row.pid:>5} {row.user:<12} 20   0 {sizes} S  0.0   {share:.1f}   0:01.00 {row.name}"


COMMANDS: dict[str, RunCommand] = {
    "ps": ps,
    "pidof": pidof,
    "kill": kill,
    "getprop": getprop,
    "setprop": setprop,
    "date": date,
    "uptime": uptime,
    "sleep": sleep,
    "reboot": reboot,
    "id": identity,
    "whoami": identity,
    "groups": identity,
    "uname": uname,
    "env": environment,
    "printenv": environment,
    "set": environment,
    "getenforce": getenforce,
    "service": service,
    "app_process": app_process,
    "app_process64": app_process,
    "top": top,
}
