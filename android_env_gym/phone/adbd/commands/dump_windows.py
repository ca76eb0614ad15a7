"""`dumpsys window` and `dumpsys activity`: windows, focus, tasks and processes as they are on the screen now."""

from __future__ import annotations

from collections.abc import Iterator

from android_env_gym.phone.adbd.commands.base import Call
from android_env_gym.phone.adbd.foreground import window_token
from android_env_gym.phone.adbd.packages import APP_PACKAGES, Package, activity_of, short_activity
from android_env_gym.phone.state import Page, Stack


def token(name: str) -> str:
    """Return the hash that stands for a window in dumps."""
    return f"{window_token(name):x}"


def _app(app_id: str) -> Package:
    return next(item for item in APP_PACKAGES if item.app_id == app_id)


def _task_id(app_id: str) -> int:
    return 2 + next(index for index, item in enumerate(APP_PACKAGES) if item.app_id == app_id)


def _record(page: Page) -> str:
    """Return a page's activity as `ActivityRecord{...}`."""
    package = _app(page.app)
    name = f"{package.name}/{short_activity(package.name, activity_of(page))}"
    return f"ActivityRecord{{{token(name)} u0 {name} t{_task_id(page.app)}}}"


def _front_record(call: Call) -> str:
    name = call.served.component()
    package = name.partition("/")[0]
    app_id = next(item.app_id for item in APP_PACKAGES if item.name == package)
    return f"ActivityRecord{{{token(name)} u0 {name} t{_task_id(app_id)}}}"


def _focus(call: Call) -> str:
    if not call.served.screen_on:
        return "null"
    name = call.served.focused_window()
    return f"Window{{{token(name)} u0 {name}}}"


def _windows(call: Call) -> Iterator[tuple[str, bool]]:
    """Yield the windows from the top down, with whether they are visible."""
    served = call.served
    on, panel = served.screen_on, served.state.system.shade
    yield "NavigationBar0", on
    yield "StatusBar", on
    yield "NotificationShade", on and panel in ("notifications", "quick")
    yield "InputMethod", on and served.keyboard_shown()
    front = "/".join(served.resumed())
    yield front, on
    for stack in reversed(served.state.system.stacks):
        name = f"{_app(stack.app).name}/{activity_of(stack.pages[-1])}"
        if name != front:
            yield name, False


def window(call: Call, args: list[str]) -> None:
    """Print the window manager's part that `args` names, by default the windows and the focus."""
    if args[:1] not in (["displays"], ["d"], ["policy"], ["p"]):
        call.line("WINDOW MANAGER WINDOWS (dumpsys window windows)")
        _print_windows(call)
    if args[:1] not in (["policy"], ["p"]):
        call.line(f"  mCurrentFocus={_focus(call)}\n  mFocusedApp={_front_record(call)}")
    if args[:1] not in (["windows"], ["w"], ["policy"], ["p"]):
        _print_display(call)
    if args[:1] not in (["windows"], ["w"], ["displays"], ["d"]):
        _print_policy(call)


def _print_windows(call: Call) -> None:
    width, height = call.served.size
    for index, (name, shown) in enumerate(_windows(call)):
        call.line(f"  Window #{index} Window{{{token(name)} u0 {name}}}:")
        call.line(f"    mDisplayId=0 mSession=Session{{{token('s' + name)} 1988:u0a10081}}")
        if "/" in name:
            call.line(f"    mActivityRecord={_window_record(name)}")
        call.line(f"    Requested w={width} h={height} mLayoutSeq=312\n    Frames: frame=[0,0][{width},{height}]")
        call.line(f"    mHasSurface={str(shown).lower()} isReadyForDisplay()={str(shown).lower()}")
        call.line(f"    isOnScreen={str(shown).lower()}\n    isVisible={str(shown).lower()}")
    shown = call.served.keyboard_shown()
    call.line(f"\n  mInputMethodTarget={_focus(call) if shown else 'null'}")


def _window_record(name: str) -> str:
    package, activity = name.split("/")
    short = f"{package}/{short_activity(package, activity)}"
    app_id = next(item.app_id for item in APP_PACKAGES if item.name == package)
    return f"ActivityRecord{{{token(short)} u0 {short} t{_task_id(app_id)}}}"


def _print_display(call: Call) -> None:
    config, (width, height) = call.served.state.config, call.served.size
    density = round(config.density * 160)
    call.line("WINDOW MANAGER DISPLAY CONTENTS (dumpsys window displays)\n  Display: mDisplayId=0")
    call.line(f"    init={config.width}x{config.height} {density}dpi cur={width}x{height} app={width}x{height}")
    call.line(f"    mRotation={call.served.orientation} mCurrentRotation=ROTATION_{90 * call.served.orientation}")


