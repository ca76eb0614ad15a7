"""Files of the device: `ls`, `cat`, `rm`, `mkdir`, `stat`, `md5sum`, `cp`, `mv`, `touch`, `df`, `du`, `find`."""

from __future__ import annotations

import hashlib
import posixpath
import re
import stat as stat_bits
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand, integer
from android_env_gym.phone.adbd.commands.paths import absolute, check_writable, explained, read_file, write_file
from android_env_gym.phone.adbd.files import CAPACITY_BYTES, FileStat


def ls(call: Call) -> int:
    """List folders; `-l` with details, `-a` with hidden names, `-d` the folder itself, `-R` all below it."""
    flags = "".join(arg[1:] for arg in call.args if arg.startswith("-") and len(arg) > 1)
    names = [arg for arg in call.args if not (arg.startswith("-") and len(arg) > 1)] or ["."]
    folders, failed = [], 0
    for name in names:
        path = absolute(call, name)
        if not call.served.files.exists(path):
            call.err(f"ls: {name}: No such file or directory")
            failed = 1
        elif call.served.files.is_dir(path) and "d" not in flags:
            folders.append(name)
        else:
            call.line(_entry(call.served.files.stat(path), name, "l" in flags))
    for index, name in enumerate(folders):
        if index:
            call.line()
        _list_folder(call, name, flags, titled=len(names) > 1 or "R" in flags)
    return failed


def _list_folder(call: Call, name: str, flags: str, *, titled: bool) -> None:
    files, path = call.served.files, absolute(call, name)
    if titled:
        call.line(f"{name}:")
    entries = [item for item in files.list(path) if "a" in flags or "A" in flags or not item.startswith(".")]
    stats = {item: files.stat(posixpath.join(path, item)) for item in entries}
    if "l" in flags:
        call.line(f"total {sum((item.size + 511) // 512 for item in stats.values())}")
    if "t" in flags:
        entries.sort(key=lambda item: -stats[item].mtime)
    if "S" in flags:
        entries.sort(key=lambda item: -stats[item].size)
    for item in reversed(entries) if "r" in flags else entries:
        call.line(_entry(stats[item], item, "l" in flags))
    if "R" in flags:
        for item in (item for item in entries if stats[item].is_dir):
            call.line()
            _list_folder(call, posixpath.join(name, item), flags, titled=True)


def _entry(found: FileStat, name: str, long: bool) -> str:
    if not long:
        return name
    when = datetime.fromtimestamp(found.mtime, UTC)
    links = 2 if found.is_dir else 1
    size = f"{found.size:>8}"
    return f"{stat_bits.filemode(found.mode)} {links} shell shell {size} {when:%Y-%m-%d %H:%M} {name}"


def cat(call: Call) -> int:
    """Print files, or stdin."""
    if not call.args:
        while line := call.stdin.read_line():
            call.out(line)
        return 0
    failed = 0
    for name in call.args:
        try:
            call.out(call.stdin.read() if name == "-" else read_file(call, name))
        except CommandError as error:
            call.err(str(error))
            failed = 1
    return failed


def rm(call: Call) -> int:
    """Remove files, with `-r` folders; `-f` does not mind what is missing."""
    flags = "".join(arg[1:] for arg in call.args if arg.startswith("-"))
    names = [arg for arg in call.args if not arg.startswith("-")]
    if not names and "f" not in flags:
        raise CommandError("rm: Needs 1 argument")
    recursive = "r" in flags or "R" in flags
    failed = 0
    for name in names:
        path = absolute(call, name)
        try:
            if "f" in flags and not call.served.files.exists(path):
                continue
            with explained(call, name):
                if call.served.files.stat(path).is_dir and not recursive:
                    raise CommandError(f"rm: {name}: is directory")
                check_writable(call, name)
                call.served.files.remove(path, recursive=recursive)
        except CommandError as error:
            call.err(str(error))
            failed = 1
    return failed


