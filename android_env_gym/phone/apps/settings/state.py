"""Data of the Settings app: what it knows beyond the system's `DeviceSettings`.

Wi-Fi, brightness, volumes and whatever else the status bar or quick settings share live in `DeviceSettings`
and change through `PutSetting`; the rest (networks in range, devices, preferences) lives here.
"""

from __future__ import annotations

import msgspec
import numpy as np

from android_env_gym.phone.state import AppState
from android_env_gym.phone.ui.node import Event


class Network(msgspec.Struct, frozen=True):
    """A Wi-Fi network in range; `password` "" means open, `strength` is 1-4 bars."""

    name: str
    password: str = ""
    strength: int = 3
    saved: bool = False


class PairedDevice(msgspec.Struct, frozen=True):
    """A Bluetooth device; `kind` is an icon name, `paired` False while it is only in range."""

    name: str
    kind: str
    paired: bool = False
    connected: bool = False


class Feature(msgspec.Struct, frozen=True):
    """A piece of hardware that some phones have and others lack, with its switch; `name` is a title of `FEATURES`."""

    name: str
    on: bool = False


class Preferences(msgspec.Struct, frozen=True):
    """Settings that no other part of the phone reads."""

    usb_tethering: bool = False
    bluetooth_tethering: bool = False
    data_saver: bool = False
    roaming: bool = False
    nearby_share: bool = True
    notification_history: bool = False
    notification_dots: bool = True
    bubbles: bool = True
    hide_silent: bool = False
    adaptive_battery: bool = True
    smart_storage: bool = False
    dial_tones: bool = True
    lock_sounds: bool = True
    charging_sounds: bool = True
    touch_sounds: bool = False
    smooth_display: bool = True
    bold_text: bool = False
    high_contrast_text: bool = False
    themed_icons: bool = False
    color_inversion: bool = False
    color_correction: bool = False
    remove_animations: bool = False
    extra_dim: bool = False
    magnification: bool = False
    talkback: bool = False
    live_caption: bool = False
    mono_audio: bool = False
    find_my_device: bool = True
    play_protect: bool = True
    camera_access: bool = True
    microphone_access: bool = True
    show_passwords: bool = True
    wifi_scanning: bool = True
    bluetooth_scanning: bool = False
    automatic_sync: bool = True
    automatic_time: bool = True
    spell_checker: bool = True
    one_handed_mode: bool = False
    quick_tap: bool = False
    backup: bool = True
    wifi_calling: bool = False
    caller_id: bool = True
    lock_controls: bool = True
    tap_to_check: bool = True
    lift_to_check: bool = False
    now_playing: bool = False
    default_browser: str = "Browser"
    default_assistant: str = "Assistant"
    private_dns: str = "Automatic"
    ringtone: str = "Your new adventure"
    notification_sound: str = "Popcorn"
    alarm_sound: str = "Bright morning"
    lock_notifications: str = "Show all"
    colors: str = "Adaptive"
    night_light_schedule: str = "None"


class Hardware(msgspec.Struct, frozen=True):
    """What "About phone", Battery and Storage show; never changes."""

    name: str
    model: str
    android: str
    build: str
    patch: str
    number: str
    serial: str
    ip: str
    wifi_mac: str
    bluetooth_mac: str
    kernel: str
    up_time: str
    battery: int
    storage_used: int


class SettingsState(AppState, frozen=True, tag="settings"):
    """Everything the Settings app remembers.

    `muted` holds the ids of apps whose notifications are off, `features` what this phone has of `FEATURES`.
    """

    preferences: Preferences
    hardware: Hardware
    networks: tuple[Network, ...] = ()
    devices: tuple[PairedDevice, ...] = ()
    muted: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()


class PutPreference(Event, frozen=True):
    """Set the field `name` of `Preferences`."""

    name: str
    value: bool | str


class Choose(Event, frozen=True):
    """Set `setting`, whoever keeps it, to the option `value` of the dialog, and close the dialog."""

    setting: str
    value: int | str


class OpenSearch(Event, frozen=True):
    """Open the search with its field focused."""


class TapNetwork(Event, frozen=True):
    """Connect to the network `name`, asking for its password if it is protected and not saved."""

    name: str


class SubmitPassword(Event, frozen=True):
    """Connect to the network of the dialog with the password in the page's field "password"."""


class ForgetNetwork(Event, frozen=True):
    """Forget the saved network `name`."""

    name: str


class PairDevice(Event, frozen=True):
    """Pair and connect the device `name`."""

    name: str


class ConnectDevice(Event, frozen=True):
    """Connect the paired device `name`, or disconnect it."""

    name: str


class ForgetDevice(Event, frozen=True):
    """Unpair the device `name`."""

    name: str


class MuteApp(Event, frozen=True):
    """Switch the notifications of the app with id `app` off (`muted`) or on."""

    app: str
    muted: bool


class SwitchFeature(Event, frozen=True):
    """Switch the hardware `name` on or off."""

    name: str
    on: bool


