"""`am` and `monkey`: starting and stopping apps, intents, broadcasts."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands.base import Call, CommandError, Options, RunCommand, integer
from android_env_gym.phone.adbd.commands.packages import find
from android_env_gym.phone.adbd.intents import Intent, UnresolvedError, open_intent
from android_env_gym.phone.adbd.packages import APP_PACKAGES, activity_of, short_activity

_MONKEY_BAD = 251
_MONKEY_NO_APP = 252
_PAIRS = {
    "-e", "--es", "--ei", "--el", "--ez", "--ef", "--ed", "--eu", "--ecn", "--eia", "--esa", "--ela", "--efa", "--eial",
}  # fmt: skip
_VALUED = frozenset(
    {
        "-a",
        "-d",
        "-t",
        "-c",
        "-n",
        "-p",
        "-f",
        "-R",
        "-i",
        "--user",
        "--display",
        "--receiver-permission",
        "-P",
        "--esn",
    }
    | {"--windowingMode", "--activityType", "--start-profiler", "--task"}
)


def parse_intent(args: list[str], name: str) -> tuple[Intent, Options]:
    """Return the intent that Android's intent arguments describe, and the options that are none of it.

    Raises:
        CommandError: An option lacks its value.
    """
    extras: list[tuple[str, str]] = []
    rest: list[str] = []
    index = 0
    while index < len(args):
        if args[index] in _PAIRS:
            if index + 2 >= len(args):
                raise CommandError(f'Error: Argument expected after "{args[index]}"', 255)
            extras.append((args[index + 1], args[index + 2]))
            index += 3
        else:
            rest.append(args[index])
            index += 1
    options = Options(rest, _VALUED, name)
    data, target = options.get("-d"), options.get("-n")
    for operand in options.operands:
        data, target = (operand, target) if ":" in operand else (data, operand)
    intent = Intent(
        action=options.get("-a"),
        data=data,
        type=options.get("-t"),
        categories=tuple(options.values.get("-c", ())),
        component=target if "/" in target else "",
        package=options.get("-p") or (target if "/" not in target else ""),
        extras=tuple(extras),
        flags=_flags(options.get("-f", "0")),
    )
    return intent, options


def _flags(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(f"Error: Invalid flags: {text}", 255) from None


def am(call: Call) -> int:
    """Run one of the activity manager's commands."""
    verb = call.args[0] if call.args else ""
    command = _VERBS.get(verb)
    if command is None:
        raise CommandError(f"Unknown command: {verb}\nallowed: {', '.join(_VERBS)}", 255)
    return command(call, call.args[1:])


def _start(call: Call, args: list[str]) -> int:
    intent, options = parse_intent(args, "am start")
    shown = intent
    call.line(f"Starting: {shown}")
    before = call.served.component()
    if options.has("-S") and (intent.component or intent.package):
        call.served.stop(intent.component.partition("/")[0] or intent.package)
    try:
        open_intent(call.served, intent)
    except UnresolvedError as error:
        raise CommandError(str(error)) from error
    after = call.served.component()
    if after == before and not options.has("-S"):
        call.err("Warning: Activity not started, its current task has been brought to the front")
    if options.has("-W"):
        state = "HOT" if after == before else "WARM"
        call.line(f"Status: ok\nLaunchState: {state}\nActivity: {after}\nTotalTime: 118\nWaitTime: 121\nComplete")
    return 0


def _force_stop(call: Call, args: list[str]) -> int:
    names = Options(args, {"--user"}, "am").operands
    if not names:
        raise CommandError('Error: Argument expected after "force-stop"', 255)
    call.served.stop(names[0])
    return 0


def _kill_all(call: Call, args: list[str]) -> int:
    return 0  # background processes are not kept here


def _broadcast(call: Call, args: list[str]) -> int:
    intent, _ = parse_intent(args, "am broadcast")
    call.line(f"Broadcasting: {intent}")
    receiver = call.served.receivers.get(intent.action)
    code, data = (0, "") if receiver is None else receiver(dict(intent.extras))
    call.line(f"Broadcast completed: result={code}" + (f', data="{data}"' if data else ""))
    return 0