def _print_policy(call: Call) -> None:
    on = call.served.screen_on
    call.line("WINDOW MANAGER POLICY STATE (dumpsys window policy)")
    call.line("    mDreamingLockscreen=false mShowingLockscreen=false isStatusBarKeyguard=false")
    call.line(f"    mAwake={str(on).lower()}")
    call.line(f"    screenState={'SCREEN_STATE_ON' if on else 'SCREEN_STATE_OFF'}")
    call.line("    KeyguardServiceDelegate\n      showing=false\n      inputRestricted=false\n      secure=false")
    call.line(f"      interactiveState={'INTERACTIVE_STATE_AWAKE' if on else 'INTERACTIVE_STATE_SLEEP'}")


def activity(call: Call, args: list[str]) -> None:
    """Print the activity manager's part that `args` names, by default tasks and processes."""
    match args[:1]:
        case ["top"]:
            _print_top(call)
        case ["recents"] | ["r"]:
            _print_recents(call)
        case ["services" | "s" | "broadcasts" | "b" | "providers" | "prov"]:
            call.line("ACTIVITY MANAGER (nothing)")
        case ["processes" | "p"]:
            _print_processes(call)
        case ["activities" | "a"]:
            _print_activities(call)
        case _:
            _print_activities(call)
            _print_processes(call)


def _print_activities(call: Call) -> None:
    call.line("ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)\nDisplay #0 (activities from top to bottom):")
    front = _front_record(call)
    for stack in _stacks(call):
        package = _app(stack.app)
        call.line(f"  * {_task(stack)}")
        for index in range(len(stack.pages) - 1, -1, -1):
            call.line(f"    * Hist #{index}: {_record(stack.pages[index])}")
            call.line(f"        packageName={package.name} processName={package.name}")
            call.line(f"        app={_process(call, package)}")
    call.line(f"  mResumedActivity: {front}")
    call.line(f"  ResumedActivity: {front}\n  topResumedActivity={front}\n  mFocusedApp={front}")


def _stacks(call: Call) -> tuple[Stack, ...]:
    """Return the back stacks, what is on the screen first."""
    stacks = call.served.state.system.stacks[::-1]
    if call.served.state.system.shade != "recents":
        return stacks
    home = next((stack for stack in stacks if stack.app == "launcher"), Stack("launcher", (Page("launcher"),)))
    return (home, *(stack for stack in stacks if stack.app != "launcher"))


def _task(stack: Stack) -> str:
    """Return a back stack as `Task{...}`."""
    package, kind = _app(stack.app), "home" if stack.app == "launcher" else "standard"
    number = _task_id(stack.app)
    return f"Task{{{token('task' + stack.app)} #{number} type={kind} A={package.uid}:{package.name}}}"


def _process(call: Call, package: Package) -> str:
    """Return a process as `ProcessRecord{...}`."""
    pid = call.served.pid(package)
    return f"ProcessRecord{{{token(package.name)} {pid}:{package.name}/{package.uid}}}"


def _print_top(call: Call) -> None:
    for stack in reversed(_stacks(call)):
        package, page = _app(stack.app), stack.pages[-1]
        name = f"{package.name}/{short_activity(package.name, activity_of(page))}"
        call.line(f"TASK {package.name} id={_task_id(stack.app)} userId=0")
        call.line(f"  ACTIVITY {name} {token(name)} pid={call.served.pid(package)}")
        resumed = stack is _stacks(call)[0]
        call.line(f"    Local Activity {token('l' + name)} State:")
        call.line(f"      mResumed={str(resumed).lower()} mStopped={str(not resumed).lower()}")


def _print_recents(call: Call) -> None:
    call.line("ACTIVITY MANAGER RECENT TASKS (dumpsys activity recents)\n  Recent tasks:")
    apps = [stack for stack in reversed(call.served.state.system.stacks) if stack.app != "launcher"]
    for index, stack in enumerate(apps):
        package = _app(stack.app)
        call.line(f"  * Recent #{index}: {_task(stack)}")
        call.line(f"    realActivity={{{package.name}/{short_activity(package.name, package.activity)}}}")


def _print_processes(call: Call) -> None:
    call.line("ACTIVITY MANAGER RUNNING PROCESSES (dumpsys activity processes)\n  All known processes:")
    for package in call.served.running():
        kind = "PERS" if not package.app_id else "APP "
        call.line(f"  *{kind}* UID {package.uid} {_process(call, package)}")
