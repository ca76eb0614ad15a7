"""Task sampling by p(1-p) mixed with uniform."""

import msgspec
import numpy as np
import pytest

from distrl_trainer.curriculum import Curriculum, RunningMeans, draw_task


def test_probabilities_follow_p_one_minus_p_mixed_with_uniform():
    curriculum = Curriculum(["a", "b", "c"], uniform=0.2, rate=0.01)
    for _ in range(400):
        curriculum.record("a", True)
        curriculum.record("b", False)
    for turn in range(400):
        curriculum.record("c", turn % 2 == 0)
    estimates = np.array([curriculum.success[name] for name in "abc"])
    assert estimates[0] > 0.95 and estimates[1] < 0.05 and abs(estimates[2] - 0.5) < 0.1
    interest = estimates * (1 - estimates)
    expected = 0.8 * interest / interest.sum() + 0.2 / 3
    np.testing.assert_allclose(curriculum.probabilities(), expected)
    assert curriculum.probabilities().min() >= 0.2 / 3


def test_uniform_one_switches_it_off_and_certainty_falls_back_to_uniform():
    flat = Curriculum(["a", "b"], uniform=1.0)
    flat.record("a", True)
    np.testing.assert_allclose(flat.probabilities(), [0.5, 0.5])
    sure = Curriculum(["a", "b"], uniform=0.0, rate=1.0)
    sure.record("a", True)
    sure.record("b", False)
    np.testing.assert_allclose(sure.probabilities(), [0.5, 0.5])


def test_draws_match_the_probabilities_and_depend_on_the_generator_alone():
    probabilities = np.array([0.7, 0.0, 0.3])
    drawn = [draw_task("abc", probabilities * 5, np.random.default_rng(seed)) for seed in range(3000)]
    counts = {name: sum(item.template == name for item in drawn) for name in "abc"}
    assert counts["b"] == 0
    assert abs(counts["a"] / 3000 - 0.7) < 0.03
    assert draw_task("abc", probabilities, np.random.default_rng(5)) == draw_task(
        "abc", probabilities, np.random.default_rng(5)
    )
    assert len({item.instance for item in drawn}) > 2990


def test_state_round_trip_through_msgpack():
    curriculum = Curriculum(["a", "b"])
    for success in (True, True, False):
        curriculum.record("a", success)
    again = Curriculum(["a", "b"])
    again.load_state(msgspec.msgpack.decode(msgspec.msgpack.encode(curriculum.state())))
    curriculum.record("a", True)
    again.record("a", True)
    np.testing.assert_array_equal(again.probabilities(), curriculum.probabilities())


def test_running_mean_is_plain_at_first_and_then_exponential():
    means = RunningMeans(rate=0.1, start=0.0)
    for value in (1.0, 2.0, 3.0):
        means.record("k", value)
    assert means["k"] == pytest.approx(2.0)
    for _ in range(100):
        means.record("k", 10.0)
    assert means["k"] == pytest.approx(10.0, abs=0.01)
    assert means["unknown"] == 0.0 and means.count("k") == 103


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="at least one"):
        Curriculum([])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Curriculum(["a"], uniform=1.5)
