"""The self-check at the beginning of RL: what is healthy passes and is left alone, each defect is refused by name."""

import json
import time

import msgspec
import pytest
import torch
from policy_episodes import recorded
from runtime_fakes import SMALL, FakePhones, FakePolicy, fake_config
from test_policy_multimodal import MAKERS
from torch.overrides import TorchFunctionMode

from distrl_trainer import cli
from distrl_trainer.algorithm import DistRL
from distrl_trainer.config import AlgorithmConfig, PolicyConfig
from distrl_trainer.learner import Learner
from distrl_trainer.observations import View
from distrl_trainer.policy import load_policy
from distrl_trainer.policy.tiny_model import MATCH, TinyModel
from distrl_trainer.self_check import BOUNDS, SelfCheckError, check


def learner_of(policy, **algorithm):
    return Learner(policy, AlgorithmConfig(cloning_coef=0.0, **algorithm), view=View(), seed=0)


def run(policy, episodes=None, version=0, **algorithm):
    episodes = recorded(policy) if episodes is None else episodes
    return check(policy, learner_of(policy, **algorithm), episodes, recorded_version=version)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    made = {}
    for name, maker in MAKERS.items():
        made[name] = tmp_path_factory.mktemp(name.replace(".", "_"))
        torch.manual_seed(0)
        maker(made[name])
    return made


@pytest.fixture
def tiny():
    return load_policy(PolicyConfig(model="tiny", device="cpu"), seed=1)


def family(folder, **changes):
    settings = {"tuning": "lora", "max_new_tokens": 12, "device": "cpu", **changes}
    return load_policy(PolicyConfig(model=str(folder), **settings), seed=1)


def test_the_tiny_model_passes_and_is_left_as_it_was(tiny):
    learner = learner_of(tiny)
    episodes = recorded(tiny)
    weights = tiny.state_dict()
    modes = [part.training for part in tiny.module.modules()]
    torch.manual_seed(7)
    state, own = torch.get_rng_state(), msgspec.msgpack.encode(str(learner._generator.bit_generator.state))
    begun = time.monotonic()
    found = check(tiny, learner, episodes, recorded_version=0)
    assert found.decisions == 12 and 0 < found.seconds <= time.monotonic() - begun
    assert max(found.batch, found.act, found.recorded, found.ratio, found.repeat) < BOUNDS[torch.float32]
    assert found.gradient > 0
    assert torch.equal(state, torch.get_rng_state())
    assert own == msgspec.msgpack.encode(str(learner._generator.bit_generator.state))
    assert modes == [part.training for part in tiny.module.modules()]
    assert all(torch.equal(weights[name], tensor) for name, tensor in tiny.state_dict().items())
    assert all(one.grad is None for one in tiny.module.parameters())
    assert not learner.optimizer.state()["adamw"]["state"] and learner.updates == learner.gradient_steps == 0
    assert "self-check on 12 decisions" in str(found) and "\n" not in str(found)
    assert found.numbers()["self_check_batch"] == found.batch


def test_a_policy_that_is_very_sure_of_what_others_would_not_do_passes(tiny):
    episodes = recorded(load_policy(PolicyConfig(model="tiny-untrained", device="cpu"), seed=1))
    with torch.no_grad():
        for name, weights in tiny.module.named_parameters():
            if "query" in name or "cells" in name:
                weights.mul_(16)  # logits of a policy that was trained for long
    assert run(tiny, episodes, version=None).batch > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MAKERS))
def test_every_multimodal_family_passes(families, name):
    policy = family(families[name])
    found = run(policy, micro_batch=5)
    assert max(found.batch, found.act, found.recorded, found.ratio) < BOUNDS[torch.float32]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MAKERS))
def test_bfloat16_passes_with_its_own_bound(families, name):
    found = run(family(families[name], dtype="bfloat16", tuning="full"))
    assert found.bound == BOUNDS[torch.bfloat16]
    assert max(found.batch, found.act, found.ratio) < found.bound


class OldFloor(TorchFunctionMode):
    """Puts back how words that are not there were left out of a maximum: by a finite number, and no bound of the rest.

    Rows that were padded then have that number as their least, rows that were not have none.
    """

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        keywords = keywords or {}
        if function is torch.Tensor.masked_fill and arguments[2] == float("-inf"):
            arguments = (*arguments[:2], -MATCH)
        if function is torch.Tensor.clamp and keywords == {"min": -MATCH}:
            return arguments[0]
        return function(*arguments, **keywords)


def test_a_maximum_over_padding_with_a_finite_floor_is_refused(tiny, monkeypatch):
    encode = TinyModel.encode

    def with_old_floor(self, inputs):
        with OldFloor():
            return encode(self, inputs)

    monkeypatch.setattr(TinyModel, "encode", with_old_floor)
    with pytest.raises(SelfCheckError, match="depend on who else is in the batch") as refused:
        run(tiny)
    assert "allowed are 0.0001" in str(refused.value) and "finite floor" in str(refused.value)


@pytest.mark.slow
def test_dropout_while_gradients_are_computed_is_refused(families):
    policy = family(families["qwen3"], lora_dropout=0.3)
    evaluate = policy.evaluate
    generator = torch.Generator().manual_seed(3)
    policy.load_state_dict(
        {name: one + 0.1 * torch.randn(one.shape, generator=generator) for name, one in policy.state_dict().items()}
    )

    def in_training_mode(*arguments):
        policy.module.train(torch.is_grad_enabled())
        return evaluate(*arguments)

    assert run(policy).ratio < BOUNDS[torch.float32]
    policy.evaluate = in_training_mode
    with pytest.raises(SelfCheckError, match=r"u = pi_theta / pi_old is not 1.*dropout"):
        run(policy)