def rmdir(call: Call) -> int:
    """Remove empty folders."""
    for name in call.args:
        check_writable(call, name)
        with explained(call, name):
            call.served.files.remove(absolute(call, name))
    return 0


def mkdir(call: Call) -> int:
    """Make folders, with `-p` also those above."""
    options = Options(call.args, {"-m"}, "mkdir")
    if not options.operands:
        raise CommandError("mkdir: Needs 1 argument")
    for name in options.operands:
        if options.has("-p") and call.served.files.is_dir(absolute(call, name)):
            continue
        check_writable(call, name)
        with explained(call, name):
            call.served.files.mkdir(absolute(call, name), parents=options.has("-p"))
    return 0


def touch(call: Call) -> int:
    """Make empty files or renew the time of those there are."""
    for name in (arg for arg in call.args if not arg.startswith("-")):
        path = absolute(call, name)
        write_file(call, name, call.served.files.read(path) if call.served.files.exists(path) else b"")
    return 0


def move(call: Call) -> int:
    """`mv` and `cp` files, `cp -r` folders too."""
    flags = "".join(arg[1:] for arg in call.args if arg.startswith("-"))
    names = [arg for arg in call.args if not arg.startswith("-")]
    if len(names) < 2:
        raise CommandError(f"{call.argv[0]}: Needs 2 arguments")
    files, target = call.served.files, names[-1]
    for name in names[:-1]:
        into = files.is_dir(absolute(call, target))
        end = posixpath.join(target, posixpath.basename(name.rstrip("/"))) if into else target
        check_writable(call, end)
        with explained(call, name):
            if call.argv[0] == "mv":
                check_writable(call, name)
                files.rename(absolute(call, name), absolute(call, end))
            else:
                _copy(call, name, end, recursive="r" in flags or "R" in flags or "a" in flags)
    return 0


def _copy(call: Call, name: str, target: str, *, recursive: bool) -> None:
    files = call.served.files
    if not files.is_dir(absolute(call, name)):
        files.write(absolute(call, target), files.read(absolute(call, name)))
        return
    if not recursive:
        raise CommandError(f"cp: Skipped dir '{name}'")
    entries = files.list(absolute(call, name))
    files.mkdir(absolute(call, target), parents=True)
    for item in entries:
        _copy(call, posixpath.join(name, item), posixpath.join(target, item), recursive=True)


def stat(call: Call) -> int:
    """Describe files, in full or by `-c FORMAT` with %s %n %Y %a %F %U %f."""
    options = Options(call.args, {"-c"}, "stat")
    for name in options.operands:
        with explained(call, name):
            found = call.served.files.stat(absolute(call, name))
        if options.has("-c"):
            text = options.get("-c")
            for directive, value in _stat_values(found, name).items():
                text = text.replace(directive, value)
            call.line(text)
        else:
            _print_stat(call, found, name)
    return 0


def _stat_values(found: FileStat, name: str) -> dict[str, str]:
    return {
        "%s": str(found.size),
        "%n": name,
        "%Y": str(found.mtime),
        "%X": str(found.mtime),
        "%a": f"{stat_bits.S_IMODE(found.mode):o}",
        "%A": stat_bits.filemode(found.mode),
        "%F": "directory" if found.is_dir else "regular file",
        "%f": f"{found.mode:x}",
        "%U": "shell",
        "%G": "shell",
        "%y": f"{datetime.fromtimestamp(found.mtime, UTC):%Y-%m-%d %H:%M:%S}.000000000 +0000",
    }


def _print_stat(call: Call, found: FileStat, name: str) -> None:
    values = _stat_values(found, name)
    call.line(f"  File: {name}")
    call.line(f"  Size: {found.size}\t Blocks: {(found.size + 511) // 512}\t IO Blocks: 512\t{values['%F']}")
    call.line("Device: fe2fh/65071d\t Inode: 4711\t Links: 1")
    call.line(f"Access: ({values['%a']:0>4}/{values['%A']})\tUid: ( 2000/   shell)\tGid: ( 2000/   shell)")
    for moment in ("Access", "Modify", "Change"):
        call.line(f"{moment}: {values['%y']}")


