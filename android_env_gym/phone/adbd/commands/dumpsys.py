"""`dumpsys`: what the system services tell, made from the phone's state; see `dump_windows` for windows and tasks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from android_env_gym.phone.adbd.commands import dump_windows
from android_env_gym.phone.adbd.commands.base import Call, RunCommand
from android_env_gym.phone.adbd.commands.packages import component, find
from android_env_gym.phone.adbd.commands.screen import DISPLAY_ID
from android_env_gym.phone.adbd.packages import Package
from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.world.edit import app_of

_INSTALLED_AT = "2025-03-05 00:00:00"
_PERMISSIONS = {
    "contacts": ("READ_CONTACTS", "WRITE_CONTACTS"),
    "messages": ("READ_SMS", "SEND_SMS", "READ_CONTACTS"),
    "browser": ("ACCESS_FINE_LOCATION", "CAMERA"),
    "clock": ("POST_NOTIFICATIONS",),
    "notes": ("RECORD_AUDIO", "POST_NOTIFICATIONS"),
}
_VOLUME_STREAMS = (
    ("STREAM_MUSIC", "media"),
    ("STREAM_RING", "ring"),
    ("STREAM_ALARM", "alarm"),
    ("STREAM_VOICE_CALL", "call"),
)


def dumpsys(call: Call) -> int:
    """Print what one service tells, or all of them."""
    args = list(call.args)
    while args[:1] in (["-t"], ["-T"], ["--priority"]):
        args = args[2:]
    if args[:1] == ["-l"]:
        call.line("Currently running services:")
        for name in sorted(_SERVICES):
            call.line(f"  {name}")
        return 0
    with call.at_once() as call:
        for name in args[:1] or sorted(_SERVICES):
            service = _SERVICES.get(name)
            if service is None:
                call.err(f"Can't find service: {name}")
                return 0  # as Android does
            if not args:
                call.line(f"DUMP OF SERVICE {name}:")
            service(call, args[1:])
    return 0


def _display(call: Call, args: list[str]) -> None:
    served, config = call.served, call.served.state.config
    width, height = config.width, config.height
    now_wide, now_high = served.size
    turned, density = served.orientation, round(config.density * 160)
    state = "ON" if served.screen_on else "OFF"
    level = served.state.system.settings.brightness
    call.line("DISPLAY MANAGER (dumpsys display)\n  mOnlyCode=false\n  mSafeMode=false")
    call.line(
        f"  mViewports=[DisplayViewport{{type=INTERNAL, valid=true, isActive={str(served.screen_on).lower()}, "
        f"displayId=0, uniqueId='local:{DISPLAY_ID}', physicalPort=0, orientation={turned}, "
        f"logicalFrame=Rect(0, 0 - {now_wide}, {now_high}), physicalFrame=Rect(0, 0 - {now_wide}, {now_high}), "
        f"deviceWidth={now_wide}, deviceHeight={now_high}}}]"
    )
    call.line("\nDisplay Devices: size=1")
    call.line(
        f'  DisplayDeviceInfo{{"Built-in Screen": uniqueId="local:{DISPLAY_ID}", {width} x {height}, '
        f"modeId 1, density {density}, {density:.3f} x {density:.3f} dpi, state {state}, "
        f"brightnessMinimum 0.0, brightnessMaximum 1.0}}"
    )
    call.line("\nLogical Displays: size=1\n  Display 0:\n    mDisplayId=0")
    call.line(
        f'    mOverrideDisplayInfo=DisplayInfo{{"Built-in Screen", displayId 0, real {now_wide} x {now_high}, '
        f"rotation {turned}, state {state}, density {density}}}"
    )
    call.line(f"\nDisplay Power Controller:\n  mScreenState={state}\n  mScreenBrightness={level:.4f}")


def _battery(call: Call, args: list[str]) -> None:
    level = app_of(call.served.state, SettingsState).hardware.battery
    call.line("Current Battery Service state:")
    values = {
        "AC powered": "false",
        "USB powered": "false",
        "Wireless powered": "false",
        "Dock powered": "false",
        "Max charging current": 0,
        "Max charging voltage": 0,
        "Charge counter": 4_355_000 * level // 100,
        "status": 3,
        "health": 2,
        "present": "true",
        "level": level,
        "scale": 100,
        "voltage": 3_600 + 7 * level,
        "temperature": 268,
        "technology": "Li-ion",
    }
    for name, value in values.items():
        call.line(f"  {name}: {value}")


def _power(call: Call, args: list[str]) -> None:
    served = call.served
    on = str(served.screen_on).lower()
    device = served.state.system.settings
    call.line("POWER MANAGER (dumpsys power)\n\nPower Manager State:")
    for name, value in (
        ("mWakefulness", "Awake" if served.screen_on else "Asleep"),
        ("mWakefulnessChanging", "false"),
        ("mIsPowered", "false"),
        ("mBatteryLevel", app_of(served.state, SettingsState).hardware.battery),
        ("mBootCompleted", "true"),
        ("mSystemReady", "true"),
        ("mHoldingWakeLockSuspendBlocker", "false"),
        ("mHoldingDisplaySuspendBlocker", on),
        ("mInteractive", on),
        ("mScreenOffTimeoutSetting", device.screen_timeout * 1000),
        ("mLowPowerModeEnabled", str(device.battery_saver).lower()),
    ):
        call.line(f"  {name}={value}")
    call.line(f"\nDisplay Power: state={'ON' if served.screen_on else 'OFF'}")


def _package(call: Call, args: list[str]) -> None:
    names = [arg for arg in args if not arg.startswith("-")]
    if not names:
        for item in call.served.packages():
            _one_package(call, item)
        return
    found = find(call, names[0])
    if found is None:
        call.line(f"Unable to find package: {names[0]}")
        return
    if found.app_id:
        call.line("Activity Resolver Table:\n  Non-Data Actions:\n      android.intent.action.MAIN:")
        call.line(f"        {dump_windows.token(found.name)} {component(found)} filter {dump_windows.token('f')}")
        call.line('          Action: "android.intent.action.MAIN"')
        call.line('          Category: "android.intent.category.LAUNCHER"')
    call.line("\nPackages:")
    _one_package(call, found)


def _one_package(call: Call, item: Package) -> None:
    sdk = call.served.properties.get("ro.build.version.sdk", "35")
    flags = "SYSTEM HAS_CODE ALLOW_CLEAR_USER_DATA" if item.system else "HAS_CODE ALLOW_CLEAR_USER_DATA ALLOW_BACKUP"
    token = dump_windows.token(item.name)
    call.line(f"  Package [{item.name}] ({token}):\n    userId={item.uid}\n    pkg=Package{{{token} {item.name}}}")
    call.line(f"    codePath={item.path.rpartition('/')[0]}\n    resourcePath={item.path.rpartition('/')[0]}")
    call.line(f"    versionCode={item.code} minSdk=26 targetSdk={sdk}\n    versionName={item.version}")
    call.line(f"    flags=[ {flags} ]\n    pkgFlags=[ {flags} ]\n    dataDir=/data/user/0/{item.name}")
    call.line(
        f"    timeStamp={_INSTALLED_AT}\n    firstInstallTime={_INSTALLED_AT}\n    lastUpdateTime={_INSTALLED_AT}"
    )
    call.line(f"    signatures=PackageSignatures{{{token} version:3, signatures:[{token}], past signatures:[]}}")
    states = "installed=true hidden=false suspended=false stopped=false notLaunched=false enabled=0"
    call.line(f"    User 0: ceDataInode=4711 {states} instant=false virtual=false")
    call.line("      runtime permissions:")
    for permission in _PERMISSIONS.get(item.app_id, ()):
        name = f"android.permission.{permission}"
        granted = str(call.served.granted.get((item.name, name), item.system)).lower()
        call.line(f"        {name}: granted={granted}, flags=[ USER_SENSITIVE_WHEN_GRANTED]")
    for (package, name), granted in sorted(call.served.granted.items()):
        if package == item.name and name.removeprefix("android.permission.") not in _PERMISSIONS.get(item.app_id, ()):
            call.line(f"        {name}: granted={str(granted).lower()}, flags=[ USER_SET]")


def _input(call: Call, args: list[str]) -> None:
    width, height = call.served.size
    call.line(
        "INPUT MANAGER (dumpsys input)\n\nInput Manager State:\n  Interactive: " + str(call.served.screen_on).lower()
    )
    call.line("\nEvent Hub State:\n  Devices:\n    2: fts_ts\n      Classes: TOUCH | TOUCH_MT | EXTERNAL_STYLUS")
    call.line("      Path: /dev/input/event2\n\nInput Reader State:\n  Device 2: fts_ts\n    Sources: 0x00001002")
    call.line(
        f"    SurfaceOrientation: {call.served.orientation}\n    SurfaceWidth: {width}px\n    SurfaceHeight: {height}px"
    )
    call.line(
        f"      X: min=0.000, max={width - 1:.3f}, flat=0.000\n      Y: min=0.000, max={height - 1:.3f}, flat=0.000"
    )
    call.line("\nInput Dispatcher State:\n  DispatchEnabled: true\n  FocusedApplications:")
    call.line(f"    displayId=0, name='ActivityRecord{{{call.served.component()}}}'")
    call.line(
        f"  FocusedWindows:\n    displayId=0, name='{dump_windows.token(call.served.focused_window())} "
        f"{call.served.focused_window()}'"
    )


def _input_method(call: Call, args: list[str]) -> None:
    served = call.served
    shown = str(served.keyboard_shown()).lower()
    call.line("Current Input Method Manager state:\n  Input Methods: mMethodMapUpdateCount=2")
    call.line(
        f"  mCurMethodId={served.input_method}\n  mCurId={served.input_method} mHaveConnection=true mBoundToMethod=true"
    )
    call.line(f"  mShowRequested={shown} mShowExplicitlyRequested=false mShowForced=false mInputShown={shown}")
    call.line(
        f"  mCurFocusedWindow=Window{{{dump_windows.token(served.focused_window())} u0 {served.focused_window()}}}"
    )
    call.line(f"  mServedView={'android.widget.EditText' if served.state.system.focus else 'null'}")


def _surface_flinger(call: Call, args: list[str]) -> None:
    if "--display-id" in args:
        call.line(f'Display {DISPLAY_ID} (HWC display 0): port=0 pnpId=GGL displayName="Built-in Screen"')
    elif "--list" in args:
        for name in ("StatusBar#67", f"{call.served.focused_window()}#312", "NavigationBar0#70"):
            call.line(name)
    elif "--latency" in args:
        call.line("16666666")
    else:
        width, height = call.served.size
        call.line(
            f"Display {DISPLAY_ID} (active) HWC display 0\n   app phase: 1000000 ns\n   {width}x{height} @ 60.00 Hz"
        )


def _notification(call: Call, args: list[str]) -> None:
    call.line("Current Notification Manager state:\n  Notification List:")
    packages = {item.app_id: item for item in call.served.packages()}
    for index, note in enumerate(call.served.state.system.notifications):
        name = packages[note.app].name if note.app in packages else note.app
        call.line(f"    NotificationRecord(0x{index + 1:08x}: pkg={name} user=UserHandle{{0}} id={index + 1} tag=null)")
        call.line(
            f"      extras={{\n        android.title=String ({note.title})\n        android.text=String ({note.text})"
        )
        call.line("      }")


def _audio(call: Call, args: list[str]) -> None:
    device = call.served.state.system.settings
    call.line("Stream volumes (device: index)")
    for stream, name in _VOLUME_STREAMS:
        volume = round(getattr(device, f"{name}_volume") * 15)
        call.line(f"- {stream}:\n   Muted: {str(volume == 0).lower()}\n   Min: 0\n   Max: 15\n   streamVolume:{volume}")


def _ui_mode(call: Call, args: list[str]) -> None:
    dark = call.served.state.system.settings.dark_theme
    call.line("Current UI Mode Service state:")
    call.line(f"  mNightMode={2 if dark else 1} ({'yes' if dark else 'no'}) mNightModeLocked=false")
    call.line(f"  mComputedNightMode={str(dark).lower()}")


def _bluetooth(call: Call, args: list[str]) -> None:
    on = call.served.state.system.settings.bluetooth
    call.line(f"Bluetooth Status\n  enabled: {str(on).lower()}\n  state: {'ON' if on else 'OFF'}")
    call.line(f"  name: {app_of(call.served.state, SettingsState).hardware.name}\n\nBonded devices:")
    for item in app_of(call.served.state, SettingsState).devices:
        if item.paired:
            call.line(f"  {item.name} {'[connected]' if item.connected and on else ''}".rstrip())


def _wifi(call: Call, args: list[str]) -> None:
    device = call.served.state.system.settings
    call.line(f"Wi-Fi is {'enabled' if device.wifi else 'disabled'}")
    if device.wifi and device.wifi_network:
        address = app_of(call.served.state, SettingsState).hardware.ip
        call.line(f'mWifiInfo SSID: "{device.wifi_network}", Supplicant state: COMPLETED, IP: /{address}')


def _location(call: Call, args: list[str]) -> None:
    on = call.served.state.system.settings.location
    call.line(f"Location Manager State:\n  User Info:\n    current users: [0]\n  Location Setting: {str(on).lower()}")


def _uptime(call: Call, args: list[str]) -> None:
    moment = datetime.fromtimestamp(call.served.state.now / 1000, UTC)
    call.line(f"Current time: {moment:%Y-%m-%d %H:%M:%S}.000 nowELAPSED={call.served.state.now - call.served.boot_ms}")


_SERVICES: dict[str, Callable[[Call, list[str]], None]] = {
    "SurfaceFlinger": _surface_flinger,
    "activity": dump_windows.activity,
    "alarm": _uptime,
    "audio": _audio,
    "battery": _battery,
    "bluetooth_manager": _bluetooth,
    "display": _display,
    "input": _input,
    "input_method": _input_method,
    "location": _location,
    "notification": _notification,
    "package": _package,
    "power": _power,
    "uimode": _ui_mode,
    "wifi": _wifi,
    "window": dump_windows.window,
}
COMMANDS: dict[str, RunCommand] = {"dumpsys": dumpsys}
