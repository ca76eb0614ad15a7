"""From an app's title to the package that a device starts for it. Called by `adb.AdbDevice`.

Android's shell does not tell the titles of apps; an agent names apps by title. So: the titles given in the settings,
then a table of well-known ones (the first package that is installed counts), then a package whose name holds the title.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

KNOWN: dict[str, tuple[str, ...]] = {
    "browser": ("com.android.browser", "com.android.chrome", "org.mozilla.firefox", "com.sec.android.app.sbrowser"),
    "calculator": ("com.google.android.calculator", "com.android.calculator2", "com.sec.android.app.popupcalculator"),
    "calendar": ("com.google.android.calendar", "com.android.calendar", "com.samsung.android.calendar"),
    "camera": (
        "com.google.android.GoogleCamera",
        "com.android.camera2",
        "com.android.camera",
        "com.sec.android.app.camera",
    ),
    "chrome": ("com.android.chrome",),
    "clock": ("com.google.android.deskclock", "com.android.deskclock", "com.sec.android.app.clockpackage"),
    "contacts": ("com.google.android.contacts", "com.android.contacts", "com.samsung.android.app.contacts"),
    "drive": ("com.google.android.apps.docs",),
    "files": ("com.google.android.apps.nbu.files", "com.google.android.documentsui", "com.android.documentsui"),
    "gallery": ("com.google.android.apps.photos", "com.sec.android.gallery3d", "com.android.gallery3d"),
    "gmail": ("com.google.android.gm",),
    "google": ("com.google.android.googlequicksearchbox",),
    "keep": ("com.google.android.keep",),
    "mail": ("com.google.android.gm", "com.android.email", "com.samsung.android.email.provider"),
    "maps": ("com.google.android.apps.maps",),
    "messages": ("com.google.android.apps.messaging", "com.android.mms", "com.samsung.android.messaging"),
    "music": ("com.google.android.apps.youtube.music", "com.android.music", "com.sec.android.app.music"),
    "notes": ("com.google.android.keep", "com.samsung.android.app.notes", "com.miui.notes"),
    "phone": ("com.google.android.dialer", "com.android.dialer", "com.samsung.android.dialer"),
    "photos": ("com.google.android.apps.photos",),
    "play store": ("com.android.vending",),
    "recorder": ("com.google.android.apps.recorder", "com.android.soundrecorder", "com.sec.android.app.voicenote"),
    "settings": ("com.android.settings",),
    "store": ("com.android.vending",),
    "tasks": ("com.google.android.apps.tasks",),
    "youtube": ("com.google.android.youtube",),
}


def find_package(name: str, installed: Collection[str], given: Mapping[str, str]) -> str | None:
    """Return the package for an app's title or package name, None if there is no such app."""
    wanted = name.strip().casefold()
    by_name = {package.casefold(): package for package in installed}
    if wanted in by_name:
        return by_name[wanted]
    titles = {title.casefold(): package for title, package in given.items()}
    if wanted in titles:
        return titles[wanted]
    for package in KNOWN.get(wanted, ()):
        if package in installed:
            return package
    words = wanted.replace(" ", "")
    named = [package for lowered, package in sorted(by_name.items()) if words and words in lowered.split(".")[1:]]
    return named[0] if named else None