def _started_user_state(call: Call, args: list[str]) -> int:
    call.line("RUNNING_UNLOCKED" if args[:1] in ([], ["0"]) else f"User is not started: {args[0]}")
    return 0


def _current_user(call: Call, args: list[str]) -> int:
    call.line("0")
    return 0


def _stack(call: Call, args: list[str]) -> int:
    apps = {item.app_id: item for item in APP_PACKAGES}
    if args[:1] != ["list"]:
        raise CommandError(f"Error: unknown command '{' '.join(args[:1])}'; allowed: list", 255)
    for index, stack in enumerate(reversed(call.served.state.system.stacks)):
        call.line(f"RootTask id={1 + index} type={'home' if stack.app == 'launcher' else 'standard'} userId=0")
        package, activity = apps[stack.app], activity_of(stack.pages[-1])
        top = f"{package.name}/{short_activity(package.name, activity)}"
        shown = f"visible={str(index == 0).lower()} topActivity=ComponentInfo{{{package.name}/{activity}}}"
        call.line(f"  taskId={1 + index}: {top} {shown}")
    return 0


def _no_service(call: Call, args: list[str]) -> int:
    intent, _ = parse_intent(args, "am startservice")
    call.line(f"Starting service: {intent}")
    raise CommandError("Error: Not found; no service started.")


def _instrument(call: Call, args: list[str]) -> int:
    name = args[-1] if args else ""
    package = name.partition("/")[0]
    call.line(f"INSTRUMENTATION_STATUS: Error=Unable to find instrumentation info for: ComponentInfo{{{name}}}")
    raise CommandError(f"INSTRUMENTATION_FAILED: {name} (package {package})")


def _idle(call: Call, args: list[str]) -> int:
    call.line("All broadcast queues are idle!")
    return 0


_VERBS = {
    "start": _start,
    "start-activity": _start,
    "force-stop": _force_stop,
    "stop-app": _force_stop,
    "kill": _kill_all,
    "kill-all": _kill_all,
    "broadcast": _broadcast,
    "startservice": _no_service,
    "start-service": _no_service,
    "start-foreground-service": _no_service,
    "instrument": _instrument,
    "get-started-user-state": _started_user_state,
    "get-current-user": _current_user,
    "stack": _stack,
    "wait-for-broadcast-idle": _idle,
}


def monkey(call: Call) -> int:
    """Start an app: `monkey -p PACKAGE -c CATEGORY 1`. The phone has no physical keys unless it says so."""
    valued = {"-p", "-c", "-s", "--throttle", "--ignore", "-f"}
    valued |= {arg for arg in call.args if arg.startswith("--pct-")}
    options = Options(call.args, valued, "monkey")
    if not options.operands or not options.operands[-1].isdecimal():
        raise CommandError("** Error: Count not specified", _MONKEY_BAD)
    integer(options.operands[-1], "count")
    names = options.values.get("-p", [])
    found = [item for item in (find(call, name) for name in names) if item is not None and item.app_id]
    seed = options.get("-s", "1741132800")
    call.err("  bash arg: " + "\n  bash arg: ".join(call.args))
    if not found:
        call.line("** No activities found to run, monkey aborted.")
        return _MONKEY_NO_APP
    if not call.served.physical_keys and options.get("--pct-syskeys", "2") not in ("0", "0.0"):
        call.line(f"** SYS_KEYS has no physical keys but with factor 2.0%. (seed {seed})")
        return _MONKEY_BAD
    call.served.launch(found[0].name)
    call.line("Events injected: 1")
    call.line("## Network stats: elapsed time=18ms (0ms mobile, 0ms wifi, 18ms not connected)")
    return 0


COMMANDS: dict[str, RunCommand] = {"am": am, "monkey": monkey}
