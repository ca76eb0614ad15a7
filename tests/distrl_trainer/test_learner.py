"""The learner on a fake policy: targets, gradients, priorities, state."""

import msgspec
import numpy as np
import pytest
import torch
from runtime_fakes import FakePolicy, episode, fake_config

from distrl_trainer.demonstrations import Demonstrations, imitation_loss
from distrl_trainer.learner import Learner, LearnerError
from distrl_trainer.observations import View
from distrl_trainer.replay import Batch, Replay
from distrl_trainer.value_fit import ValueHeadError, fit_values

VIEW = View()
EPISODES = [
    episode([0, 1, 2], name="a"),
    episode([3, 2, 1, 0], tokens=[1, 5, 0], name="b", success=False),
    episode([1, 1], tokens=[4], name="c", success=False),
]
EPISODES[1] = msgspec.structs.replace(
    EPISODES[1],
    steps=tuple(
        msgspec.structs.replace(step, reward_task=0.0, reward_shaping=-1.0 * bool(t == 1), invalid="x" * (t == 1))
        for t, step in enumerate(EPISODES[1].steps)
    ),
)


def batch(trajectories=EPISODES, ids=None, weights=None):
    count = len(trajectories)
    return Batch(
        list(trajectories),
        np.arange(count) if ids is None else np.array(ids),
        np.ones(count) if weights is None else np.array(weights),
    )


def learner(policy=None, seed=0, demonstrations=None, **algorithm):
    config = fake_config(algorithm=algorithm).algorithm
    return Learner(policy or FakePolicy(), config, view=VIEW, seed=seed, demonstrations=demonstrations)


def logprob(policy, trajectory, t):
    from distrl_trainer.observations import observations

    shown = observations(trajectory, VIEW)[t]
    with torch.no_grad():
        return float(policy.evaluate([shown], [trajectory.steps[t].token_ids]).logprobs.sum())


def test_one_update_raises_what_succeeded_and_lowers_what_was_invalid():
    policy = FakePolicy()
    good, bad = logprob(policy, EPISODES[0], 1), logprob(policy, EPISODES[1], 1)
    update = learner(policy, advantage="raw", negative_advantage_scale=1.0).update(batch())
    assert logprob(policy, EPISODES[0], 1) > good
    assert logprob(policy, EPISODES[1], 1) < bad
    assert all(np.isfinite(value) for value in update.metrics.values())
    assert update.metrics["batch_steps"] == 6
    assert update.metrics["kl_old"] == pytest.approx(0.0, abs=1e-9)


def test_priorities_are_what_retrace_found_and_replay_takes_them():
    policy = FakePolicy()
    replay = Replay(fake_config().replay)
    for item in EPISODES:
        replay.add(item)
    found = learner(policy).update(batch()).priorities
    assert found.mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    # V starts at 0 everywhere: delta is the reward of the step.
    np.testing.assert_allclose(found.deltas, [[0, 1, 0], [0, 1, 0], [1, 0, 0]], atol=1e-6)
    fresh = FakePolicy()
    np.testing.assert_allclose(found.rhos[0, 1], np.exp(logprob(fresh, EPISODES[0], 1) + 1.0), rtol=1e-5)
    np.testing.assert_allclose(found.entropies[1, 2], -logprob(fresh, EPISODES[1], 2), rtol=1e-5)
    assert replay.update(found.ids, found.deltas, found.rhos, found.entropies, found.mask) == 3


def test_a_truncated_end_bootstraps_with_the_value_of_the_last_frame():
    policy = FakePolicy()
    torch.nn.init.constant_(policy.module.value_head.bias, 0.5)
    item = msgspec.structs.replace(EPISODES[2], terminated=False, truncated=True)
    item = msgspec.structs.replace(item, steps=(msgspec.structs.replace(item.steps[0], reward_task=0.0),))
    cut = learner(policy, gamma=0.9).update(batch([item])).priorities
    assert cut.deltas[0, 0] == pytest.approx(abs(0.9 * 0.5 - 0.5))
    policy = FakePolicy()
    torch.nn.init.constant_(policy.module.value_head.bias, 0.5)
    ended = msgspec.structs.replace(item, terminated=True, truncated=False)
    assert learner(policy, gamma=0.9).update(batch([ended])).priorities.deltas[0, 0] == pytest.approx(0.5)


