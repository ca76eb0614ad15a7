"""Times of day and dates as the phone writes them, in its language and in 12 or 24 hours; every screen asks here.

Moments are virtual milliseconds since the epoch; the phone's time zone is UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime

from android_env_gym.phone.languages import LANGUAGES
from android_env_gym.phone.state import DeviceSettings


def show_time(hour: int, minute: int, twenty_four: bool = False) -> str:
    """Return a time of day as shown, e.g. "7:05 PM", or "19:05" if the phone counts `twenty_four` hours."""
    if twenty_four:
        return f"{hour}:{minute:02d}"
    return f"{hour % 12 or 12}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


def time_of_day(at: int, settings: DeviceSettings) -> str:
    """Return the time of day of a moment."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return show_time(moment.hour, moment.minute, settings.use_24_hour)


def weekday(at: int, settings: DeviceSettings) -> str:
    """Return the short name of a moment's day, e.g. "Sat"."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return LANGUAGES[settings.language].short_weekdays[moment.weekday()]


def full_date(at: int, settings: DeviceSettings) -> str:
    """Return a date with its day, e.g. "Saturday, March 28"."""
    return _written(at, settings, LANGUAGES[settings.language].full_date)


def short_full_date(at: int, settings: DeviceSettings) -> str:
    """Return a short date with its day, e.g. "Sat, Mar 28"."""
    return _written(at, settings, LANGUAGES[settings.language].short_full_date, short=True)


def short_date(at: int, settings: DeviceSettings) -> str:
    """Return a short date, e.g. "Mar 28"."""
    return _written(at, settings, LANGUAGES[settings.language].short_date, short=True)


def long_date(at: int, settings: DeviceSettings) -> str:
    """Return a date with its year, e.g. "March 28, 2026"."""
    return _written(at, settings, LANGUAGES[settings.language].long_date)


def _written(at: int, settings: DeviceSettings, pattern: str, short: bool = False) -> str:
    language, moment = LANGUAGES[settings.language], datetime.fromtimestamp(at / 1000, UTC)
    days = language.short_weekdays if short else language.weekdays
    months = language.short_months if short else language.months
    return pattern.format(
        weekday=days[moment.weekday()],
        day=moment.day,
        month=months[moment.month - 1],
        number=moment.month,
        year=moment.year,
    )
