"""The tiny model as a policy: same numbers acting and evaluating, seeds, files, and that it learns."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from runtime_fakes import make_streams
from transformers import AutoModel

from android_env_gym.actions import Action, Finish, InvalidAction, OpenApp, PressKey, Swipe, Tap, TypeText
from android_env_gym.devices.base import UiNode
from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy import ModelError, load_policy
from distrl_trainer.policy.base import Observation
from distrl_trainer.policy.grounding import grounding_accuracy, grounding_batch, label_counts, train
from distrl_trainer.policy.loading import BASE_MODELS
from distrl_trainer.policy.screens import Screen, screen_of
from distrl_trainer.policy.tiny_model import TinyConfig, TinyModel
from distrl_trainer.policy.tiny_policy import TinyPolicy, context_ids
from distrl_trainer.policy.tiny_vocab import CHAR_BASE, WORD_ID
from distrl_trainer.prompts import action_text, history_text, prompt_text


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_observations(count: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (count, 448, 224, 3), dtype=np.uint8)
    return [Observation(f'type "word {i}" now', (frame,), ("tap 0.1 0.2",) * (i % 3)) for i, frame in enumerate(frames)]


def small_policy(seed: int = 0) -> TinyPolicy:
    torch.manual_seed(seed)
    sizes = TinyConfig(hidden_size=48, stem_size=32, glyph_size=16, heads=2, feed_forward=96, word_size=24)
    return TinyPolicy(TinyModel(sizes), max_new_tokens=12)


def make_screens(count: int, rng: np.random.Generator) -> list[Screen]:
    """Screens of three labelled buttons at random places."""
    labels = ["Wi-Fi", "Alarm", "Contacts", "Display", "Sound", "Battery"]
    screens = []
    for _ in range(count):
        frame = np.full((1200, 540, 3), 250, np.uint8)
        nodes = []
        for label, row in zip(rng.permutation(labels)[:3], rng.permutation(5), strict=False):
            left, top = int(rng.integers(20, 200)), 100 + int(row) * 200
            cv2.putText(frame, str(label), (left + 10, top + 70), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (20, 20, 20), 4)
            nodes.append(UiNode(bounds=(left, top, left + 280, top + 110), text=str(label), clickable=True))
        screens.append(screen_of(frame, nodes))
    return screens


def test_acting_and_evaluating_give_the_same_numbers() -> None:
    policy = TinyPolicy.create(seed=0)
    with torch.no_grad():  # let some decisions start with TYPE, which takes several tokens
        policy.model.token_out.bias[WORD_ID["TYPE"]] = 5.0
    shown = make_observations(24)
    decisions = policy.act(shown, streams=make_streams(len(shown), seed=5))
    assert max(len(decision.token_ids) for decision in decisions) > 1
    with torch.no_grad():
        found = policy.evaluate(shown, [decision.token_ids for decision in decisions])
        torch.testing.assert_close(found.values, policy.values(shown))
    for row, decision in enumerate(decisions):
        count = len(decision.token_ids)
        np.testing.assert_allclose(found.logprobs[row, :count].numpy(), decision.logprobs, atol=1e-4)
        assert found.values[row].item() == pytest.approx(decision.value, abs=1e-5)
        assert found.mask[row].sum().item() == count
        assert not found.logprobs[row, count:].any() and not found.entropy[row, count:].any()
        assert decision.text == action_text(decision.action)


def test_copy_slots_that_do_not_exist_are_never_sampled_and_sampling_is_repeatable() -> None:
    policy = TinyPolicy.create(seed=1)
    shown = make_observations(16)
    one = [policy.act(shown, streams=make_streams(len(shown), seed=2)) for _ in range(2)]
    assert one[0] == one[1]
    reasons = [d.action.reason for d in one[0] if isinstance(d.action, InvalidAction)]
    assert not any("copies a word" in reason for reason in reasons)


def test_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(123)
    first = TinyPolicy.create(seed=4).state_dict()
    torch.manual_seed(321)
    second, other = TinyPolicy.create(seed=4).state_dict(), TinyPolicy.create(seed=5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_saved_policy_is_the_same_policy_for_us_and_for_transformers(tmp_path: Path) -> None:
    policy = TinyPolicy.create(seed=0)
    policy.save(tmp_path / "model")
    loaded = load_policy(PolicyConfig(model=str(tmp_path / "model")))
    assert loaded.act(make_observations(3), greedy=True) == policy.act(make_observations(3), greedy=True)
    theirs = AutoModel.from_pretrained(tmp_path / "model")
    assert isinstance(theirs, TinyModel)
    assert all(torch.equal(a, b) for a, b in zip(theirs.parameters(), policy.model.parameters(), strict=True))
    theirs.save_pretrained(tmp_path / "again")
    again = load_policy(PolicyConfig(model=str(tmp_path / "again")))
    assert all(torch.equal(a, b) for a, b in zip(again.module.parameters(), policy.model.parameters(), strict=True))


@pytest.mark.skipif(not (BASE_MODELS / "tiny").is_dir(), reason="no base model in this checkout")
def test_the_shipped_base_model_gets_a_value_head_from_the_seed() -> None:
    one, other = load_policy(seed=0).state_dict(), load_policy(seed=1).state_dict()
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert differing == {"value_head.0.weight"}
    assert load_policy(seed=0).act(make_observations(1), greedy=True)[0].value == 0.0


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, damage: str) -> None:
    TinyPolicy.create(seed=0).save(tmp_path)
    weights = tmp_path / "model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        small_policy().save(tmp_path / "small")
        weights.write_bytes((tmp_path / "small" / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match=tmp_path.name) as error:
        load_policy(PolicyConfig(model=str(tmp_path)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", ["gibbon", "./nowhere", "/etc"])
def test_an_unknown_model_is_refused_in_one_line(model: str) -> None:
    with pytest.raises(ModelError, match='"tiny"') as error:
        load_policy(PolicyConfig(model=model))
    assert "\n" not in str(error.value) and model in str(error.value)


@pytest.mark.parametrize("device", ["cuda:99", "cdua"])
def test_a_device_that_is_not_there_is_refused_in_one_line(device: str) -> None:
    with pytest.raises(
        ModelError, match=f"policy.device '{device}' cannot be used here .*; available: auto, cpu"
    ) as error:
        load_policy(PolicyConfig(device=device))
    assert "\n" not in str(error.value)


def test_the_tiny_model_refuses_adapters() -> None:
    with pytest.raises(ModelError, match="lora"):
        load_policy(PolicyConfig(tuning="lora"))


def test_value_loss_reaches_the_trunk_only_if_asked() -> None:
    policy = small_policy()
    last = policy.model.value_head[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.ones_(last.weight)
    for wanted in (False, True):
        policy.model.zero_grad()
        policy.value_trunk_gradient = wanted
        policy.evaluate(make_observations(2), [(0,), (0,)]).values.sum().backward()
        reached = [n for n, p in policy.model.named_parameters() if p.grad is not None and p.grad.any()]
        assert any(name.startswith("value_head") for name in reached)
        assert any(not name.startswith("value_head") for name in reached) == wanted


def grounded_policy(tune_reading: bool | None = None) -> TinyPolicy:
    module = small_policy().model
    module.config.grounded = True
    return TinyPolicy(module, tune_reading=tune_reading)


def test_training_leaves_what_was_grounded_unless_told_otherwise(tmp_path: Path) -> None:
    assert trains_reading(small_policy()) and trains_reading(grounded_policy(tune_reading=True))
    kept = grounded_policy()
    assert not trains_reading(kept)
    kept.save(tmp_path)
    for config, trained in ((PolicyConfig(), False), (PolicyConfig(tuning="full"), True)):
        policy = load_policy(msgspec.structs.replace(config, model=str(tmp_path)))
        assert isinstance(policy, TinyPolicy) and trains_reading(policy) == trained


def trains_reading(policy: TinyPolicy) -> bool:
    policy.model.zero_grad()
    policy.evaluate(make_observations(2), [(0,), (0,)]).logprobs.sum().backward()
    learned = {id(p) for group in policy.parameter_groups(1.0, 1.0) for p in group["params"]}  # pyright: ignore
    reading = list(policy.model.reading())
    assert all((id(parameter) in learned) == parameter.requires_grad for parameter in reading)
    touched = [parameter.grad is not None for parameter in policy.model.stem.parameters()]
    assert all(touched) or not any(touched)
    return all(touched)


def test_features_kept_from_before_change_nothing() -> None:
    policy, shown = grounded_policy(), make_observations(5)
    together = policy.inputs(shown).cells
    alone = torch.cat([grounded_policy().inputs([one]).cells for one in shown])
    assert torch.equal(together, alone) and torch.equal(policy.inputs(shown).cells, together)
    with torch.no_grad():
        close = policy.model.stem(policy.images([one.frames[-1] for one in shown]))
    assert torch.allclose(together, close, atol=1e-2)


def test_another_stem_looks_anew() -> None:
    policy, shown = grounded_policy(), make_observations(2)
    before = policy.inputs(shown).cells
    weights = policy.state_dict()
    policy.load_state_dict(weights)
    assert torch.equal(policy.inputs(shown).cells, before)
    policy.load_state_dict({name: 2 * tensor for name, tensor in weights.items()})
    assert not torch.allclose(policy.inputs(shown).cells, before)


@pytest.mark.slow
def test_it_overfits_decisions_of_every_kind() -> None:
    policy = small_policy()
    shown = make_observations(16)
    kinds: list[Action] = [PressKey("back"), TypeText("word"), OpenApp("ab"), Finish(), Swipe(0.5, 0.7, 0.5, 0.35)]
    wanted: list[Action] = [Tap((i % 16 + 0.5) / 16, (3 * i + 0.5) / 32) for i in range(10)]
    wanted += [kinds[i % len(kinds)] for i in range(6)]
    target = [policy.encode_action(action, one) for action, one in zip(wanted, shown, strict=True)]
    optimizer = torch.optim.AdamW(policy.parameter_groups(4e-3, 1e-3))
    for _ in range(50):
        optimizer.zero_grad()
        (-policy.evaluate(shown, target).logprobs.sum() / 16).backward()
        torch.nn.utils.clip_grad_norm_(policy.module.parameters(), 1.0)
        optimizer.step()
    decisions = policy.act(shown, greedy=True)
    assert [decision.token_ids for decision in decisions] == target


@pytest.mark.slow
def test_grounding_learns_to_tap_the_named_button() -> None:
    rng = np.random.default_rng(0)
    policy = small_policy()
    screens, held_out = make_screens(100, rng), make_screens(30, rng)
    questions = [grounding_batch(policy, held_out, rng, label_counts(screens))]
    for _ in train(policy, screens, rng, updates=160, batch=8, lr=3e-3):
        pass
    assert grounding_accuracy(policy, questions) > 0.6  # one of three buttons by chance: 0.33


def test_a_screen_offers_only_labels_that_occur_once() -> None:
    frame = np.zeros((1200, 540, 3), np.uint8)
    nodes = [
        UiNode(bounds=(0, 0, 540, 100), text="Twice"),
        UiNode(bounds=(0, 200, 540, 300), text="twice"),
        UiNode(bounds=(0, 400, 270, 500), label="Once"),
        UiNode(bounds=(0, 400, 540, 500), text="Off", enabled=False),
        UiNode(bounds=(0, 600, 2, 602), text="Speck"),
    ]
    screen = screen_of(frame, nodes)
    assert [widget.label for widget in screen.widgets] == ["Once"]
    assert screen.frame.shape == (448, 224, 3)
    assert screen.widgets[0].centre in screen.widgets[0].inside


def test_history_is_two_kinds_and_whether_they_repeat() -> None:
    assert context_ids(()) != context_ids(("tap 0.1 0.2",))
    assert context_ids(("tap 0.1 0.2", "tap 0.1 0.2"))[2] != context_ids(("tap 0.1 0.2", "tap 0.3 0.2"))[2]
    assert context_ids(("wait 1", "press back", "invalid")) == context_ids(("press back", "invalid"))


def test_a_part_of_a_decision_is_none() -> None:
    policy = small_policy()
    whole = policy.encode_action(TypeText("xyz"), Observation("do it", (np.zeros((4, 4, 3), np.uint8),)))
    assert policy.check_tokens(whole) == ""
    assert "stops before its end, after 1 of at most" in policy.check_tokens(whole[:1])
    assert "goes on after its end" in policy.check_tokens((*whole, whole[-1]))
    assert policy.check_tokens((*whole[:1], *[CHAR_BASE] * (policy.max_new_tokens - 1))) == ""


def test_prompts_name_task_history_and_format() -> None:
    one = Observation("Set an alarm", (np.zeros((4, 4, 3), np.uint8),), (action_text(Tap(0.5, 0.25)), "press back"))
    text = prompt_text(one, "FORMAT")
    assert "Set an alarm" in text and "1. tap 0.50 0.25\n2. press back" in text and "FORMAT" in text
    assert history_text(()) == "none"


def test_a_screen_has_every_written_word_where_it_stands() -> None:
    frame = np.zeros((1200, 540, 3), np.uint8)
    nodes = [
        UiNode(bounds=(0, 100, 240, 133), text="Grace Kim, PM"),
        UiNode(bounds=(300, 500, 360, 533), text="pm"),
        UiNode(bounds=(400, 500, 480, 580), label="Said aloud"),
        UiNode(bounds=(0, 700, 100, 900), text="Several lines of text"),
    ]
    words = {word.word: word for word in screen_of(frame, nodes).words}
    assert list(words) == ["Grace", "Kim", "PM"]
    columns = {name: {cell % 16 for cell in word.inside} for name, word in words.items()}
    assert max(columns["Grace"]) < min(columns["Kim"])
    assert [cell // 16 for cell in words["PM"].centres] == [3, 13]
