"""What is on which settings page, as data: screens draw it, search looks through it, tasks find their way by it.

Invariant: every `Link.page` is a key of `PAGES`, and every setting has one row where it can
be changed. Names of `DeviceSettings` and of `Preferences` never overlap, so a name alone says who keeps it.
"""

from __future__ import annotations

from functools import lru_cache

from android_env_gym.phone import languages
from android_env_gym.phone.apps.settings.row_types import (
    Choice,
    Footer,
    Info,
    Level,
    Link,
    Row,
    Section,
    SettingsPage,
    Switch,
)


def _same(*labels: str) -> tuple[tuple[int | str, str], ...]:
    return tuple((label, label) for label in labels)


TIMEOUTS: tuple[tuple[int | str, str], ...] = (
    (15, "15 seconds"),
    (30, "30 seconds"),
    (60, "1 minute"),
    (120, "2 minutes"),
    (300, "5 minutes"),
    (600, "10 minutes"),
    (1800, "30 minutes"),
)
FONT_SIZES: tuple[tuple[int | str, str], ...] = ((0, "Small"), (1, "Default"), (2, "Large"), (3, "Largest"))
RINGTONES = _same(
    "Your new adventure", "Beats", "Dance party", "Early twilight", "Lollipop", "Romance", "Shooting star"
)
CHIMES = _same("Popcorn", "Bell", "Chime", "Duet", "Gentle gong", "Mallet", "Trill", "Whistle")
ALARM_SOUNDS = _same("Bright morning", "Cuckoo clock", "Early bird", "Fresh start", "Rooster", "Sunny", "Timer")
LANGUAGES = tuple(languages.LANGUAGES)

MAIN = (
    Link("network", "Network & internet", "Mobile, Wi-Fi, hotspot", "wifi", "#1a73e8"),
    Link("connected", "Connected devices", "Bluetooth, pairing", "devices", "#1a73e8"),
    Link("apps", "Apps", "Assistant, recent apps, default apps", "apps", "#e37400"),
    Link("notifications", "Notifications", "Notification history, conversations", "bell-outline", "#e8710a"),
    Link("battery", "Battery", "80%", "battery-outline", "#188038"),
    Link("storage", "Storage", "", "harddisk", "#a142f4"),
    Link("sound", "Sound & vibration", "Volume, vibration, Do Not Disturb", "volume-high", "#9334e6"),
    Link("display", "Display", "Dark theme, font size, brightness", "brightness-6", "#e37400"),
    Link("wallpaper", "Wallpaper & style", "Colors, themed icons, app grid", "palette-outline", "#c5221f"),
    Link("accessibility", "Accessibility", "Display, interaction, audio", "human", "#1967d2"),
    Link("security", "Security & privacy", "App security, device lock, permissions", "shield-outline", "#188038"),
    Link("location", "Location", "Location services, scanning", "map-marker-outline", "#1a73e8"),
    Link("accounts", "Passwords & accounts", "Saved passwords, autofill, synced accounts", "key-outline", "#5f6368"),
    Link("system", "System", "Languages, gestures, time, backup", "information-outline", "#5f6368"),
    Link("about", "About phone", "", "cellphone", "#5f6368"),
)

