"""Android's key codes: names to numbers, and what the phone does with them. Read by `ServedPhone.key` and the shell."""

from __future__ import annotations

from android_env_gym.actions import Key

# android.view.KeyEvent, KEYCODE_* 0-288 in the order of their numbers, where the phone or its clients use them.
KEYCODES: dict[str, int] = {
    "UNKNOWN": 0, "SOFT_LEFT": 1, "SOFT_RIGHT": 2, "HOME": 3, "BACK": 4, "CALL": 5, "ENDCALL": 6,
    **{str(digit): 7 + digit for digit in range(10)},
    "STAR": 17, "POUND": 18, "DPAD_UP": 19, "DPAD_DOWN": 20, "DPAD_LEFT": 21, "DPAD_RIGHT": 22, "DPAD_CENTER": 23,
    "VOLUME_UP": 24, "VOLUME_DOWN": 25, "POWER": 26, "CAMERA": 27, "CLEAR": 28,
    **{chr(ord("A") + index): 29 + index for index in range(26)},
    "COMMA": 55, "PERIOD": 56, "ALT_LEFT": 57, "ALT_RIGHT": 58, "SHIFT_LEFT": 59, "SHIFT_RIGHT": 60, "TAB": 61,
    "SPACE": 62, "SYM": 63, "EXPLORER": 64, "ENVELOPE": 65, "ENTER": 66, "DEL": 67, "GRAVE": 68, "MINUS": 69,
    "EQUALS": 70, "LEFT_BRACKET": 71, "RIGHT_BRACKET": 72, "BACKSLASH": 73, "SEMICOLON": 74, "APOSTROPHE": 75,
    "SLASH": 76, "AT": 77, "NUM": 78, "HEADSETHOOK": 79, "FOCUS": 80, "PLUS": 81, "MENU": 82, "NOTIFICATION": 83,
    "SEARCH": 84, "MEDIA_PLAY_PAUSE": 85, "MEDIA_STOP": 86, "MEDIA_NEXT": 87, "MEDIA_PREVIOUS": 88,
    "MEDIA_REWIND": 89, "MEDIA_FAST_FORWARD": 90, "MUTE": 91, "PAGE_UP": 92, "PAGE_DOWN": 93, "ESCAPE": 111,
    "FORWARD_DEL": 112, "CTRL_LEFT": 113, "CTRL_RIGHT": 114, "CAPS_LOCK": 115, "META_LEFT": 117, "META_RIGHT": 118,
    "MOVE_HOME": 122, "MOVE_END": 123, "INSERT": 124,
    **{f"NUMPAD_{digit}": 144 + digit for digit in range(10)},
    "NUMPAD_ENTER": 160, "VOLUME_MUTE": 164, "SETTINGS": 176, "APP_SWITCH": 187, "BRIGHTNESS_DOWN": 220,
    "BRIGHTNESS_UP": 221, "SLEEP": 223, "WAKEUP": 224, "CUT": 277, "COPY": 278, "PASTE": 279, "ALL_APPS": 284,
}  # fmt: skip
_ALIASES = {"DELETE": "DEL", "RECENTS": "APP_SWITCH", "RECENT": "APP_SWITCH"}
HIGHEST_KEYCODE = 316
NAMES: dict[int, str] = {number: name for name, number in KEYCODES.items()}

# Keys that the typed actions of an agent have too: same key, same event, same time.
ACTION_KEYS: dict[str, Key] = {
    "BACK": "back",
    "HOME": "home",
    "APP_SWITCH": "recents",
    "ENTER": "enter",
    "NUMPAD_ENTER": "enter",
    "DEL": "delete",
}
CHARACTERS: dict[str, str] = {
    **{str(digit): str(digit) for digit in range(10)},
    **{f"NUMPAD_{digit}": str(digit) for digit in range(10)},
    **{chr(ord("A") + index): chr(ord("a") + index) for index in range(26)},
    "STAR": "*", "POUND": "#", "COMMA": ",", "PERIOD": ".", "SPACE": " ", "GRAVE": "`", "MINUS": "-", "EQUALS": "=",
    "LEFT_BRACKET": "[", "RIGHT_BRACKET": "]", "BACKSLASH": "\\", "SEMICOLON": ";", "APOSTROPHE": "'", "SLASH": "/",
    "AT": "@", "PLUS": "+",
}  # fmt: skip
SHIFTED: dict[str, str] = dict(
    zip("1234567890-=[]\\;',./`", '!@#$%^&*()_+{}|:"<>?~', strict=True)
)  # on the US layout; letters become capitals


def key_name(name_or_code: str | int) -> str:
    """Return the canonical name ("BACK") of a key given as "KEYCODE_BACK", "back", 4 or "4".

    A number without a name here, such as a media key, is returned as its digits behind "#".

    Raises:
        KeyError: Android has no such key.
    """
    if isinstance(name_or_code, str) and not name_or_code.strip().isdecimal():
        name = name_or_code.strip().upper().removeprefix("KEYCODE_")
        name = _ALIASES.get(name, name)
        if name in KEYCODES:
            return name
    elif 0 <= (code := int(name_or_code)) <= HIGHEST_KEYCODE:
        return NAMES.get(code, f"#{code}")
    raise KeyError(
        f"no key {name_or_code!r}; allowed: a number from 0 to {HIGHEST_KEYCODE}, or KEYCODE_ and a name such as BACK"
    )