def test_a_trajectory_drawn_twice_counts_twice():
    once, twice = FakePolicy(), FakePolicy()
    same = {"minibatch": 32, "advantage": "raw"}
    learner(once, **same).update(batch([EPISODES[0], EPISODES[1]], weights=[1.0, 0.5]))
    learner(twice, **same).update(
        batch([EPISODES[0], EPISODES[1], EPISODES[0]], ids=[0, 1, 0], weights=[0.5, 0.5, 0.5])
    )
    for name, tensor in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[name], tensor)


def test_micro_sized_minibatches_and_epochs_make_their_steps_and_the_clip_acts():
    trained = learner(minibatch=2, epochs_per_batch=3, lr=0.3, advantage="raw")
    update = trained.update(batch())
    assert trained.gradient_steps == 9
    assert update.metrics["clip_share"] > 0 and update.metrics["kl_old"] > 0


def test_cloning_term_and_control_arm_use_the_same_number_of_steps():
    demonstrations = Demonstrations([EPISODES[0]], VIEW)
    trained = learner(demonstrations=demonstrations, cloning_coef=0.1, batch_steps=6, minibatch=2)
    assert "cloning_loss" in trained.update(batch()).metrics
    made = trained.gradient_steps
    before = imitation_loss(trained.policy, demonstrations.take([0, 1]))
    trained.clone()
    assert trained.gradient_steps == 2 * made == 6
    assert imitation_loss(trained.policy, demonstrations.take([0, 1])) < before
    with pytest.raises(LearnerError, match="demonstrations"):
        learner().clone()


@pytest.mark.parametrize("baseline", ["value", "task_ema", "both"])
@pytest.mark.parametrize("advantage", ["std", "raw", "centred", "indicator"])
def test_every_advantage_variant_learns(baseline, advantage):
    trained = learner(advantage=advantage, advantage_baseline=baseline)
    trained.observe(EPISODES[0])
    assert trained.task_means["fake.even"] == pytest.approx((1.0 + 0.95) / 2)
    assert np.isfinite(trained.update(batch()).metrics["loss"])


def judged(**algorithm):
    """Deltas and advantages of a batch whose behaviour was another policy, with V = 0.5, by the settings' formula."""
    policy = FakePolicy()
    torch.nn.init.constant_(policy.module.value_head.bias, 0.5)
    trained = learner(policy, gamma=0.9, lambda_=0.8, advantage="raw", negative_advantage_scale=1.0, **algorithm)
    for mean in (0.2, 0.4):  # of returns: their mean is then 0.3
        trained.task_means.record("fake.even", mean)
    cut = msgspec.structs.replace(EPISODES[1], terminated=False, truncated=True)
    prepared, priorities, _ = trained._prepare([cut], np.array([0]), torch.ones(1))
    return cut, prepared, priorities, torch.tensor(priorities.rhos)[0]


@pytest.mark.parametrize("baseline,value", [("task_ema", 0.3), ("both", 0.4), ("value", 0.5)])
def test_without_v_only_v_is_gone_and_retrace_stays(baseline, value):
    cut, prepared, priorities, rho = judged(advantage_baseline=baseline)
    rewards = [step.reward_task + step.reward_shaping for step in cut.steps]
    deltas = [reward + 0.9 * value - value for reward in rewards]  # the cut end bootstraps with the same value
    np.testing.assert_allclose(priorities.deltas[0], np.abs(deltas), atol=1e-6)
    expected, carried = [], 0.0
    for t in (2, 1, 0):
        carried = deltas[t] + (0.9 * 0.8 * min(1.0, float(rho[t + 1])) * carried if t < 2 else 0.0)
        expected.insert(0, carried)
    assert rho[1:].min() < 0.9
    np.testing.assert_allclose(prepared.advantages, expected, rtol=1e-5)
    whole = judged()[1]
    torch.testing.assert_close(prepared.targets, whole.targets)  # V itself goes on learning the same


