"""`pm`: installed packages, their data and permissions, installing and removing."""

from __future__ import annotations

import shlex

from android_env_gym.phone.adbd.apk import ApkError, read_manifest
from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand, integer
from android_env_gym.phone.adbd.commands.paths import absolute, read_file
from android_env_gym.phone.adbd.packages import FIRST_APP_UID, Package, short_activity

_FEATURES = (
    "android.hardware.bluetooth",
    "android.hardware.nfc",
    "android.hardware.touchscreen",
    "android.hardware.wifi",
)
_INSTALL_VALUED = {"-S", "-i", "--user", "--abi", "--originating-uri", "--referrer", "--install-location", "--pkg"}


def pm(call: Call) -> int:
    """Run one of the package manager's commands."""
    verb = call.args[0] if call.args else ""
    command = _VERBS.get(verb)
    if command is None:
        raise CommandError(f"Unknown command: {verb}\nallowed: {', '.join(_VERBS)}", 255)
    return command(call, call.args[1:])


def find(call: Call, name: str) -> Package | None:
    """Return the installed package with this name."""
    return next((item for item in call.served.packages() if item.name == name), None)


def component(package: Package) -> str:
    """Return a package's main activity as "package/.Activity"."""
    return f"{package.name}/{short_activity(package.name, package.activity)}"


def _list(call: Call, args: list[str]) -> int:
    match args[:1]:
        case ["packages" | "package"]:
            return _list_packages(call, args[1:])
        case ["users"]:
            call.line("Users:\n\tUserInfo{0:Owner:4c13} running")
        case ["features"]:
            for name in _FEATURES:
                call.line(f"feature:{name}")
        case ["instrumentation"]:
            pass
        case ["permissions" | "libraries" | "permission-groups"]:
            call.line("All Permissions:\n" if args[0] == "permissions" else "library:android.ext.shared")
        case _:
            raise CommandError(
                f"Error: unknown list type '{' '.join(args[:1])}'; allowed: packages, users, features", 255
            )
    return 0


def _list_packages(call: Call, args: list[str]) -> int:
    options = Options(args, {"--user", "--uid"}, "pm")
    for item in call.served.packages():
        if (options.has("-3") and item.system) or (options.has("-s") and not item.system) or options.has("-d"):
            continue
        if any(part not in item.name for part in options.operands):
            continue
        text = f"package:{item.path}={item.name}" if options.has("-f") else f"package:{item.name}"
        text += f" versionCode:{item.code}" if options.has("--show-versioncode") else ""
        text += f" uid:{item.uid}" if options.has("-U") else ""
        text += f"  installer={'null' if item.system else 'com.android.shell'}" if options.has("-i") else ""
        call.line(text)
    return 0


def _path(call: Call, args: list[str]) -> int:
    found = find(call, Options(args, {"--user"}, "pm").operands[-1] if args else "")
    if found is None:
        return 1
    call.line(f"package:{found.path}")
    return 0


def _install(call: Call, args: list[str]) -> int:
    options = Options(args, _INSTALL_VALUED, "pm")
    try:
        if options.operands and options.operands[0] != "-":
            name = options.operands[0]
            if not call.served.files.exists(absolute(call, name)):
                raise CommandError(
                    f"Error: Unable to open file: {name}\nConsider using a file under /data/local/tmp/", 255
                )
            data = read_file(call, name)
        elif options.has("-S"):
            data = call.stdin.read_exactly(integer(options.get("-S"), "size"))
        else:
            raise CommandError("Error: must either specify a package size or an APK file", 1)
        manifest = read_manifest(data)
    except ApkError as error:
        call.line(f"Failure [{error}]")
        return 1
    known = find(call, manifest.package)
    if known is not None and known.system:
        call.line(f"Failure [INSTALL_FAILED_UPDATE_INCOMPATIBLE: Package {known.name} signatures do not match]")
        return 1
    uid = FIRST_APP_UID + 99 + len(call.served.installed)
    package = Package(
        manifest.package, version=manifest.version, code=manifest.code, system=False, uid=uid, pid=uid - 4_000
    )
    with call.served.lock:
        try:
            call.served.files.write(package.path, data, parents=True)
        except OSError:
            raise CommandError("Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE]") from None
        call.served.installed[package.name] = package
        call.served.record("PackageManager", f"Package {package.name} installed from com.android.shell")
    call.line("Success")
    return 0