def digest(call: Call) -> int:
    """Print checksums: `md5sum`, `sha1sum`, `sha256sum`."""
    kind = call.argv[0].removesuffix("sum")
    names = [arg for arg in call.args if not arg.startswith("-")]
    failed = 0
    for name in names or ["-"]:
        try:
            data = call.stdin.read() if name == "-" else read_file(call, name)
        except CommandError as error:
            call.err(str(error))
            failed = 1
            continue
        hashed = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
        call.line(hashed if "-b" in call.args else f"{hashed}  {name}")
    return failed


def find(call: Call) -> int:
    """Print every path below the folders; `-name PATTERN` and `-type f|d` choose."""
    options = Options(call.args, {"-name", "-type", "-maxdepth"}, "find")
    for name in options.operands or ["."]:
        with explained(call, name):
            call.served.files.stat(absolute(call, name))
        _find(call, name, options, 0)
    return 0


def _find(call: Call, name: str, options: Options, depth: int) -> None:
    path, files = absolute(call, name), call.served.files
    folder = files.is_dir(path)
    fits = fnmatchcase(posixpath.basename(name), options.get("-name", "*"))
    if fits and options.get("-type", "d" if folder else "f") == ("d" if folder else "f"):
        call.line(name)
    if folder and depth < integer(options.get("-maxdepth", "64"), "depth"):
        for item in files.list(path):
            _find(call, posixpath.join(name, item), options, depth + 1)


def df(call: Call) -> int:
    """Print how full the file systems are."""
    used = sum(_size(call, root) for root in ("/sdcard", "/data/local/tmp")) // 1024
    total = CAPACITY_BYTES // 1024
    call.line("Filesystem      1K-blocks      Used Available Use% Mounted on")
    for name, place in (("/dev/block/dm-48", "/data"), ("/dev/fuse", "/storage/emulated")):
        call.line(f"{name:<16}{total:>10}{used:>10}{total - used:>10} {100 * used // total:>3}% {place}")
    return 0


def du(call: Call) -> int:
    """Print the size of files and folders in KiB."""
    for name in [arg for arg in call.args if not arg.startswith("-")] or ["."]:
        with explained(call, name):
            call.line(f"{(_size(call, absolute(call, name)) + 1023) // 1024}\t{name}")
    return 0


def _size(call: Call, path: str) -> int:
    files = call.served.files
    if not files.is_dir(path):
        return files.stat(path).size
    return sum(_size(call, posixpath.join(path, item)) for item in files.list(path))


def chmod(call: Call) -> int:
    """Set the permission bits of files, given as an octal number; other forms change nothing."""
    operands = [arg for arg in call.args if not (arg.startswith("-") and len(arg) > 1)]
    if len(operands) < 2:
        raise CommandError("chmod: Needs 2 arguments")
    for name in operands[1:]:
        path = absolute(call, name)
        with explained(call, name):
            folder = call.served.files.stat(path).is_dir
        if not folder and re.fullmatch("[0-7]{1,4}", operands[0]):
            write_file(call, name, call.served.files.read(path), mode=int(operands[0], 8))
    return 0


def tee(call: Call) -> int:
    """Print stdin and write it to files."""
    data = call.stdin.read()
    for name in (arg for arg in call.args if not arg.startswith("-")):
        write_file(call, name, data)
    call.out(data)
    return 0


def pwd(call: Call) -> int:
    """Print the working directory."""
    call.line(call.variables.get("PWD", "/"))
    return 0


COMMANDS: dict[str, RunCommand] = {
    "ls": ls,
    "cat": cat,
    "rm": rm,
    "rmdir": rmdir,
    "mkdir": mkdir,
    "touch": touch,
    "mv": move,
    "cp": move,
    "stat": stat,
    "md5sum": digest,
    "sha1sum": digest,
    "sha256sum": digest,
    "find": find,
    "df": df,
    "du": du,
    "chmod": chmod,
    "tee": tee,
    "pwd": pwd,
}
