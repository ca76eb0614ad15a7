"""Text of the embedded phone can be read: the contrast of every screen, and OCR of a sample if RapidOCR is there."""

from __future__ import annotations

import importlib.util

import msgspec
import pytest
from bench_fakes import run_benchmark

from android_env_gym.phone.apps.notes.palette import COLORS
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.sheet import states
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.phone.system.reduce import with_system
from android_env_gym.phone.ui.theme import parse_hex, theme
from android_env_gym.phone.web.small_sites import SMALL_SITES
from benchmarks.legibility import (
    LEAST_CONTRAST,
    Box,
    Frame,
    contrasts,
    contrasts_of,
    line_boxes,
    ratio,
    reading,
    same,
    shown_texts,
)


def test_every_text_of_every_screen_stands_out_light_and_dark() -> None:
    found = contrasts()
    assert len(found) > 2000
    assert [item for item in found if item.ratio < LEAST_CONTRAST] == []


@pytest.mark.parametrize("wallpaper", range(6))
@pytest.mark.parametrize("rotation", [0, 1])
def test_every_text_on_a_wallpaper_stands_out(wallpaper: int, rotation: int) -> None:
    state = with_system(SimPhone(DeviceConfig(wallpaper=wallpaper), seed=7).state, rotation=rotation)
    found = contrasts_of(state)
    assert len(found) >= 9
    assert [item for item in found if item.ratio < LEAST_CONTRAST] == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_on_every_colour_of_a_note_and_the_name_of_every_site_on_its_bar(dark: bool) -> None:
    for pair in COLORS.values():
        assert ratio(theme(dark).color("on_surface_variant"), parse_hex(pair[dark])) >= LEAST_CONTRAST
    for site in SMALL_SITES:
        assert ratio((255, 255, 255), parse_hex(site.color)) >= LEAST_CONTRAST, site.name


def test_ratio_is_that_of_wcag() -> None:
    assert ratio((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert ratio((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


def test_what_is_read_is_compared_letter_for_letter() -> None:
    assert same("About 1 day, 6 hr", "About 1 day,6hr")
    assert same("Time\u2019s up", "Time's up")
    assert not same("4.5 (1,203)", "4.5 (1,208)")
    assert not same("Notes", "notes")


def test_a_perfect_reader_reads_everything_and_a_blind_one_nothing() -> None:
    texts: list[list[tuple[Box, str]]] = []
    for dark in (False, True):
        for state in states(dark_theme=dark)[::20]:
            leaves = list(shown_texts(state))
            texts.append([pair for leaf in leaves for pair in zip(line_boxes(leaf, 1.5), leaf.lines, strict=True)])
    pages = iter(texts)

    def perfect(frame: Frame) -> list[tuple[Box, str]]:
        return next(pages)

    right = reading(perfect, 20)["read_exactly"]
    assert right["k"] == right["n"] > 80
    assert reading(lambda frame: [], 20)["read_exactly"]["k"] == 0


def test_a_text_that_is_cut_or_below_a_pop_up_does_not_count() -> None:
    state = next(item for item in states() if dict(item.system.stacks[-1].pages[-1].fields).get("dialog_arg") == "3,5")
    chosen = msgspec.structs.replace(state.system.stacks[-1].pages[-1], dialog="paint")
    stack = msgspec.structs.replace(state.system.stacks[-1], pages=(chosen,))
    below = with_system(state, stacks=(*state.system.stacks[:-1], stack))
    assert [leaf.node.text for leaf in shown_texts(below)] == ["Color"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("rapidocr") is None, reason="RapidOCR is not installed (extra bench)")
def test_legibility_quick() -> None:
    results = run_benchmark("legibility", "--quick")["results"]
    assert results["contrast_least"] >= LEAST_CONTRAST
    assert results["read_exactly"]["n"] > 100
    assert results["read_exactly"]["rate"] > 0.9
