"""The kinds of rows that a settings page can have; `catalog` lists the rows, `rows` draws them."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct, frozen=True):
    """A heading between rows."""

    title: str


class Switch(msgspec.Struct, frozen=True):
    """A row with a switch for the boolean `setting`."""

    setting: str
    title: str
    subtitle: str = ""


class Link(msgspec.Struct, frozen=True):
    """A row that opens `page`."""

    page: str
    title: str
    subtitle: str = ""
    icon: str = ""
    color: str = ""


class Choice(msgspec.Struct, frozen=True):
    """A row that opens a dialog of (value, label) `options` for `setting`."""

    setting: str
    title: str
    options: tuple[tuple[int | str, str], ...]


class Level(msgspec.Struct, frozen=True):
    """A row with a slider for `setting` in [0, 1]."""

    setting: str
    title: str
    icon: str


class Info(msgspec.Struct, frozen=True):
    """A row that shows the field `key` of `Hardware`."""

    key: str
    title: str


class Footer(msgspec.Struct, frozen=True):
    """A paragraph of explanation."""

    text: str


Row = Section | Switch | Link | Choice | Level | Info | Footer


class SettingsPage(msgspec.Struct, frozen=True):
    """A page: its title and rows. Pages that need more than rows are drawn by their own view."""

    title: str
    rows: tuple[Row, ...] = ()
