"""The benchmarks of real devices run and print what they promise; what they find wrong, they say."""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
import pytest
from bench_fakes import check_summary, run_benchmark

from android_env_gym.actions import OpenApp, PressKey, Swipe, Tap
from android_env_gym.phone.phone import SimPhone
from benchmarks.adb_faults import KINDS, OPERATIONS, Cell, Seat, as_table, strike
from benchmarks.adb_oracle import Episode
from benchmarks.adb_oracle import results_of as oracle_results
from benchmarks.adb_rivals import OURS, Plain, draw_actions, rival_names
from benchmarks.adb_speed import JPEG_QUALITY, Tally, results_of, shows
from benchmarks.measure import share
from benchmarks.served_phones import MovingPhone, PhoneProcess


@pytest.mark.slow
def test_adb_speed_quick():
    results = run_benchmark("adb_speed", "--quick")["results"]
    for setting in ("at_once", "moving"):
        found = results[setting]
        assert set(found["rivals"]) == set(rival_names())
        assert set(found["ratio_of_environment_to"]) == set(rival_names()) - {OURS}
        for measures in found["rivals"].values():
            check_summary(measures["steps_per_second"])
            assert measures["early_frames"]["n"] == 4
    assert results["moving"]["rivals"]["adbutils_not_waiting"]["early_frames"]["k"] > 0
    assert set(results["calls"]) == {"screenshot", "tap", "hierarchy"}
    for calls in results["calls"].values():
        for measure in calls["ms"].values():
            check_summary(measure)


@pytest.mark.slow
def test_adb_oracle_quick():
    results = run_benchmark("adb_oracle", "--quick", "--suite", "starter")["results"]
    assert results["solved"]["k"] == results["solved"]["n"] == len(results["templates"]) == 3
    assert results["problems"] == {}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "operation"), [("drop", "tap"), ("truncate_png", "look"), ("reboot", "open")])
def test_a_fault_is_struck_and_noted(adb_host, kind, operation):
    cell = Cell()
    with contextlib.ExitStack() as stack:
        seat = Seat(stack, seed=1)
        strike(seat, kind, operation, "before", cell)
        adb_host.run("disconnect", seat.server.serial)
    assert cell.struck == 1 and cell.wrongs == 0
    assert (cell.good, cell.failed) == ((1, 0) if kind == "truncate_png" else (0, 1))


@pytest.mark.slow
def test_what_a_fault_must_not_do_is_seen(adb_host, monkeypatch):
    with contextlib.ExitStack() as stack:
        seat = Seat(stack, seed=1)
        monkeypatch.setattr(type(seat.device), "_send", lambda self, action: None)  # input that is lost in silence
        monkeypatch.setattr(seat, "start", lambda: True)
        seat.env.reset(seed=0)
        cell = Cell()
        seat.server.faults.inject("truncate_png", match="screencap")
        strike(seat, "truncate_png", "open", "before", cell)
        adb_host.run("disconnect", seat.server.serial)
    assert cell.disguised == 1 and cell.wrongs == 1 and cell.good == 0


def test_the_matrix_has_a_row_per_fault_and_a_column_per_operation():
    cells = {kind: {name: Cell() for name in OPERATIONS} for kind in KINDS}
    cells["drop"]["tap"] = Cell(repeats=2, struck=2, good=1, failed=1, hung=1, slowest=3.21)
    table = as_table(cells)
    assert table.row_count == len(KINDS) and len(table.columns) == len(OPERATIONS) + 1
    assert "1 + 1 of 2  3.2 s  1 WRONG" in list(table.columns[list(OPERATIONS).index("tap") + 1].cells)


def test_a_moving_phone_shows_what_was_there_then_both_then_the_new():
    phone = SimPhone(seed=1)
    served = MovingPhone(phone, react_seconds=30.0, move_seconds=30.0)
    before = served.frame()
    served.tap(1, 1)
    assert np.array_equal(served.frame(), phone.screenshot())  # nothing changed, so nothing moves
    served.launch("com.android.settings")
    after = phone.screenshot()
    assert not np.array_equal(before, after) and np.array_equal(served.frame(), before)
    served._since -= 45.0
    halfway = served.frame()
    assert not np.array_equal(halfway, before) and not np.array_equal(halfway, after)
    served._since -= 45.0
    assert np.array_equal(served.frame(), after)


def test_phones_in_another_process_start_alike_and_turn():
    with PhoneProcess(2) as phones:
        assert len(set(phones.serials)) == 2
        start = phones.truth(0)
        assert np.array_equal(start, SimPhone(seed=1).screenshot())
        phones.turn(0)
        assert not np.array_equal(phones.truth(0), start) and np.array_equal(phones.truth(1), start)
        phones.restore(0)
        assert np.array_equal(phones.truth(0), start)


def test_a_screenshot_is_told_from_another_even_as_a_jpeg():
    phone = SimPhone(seed=1)
    home = phone.screenshot()
    phone.perform(OpenApp("Settings"))
    settings = phone.screenshot()
    coded = cv2.imencode(".jpg", home[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    jpeg = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    moving = cv2.addWeighted(home, 0.9, settings, 0.1, 0.0)
    assert shows(home, home) and shows(jpeg, home)
    assert not shows(jpeg, settings) and not shows(moving, home) and not shows(home[:-1], home)


def test_actions_are_the_same_for_all_and_reach_many_screens():
    drawn = [list(draw_actions(np.random.default_rng(3), SimPhone(seed=1), 60)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert {type(action) for action in drawn[0]} == {Tap, Swipe, PressKey, OpenApp}


def test_a_plain_use_that_compares_takes_the_first_frame_that_comes_twice():
    shown = [1, 2, 3, 3, 4]
    plain = Plain(lambda action: None, lambda: np.full((4, 4, 3), shown.pop(0), np.uint8), "two_alike")
    plain.step(Tap(0.5, 0.5))
    assert plain.frame[0, 0, 0] == 3 and shown == [4]


def test_results_are_ratios_to_ours_and_shares_of_frames():
    ours, rival = Tally(), Tally()
    ours.rates, ours.early, ours.screens = [10.0, 10.0], [False] * 4, [1, 2, 3, 4]
    rival.rates, rival.early, rival.screens = [2.0, 3.0], [True, False, True, False], [1, 2, 3, 5]
    found = results_of({OURS: ours, "adbutils_not_waiting": rival})
    assert found["ratio_of_environment_to"]["adbutils_not_waiting"]["ratio"] == 4.0
    assert found["rivals"]["adbutils_not_waiting"]["early_frames"]["rate"] == 0.5
    assert found["rivals"]["adbutils_not_waiting"]["same_screens"] == 3
    episodes = {"a": [Episode(4, 2.0, ""), Episode(2, 1.0, "stuck")]}
    solved = oracle_results(episodes)
    assert solved["solved"]["k"] == 1 and solved["problems"] == {"a 1": "stuck"}
    assert solved["seconds_per_step"]["median"] == 0.5


def test_a_share_has_a_wilson_interval():
    found = share(9, 10)
    assert found["rate"] == 0.9 and found["low"] == pytest.approx(0.5958, abs=1e-3)
    assert found["high"] == pytest.approx(0.9821, abs=1e-3)
