"""Staleness: the pace of versions and the gate's invariant under any interleaving."""

from __future__ import annotations

import logging
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl_trainer.staleness import (
    PublishPacer,
    StalenessCounts,
    StalenessGate,
    publish_interval,
)

seconds = st.floats(1e-3, 1e5)
lags = st.integers(0, 8)


@settings(deadline=None)
@given(seconds, st.integers(1, 50))
def test_a_slow_episode_ends_exactly_max_lag_versions_behind(p95: float, max_lag: int):
    assert p95 / publish_interval(p95, max_lag) == pytest.approx(max_lag)


def test_lag_zero_publishes_between_episodes_only():
    assert publish_interval(3.0, 0) == math.inf
    pacer = PublishPacer(max_lag=0)
    pacer.episode_ended(3.0)
    pacer.published(0.0)
    assert not pacer.may_publish(1e9, episodes_running=2)
    assert pacer.may_publish(1.0, episodes_running=0)


def test_pacer_uses_the_95th_percentile_of_recent_episodes():
    pacer = PublishPacer(max_lag=2)
    assert pacer.p95_seconds() == 0.0
    assert pacer.may_publish(0.0)
    for value in range(1, 101):
        pacer.episode_ended(float(value))
    assert pacer.p95_seconds() == 95.0
    pacer.published(10.0)
    assert not pacer.may_publish(10.0 + 47.4)
    assert pacer.may_publish(10.0 + 47.5)
    for _ in range(256):
        pacer.episode_ended(1.0)
    assert pacer.interval() == 0.5


events = st.lists(
    st.one_of(
        st.just(("publish", 0)),
        st.just(("start", 0)),
        st.tuples(st.just("step"), st.integers(0, 20)),
        st.tuples(st.just("end"), st.integers(0, 20)),
    ),
    max_size=120,
)


@settings(deadline=None)
@given(events, lags)
def test_nothing_admitted_ever_exceeds_max_lag(interleaving: list[tuple[str, int]], max_lag: int):
    """Collectors start, step with the version of that moment and end; the learner publishes whenever it likes."""
    gate = StalenessGate(max_lag)
    current, running, arrivals, admitted_lags = 0, [], 0, []
    for kind, pick in interleaving:
        if kind == "publish":
            current += 1
        elif kind == "start":
            running.append([current])
        elif running and kind == "step":
            running[pick % len(running)].append(current)
        elif running:
            versions = running.pop(pick % len(running))
            arrivals += 1
            lag = current - min(versions)
            assert gate.arrive(min(versions), current) == (lag <= max_lag)
            admitted_lags += [lag] if lag <= max_lag else []
    counts = gate.counts
    assert counts.max_lag_admitted == max(admitted_lags, default=0) <= max_lag
    assert (counts.admitted, counts.admitted + counts.dropped) == (len(admitted_lags), arrivals)
    assert len(gate.lags()) == sum(counts.histogram.values()) == arrivals


@settings(deadline=None)
@given(st.lists(st.tuples(seconds, st.floats(0.0, 1.0)), min_size=1, max_size=30), st.integers(1, 5))
def test_paced_versions_keep_episodes_of_p95_length_within_the_bound(timeline, max_lag: int):
    """An episode as long as the p95 sees at most `max_lag` versions at the paced interval, whatever its phase."""
    pacer = PublishPacer(max_lag)
    for duration, _ in timeline:
        pacer.episode_ended(duration)
    interval, p95 = pacer.interval(), pacer.p95_seconds()
    for _, phase in timeline:
        start = phase * interval
        published = math.floor((start + p95 * (1 - 1e-9)) / interval) - math.floor(start / interval)
        assert published <= max_lag


def test_gate_warns_once_above_its_share(caplog: pytest.LogCaptureFixture):
    gate = StalenessGate(max_lag=1, warn_dropped=0.05)
    with caplog.at_level(logging.WARNING):
        for _ in range(38):
            gate.arrive(9, 10)
        gate.arrive(0, 10)
        gate.arrive(0, 10)
        assert not caplog.records
        gate.arrive(0, 10)
        gate.arrive(0, 10)
    assert len(caplog.records) == 1
    assert "3 of 41 trajectories" in caplog.text
    assert gate.dropped_share == pytest.approx(4 / 42)


def test_a_trajectory_of_the_newest_version_is_fresh():
    gate = StalenessGate(max_lag=0)
    assert gate.arrive(oldest_version=7, current_version=7)
    assert gate.lags() == [0]


def test_counts_resume():
    gate = StalenessGate(2, counts=StalenessCounts(admitted=3, dropped=1, max_lag_admitted=2, histogram={2: 3, 5: 1}))
    gate.arrive(4, 5)
    assert gate.counts == StalenessCounts(admitted=4, dropped=1, max_lag_admitted=2, histogram={2: 3, 5: 1, 1: 1})


def test_negative_bounds_are_refused():
    with pytest.raises(ValueError, match="max_lag is -1"):
        StalenessGate(-1)
    with pytest.raises(ValueError, match="max_lag is -1"):
        PublishPacer(-1)
