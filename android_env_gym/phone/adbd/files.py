"""`DeviceFiles`: the files of a served phone, an in-memory tree that `adb push`, the shell and uiautomator2 share.

Invariant: every path is absolute and normalised, and the parent of every entry is a directory. Nothing touches the
host's disk. Called from the threads of several clients; each method is atomic.
"""

from __future__ import annotations

import errno
import posixpath
import stat as stat_bits
import threading
from collections.abc import Callable

import msgspec

CAPACITY_BYTES = 256 << 20
# Android mounts the shared storage under several names.
_SAME_PLACE = ("/storage/emulated/0", "/storage/self/primary", "/mnt/sdcard")
SHARED_STORAGE = "/sdcard"
TEMPORARY = "/data/local/tmp"
_SHARED_FOLDERS = ("Alarms", "Android", "DCIM", "Documents", "Download", "Movies", "Music", "Notifications", "Pictures")
_START = (
    *("/data", "/data/app", "/data/local", TEMPORARY, "/dev", "/proc", "/product", "/product/app", "/storage"),
    *("/system", "/system/app", "/system/bin", "/vendor", SHARED_STORAGE),
    *(f"{SHARED_STORAGE}/{name}" for name in _SHARED_FOLDERS),
)
_FIRST_MTIME = 1_735_689_600  # 2025-01-01, when the phone was built; 0 would mean "no such file" to clients


class FileStat(msgspec.Struct, frozen=True):
    """What `stat` says: `mode` with the type bits (S_IFREG or S_IFDIR), `size` in bytes, `mtime` in Unix seconds."""

    mode: int
    size: int
    mtime: int

    @property
    def is_dir(self) -> bool:
        """Return whether this is a directory."""
        return stat_bits.S_ISDIR(self.mode)


class _Entry(msgspec.Struct, frozen=True):
    mode: int
    mtime: int
    data: bytes = b""
    content: Callable[[], bytes] | None = None  # of a file of the kernel, made when it is read; its size is told as 0

    @property
    def is_dir(self) -> bool:
        return stat_bits.S_ISDIR(self.mode)