def _uninstall(call: Call, args: list[str]) -> int:
    names = Options(args, {"--user", "--versionCode"}, "pm").operands
    with call.at_once() as call:
        gone = call.served.installed.pop(names[0], None) if names else None
        if gone is None:
            call.line("Failure [DELETE_FAILED_INTERNAL_ERROR]")
            return 1
        if call.served.files.exists(folder := gone.path.rpartition("/")[0]):
            call.served.files.remove(folder, recursive=True)
        call.served.enabled_methods = {item for item in call.served.enabled_methods if not item.startswith(gone.name)}
        if call.served.input_method.startswith(gone.name + "/"):
            return call.shell("ime reset", call.stdin, lambda fd, data: None) or _success(call)
        return _success(call)


def _success(call: Call) -> int:
    call.line("Success")
    return 0


def _clear(call: Call, args: list[str]) -> int:
    names = Options(args, {"--user"}, "pm").operands
    try:
        call.served.clear(names[0] if names else "")
    except LookupError:
        if names and names[0] in call.served.installed:
            return _success(call)
        call.line("Failed")
        return 1
    return _success(call)


def _grant(call: Call, args: list[str]) -> int:
    return _set_permission(call, args, True)


def _revoke(call: Call, args: list[str]) -> int:
    return _set_permission(call, args, False)


def _set_permission(call: Call, args: list[str], granted: bool) -> int:
    operands = Options(args, {"--user"}, "pm").operands
    if len(operands) != 2:
        raise CommandError("Error: no package or permission specified; allowed: grant PACKAGE PERMISSION", 255)
    package, permission = operands
    if find(call, package) is None:
        raise CommandError(f"java.lang.IllegalArgumentException: Unknown package: {package}", 255)
    if "." not in permission:
        raise CommandError(f"java.lang.IllegalArgumentException: Unknown permission: {permission}", 255)
    call.served.granted[package, permission] = granted
    return 0


def _resolve_activity(call: Call, args: list[str]) -> int:
    options = Options(args, {"-a", "-c", "-d", "-t", "-n", "-p", "-f", "--user"}, "cmd package")
    name = options.get("-p") or (options.operands[-1] if options.operands else options.get("-n").partition("/")[0])
    if not name and options.get("-c") == "android.intent.category.HOME":
        name = next(item.name for item in call.served.packages() if item.app_id == "launcher")
    found = find(call, name)
    if found is None or not found.app_id:
        call.line("No activity found")
        return 0
    if options.has("--brief"):
        call.line("priority=0 preferredOrder=0 match=0x108000 specificIndex=-1 isDefault=true")
        call.line(component(found))
    else:
        call.line(f"ActivityInfo:\n  name={found.activity}\n  packageName={found.name}\n  enabled=true exported=true")
    return 0


def _query_activities(call: Call, args: list[str]) -> int:
    options = Options(args, {"-a", "-c", "-d", "-t", "-n", "-p", "-f", "--user"}, "cmd package")
    home = options.get("-c") == "android.intent.category.HOME"
    found = [item for item in call.served.packages() if item.app_id and (item.app_id == "launcher") == home]
    found = [item for item in found if options.get("-p") in ("", item.name)]
    if options.has("--components"):
        for item in found:
            call.line(component(item))
        return 0
    call.line(f"{len(found)} activities found:")
    for index, item in enumerate(found):
        call.line(f"  Activity #{index}:")
        call.line("    priority=0 preferredOrder=0 match=0x108000 specificIndex=-1 isDefault=true")
        if options.has("--brief"):
            call.line(f"    {component(item)}")
            continue
        call.line(f"    ActivityInfo:\n      name={item.activity}\n      packageName={item.name}")
        call.line("      enabled=true exported=true directBootAware=false")
        call.line(f"      ApplicationInfo:\n        packageName={item.name}\n        sourceDir={item.path}")
    return 0


def _dump(call: Call, args: list[str]) -> int:
    return call.shell(shlex.join(["dumpsys", "package", *args]), call.stdin, call.emit)


def _nothing(call: Call, args: list[str]) -> int:
    return 0


_VERBS = {
    "list": _list,
    "path": _path,
    "install": _install,
    "install-streaming": _install,
    "uninstall": _uninstall,
    "clear": _clear,
    "grant": _grant,
    "revoke": _revoke,
    "resolve-activity": _resolve_activity,
    "query-activities": _query_activities,
    "dump": _dump,
    "trim-caches": _nothing,
    "compile": _nothing,
}
COMMANDS: dict[str, RunCommand] = {"pm": pm}
