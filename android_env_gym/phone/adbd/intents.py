"""Intents: what `am start` and links open, as pages of the phone's apps. One function: `open_intent`."""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from android_env_gym.phone.adbd.packages import APP_PACKAGES, Package, activity_of
from android_env_gym.phone.adbd.served import EVENT_S, ServedPhone
from android_env_gym.phone.apps.browser.state import Visited
from android_env_gym.phone.apps.contacts.screens import form_page
from android_env_gym.phone.apps.messages.state import MessagesState, StartChat
from android_env_gym.phone.apps.settings.catalog import PAGES as SETTINGS_PAGES
from android_env_gym.phone.state import Home, Launch, Open, Page, SetField
from android_env_gym.phone.ui.node import Event
from android_env_gym.phone.web import internet
from android_env_gym.phone.world.edit import app_of

_ACTION = "android.intent.action."
# android.provider.Settings: action -> settings page.
_SETTINGS_ACTIONS: dict[str, str] = {
    "SETTINGS": "main",
    "WIFI_SETTINGS": "internet",
    "WIRELESS_SETTINGS": "network",
    "AIRPLANE_MODE_SETTINGS": "network",
    "NETWORK_OPERATOR_SETTINGS": "sims",
    "BLUETOOTH_SETTINGS": "connected",
    "NFC_SETTINGS": "connected",
    "DISPLAY_SETTINGS": "display",
    "SOUND_SETTINGS": "sound",
    "ZEN_MODE_SETTINGS": "do_not_disturb",
    "NOTIFICATION_SETTINGS": "notifications",
    "APPLICATION_SETTINGS": "apps",
    "MANAGE_DEFAULT_APPS_SETTINGS": "default_apps",
    "BATTERY_SAVER_SETTINGS": "battery_saver",
    "INTERNAL_STORAGE_SETTINGS": "storage",
    "LOCATION_SOURCE_SETTINGS": "location",
    "SECURITY_SETTINGS": "security",
    "ACCESSIBILITY_SETTINGS": "accessibility",
    "LOCALE_SETTINGS": "languages",
    "INPUT_METHOD_SETTINGS": "keyboard",
    "SYNC_SETTINGS": "accounts",
    "DEVICE_INFO_SETTINGS": "about",
}


class Intent(msgspec.Struct, frozen=True):
    """What is asked for; `extras` are texts, whatever their type."""

    action: str = ""
    data: str = ""
    type: str = ""
    categories: tuple[str, ...] = ()
    component: str = ""
    package: str = ""
    extras: tuple[tuple[str, str], ...] = ()
    flags: int = 0

    def extra(self, *names: str) -> str:
        """Return the first of these extras that is there, "" if none is."""
        values = dict(self.extras)
        return next((values[name] for name in names if name in values), "")

    def __str__(self) -> str:
        parts = [f"act={self.action}"] if self.action else []
        parts += [f"cat=[{','.join(self.categories)}]"] if self.categories else []
        parts += [f"dat={self.data}"] if self.data else []
        parts += [f"typ={self.type}"] if self.type else []
        parts += [f"flg=0x{self.flags:x}"] if self.flags else []
        parts += [f"pkg={self.package}"] if self.package else []
        parts += [f"cmp={self.component}"] if self.component else []
        parts += ["(has extras)"] if self.extras else []
        return f"Intent {{ {' '.join(parts)} }}"


class UnresolvedError(LookupError):
    """No app answers the intent; the message is the activity manager's."""


def open_intent(served: ServedPhone, intent: Intent) -> None:
    """Open what the intent asks for; takes the time of one action.

    Raises:
        UnresolvedError: No app answers it.
    """
    with served.lock:
        target = _named(intent)
        if target is not None and not _asks_more(intent):
            served.launch(target.name)
            return
        events = _events(served, intent)
        for event in events:
            served.handle(event)
        served.wait(EVENT_S)


def _named(intent: Intent) -> Package | None:
    """Return the app that the intent names, None if it names none."""
    package, slash, activity = intent.component.partition("/")
    name = package or intent.package
    if not name:
        return None
    found = next((item for item in APP_PACKAGES if item.name == name), None)
    full = package + activity if activity.startswith(".") else activity
    if found is None or (slash and full not in _activities(found)):
        raise UnresolvedError(f"Error type 3\nError: Activity class {{{intent.component or name}}} does not exist.")
    return found


def _activities(package: Package) -> set[str]:
    short = package.activity.rpartition(".")[2]
    return {package.activity, f"{package.name}.{short}", activity_of(Page(package.app_id, "behind"))}


def _asks_more(intent: Intent) -> bool:
    return bool(intent.data) or intent.action not in ("", _ACTION + "MAIN", _ACTION + "VIEW")


def _events(served: ServedPhone, intent: Intent) -> tuple[Event, ...]:
    """Return what happens on the phone, in order."""
    action, scheme = intent.action.removeprefix(_ACTION), intent.data.partition(":")[0].lower()
    if "android.intent.category.HOME" in intent.categories:
        return (Home(),)
    if action == "WEB_SEARCH":
        return Launch("browser"), Visited(internet.search_url(intent.extra("query")))
    if action == "VIEW" and scheme in ("http", "https"):
        return Launch("browser"), Visited(internet.address(intent.data))
    if action in ("SENDTO", "VIEW") and scheme in ("sms", "smsto", "mms", "mmsto"):
        return _compose(served, unquote(intent.data.partition(":")[2].partition("?")[0]), intent)
    if action in ("INSERT", "INSERT_OR_EDIT") and "contact" in intent.type + intent.data:
        return (Open(_contact_form(intent)),)
    if found := re.search(r"com\.android\.contacts/(?:contacts(?:/lookup/\w+)?|raw_contacts)/(\d+)", intent.data):
        return (Open(Page("contacts", "person", found.group(1))),)
    if action == "SHOW_ALARMS":
        return (Launch("clock"),)
    if (page := _settings_page(served, intent)) is not None:
        return (Open(page),)
    raise UnresolvedError(f"Error: Activity not started, unable to resolve {intent}")


def _settings_page(served: ServedPhone, intent: Intent) -> Page | None:
    name = intent.action.removeprefix("android.settings.")
    if intent.action == name:
        return None
    if name == "APPLICATION_DETAILS_SETTINGS":
        package = intent.data.removeprefix("package:")
        found = next((item for item in APP_PACKAGES if item.name == package), None)
        listed = found is not None and found.app_id in served.state.system.home_order
        return Page("settings", "app", found.app_id) if found is not None and listed else None
    page = _SETTINGS_ACTIONS.get(name)
    return Page("settings", page) if page in SETTINGS_PAGES else None


def digits(number: str) -> str:
    """Return the digits of a phone number: "(415) 555-0123" and "4155550123" are the same."""
    return re.sub(r"\D", "", number)


def _compose(served: ServedPhone, number: str, intent: Intent) -> tuple[Event, ...]:
    chats = app_of(served.state, MessagesState).conversations
    known = next((item for item in chats if digits(item.phone) == digits(number)), None)
    start = StartChat(known.name, known.phone) if known is not None else StartChat(number, number)
    body = intent.extra("sms_body", "android.intent.extra.TEXT")
    return Open(Page("messages", "new")), start, *((SetField("draft", body),) if body else ())


def _contact_form(intent: Intent) -> Page:
    first, _, last = intent.extra("name").partition(" ")
    values = {"first": first, "last": last, "phone": intent.extra("phone"), "email": intent.extra("email")}
    values["company"] = intent.extra("company")
    page = form_page(None)
    for name, value in values.items():
        page = page.with_field(name, value) if value else page
    return page
