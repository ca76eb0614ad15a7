"""What a step is: gradients of micro-batches sum up to the whole's, and narrow weights have float32 masters."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from runtime_fakes import FakePolicy, assert_same, episode, fake_config

from android_env_gym.actions import PressKey, Tap, TypeText
from distrl_trainer import checkpoint
from distrl_trainer.config import PolicyConfig, WarmupConfig
from distrl_trainer.demonstrations import Demonstrations
from distrl_trainer.learner import Learner
from distrl_trainer.observations import View, encode_frame, observations
from distrl_trainer.optimisation import MasterOptimizer
from distrl_trainer.policy import load_policy
from distrl_trainer.policy.base import Policy
from distrl_trainer.replay import Batch
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.warmup import clone

ACTIONS = (Tap(0.2, 0.3), TypeText("ab"), PressKey("home"), Tap(0.9, 0.6), PressKey("back"))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def played(policy: Policy, lengths=(2, 3)) -> list[Trajectory]:
    """Episodes of random screens whose behaviour was another policy; the second step of each was invalid."""
    rng = np.random.default_rng(0)
    found = []
    for number, length in enumerate(lengths):
        frames = tuple(encode_frame(rng.integers(0, 255, (112, 56, 3), dtype=np.uint8)) for _ in range(length + 1))
        item = episode([0] * (length + 1), name=f"e{number}", frames=frames, instruction='type "ab" ' * (number + 1))
        steps = []
        for t, (step, shown) in enumerate(zip(item.steps, observations(item, View()), strict=False)):
            tokens = tuple(policy.encode_action(ACTIONS[(t + number) % len(ACTIONS)], shown))
            with torch.no_grad():
                logprob = float(policy.evaluate([shown], [tokens]).logprobs.sum()) + rng.normal() * 0.3
            fields = {"reward_shaping": -0.5 * (t == 1), "invalid": "x" * (t == 1)}
            step = msgspec.structs.replace(step, token_ids=tokens, logprobs=(logprob,) + (0.0,) * (len(tokens) - 1))
            steps.append(msgspec.structs.replace(step, **fields))
        found.append(msgspec.structs.replace(item, steps=tuple(steps)))
    return found


def gradients(policy: Policy, episodes: list[Trajectory], micro_batch: int) -> tuple[dict[str, torch.Tensor], dict]:
    """Every term of the loss on, unequal weights, one step of one minibatch: its gradient and the logged numbers."""
    config = fake_config(
        algorithm={"cloning_coef": 0.3, "cloning_batch": 3, "invalid_coef": 0.2, "entropy_coef": 0.1, "minibatch": 5,
                   "batch_steps": 5, "micro_batch": micro_batch, "max_grad_norm": 1e9}
    )  # fmt: skip
    learner = Learner(policy, config.algorithm, view=View(), seed=0, demonstrations=Demonstrations(episodes, View()))
    learner.optimizer.step = lambda: None  # what is compared is what a step would take
    update = learner.update(Batch(episodes, np.arange(2), np.array([1.0, 0.3])))
    named = policy.module.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}, update.metrics


def widened(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Policy:
    """The policy in float64: what is tested is the algebra, and float32 sums in another order differ by 1e-4 and more
    where large terms cancel."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    policy.module.double()
    if hasattr(policy, "_dtype"):
        monkeypatch.setattr(policy, "_dtype", torch.float64)
    return policy


def assert_micro_batches_change_nothing(policy: Policy) -> None:
    episodes = played(policy)
    whole, numbers = gradients(policy, episodes, 0)
    assert numbers["grad_norm"] > 0 and numbers["invalid_loss"] != 0 and numbers["cloning_loss"] > 0
    for size in (3, 2, 1):
        parts, again = gradients(policy, episodes, size)
        assert parts.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(parts[name], gradient, atol=1e-9, rtol=1e-6)
        for name, number in numbers.items():
            assert again[name] == pytest.approx(number, abs=1e-6, rel=1e-6), name


def test_micro_batches_change_no_gradient_of_the_tiny_model(monkeypatch):
    policy = load_policy(PolicyConfig(model="tiny-untrained", device="cpu"), seed=0)
    assert_micro_batches_change_nothing(widened(policy, monkeypatch))


@pytest.mark.parametrize("family", ["qwen3", "t5"])
@pytest.mark.slow
def test_micro_batches_change_no_gradient_of_multimodal_models(family, tmp_path, monkeypatch):
    from test_policy_multimodal import MAKERS

    torch.manual_seed(0)
    MAKERS[family](tmp_path)
    config = PolicyConfig(model=str(tmp_path), tuning="full", device="cpu")
    assert_micro_batches_change_nothing(widened(load_policy(config, seed=0), monkeypatch))