PAGES: dict[str, SettingsPage] = {
    "main": SettingsPage("Settings", MAIN),
    "network": SettingsPage(
        "Network & internet",
        (
            Link("internet", "Internet", "", "wifi"),
            Link("calls", "Calls & SMS", "Default apps for calls", "phone-message-outline"),
            Link("sims", "SIMs", "Mobile data, roaming", "sim-outline"),
            Switch("airplane_mode", "Airplane mode"),
            Link("hotspot", "Hotspot & tethering", "", "access-point"),
            Link("data_saver", "Data Saver", "", "leaf"),
            Link("vpn", "VPN", "None", "key-chain"),
            Choice("private_dns", "Private DNS", _same("Off", "Automatic", "Provider hostname")),
        ),
    ),
    "internet": SettingsPage("Internet"),
    "calls": SettingsPage(
        "Calls & SMS",
        (
            Switch("wifi_calling", "Wi-Fi calling"),
            Switch("caller_id", "Caller ID", "Show who is calling"),
        ),
    ),
    "sims": SettingsPage(
        "SIMs",
        (
            Switch("mobile_data", "Mobile data", "Access data using mobile network"),
            Switch("roaming", "Roaming", "Connect to data services when roaming"),
            Info("number", "Phone number"),
        ),
    ),
    "hotspot": SettingsPage(
        "Hotspot & tethering",
        (
            Switch("hotspot", "Wi-Fi hotspot", "Share internet with other devices"),
            Switch("usb_tethering", "USB tethering", "Share phone\u2019s internet connection via USB"),
            Switch(
                "bluetooth_tethering", "Bluetooth tethering", "Share phone\u2019s internet connection via Bluetooth"
            ),
            Footer("Use hotspot and tethering to provide internet to other devices through your connection."),
        ),
    ),
    "data_saver": SettingsPage(
        "Data Saver",
        (
            Switch("data_saver", "Use Data Saver"),
            Footer(
                "To help reduce data usage, Data Saver prevents some apps from sending or receiving data in the "
                "background."
            ),
        ),
    ),
    "vpn": SettingsPage("VPN"),
    "connected": SettingsPage("Connected devices"),
    "pair": SettingsPage("Pair new device"),
    "apps": SettingsPage("Apps"),
    "default_apps": SettingsPage(
        "Default apps",
        (
            Choice("default_browser", "Browser app", _same("Browser", "None")),
            Choice("default_assistant", "Digital assistant app", _same("Assistant", "None")),
        ),
    ),
    "app": SettingsPage("App info"),
    "notifications": SettingsPage(
        "Notifications",
        (
            Section("Manage"),
            Link("app_notifications", "App notifications", "Control notifications from individual apps", "apps"),
            Link("conversations", "Conversations", "No priority conversations", "forum-outline"),
            Switch("notification_history", "Notification history", "Show recent and snoozed notifications"),
            Section("Privacy"),
            Choice(
                "lock_notifications",
                "Notifications on lock screen",
                _same("Show all", "Hide silent", "Don\u2019t show any"),
            ),
            Section("General"),
            Link("do_not_disturb", "Do Not Disturb", "", "minus-circle-outline"),
            Switch("bubbles", "Bubbles", "Let conversations float"),
            Switch("notification_dots", "Notification dot on app icon"),
            Switch("hide_silent", "Hide silent notifications", "In the status bar"),
        ),
    ),
    "app_notifications": SettingsPage("App notifications"),
    "conversations": SettingsPage("Conversations"),
    "do_not_disturb": SettingsPage(
        "Do Not Disturb",
        (
            Switch("do_not_disturb", "Use Do Not Disturb", "Only get notified by important people and apps"),
            Footer("Alarms and other interruptions that you allow still come through."),
        ),
    ),
    "battery": SettingsPage(
        "Battery",
        (
            Link("battery_usage", "Battery usage", "View usage from last full charge", "chart-bar"),
            Link("battery_saver", "Battery Saver", "", "battery-heart-variant"),
            Switch("adaptive_battery", "Adaptive Battery", "Extend battery life based on your usage"),
            Switch("battery_percentage", "Battery percentage", "Show battery percentage in status bar"),
        ),
    ),
    "battery_usage": SettingsPage("Battery usage"),
    "battery_saver": SettingsPage(
        "Battery Saver",
        (
            Switch("battery_saver", "Use Battery Saver"),
            Footer("Battery Saver turns on Dark theme and limits background activity and some features."),
        ),
    ),
    "storage": SettingsPage("Storage"),
    "sound": SettingsPage(
        "Sound & vibration",
        (
            Level("media_volume", "Media volume", "music-note"),
            Level("call_volume", "Call volume", "phone-outline"),
            Level("ring_volume", "Ring volume", "bell-ring-outline"),
            Level("alarm_volume", "Alarm volume", "alarm"),
            Switch("vibrate", "Vibration & haptics", "Vibrate for calls and notifications"),
            Link("do_not_disturb", "Do Not Disturb", "", "minus-circle-outline"),
            Choice("ringtone", "Phone ringtone", RINGTONES),
            Choice("notification_sound", "Default notification sound", CHIMES),
            Choice("alarm_sound", "Default alarm sound", ALARM_SOUNDS),
            Switch("dial_tones", "Dial pad tones"),
            Switch("lock_sounds", "Screen locking sound"),
            Switch("charging_sounds", "Charging sounds and vibration"),
            Switch("touch_sounds", "Tap & click sounds"),
        ),
    ),
    "display": SettingsPage(
        "Display",
        (
            Section("Brightness"),
            Level("brightness", "Brightness level", "brightness-6"),
            Switch("adaptive_brightness", "Adaptive brightness"),
            Section("Lock display"),
            Link("lock_screen", "Lock screen", "Show all notification content", "lock-outline"),
            Choice("screen_timeout", "Screen timeout", TIMEOUTS),
            Section("Appearance"),
            Switch("dark_theme", "Dark theme"),
            Link("text_size", "Display size and text", "", "format-size"),
            Section("Color"),
            Switch("night_light", "Night Light", "Tint your screen amber"),
            Choice("colors", "Colors", _same("Natural", "Boosted", "Adaptive")),
            Section("Other display controls"),
            Switch("auto_rotate", "Auto-rotate screen"),
            Switch("smooth_display", "Smooth Display", "Raise the refresh rate for some content"),
        ),
    ),
    "lock_screen": SettingsPage(
        "Lock screen",
        (
            Switch("lock_controls", "Show device controls"),
            Switch("tap_to_check", "Tap to check phone"),
            Switch("lift_to_check", "Lift to check phone"),
            Switch("now_playing", "Now Playing", "Identify songs playing nearby"),
        ),
    ),
    "text_size": SettingsPage(
        "Display size and text",
        (
            Choice("font_size", "Font size", FONT_SIZES),
            Switch("bold_text", "Bold text"),
            Switch("high_contrast_text", "High contrast text"),
        ),
    ),
    "wallpaper": SettingsPage("Wallpaper & style"),
    "accessibility": SettingsPage(
        "Accessibility",
        (
            Section("Screen reader"),
            Switch("talkback", "TalkBack", "Speak items on screen"),
            Section("Display"),
            Link("text_size", "Display size and text", "", "format-size"),
            Switch("color_correction", "Color correction"),
            Switch("color_inversion", "Color inversion"),
            Switch("extra_dim", "Extra dim", "Dim screen beyond your phone\u2019s minimum brightness"),
            Switch("magnification", "Magnification", "Zoom in on the screen"),
            Switch("remove_animations", "Remove animations"),
            Section("Audio"),
            Switch("live_caption", "Live Caption", "Automatically caption speech"),
            Switch("mono_audio", "Mono audio"),
        ),
    ),
    "security": SettingsPage(
        "Security & privacy",
        (
            Section("Security"),
            Switch("screen_lock", "Screen lock", "Ask for the PIN"),
            Switch("play_protect", "Play Protect", "Scan apps for threats"),
            Switch("find_my_device", "Find My Device"),
            Section("Privacy"),
            Switch("camera_access", "Camera access", "For all apps and services"),
            Switch("microphone_access", "Microphone access", "For all apps and services"),
            Switch("show_passwords", "Show passwords", "Display characters briefly as you type"),
        ),
    ),
    "location": SettingsPage(
        "Location",
        (
            Switch("location", "Use location"),
            Section("Location services"),
            Switch("wifi_scanning", "Wi-Fi scanning", "Let apps scan for networks even when Wi-Fi is off"),
            Switch("bluetooth_scanning", "Bluetooth scanning", "Let apps scan for nearby devices"),
            Footer("Location may use sources like GPS, Wi-Fi, mobile networks and sensors."),
        ),
    ),
    "accounts": SettingsPage(
        "Passwords & accounts",
        (
            Switch("automatic_sync", "Automatically sync app data", "Let apps refresh data automatically"),
            Footer("No accounts on this phone."),
        ),
    ),
    "system": SettingsPage(
        "System",
        (
            Link("languages", "Languages", "", "web"),
            Link("keyboard", "Keyboard", "On-screen keyboard, spell checker", "keyboard-outline"),
            Link("gestures", "Gestures", "One-handed mode, Quick Tap", "gesture-tap"),
            Link("date_time", "Date & time", "GMT+00:00 Coordinated Universal Time", "clock-outline"),
            Switch("backup", "Backup", "Back up apps and device settings"),
            Link("features", "Phone features", "What this phone has beyond others", "star-outline"),
        ),
    ),
    "features": SettingsPage("Phone features"),
    "languages": SettingsPage("Languages"),
    "keyboard": SettingsPage("Keyboard", (Switch("spell_checker", "Spell checker"),)),
    "gestures": SettingsPage(
        "Gestures",
        (
            Switch("quick_tap", "Quick Tap", "Tap twice on the back of the phone"),
            Switch("one_handed_mode", "One-handed mode"),
        ),
    ),
    "date_time": SettingsPage(
        "Date & time",
        (
            Switch("automatic_time", "Set time automatically"),
            Switch("use_24_hour", "Use 24-hour format"),
        ),
    ),
    "about": SettingsPage(
        "About phone",
        (
            Section("Basic info"),
            Info("name", "Device name"),
            Info("number", "Phone number"),
            Section("Device details"),
            Info("model", "Model"),
            Info("android", "Android version"),
            Info("patch", "Security update"),
            Info("serial", "Serial number"),
            Section("Device identifiers"),
            Info("ip", "IP address"),
            Info("wifi_mac", "Wi-Fi MAC address"),
            Info("bluetooth_mac", "Bluetooth address"),
            Info("up_time", "Up time"),
            Info("kernel", "Kernel version"),
            Info("build", "Build number"),
        ),
    ),
}