FEATURES = (
    "Infrared blaster", "FM radio", "Pop-up camera", "Wireless charging", "Stylus", "Satellite calls", "Laser pointer",
    "Edge lighting", "Heart rate sensor", "Dolby Atmos", "Face unlock", "Second SIM", "Iris scanner", "Desktop mode",
    "Flip cover", "Water lock",
)  # fmt: skip
NETWORK_NAMES = (
    "Airport", "Bakery", "Bluebird", "Cafe", "Castle", "Coffee", "Corner", "Dragon", "Falcon", "Forest", "Garden",
    "Harbor", "Hotel", "Island", "Kitchen", "Library", "Lighthouse", "Market", "Meadow", "Museum", "Office",
    "Orchard", "Pepper", "Planet", "River", "Rocket", "School", "Station", "Studio", "Sunrise", "Theater", "Valley",
)  # fmt: skip
PASSWORD_WORDS = (
    "butterfly", "chocolate", "elephant", "firewall", "hurricane", "keyboard", "lemonade", "mountain", "notebook",
    "pineapple", "raspberry", "saxophone", "telescope", "umbrella", "waterfall", "xylophone",
)  # fmt: skip
DEVICE_NAMES = (
    ("Headphones", "headphones"), ("Earbuds", "earbuds"), ("Speaker", "speaker"), ("Soundbar", "soundbar"),
    ("Keyboard", "keyboard"), ("Mouse", "mouse"), ("Printer", "printer"), ("Watch", "watch"), ("Laptop", "laptop"),
    ("Tablet", "tablet"), ("Television", "television"), ("Gamepad", "gamepad-variant"), ("Camera", "camera"),
    ("Car", "car"),
)  # fmt: skip
OWNERS = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack")
MODELS = ("Pixel 6", "Pixel 6a", "Pixel 7", "Pixel 7 Pro", "Pixel 8", "Pixel 8 Pro", "Pixel 9")


def draw_state(rng: np.random.Generator) -> SettingsState:
    """Return the data of a fresh phone; the network "Home" is saved and in range."""
    names = [str(name) for name in rng.permutation(NETWORK_NAMES)[: int(rng.integers(5, 10))]]
    networks = [Network("Home", _password(rng), 4, saved=True)]
    for name in names:
        password = "" if rng.random() < 0.3 else _password(rng)
        networks.append(Network(name, password, int(rng.integers(1, 5)), saved=bool(rng.random() < 0.2)))
    picks = rng.permutation(len(DEVICE_NAMES))[: int(rng.integers(6, 10))]
    devices = []
    for order, pick in enumerate(picks):
        name, kind = DEVICE_NAMES[int(pick)]
        devices.append(PairedDevice(f"{OWNERS[int(rng.integers(len(OWNERS)))]}'s {name}", kind, paired=order < 2))
    return SettingsState(
        preferences=Preferences(),
        hardware=draw_hardware(rng),
        networks=tuple(networks),
        devices=tuple(devices),
        features=draw_features(rng, FEATURES),
    )


def draw_features(rng: np.random.Generator, among: tuple[str, ...]) -> tuple[Feature, ...]:
    """Return four to seven of the features `among`, in the order of `FEATURES`, some of them on."""
    names = {among[int(index)] for index in rng.permutation(len(among))[: int(rng.integers(4, 8))]}
    return tuple(Feature(name, bool(rng.integers(2))) for name in FEATURES if name in names)


def draw_hardware(rng: np.random.Generator) -> Hardware:
    """Return a plausible phone model with its numbers."""

    def mac() -> str:
        return ":".join(f"{int(byte):02x}" for byte in rng.integers(0, 256, 6))

    month = int(rng.integers(1, 13))
    months = ("January", "February", "March", "April", "May", "June", "July")
    months += ("August", "September", "October", "November", "December")
    android = str(int(rng.integers(12, 16)))
    model = MODELS[int(rng.integers(len(MODELS)))]
    return Hardware(
        name=f"{OWNERS[int(rng.integers(len(OWNERS)))]}'s {model}",
        model=model,
        android=android,
        build=f"AP{int(rng.integers(1, 5))}A.{int(rng.integers(230100, 260100))}.{int(rng.integers(1, 20)):03d}",
        patch=f"{months[month - 1]} 5, 2025",
        number=f"(555) {int(rng.integers(200, 1000))}-{int(rng.integers(0, 10000)):04d}",
        serial="".join(rng.choice(list("0123456789ABCDEFGHJKLMNP"), 10)),
        ip=f"192.168.{int(rng.integers(0, 4))}.{int(rng.integers(2, 255))}",
        wifi_mac=mac(),
        bluetooth_mac=mac(),
        kernel=f"{int(rng.integers(5, 7))}.{int(rng.integers(1, 16))}.{int(rng.integers(10, 200))}",
        up_time=f"{int(rng.integers(1, 200))}:{int(rng.integers(0, 60)):02d}:{int(rng.integers(0, 60)):02d}",
        battery=80,
        storage_used=int(rng.integers(40, 120)),
    )


def _password(rng: np.random.Generator) -> str:
    return str(rng.choice(PASSWORD_WORDS))
