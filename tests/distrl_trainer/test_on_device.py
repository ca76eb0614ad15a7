"""Acting, evaluating, learning, checkpoints and a whole run on a GPU: `make gpu-check`.

Marked `gpu`, so the other targets leave them out. Where no GPU is at hand, `test_second_device` runs the very same
tests on a device that is none but is as strict about what lies where; `DISTRL_TEST_DEVICE` names it. They never skip:
asked for without a device, they fail.
"""

import json
import os

import numpy as np
import pytest
import second_device
import torch
from policy_episodes import recorded
from runtime_fakes import SMALL, make_streams
from test_policy_multimodal import MAKERS

from distrl_trainer import checkpoint, cli
from distrl_trainer.config import AlgorithmConfig, PolicyConfig, WarmupConfig
from distrl_trainer.demonstrations import Demonstrations
from distrl_trainer.learner import Learner
from distrl_trainer.observations import View, observations
from distrl_trainer.policy import load_policy
from distrl_trainer.replay import Batch
from distrl_trainer.self_check import check
from distrl_trainer.value_fit import fit_values
from distrl_trainer.warmup import clone
from distrl_trainer.weights import WeightStore

DEVICE = os.environ.get("DISTRL_TEST_DEVICE", "cuda")
CLOSE = {"rtol": 1e-3, "atol": 1e-4}
"""Between two devices, or two runs on a device whose sums have no fixed order: float32 with room for a few layers."""

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def device():
    if DEVICE == second_device.NAME:
        second_device.install()
    try:
        torch.empty(1, device=DEVICE)
    except (AssertionError, RuntimeError) as error:
        pytest.fail(f"these tests need device {DEVICE!r}: {str(error).splitlines()[0]}")


@pytest.fixture(scope="module", params=["tiny", "qwen3"])
def model(request, tmp_path_factory):
    if request.param == "tiny":
        return {"model": "tiny"}
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    MAKERS[request.param](folder)
    return {"model": str(folder), "tuning": "lora", "max_new_tokens": 8}


def policy_on(device, model, seed=1):
    return load_policy(PolicyConfig(device=device, **model), seed=seed)


def learner_of(policy, episodes):
    config = AlgorithmConfig(cloning_coef=0.1, cloning_batch=4, minibatch=8, micro_batch=3)
    return Learner(policy, config, view=View(), seed=0, demonstrations=Demonstrations(episodes, View()))


def batch_of(episodes):
    return Batch(list(episodes), np.arange(len(episodes)), np.ones(len(episodes)))


def on_device(tensors):
    return all(tensor.device.type == DEVICE for tensor in tensors)


def moments(learner):
    states = learner.optimizer._optimizer.state.values()
    return [tensor for state in states for name, tensor in state.items() if name != "step"]


def test_acting_and_evaluating(model):
    here, there = policy_on(DEVICE, model), policy_on("cpu", model)
    assert on_device(here.module.parameters())
    shown = [one for item in recorded(there) for one in observations(item, View())[:-1]]
    acted = here.act(shown, streams=make_streams(len(shown)))
    tokens = [one.token_ids for one in acted]
    with torch.no_grad():
        found, expected = here.evaluate(shown, tokens), there.evaluate(shown, tokens)
        values = here.values(shown)
    assert on_device([found.logprobs, found.entropy, found.mask, found.values, values])
    for name in ("logprobs", "entropy", "values"):
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(expected, name), **CLOSE)
    recorded_sums = torch.tensor([sum(one.logprobs) for one in acted])
    torch.testing.assert_close(found.logprobs.sum(-1).cpu(), recorded_sums, **CLOSE)
    # The same numbers of the streams pick the same tokens; rounding may move a number across a border, once.
    same = [
        a.token_ids == b.token_ids
        for a, b in zip(acted, there.act(shown, streams=make_streams(len(shown))), strict=True)
    ]
    assert sum(same) >= len(same) - 1


def test_the_self_check_passes(model):
    policy = policy_on(DEVICE, model)
    episodes = recorded(policy)
    found = check(policy, learner_of(policy, episodes), episodes, recorded_version=0)
    assert max(found.batch, found.act, found.recorded, found.ratio) <= found.bound


def test_learning(model):
    policy = policy_on(DEVICE, model)
    episodes = recorded(policy)
    learner = learner_of(policy, episodes)
    before = policy.state_dict()
    fitted = fit_values(policy, episodes, learner.config, view=View(), seed=0)
    update = learner.update(batch_of(episodes))
    cloned = clone(policy, episodes, WarmupConfig(epochs=1, batch=4), view=View(), seed=0)
    figures = [*fitted.values(), *update.metrics.values(), *cloned.train_losses, *cloned.validation_losses]
    assert np.isfinite(figures).all()
    assert on_device(policy.module.parameters()) and on_device(moments(learner)) and moments(learner)
    after = policy.state_dict()
    assert all(tensor.device.type == "cpu" for tensor in after.values())
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())


def test_a_checkpoint_goes_on_where_it_was(model, tmp_path):
    first = policy_on(DEVICE, model)
    episodes = recorded(first)
    one = learner_of(first, episodes)
    one.update(batch_of(episodes))
    folder = checkpoint.save(tmp_path, 1, {"learner": one.state(), "policy": first.state_dict()})
    parts = checkpoint.load(folder)
    second = policy_on(DEVICE, model, seed=2)
    other = learner_of(second, episodes)
    second.load_state_dict(parts["policy"])
    other.load_state(parts["learner"])
    assert on_device(moments(other)) and on_device(second.module.parameters())
    for learner in (one, other):
        learner.update(batch_of(episodes))
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], tensor, **CLOSE)


def test_weights_travel_and_a_saved_policy_is_the_same(model, tmp_path):
    policy, twin = policy_on(DEVICE, model), policy_on(DEVICE, model, seed=2)
    store = WeightStore(tmp_path / "weights")
    store.publish(policy.state_dict(), 3)
    twin.load_state_dict(store.load_latest().tensors)
    policy.save(tmp_path / "saved")
    again = policy_on(DEVICE, model | {"model": str(tmp_path / "saved")})
    for other in (twin, again):
        assert on_device(other.module.parameters())
        for name, tensor in policy.state_dict().items():
            assert torch.equal(other.state_dict()[name], tensor)


def test_a_run_of_200_steps_and_its_resume(model, tmp_path, capsys):
    words = ["--policy.device", DEVICE, "--run.save_every_env_steps", "50", "--warmup.demonstrations", "12"]
    words += [word for name, value in model.items() for word in (f"--policy.{name}", str(value))]
    if model["model"] != "tiny":
        words += ["--policy.codec", "compact", "--policy.max_new_tokens", "32", "--algorithm.micro_batch", "8"]
        words += ["--eval.episodes", "4", "--eval.validation_episodes", "0"]
    out = str(tmp_path / "run")
    for steps, more in (("120", [*SMALL, *words]), ("200", ["--resume"])):
        assert cli.main(["train", "--out", out, "--json", *more, "--run.total_env_steps", steps]) == 0
        said = capsys.readouterr()
        assert said.out, said.err[-2000:]
        summary = json.loads(said.out.splitlines()[-1])
        assert summary["env_steps"] >= int(steps) and summary["updates"] > 0
        assert summary["self_check"]["self_check_batch"] <= summary["self_check"]["self_check_bound"]
    words = ["--episodes", "2", "--policy.device", DEVICE, "--env.max_steps", "2"]
    assert cli.main(["eval", "--policy", out, "--json", *words]) == 0
