"""Files that the kernel makes: `/dev/null` and what tools read below `/proc`, in agreement with the phone's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

CORES = 8
_TICKS = 100  # per second, as the kernel counts time in /proc/stat
_MEMORY_KB = 7_852_140
_BOOT_ID_FOLDER = "/proc/sys/kernel/random"


def provide(served: ServedPhone) -> None:
    """Add the files to a phone's file system."""
    files = served.files
    files.mkdir(_BOOT_ID_FOLDER, parents=True)
    for path, content in (
        ("/dev/null", lambda: ""),
        ("/proc/version", lambda: _version(served)),
        ("/proc/cpuinfo", _cpuinfo),
        ("/proc/meminfo", _meminfo),
        ("/proc/uptime", lambda: f"{_seconds(served):.2f} {_seconds(served) * CORES * 0.9:.2f}\n"),
        ("/proc/stat", lambda: _stat(served)),
        ("/proc/loadavg", lambda: "1.02 0.98 0.91 1/1893 7302\n"),
        (f"{_BOOT_ID_FOLDER}/boot_id", lambda: f"{served.boot_id}\n"),
    ):
        files.provide(path, lambda content=content: content().encode())


def _seconds(served: ServedPhone) -> float:
    return (served.state.now - served.boot_ms) / 1000


def _version(served: ServedPhone) -> str:
    release = served.properties["ro.kernel.version"]
    return f"Linux version {release}-android14-11-g5d1b2e5 (build@host) #1 SMP PREEMPT Wed Mar 5 00:00:00 UTC 2025\n"


def _cpuinfo() -> str:
    core = "processor\t: {}\nBogoMIPS\t: 49.15\nFeatures\t: fp asimd aes sha1 sha2 crc32\nCPU implementer\t: 0x41\n"
    return "".join(core.format(number) + "CPU architecture: 8\n\n" for number in range(CORES))


def _meminfo() -> str:
    shares = {"MemTotal": 1.0, "MemFree": 0.12, "MemAvailable": 0.45, "Buffers": 0.001, "Cached": 0.35, "SwapCached": 0}
    return "".join(f"{name + ':':<16}{round(_MEMORY_KB * share):>8} kB\n" for name, share in shares.items())


def _stat(served: ServedPhone) -> str:
    ticks = int(_seconds(served) * _TICKS)
    core = f"{ticks // 20} 0 {ticks // 20} {ticks * 9 // 10} 0 0 0 0 0 0"
    total = " ".join(str(CORES * int(number)) for number in core.split())
    cores = "".join(f"cpu{number} {core}\n" for number in range(CORES))
    return f"cpu  {total}\n{cores}btime {served.boot_ms // 1000}\nprocesses 7302\n"
