"""What Android would know about the installed apps as packages: one table, used by the shell and by uiautomator2.

Package names belong to the apps (`App.package`); here are activities, versions and the packages that are no app.
"""

from __future__ import annotations

import msgspec

from android_env_gym.phone.apps import APP_BY_ID, APPS
from android_env_gym.phone.state import Page

SYSTEM_UI = "com.android.systemui"
ADB_KEYBOARD = "com.github.uiautomator"
LATIN_KEYBOARD = "com.google.android.inputmethod.latin"
LATIN_IME = f"{LATIN_KEYBOARD}/com.android.inputmethod.latin.LatinIME"
ADB_KEYBOARD_IME = f"{ADB_KEYBOARD}/.AdbKeyboard"
FIRST_APP_UID = 10_100
FIRST_APP_PID = 4_100


class Package(msgspec.Struct, frozen=True):
    """An installed package. `app_id` is "" for what has no icon; `activity` is its main activity, fully qualified."""

    name: str
    app_id: str = ""
    activity: str = ""
    version: str = "15"
    code: int = 35
    system: bool = True
    uid: int = 1000
    pid: int = 1000

    @property
    def path(self) -> str:
        """Return where its APK lies."""
        folder = "/product/app" if self.system else "/data/app/~~phone=="
        return f"{folder}/{self.name}/base.apk"


# app id -> (main activity, activity of the pages behind the first, version, version code)
_ACTIVITIES: dict[str, tuple[str, str, str, int]] = {
    "launcher": ("com.google.android.apps.nexuslauncher.NexusLauncherActivity", "", "15", 35),
    "browser": ("com.android.browser.BrowserActivity", "", "12.4.1", 1_240_100),
    "clock": ("com.android.deskclock.DeskClock", "com.android.deskclock.settings.SettingsActivity", "7.10", 74_001_201),
    "contacts": (
        "com.android.contacts.activities.PeopleActivity",
        "com.google.android.apps.contacts.quickcontact.QuickContactActivity",
        "4.46.33",
        4_463_300,
    ),
    "messages": (
        "com.google.android.apps.messaging.ui.ConversationListActivity",
        "com.google.android.apps.messaging.conversation.screen.ConversationActivity",
        "20250304",
        255_000_063,
    ),
    "notes": (
        "com.google.android.keep.activities.BrowseActivity",
        "com.google.android.keep.activities.EditorActivity",
        "5.25.092",
        215_660_000,
    ),
    "settings": ("com.android.settings.Settings", "com.android.settings.SubSettings", "15", 35),
}


def _app_packages() -> tuple[Package, ...]:
    found = []
    for index, app in enumerate(APPS):
        default = (f"{app.package}.MainActivity", "", "1.0", 1)
        activity, _, version, code = _ACTIVITIES.get(app.id, default)
        uid = 1000 if app.id == "settings" else FIRST_APP_UID + index
        found.append(Package(app.package, app.id, activity, version, code, True, uid, FIRST_APP_PID + 17 * index))
    return tuple(found)


APP_PACKAGES: tuple[Package, ...] = _app_packages()
SYSTEM_PACKAGES: tuple[Package, ...] = (
    Package("android", uid=1000, pid=1412),
    Package(SYSTEM_UI, activity="com.android.systemui.SystemUIService", uid=10_081, pid=1988),
    Package("com.android.providers.contacts", uid=10_062, pid=2551),
    Package("com.android.providers.telephony", uid=1001, pid=2207),
    Package("com.android.providers.settings", uid=1000, pid=1412),
    Package("com.android.shell", uid=2000, pid=3620),
    Package(LATIN_KEYBOARD, uid=10_090, pid=2410, version="14.9.06", code=148_331_014),
)
ADB_KEYBOARD_PACKAGE = Package(ADB_KEYBOARD, version="2.4.0", code=20_400, system=False, uid=10_199, pid=5_990)


def find_package(name: str) -> Package | None:
    """Return the preinstalled package with this name, None if there is none."""
    return next((item for item in (*APP_PACKAGES, *SYSTEM_PACKAGES) if item.name == name), None)


def package_of_app(app_id: str) -> Package:
    """Return the package of the app with this id.

    Raises:
        KeyError: No app has this id.
    """
    name = APP_BY_ID[app_id].package
    return next(item for item in APP_PACKAGES if item.name == name)


def activity_of(page: Page) -> str:
    """Return the fully qualified activity that shows `page`."""
    package = package_of_app(page.app)
    behind = _ACTIVITIES.get(page.app, ("", "", "", 0))[1]
    return behind if behind and page.name != "main" else package.activity


def short_activity(package: str, activity: str) -> str:
    """Return an activity as Android prints it: ".Name" where it lies in the package itself."""
    return activity.removeprefix(package) if activity.startswith(package + ".") else activity
