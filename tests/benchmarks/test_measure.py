from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.measure import commit, ratio, report, summary


def test_summary_is_the_median_with_an_interval_that_narrows():
    rng = np.random.default_rng(0)
    few, many = summary(rng.normal(10, 1, 20)), summary(rng.normal(10, 1, 2000))
    assert few["low"] <= few["median"] <= few["high"] and few["n"] == 20
    assert many["high"] - many["low"] < few["high"] - few["low"]
    assert many["low"] < 10 < many["high"]


def test_ratio_pairs_repetitions():
    # Both rivals vary tenfold with the machine's load, together; their ratio does not.
    load = np.linspace(1, 10, 30)
    found = ratio(3 * load, load)
    assert found["ratio"] == pytest.approx(3)
    assert found["low"] == pytest.approx(3) and found["high"] == pytest.approx(3)
    assert found["n"] == 30


def test_ratio_copes_with_a_rival_that_once_finished_nothing_but_not_with_one_that_never_did():
    found = ratio([4.0, 4.0, 4.0], [0.0, 2.0, 4.0])
    assert found["ratio"] == pytest.approx(2)
    assert 0 < found["low"] <= found["high"] < np.inf
    with pytest.raises(ValueError, match="measure for longer"):
        ratio([1.0, 2.0], [0.0, 0.0])


def test_report_is_one_line_of_json():
    line = report("some", 3, {"speed": summary([1.0, 2.0, 3.0])})
    assert "\n" not in line
    found = json.loads(line)
    assert found["n"] == 3 and found["results"]["speed"]["median"] == 2.0
    assert found["commit"] == commit()