class DeviceFiles:
    """An Android file system in memory.

    Args:
        clock: Gives the Unix time in seconds for what is written without an `mtime`; the phone's virtual clock.
        capacity: How many bytes all files together may hold.
    """

    def __init__(self, clock: Callable[[], float] | None = None, capacity: int = CAPACITY_BYTES) -> None:
        self._clock = clock or (lambda: _FIRST_MTIME)
        self._lock = threading.RLock()
        self.capacity = capacity
        self._used = 0
        self._entries = {"/": _Entry(stat_bits.S_IFDIR | 0o755, _FIRST_MTIME)}
        for path in _START:
            self._entries[path] = _Entry(stat_bits.S_IFDIR | 0o771, _FIRST_MTIME)

    def read(self, path: str) -> bytes:
        """Return a file's bytes.

        Raises:
            FileNotFoundError, NotADirectoryError, IsADirectoryError: As the names say.
        """
        with self._lock:
            name, entry = self._found(path)
            if entry.is_dir:
                raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
            return entry.data if entry.content is None else entry.content()

    def write(
        self, path: str, data: bytes, *, mode: int = 0o644, mtime: int | None = None, parents: bool = False
    ) -> None:
        """Create or replace a file; `mode` is its permission bits, `parents` makes missing folders above it.

        Raises:
            FileNotFoundError: There is no folder to put it in (and not `parents`).
            IsADirectoryError, NotADirectoryError: The path, or something above it, is of the wrong kind.
            OSError: ENOSPC, the files would exceed `capacity`.
        """
        with self._lock:
            name = normal(path)
            old = self._entries.get(name)
            if old is not None and old.is_dir:
                raise IsADirectoryError(errno.EISDIR, "Is a directory", name)
            self._make_room(name, len(data) - (len(old.data) if old else 0))
            if parents:
                self._make_folder_above(name)
            self._folder_above(name)
            self._used += len(data) - (len(old.data) if old else 0)
            self._entries[name] = _Entry(stat_bits.S_IFREG | mode & 0o7777, self._time(mtime), bytes(data))

    def provide(self, path: str, content: Callable[[], bytes]) -> None:
        """Add a file of the kernel, whose `content` is asked for at every reading; its folder must be there."""
        with self._lock:
            self._folder_above(normal(path))
            mode = 0o666 if path == "/dev/null" else 0o444
            kind = stat_bits.S_IFCHR if path == "/dev/null" else stat_bits.S_IFREG
            self._entries[normal(path)] = _Entry(kind | mode, _FIRST_MTIME, content=content)

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a folder, sorted.

        Raises:
            FileNotFoundError, NotADirectoryError: As the names say.
        """
        with self._lock:
            name, entry = self._found(path)
            if not entry.is_dir:
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", name)
            return tuple(sorted(posixpath.basename(item) for item in self._inside(name)))

    def stat(self, path: str) -> FileStat:
        """Describe a file or folder.

        Raises:
            FileNotFoundError, NotADirectoryError: As the names say.
        """
        with self._lock:
            entry = self._found(path)[1]
            return FileStat(entry.mode, 4096 if entry.is_dir else len(entry.data), entry.mtime)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file, or a folder: an empty one, or with `recursive` all below it.

        Raises:
            FileNotFoundError, NotADirectoryError: As the names say.
            OSError: ENOTEMPTY, a folder that holds something; EBUSY, the root.
        """
        with self._lock:
            name = self._found(path)[0]
            if name == "/":
                raise OSError(errno.EBUSY, "Device or resource busy", name)
            inside = self._inside(name)
            if inside and not recursive:
                raise OSError(errno.ENOTEMPTY, "Directory not empty", name)
            for item in inside:
                self.remove(item, recursive=True)
            self._used -= len(self._entries.pop(name).data)

    def mkdir(self, path: str, *, parents: bool = False) -> None:
        """Make a folder; with `parents` also those above it, and an existing one is fine.

        Raises:
            FileExistsError, FileNotFoundError, NotADirectoryError: As the names say.
        """
        with self._lock:
            name = normal(path)
            entry = self._entries.get(name)
            if entry is not None:
                if parents and entry.is_dir:
                    return
                raise FileExistsError(errno.EEXIST, "File exists", name)
            if parents:
                self._make_folder_above(name)
            self._folder_above(name)
            self._entries[name] = _Entry(stat_bits.S_IFDIR | 0o771, self._time(None))

    def rename(self, old: str, new: str) -> None:
        """Move a file or folder to the path `new`, replacing a file or an empty folder that is there.

        Raises:
            FileNotFoundError, IsADirectoryError, NotADirectoryError: As the names say.
            OSError: EINVAL, a folder into itself; ENOTEMPTY, the folder there holds something.
        """
        with self._lock:
            target = normal(new)
            self._folder_above(normal(old))  # Linux looks at both folders before it looks for the file
            self._folder_above(target)
            source, entry = self._found(old)
            if source == target:
                return
            if source == "/" or target.startswith(source + "/"):
                raise OSError(errno.EINVAL, "Invalid argument", target)
            if source.startswith(target + "/"):
                raise OSError(errno.ENOTEMPTY, "Directory not empty", target)
            if (there := self._entries.get(target)) is not None:
                if there.is_dir and not entry.is_dir:
                    raise IsADirectoryError(errno.EISDIR, "Is a directory", target)
                if entry.is_dir and not there.is_dir:
                    raise NotADirectoryError(errno.ENOTDIR, "Not a directory", target)
                self.remove(target)
            for name in [item for item in self._entries if item == source or item.startswith(source + "/")]:
                self._entries[target + name[len(source) :]] = self._entries.pop(name)

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""
        with self._lock:
            return normal(path) in self._entries

    def is_dir(self, path: str) -> bool:
        """Return whether there is a folder."""
        with self._lock:
            entry = self._entries.get(normal(path))
            return entry is not None and entry.is_dir

    def writable(self, path: str) -> bool:
        """Return whether the shell's user may write there: the shared storage and the temporary folder."""
        name = normal(path)
        return any(name == root or name.startswith(root + "/") for root in (SHARED_STORAGE, TEMPORARY))

    def _found(self, path: str) -> tuple[str, _Entry]:
        name = normal(path)
        entry = self._entries.get(name)
        if entry is not None and path.endswith("/") and not entry.is_dir:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", name)
        if entry is None:
            self._folder_above(name)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        return name, entry

    def _make_folder_above(self, name: str) -> None:
        if posixpath.dirname(name) not in self._entries:
            self.mkdir(posixpath.dirname(name), parents=True)

    def _folder_above(self, name: str) -> None:
        """Raise unless the parent of `name` is a folder, with the error that Linux gives."""
        above = self._entries.get(posixpath.dirname(name))
        if above is None:
            if posixpath.dirname(name) != "/":
                self._folder_above(posixpath.dirname(name))
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        if not above.is_dir:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", name)

    def _inside(self, folder: str) -> tuple[str, ...]:
        return tuple(item for item in self._entries if item != "/" and posixpath.dirname(item) == folder)

    def _make_room(self, name: str, more: int) -> None:
        if self._used + more > self.capacity:
            raise OSError(errno.ENOSPC, "No space left on device", name)

    def _time(self, mtime: int | None) -> int:
        return int(self._clock()) if mtime is None else mtime


def normal(path: str) -> str:
    """Return `path` absolute, without "." and "..", and by the first name of the shared storage."""
    name = posixpath.normpath("/" + path.lstrip("/"))
    for other in _SAME_PLACE:
        if name == other or name.startswith(other + "/"):
            return SHARED_STORAGE + name[len(other) :]
    return name
