"""The collector loop on a fake phone."""

from collections import deque

import numpy as np
import pytest
from runtime_fakes import TOKENS, FakePolicy, colour_frame, fake_pool

from distrl_trainer.collector import Collector, CollectorError, CollectorName
from distrl_trainer.curriculum import TaskRequest
from distrl_trainer.fleet import SharedWeights
from distrl_trainer.observations import View, decode_action, decode_frame, observation_at, observations
from distrl_trainer.prompts import action_text

VIEW = View(frames=2, history=2)


class Tasks:
    def __init__(self, count):
        self.waiting = deque(TaskRequest("fake.even", instance) for instance in range(count))

    def next(self, generator):
        return self.waiting.popleft() if self.waiting else None


class Bumps:
    """Raises the version on every poll, as a learner that publishes all the time would."""

    def refresh(self, policy):
        policy.version += 1
        return True


def play(count=6, phones=3, device="sim", seed=1, weights=None, policy=None, workers=0, name=None):
    found = []
    pool = fake_pool(phones, device, workers)
    collector = Collector(
        pool, policy or FakePolicy(), Tasks(count), weights or SharedWeights(), found.append,
        name=name or CollectorName(seed=seed), view=VIEW,
    )  # fmt: skip
    try:
        while collector._tasks.waiting or collector.in_flight:
            collector.turn(timeout=1.0)
    finally:
        pool.close()
    return found, collector


def test_trajectories_hold_what_the_policy_saw_and_did():
    policy = FakePolicy()
    found, collector = play(policy=policy)
    assert sorted(item.instance for item in found) == list(range(6))
    assert len({item.id for item in found}) == 6
    assert collector.stats.env_steps == sum(len(item.steps) for item in found)
    assert collector.count().in_flight == 0 and collector.stats.episodes == 6
    rebuilt = []
    for item in found:
        assert len(item.frames) == len(item.steps) + 1
        assert item.terminated and not item.truncated and item.reward_valid
        assert item.success == (sum(step.reward_task for step in item.steps) == 1.0)
        assert item.false_completion == (decode_action(item.steps[-1]) == TOKENS[4] and not item.success)
        for step in item.steps:
            assert decode_action(step) == TOKENS[step.token_ids[0]]
            assert bool(step.invalid) == (step.token_ids == (5,))
            assert step.reward_shaping <= (-1.0 if step.invalid else 0.0)
        rebuilt += observations(item, VIEW)[:-1]
    key = lambda o: (o.instruction, o.history, tuple(frame.tobytes() for frame in o.frames))  # noqa: E731
    assert sorted(map(key, rebuilt)) == sorted(map(key, policy.shown))


def test_observation_at_equals_the_full_rebuild():
    found, _ = play(count=3)
    for item in found:
        for t, whole in enumerate(observations(item, VIEW)):
            one = observation_at(item, t, VIEW)
            assert one.history == whole.history and one.instruction == whole.instruction
            assert all(np.array_equal(a, b) for a, b in zip(one.frames, whole.frames, strict=True))
    longest = max(found, key=lambda item: len(item.steps))
    texts = [action_text(decode_action(step)) for step in longest.steps]
    assert observations(longest, VIEW)[-1].history == tuple(texts[-2:])


def test_frames_are_lossless():
    found, _ = play(count=1, phones=1)
    colour = int(np.random.default_rng(0).integers(4))
    assert np.array_equal(decode_frame(found[0].frames[0]), colour_frame(colour))


def test_same_name_draws_the_same_and_another_does_not():
    first, _ = play(seed=1)
    again, _ = play(seed=1)
    other, _ = play(seed=2)
    tokens = [[step.token_ids for step in item.steps] for item in first]
    assert tokens == [[step.token_ids for step in item.steps] for item in again]
    assert tokens != [[step.token_ids for step in item.steps] for item in other]
    reborn, _ = play(name=CollectorName(seed=1, incarnation=1))
    assert tokens != [[step.token_ids for step in item.steps] for item in reborn]
    assert not {item.id for item in first} & {item.id for item in reborn}


def test_what_an_episode_draws_does_not_depend_on_who_acts_beside_it():
    def drawn(phones):
        found, _ = play(count=8, phones=phones)
        return {item.instance: [step.token_ids for step in item.steps] for item in found}

    assert drawn(1) == drawn(3) == drawn(8)


def test_weights_may_change_between_the_steps_of_an_episode():
    found, _ = play(weights=Bumps())
    longest = max(found, key=lambda item: len(item.steps))
    versions = [step.version for step in longest.steps]
    assert len(versions) > 1 and versions == sorted(set(versions))
    assert longest.oldest_version == versions[0]


def test_an_infrastructure_failure_is_invalid_and_never_reward_zero():
    found, collector = play(device="fail-odd")
    broken = [item for item in found if item.instance % 2]
    assert len(broken) == 3 and collector.stats.failures == 3
    for item in broken:
        assert not item.reward_valid and not item.success and not item.terminated
        assert (item.failure_kind, item.failure_message) == ("device", "the fake broke")
        assert len(item.frames) == len(item.steps) + 1
    assert all(item.reward_valid for item in found if not item.instance % 2)


def test_truncation_bootstraps():
    found, _ = play(count=4, device="truncate")
    truncated = [item for item in found if item.truncated]
    assert truncated
    assert all(item.bootstraps and item.reward_valid and not item.terminated for item in truncated)


def test_phones_that_always_fail_end_the_collector_with_the_last_failure():
    with pytest.raises(CollectorError, match="the fake broke"):
        play(count=100, device="dead")


def test_a_finished_trajectory_is_emitted_before_its_phone_is_reset():
    pool = fake_pool(2)
    events = []
    send = pool.send

    def record(commands, ids):
        events.extend((type(command).__name__, id_) for command, id_ in zip(commands, ids, strict=True))
        send(commands, ids)

    pool.send = record
    collector = Collector(
        pool, FakePolicy(), Tasks(8), SharedWeights(), lambda item: events.append(("emit", item.id)),
        name=CollectorName(seed=0), view=VIEW,
    )  # fmt: skip
    while collector._tasks.waiting or collector.in_flight:
        collector.turn()
    pool.close()
    emitted = 0
    resets = 0
    for kind, _ in events:
        emitted += kind == "emit"
        resets += kind == "Reset"
        assert resets <= emitted + 2
    assert emitted == resets == 8


@pytest.mark.slow
def test_a_killed_env_worker_loses_no_finished_trajectory_and_the_run_goes_on():
    found, _ = play(count=4, phones=2, device="exit", workers=1)
    assert sorted(item.instance for item in found) == list(range(4))
    lost = [item for item in found if not item.reward_valid]
    assert lost and all(item.failure_kind == "worker" for item in lost)
    assert {item.instance for item in found if item.instance % 3 == 0} <= {item.instance for item in lost}