# Rows that pages with their own view show; listed so that search and tasks know them.
EXTRA_ROWS: dict[str, tuple[Row, ...]] = {
    "internet": (Switch("wifi", "Wi-Fi"),),
    "connected": (
        Switch("bluetooth", "Bluetooth"),
        Switch("nfc", "NFC", "Exchange data when the phone touches another device"),
        Switch("nearby_share", "Nearby Share"),
        Link("pair", "Pair new device", "", "plus"),
    ),
    "apps": (Link("default_apps", "Default apps", "Browser, assistant", "application-cog-outline"),),
    "storage": (Switch("smart_storage", "Smart Storage", "Remove backed up photos and videos"),),
    "wallpaper": (Switch("themed_icons", "Themed icons"),),
}


def rows_of(page: str) -> tuple[Row, ...]:
    """Return every row of `page` that does not depend on data."""
    return PAGES[page].rows + EXTRA_ROWS.get(page, ())


@lru_cache(maxsize=1)
def paths() -> dict[str, tuple[str, ...]]:
    """Return, for every page that links lead to, the titles to tap from the main page (the shortest way)."""
    found: dict[str, tuple[str, ...]] = {"main": ()}
    pending = ["main"]
    for page in pending:
        for row in rows_of(page):
            if isinstance(row, Link) and row.page not in found:
                found[row.page] = (*found[page], row.title)
                pending.append(row.page)
    return found


@lru_cache(maxsize=1)
def searchable() -> tuple[tuple[str, str, str], ...]:
    """Return (title, where it is, page to open) of everything that the search of Settings finds."""
    entries: dict[str, tuple[str, str, str]] = {}
    for page, way in paths().items():
        for row in rows_of(page):
            if isinstance(row, Section | Footer) or row.title in entries:
                continue
            target = row.page if isinstance(row, Link) else page
            entries[row.title] = (row.title, " > ".join(way), target)
    return tuple(entries.values())