def test_not_a_number_in_one_company_alone_is_refused(tiny):
    episodes, evaluate = recorded(tiny), tiny.evaluate

    def without_a_padded_word(observations, token_ids):
        found = evaluate(observations, token_ids)
        padded = len({len(one.instruction.split()) for one in observations}) > 1 and len(observations) == 2
        return msgspec.structs.replace(found, logprobs=found.logprobs * float("nan")) if padded else found

    tiny.evaluate = without_a_padded_word
    with pytest.raises(SelfCheckError, match="depend on who else is in the batch: by nan"):
        run(tiny, episodes)


def test_dropout_that_is_always_on_is_refused(tiny):
    episodes = recorded(tiny)
    tiny.module.train()
    with pytest.raises(SelfCheckError, match=r"the second time.*dropout"):
        run(tiny, episodes)


def test_acting_with_a_temperature_is_refused(tiny, monkeypatch):
    logits, act = TinyModel.logits, tiny.act

    def with_temperature(*arguments, **more):
        with monkeypatch.context() as patch:
            patch.setattr(TinyModel, "logits", lambda *given: logits(*given) / 1.2)
            return act(*arguments, **more)

    episodes = recorded(tiny)
    tiny.act = with_temperature
    with pytest.raises(SelfCheckError, match=r"`act` does not record.*temperature"):
        run(tiny, episodes)


def test_collectors_that_record_something_else_are_refused(tiny):
    episodes = recorded(tiny)
    step = episodes[1].steps[0]
    other = msgspec.structs.replace(step, logprobs=tuple(one - 0.01 for one in step.logprobs))
    episodes[1] = msgspec.structs.replace(episodes[1], steps=(other, *episodes[1].steps[1:]))
    with pytest.raises(SelfCheckError, match=r"collectors stored other.*by 0\.01 nats"):
        run(tiny, episodes)
    assert run(tiny, episodes, version=None).recorded is None
    assert run(tiny, episodes, version=3).recorded is None


def test_a_gradient_of_nan_is_refused(tiny, monkeypatch):
    logits = TinyModel.logits

    def finite_forward_alone(self, memory, states):
        zero = (states - states).square().sum().sqrt()
        return logits(self, memory, states) + zero

    monkeypatch.setattr(TinyModel, "logits", finite_forward_alone)
    with pytest.raises(SelfCheckError, match="norm of the first gradient is nan"):
        run(tiny)


def test_weights_of_nan_are_refused(tiny):
    episodes = recorded(tiny)
    with torch.no_grad():
        tiny.model.decoder_norm.bias[3] = float("nan")
    with pytest.raises(SelfCheckError, match="12 of 12 log-probabilities are NaN"):
        run(tiny, episodes)


def test_parameters_without_a_gradient_are_refused(tiny, monkeypatch):
    evaluate = tiny.evaluate

    def detached(*arguments):
        found = evaluate(*arguments)
        return msgspec.structs.replace(found, logprobs=found.logprobs.detach(), entropy=found.entropy.detach())

    episodes = recorded(tiny)
    tiny.evaluate = detached
    with pytest.raises(SelfCheckError, match="no gradient reaches the parameters of optimizer group 'policy'"):
        run(tiny, episodes)


def test_a_batch_of_failures_alone_passes(tiny):
    lost = [
        msgspec.structs.replace(one, steps=tuple(msgspec.structs.replace(s, reward_task=0.0) for s in one.steps))
        for one in recorded(tiny)
    ]
    assert run(tiny, lost, entropy_coef=0.0, invalid_coef=0.0).gradient == 0.0


def test_running_statistics_that_move_are_refused(tiny):
    episodes = recorded(tiny)
    evaluate = tiny.evaluate
    tiny.module.register_buffer("seen", torch.zeros(()))

    def counting(*arguments):
        tiny.module.seen += 1
        return evaluate(*arguments)

    tiny.evaluate = counting
    with pytest.raises(SelfCheckError, match="changed its weights"):
        run(tiny, episodes)


def trained(folder=None):
    return DistRL(FakePolicy(), FakePhones(), config=fake_config(), folder=folder)


def test_it_runs_once_before_the_first_update_and_changes_no_run(monkeypatch):
    checked = trained().learn(300)
    assert checked.self_check is not None and checked.self_check.recorded == pytest.approx(0.0, abs=1e-5)
    assert checked.learner.updates > 1
    monkeypatch.setattr(DistRL, "_check_policy", lambda self: None)
    unchecked = trained().learn(300)
    assert unchecked.self_check is None
    for name, tensor in checked.policy.state_dict().items():
        assert torch.equal(tensor, unchecked.policy.state_dict()[name])


def test_a_resumed_run_is_checked_without_what_was_recorded_before(tmp_path):
    first = trained(tmp_path).learn(200)
    parts = first.training_state()
    second = trained(tmp_path)
    second.load_training_state(parts)
    second.learn(100, reset_num_timesteps=False)
    assert second.self_check is not None and second.self_check.recorded is None


@pytest.mark.slow
def test_train_logs_it_keeps_it_and_refuses_in_one_line(tmp_path, capsys, caplog, monkeypatch):
    with caplog.at_level("INFO", logger="distrl_trainer.algorithm"):
        assert cli.main(["train", "--out", str(tmp_path / "good"), "--json", *SMALL]) == 0
    assert sum("self-check on" in line for line in caplog.messages) == 1
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 <= summary["self_check"]["self_check_batch"] <= 1e-5
    logits = TinyModel.logits
    monkeypatch.setattr(TinyModel, "logits", lambda *given: logits(*given) * torch.rand(()))
    assert cli.main(["train", "--out", str(tmp_path / "bad"), *SMALL]) == 1
    assert "error: self-check: " in capsys.readouterr().err.strip().splitlines()[-1]