@pytest.mark.slow
def test_a_fully_tuned_bfloat16_model_learns_and_stays_bfloat16(tmp_path):
    from test_policy_multimodal import MAKERS

    torch.manual_seed(0)
    MAKERS["qwen3"](tmp_path)
    policy = load_policy(PolicyConfig(model=str(tmp_path), tuning="full", dtype="bfloat16", device="cpu"), seed=0)
    before = policy.state_dict()
    config = fake_config(algorithm={"lr": 1e-5, "minibatch": 5, "micro_batch": 2}).algorithm
    learner = Learner(policy, config, view=View(), seed=0)
    batch = Batch(played(policy), np.arange(2), np.ones(2))
    for _ in range(3):
        learner.update(batch)
    after, masters = policy.state_dict(), learner.state()["optimizer"]["masters"]
    assert {tensor.dtype for tensor in masters.values()} == {torch.float32} and masters
    assert [tensor.dtype for tensor in after.values()] == [tensor.dtype for tensor in before.values()]
    moments = learner.state()["optimizer"]["adamw"]["state"].values()
    assert {one["exp_avg"].dtype for one in moments} == {torch.float32}
    policy.load_state_dict(before)  # as a resumed run does, before the masters come
    other = Learner(policy, config, view=View(), seed=0)
    other.load_state(checkpoint.load(checkpoint.save(tmp_path / "c", 1, {"learner": learner.state()}))["learner"])
    for name, tensor in policy.state_dict().items():
        assert tensor.dtype == torch.float32 or torch.equal(tensor, after[name])


def test_micro_batches_change_no_warm_start():
    found = []
    for size in (0, 3):
        policy = FakePolicy()
        demonstrations = [episode([0, 1, 2], name="a"), episode([3, 2, 1, 0], name="b"), episode([1, 0], name="c")]
        result = clone(policy, demonstrations, WarmupConfig(epochs=3, batch=8), view=View(), seed=0, micro_batch=size)
        found.append((policy.state_dict(), result.train_losses, result.validation_losses))
    for name, tensor in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], tensor, atol=1e-5, rtol=1e-5)
    assert found[0][1:] == (pytest.approx(found[1][1]), pytest.approx(found[1][2]))


def test_a_minibatch_of_one_step_is_one_step():
    policy = FakePolicy()
    config = fake_config(algorithm={"minibatch": 1, "micro_batch": 1}).algorithm
    learner = Learner(policy, config, view=View(), seed=0)
    update = learner.update(Batch([episode([0, 1, 2])], np.array([0]), np.array([1.0])))
    assert learner.gradient_steps == 2 and np.isfinite(list(update.metrics.values())).all()


def optimizer_of(weight: torch.nn.Parameter, lr: float) -> MasterOptimizer:
    return MasterOptimizer([{"params": [weight], "lr": lr, "name": "policy"}], max_norm=1e9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_thousand_small_steps_move_a_narrow_weight(dtype):
    """Each is far below half the distance of neighbouring numbers at 0.5 (2e-3 and 2e-4)."""
    alone = torch.nn.Parameter(torch.full((4,), 0.5, dtype=dtype))
    plain = torch.optim.AdamW([alone], lr=1e-5, weight_decay=0.0)
    weight = torch.nn.Parameter(torch.full((4,), 0.5, dtype=dtype))
    optimizer = optimizer_of(weight, 1e-5)
    for _ in range(1000):
        plain.zero_grad()
        alone.sum().backward()
        plain.step()
        optimizer.zero_grad()
        optimizer.backward(weight.sum())
        optimizer.step()
    assert (alone == 0.5).all()
    torch.testing.assert_close(weight.detach().float(), torch.full((4,), 0.49), atol=2.1e-3, rtol=0)
    assert weight.dtype == dtype and (weight < 0.5).all()


def test_masters_survive_a_kill_bit_for_bit_and_follow_whoever_sets_the_weights(tmp_path: Path):
    def train(weight, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            optimizer.backward((weight.float() * torch.arange(4.0)).sum())
            optimizer.step()

    weight = torch.nn.Parameter(torch.full((4,), 0.5, dtype=torch.bfloat16))
    optimizer = optimizer_of(weight, 1e-4)
    train(weight, optimizer, 7)
    folder = checkpoint.save(tmp_path, 1, {"weight": {"w": weight.detach()}, "optimizer": optimizer.state()})
    parts = checkpoint.load(folder)
    resumed = torch.nn.Parameter(parts["weight"]["w"])
    again = optimizer_of(resumed, 1e-4)
    again.load_state(parts["optimizer"])
    train(weight, optimizer, 20)
    train(resumed, again, 20)
    assert torch.equal(weight, resumed)
    states = [one.state() for one in (optimizer, again)]
    assert_same(states[0]["masters"], states[1]["masters"])
    assert_same(states[0]["adamw"]["state"], states[1]["adamw"]["state"])
    with torch.no_grad():
        weight.fill_(3.0)
    train(weight, optimizer, 1)
    assert (weight > 2.9).all()
    with pytest.raises(ValueError, match="0 weights and the model has 1"):
        again.load_state({**parts["optimizer"], "masters": {}})


def test_a_float32_model_has_no_copies():
    policy = FakePolicy()
    learner = Learner(policy, fake_config().algorithm, view=View(), seed=0)
    learner.update(Batch([episode([0, 1, 2])], np.array([0]), np.array([1.0])))
    assert learner.state()["optimizer"]["masters"] == {}