def test_without_retrace_advantages_are_returns_and_targets_stay():
    cut, prepared, _, _ = judged(advantage_estimate="monte-carlo")
    rewards = [step.reward_task + step.reward_shaping for step in cut.steps]
    returns = [sum(0.9 ** (k - t) * rewards[k] for k in range(t, 3)) + 0.9 ** (3 - t) * 0.5 for t in range(3)]
    np.testing.assert_allclose(prepared.advantages, np.array(returns) - 0.5, rtol=1e-5)
    torch.testing.assert_close(prepared.targets, judged()[1].targets)
    assert not np.allclose(prepared.advantages, judged()[1].advantages)


def test_bce_values_are_probabilities_of_success():
    policy = FakePolicy()
    torch.nn.init.constant_(policy.module.value_head.bias, 2.0)
    found = learner(policy, value_loss="bce", gamma=1.0).update(batch([EPISODES[2]])).priorities
    assert found.deltas[0, 0] == pytest.approx(1 - torch.sigmoid(torch.tensor(2.0)).item(), rel=1e-5)


def test_state_continues_bit_for_bit_through_msgpack_and_safetensors(tmp_path):
    from distrl_trainer import checkpoint

    demonstrations = Demonstrations([EPISODES[0]], VIEW)
    policy = FakePolicy()
    first = learner(policy, demonstrations=demonstrations, cloning_coef=0.1, minibatch=2)
    first.update(batch())
    folder = checkpoint.save(tmp_path, 1, {"learner": first.state(), "policy": policy.state_dict()})
    parts = checkpoint.load(folder)
    other = FakePolicy(seed=9)
    other.load_state_dict(parts["policy"])
    second = learner(other, seed=5, demonstrations=demonstrations, cloning_coef=0.1, minibatch=2)
    second.load_state(parts["learner"])
    for trained in (first, second):
        trained.update(batch())
    for name, tensor in policy.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
    assert second.updates == 2


def test_an_optimizer_of_another_policy_is_refused():
    state = learner().state()
    state["optimizer"]["adamw"]["param_groups"] = state["optimizer"]["adamw"]["param_groups"][:1]
    with pytest.raises(LearnerError, match="does not fit"):
        learner().load_state(state)


def test_a_gradient_that_is_not_finite_leaves_the_weights():
    policy = FakePolicy()
    before = policy.state_dict()
    item = episode([0, 0])
    broken = msgspec.structs.replace(item, steps=(msgspec.structs.replace(item.steps[0], reward_task=float("nan")),))
    with pytest.raises(LearnerError, match="not finite"):
        learner(policy).update(batch([broken]))
    for name, tensor in policy.state_dict().items():
        assert torch.equal(before[name], tensor)


def test_fit_values_moves_nothing_but_the_head_and_predicts_returns():
    policy = FakePolicy()
    before = policy.state_dict()
    config = fake_config().algorithm
    items = [episode([0, 0], name=f"w{i}") for i in range(20)]
    items += [msgspec.structs.replace(episode([3, 3], name=f"l{i}"), steps=tuple(
        msgspec.structs.replace(step, reward_task=0.0) for step in items[0].steps)) for i in range(20)]  # fmt: skip
    found = fit_values(policy, items, config, view=VIEW, seed=0)
    assert found["value_fit_passes"] > 0 and found["value_fit_explained"] > 0.8
    for name, tensor in policy.state_dict().items():
        assert name.startswith("value_head") or torch.equal(before[name], tensor)
    with pytest.raises(ValueHeadError, match="value_head"):
        policy.module = torch.nn.Sequential(torch.nn.Linear(2, 2))
        fit_values(policy, items, config, view=VIEW, seed=0)
