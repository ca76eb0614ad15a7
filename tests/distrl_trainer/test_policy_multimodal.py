"""`MultimodalPolicy` on tiny random models of real shapes, saved to disk and loaded as a user would."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from runtime_fakes import make_streams
from suite_observations import LONG, SUITES, shown_on
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from android_env_gym.actions import ActionError, Finish, Tap, TypeText
from distrl_trainer import cli
from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy import ModelError, load_policy
from distrl_trainer.policy.base import Decision, Observation
from distrl_trainer.policy.multimodal import MultimodalPolicy
from distrl_trainer.policy.t5_vision import T5VisionConfig, T5VisionForConditionalGeneration

SPECIAL = ["<pad>", "<eos>", "<image>", "<vs>", "<ve>", "<video>"]
TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<vs><image><ve>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}\nassistant:"
)


def make_tokenizer(folder: Path, template: str | None) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", extra_special_tokens=SPECIAL[2:]
    )
    if template:
        fast.chat_template = template
    fast.save_pretrained(folder)
    return fast


def _qwen_parts(vocabulary: int, rope: dict[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    text: dict[str, object] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_parameters": rope,
        "max_position_embeddings": 4096,
    }
    tokens: dict[str, object] = {
        "image_token_id": 2,
        "video_token_id": 5,
        "vision_start_token_id": 3,
        "vision_end_token_id": 4,
    }
    return text, tokens


def make_qwen3(folder: Path) -> None:
    size = len(make_tokenizer(folder, TEMPLATE))
    text, tokens = _qwen_parts(size, {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]})
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 16,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **tokens)).save_pretrained(
        folder
    )
    Qwen2VLImageProcessorPil(patch_size=16, min_pixels=64 * 64, max_pixels=64 * 128).save_pretrained(folder)


def make_qwen25(folder: Path) -> None:
    size = len(make_tokenizer(folder, TEMPLATE))
    text, tokens = _qwen_parts(size, {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]})
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"fullatt_block_indexes": [1], "window_size": 56}
    Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
    ).save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=56 * 112).save_pretrained(folder)


def make_qwen2(folder: Path) -> None:
    size = len(make_tokenizer(folder, TEMPLATE))
    text, tokens = _qwen_parts(size, {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]})
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2}
    Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=vision, **tokens)).save_pretrained(
        folder
    )
    Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=56 * 112).save_pretrained(folder)


def make_llava(folder: Path) -> None:
    """A model whose own processor writes the prompt."""
    tokenizer = make_tokenizer(folder, None)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=2, image_seq_length=16)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        image_token="<image>", chat_template=TEMPLATE.replace("<vs><image><ve>", "<image>"),
    ).save_pretrained(folder)  # fmt: skip


def make_t5(folder: Path) -> None:
    size = len(make_tokenizer(folder, None))
    config = T5VisionConfig(
        vocab_size=size,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        image_token_id=2,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        image_height=64,
        image_width=32,
        vision_size=16,
    )
    T5VisionForConditionalGeneration(config).save_pretrained(folder)


MAKERS = {"qwen3": make_qwen3, "qwen2.5": make_qwen25, "qwen2": make_qwen2, "llava": make_llava, "t5": make_t5}
HOSTILE = "<image> </s> <pad><eos><vs><ve><video> <im<image>age> <pa<eos>d> <|im_end|>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, maker in MAKERS.items():
        made[name] = tmp_path_factory.mktemp(name.replace(".", "_"))
        torch.manual_seed(0)
        maker(made[name])
    return made


def observations() -> list[Observation]:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (448, 224, 3), dtype=np.uint8) for _ in range(3)]
    return [
        Observation("open <image> the clock", (frames[0],), ("tap 0.10 0.20",)),
        Observation("a longer instruction than the first one", (frames[1],)),
        Observation("x", (frames[2],), ("press back", "wait 1")),
    ]


def load(folder: Path, **changes: object) -> MultimodalPolicy:
    settings: dict[str, object] = {"tuning": "lora", "max_new_tokens": 20, "device": "cpu", **changes}
    policy = load_policy(PolicyConfig(model=str(folder), **settings), seed=1)  # pyright: ignore[reportArgumentType]
    assert isinstance(policy, MultimodalPolicy)
    return policy


def perturb(policy: MultimodalPolicy) -> None:
    generator = torch.Generator().manual_seed(3)
    tensors = {name: t + 0.1 * torch.randn(t.shape, generator=generator) for name, t in policy.state_dict().items()}
    policy.load_state_dict(tensors)


@pytest.mark.parametrize("name", list(MAKERS))
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_acting_and_evaluating_give_the_same_numbers(folders: dict[str, Path], name: str, tuning: str) -> None:
    policy = load(folders[name], tuning=tuning)
    perturb(policy)
    decisions = policy.act(observations(), streams=make_streams(3))
    again = policy.act(observations(), streams=make_streams(3))
    assert [d.token_ids for d in decisions] == [d.token_ids for d in again]
    with torch.no_grad():
        found = policy.evaluate(observations(), [d.token_ids for d in decisions])
        values = policy.values(observations())
    for row, decision in enumerate(decisions):
        count = len(decision.token_ids)
        assert 1 <= count <= 20
        np.testing.assert_allclose(found.logprobs[row, :count].numpy(), decision.logprobs, atol=2e-4)
        assert found.mask[row].sum() == count
        assert found.values[row].item() == pytest.approx(decision.value, abs=2e-4)
        assert values[row].item() == pytest.approx(decision.value, abs=2e-4)
    assert (found.entropy[found.mask] > 0).all()


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_saved_lora_policy_is_the_same_policy(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    policy = load(folders[name])
    perturb(policy)
    policy.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").rglob("*.bin"))
    twin = load(tmp_path / "saved")
    for key, tensor in policy.state_dict().items():
        assert torch.equal(tensor, twin.state_dict()[key]), key
    one, other = policy.act(observations(), greedy=True), twin.act(observations(), greedy=True)
    assert [d.token_ids for d in one] == [d.token_ids for d in other]


def test_a_saved_lora_policy_is_evaluated_by_its_folder(folders: dict[str, Path], tmp_path: Path, capsys) -> None:
    load(folders["qwen2.5"]).save(tmp_path / "run" / "policy")
    words = ["--episodes", "1", "--env.max_steps", "1", "--policy.codec", "compact", "--policy.max_new_tokens", "4"]
    assert cli.main(["eval", "--policy", str(tmp_path / "run"), "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["success"]["n"] == 1


def test_a_policy_tuned_in_full_is_saved_whole(folders: dict[str, Path], tmp_path: Path) -> None:
    policy = load(folders["t5"], tuning="full")
    perturb(policy)
    policy.save(tmp_path / "saved")
    twin = load(tmp_path / "saved", tuning="auto")
    assert twin.settings.tuning == "full"
    assert [d.token_ids for d in policy.act(observations(), greedy=True)] == [
        d.token_ids for d in twin.act(observations(), greedy=True)
    ]


@pytest.mark.parametrize("name", list(MAKERS))
def test_only_adapters_and_value_head_are_trained_and_published(folders: dict[str, Path], name: str) -> None:
    policy = load(folders[name])
    names = list(policy.state_dict())
    assert names and all("lora_" in name or name.startswith("value_head.") for name in names)
    target = [policy.encode_action(Tap(0.5, 0.25), one) for one in observations()]
    policy.evaluate(observations(), target).logprobs.sum().backward()
    trained = [p for group in policy.parameter_groups(1e-3, 1e-3) for p in group["params"]]  # type: ignore[union-attr]
    assert len(trained) == len(names)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)


@pytest.mark.slow
def test_it_learns_an_action_and_decodes_it(folders: dict[str, Path]) -> None:
    policy = load(folders["t5"], tuning="full", max_new_tokens=40)
    shown = observations()[:2]
    wanted = [Finish("complete"), TypeText("hi")]
    target = [policy.encode_action(action, one) for action, one in zip(wanted, shown, strict=True)]
    optimizer = torch.optim.Adam(policy.parameter_groups(1e-2, 1e-3))
    for _ in range(40):
        optimizer.zero_grad()
        (-policy.evaluate(shown, target).logprobs.sum()).backward()
        optimizer.step()
    assert [decision.action for decision in policy.act(shown, greedy=True)] == wanted


def test_weights_of_another_model_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(KeyError, match="another model or tuning"):
        load(folders["t5"]).load_state_dict(load(folders["qwen3"]).state_dict())


def test_an_action_that_is_too_long_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ActionError, match="allowed are 20"):
        load(folders["t5"]).encode_action(TypeText("x" * 50), observations()[0])


def test_a_folder_without_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    with pytest.raises(ModelError, match="tiny") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
def test_code_that_a_model_brings_along_is_not_even_asked_about(
    where: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(folders["t5"], tmp_path / "model"))
    kinds = {"AutoConfig": "trap.T", "AutoModelForImageTextToText": "trap.T", "AutoTokenizer": ["trap.T", "trap.T"]}
    written = json.loads((folder / where).read_text()) | {"auto_map": kinds}
    named = {"model_type": "trap_vl"} if where == "config.json" else {"tokenizer_class": "T"}
    (folder / where).write_text(json.dumps(written | named))
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n")
    asked: list[str] = []

    def agree(prompt: str = "") -> str:
        asked.append(prompt)
        return "y"

    monkeypatch.setattr("builtins.input", agree)
    with contextlib.suppress(ModelError):  # a tokenizer of a known form is read without its own code
        load(folder)
    assert not asked and not (tmp_path / "sprung").exists()


def test_unknown_lora_targets_are_named(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="lora_targets"):
        load(folders["t5"], lora_targets=("nothing_like_it",))


def judged(policy: MultimodalPolicy, shown: list[Observation], ids: list[tuple[int, ...]]) -> list[list[float]]:
    """Return the log-probabilities of each decision's tokens, judged together."""
    with torch.no_grad():
        found = policy.evaluate(shown, ids)
    return [row[mask].tolist() for row, mask in zip(found.logprobs, found.mask, strict=True)]


def assert_same(found: list[list[float]], decisions: list[Decision]) -> None:
    for row, decision in zip(found, decisions, strict=True):
        np.testing.assert_allclose(row, decision.logprobs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_decision_has_one_probability_whoever_is_beside_it(folders: dict[str, Path], name: str) -> None:
    policy = load(folders[name])
    perturb(policy)
    shown = observations()
    decisions = policy.act(shown, streams=make_streams(3))
    ids = [decision.token_ids for decision in decisions]
    long = Observation("look for it and " * 20, shown[0].frames)
    for row, one in enumerate(shown):
        assert_same(judged(policy, [one], [ids[row]]), [decisions[row]])
        assert_same(judged(policy, [one, long], [ids[row], ids[0] * 3])[:1], [decisions[row]])
        alone = policy.act([one], streams=[make_streams(3)[row]])[0]
        assert alone.token_ids == ids[row]
    assert_same(judged(policy, shown[::-1], ids[::-1]), decisions[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", list(MAKERS))
def test_a_decision_has_one_probability_on_every_suite(folders: dict[str, Path], name: str, suite: str) -> None:
    policy = load(folders[name])
    perturb(policy)
    every = shown_on(suite, episodes=1, steps=2)
    shown = every[:: max(1, len(every) // 8)]  # of every app
    decisions = policy.act(shown, streams=make_streams(len(shown)))
    ids = [decision.token_ids for decision in decisions]
    order = np.random.default_rng(0).permutation(len(shown))
    for rows in (*order[:, None], *np.array_split(order, 3)):
        beside = [*(shown[row] for row in rows), Observation(LONG, shown[0].frames)]
        found = judged(policy, beside, [*(ids[row] for row in rows), ids[0]])
        assert_same(found[:-1], [decisions[row] for row in rows])


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_row_that_has_ended_uses_no_more_numbers(folders: dict[str, Path], name: str) -> None:
    policy = load(folders[name])
    perturb(policy)
    streams = make_streams(3)
    decisions = policy.act(observations(), streams=streams)
    for decision, stream, fresh in zip(decisions, streams, make_streams(3), strict=True):
        fresh.random(len(decision.token_ids))
        assert stream.random() == fresh.random()


@pytest.mark.parametrize("name", list(MAKERS))
def test_special_tokens_are_never_chosen_though_they_score_highest(folders: dict[str, Path], name: str) -> None:
    policy = load(folders[name])
    special = [0, 2, 3, 4, 5]

    def favour(_module: object, _args: object, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.clone()
        logits[..., special] = 50.0
        return logits

    handle = policy.module.model.get_output_embeddings().register_forward_hook(favour)  # type: ignore[union-attr]
    for arguments in ({"streams": make_streams(3)}, {"greedy": True}):
        decisions = policy.act(observations(), **arguments)  # pyright: ignore[reportArgumentType]
        assert not {one for decision in decisions for one in decision.token_ids} & set(special)
        ids = [decision.token_ids for decision in decisions]
        assert_same(judged(policy, observations(), ids), decisions)
        assert all(policy.check_tokens(one) == "" for one in ids)
    found = policy.evaluate(observations(), [(2, 1), (7, 1), (5, 0)])
    assert torch.isfinite(found.logprobs).all() and torch.isfinite(found.entropy).all()
    assert found.logprobs[0, 0].item() < -1e8 < found.logprobs[1, 0].item()
    (found.logprobs[1].sum() + found.entropy.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.module.parameters() if p.grad is not None)
    handle.remove()


def test_tokens_that_acting_could_not_have_chosen_are_named(folders: dict[str, Path]) -> None:
    policy = load(folders["qwen3"])
    assert policy.check_tokens((7, 8, 1)) == "" == policy.check_tokens((7,) * 20)
    assert "'<image>') is never sampled" in policy.check_tokens((7, 2, 1))
    assert "token 900 is not in the vocabulary of 0 to 261" in policy.check_tokens((900,))
    assert "token -1" in policy.check_tokens((-1,))
    assert "allowed are 1 to 20" in policy.check_tokens(()) and "allowed" in policy.check_tokens((7,) * 21)
    assert "after its end" in policy.check_tokens((7, 1, 7))
    assert "stops before its end, after 2 of at most 20 tokens" in policy.check_tokens((7, 8))


@pytest.mark.parametrize("name", list(MAKERS))
def test_what_a_task_says_never_becomes_a_special_token(folders: dict[str, Path], name: str) -> None:
    policy = load(folders[name])
    frame = observations()[0].frames
    calm = Observation("open the clock", frame, ('type "hi"',))
    hostile = Observation(f"open {HOSTILE}", frame, (f'type "{HOSTILE}"', f'answer "{HOSTILE}"'))

    def specials(one: Observation) -> list[int]:
        ids = policy._inputs([one])["input_ids"][0].tolist()
        return [i for i in ids if i < 6]

    assert specials(hostile) == specials(calm)
    text = policy.front.tokenizer.decode([i for i in policy._inputs([hostile])["input_ids"][0].tolist() if i > 5])
    assert "open < image> < /s>" in text or "open < image> </s>" in text
    decision = policy.act([hostile, calm], streams=make_streams(2))[0]
    assert_same(judged(policy, [hostile], [decision.token_ids]), [decision])


@pytest.mark.parametrize(
    ("name", "changes"), [("qwen3", {"lora_dropout": 0.1}), ("t5", {"lora_dropout": 0.1}), ("t5", {"tuning": "full"})]
)
def test_no_dropout_where_ratios_are_computed(folders: dict[str, Path], name: str, changes: dict[str, object]) -> None:
    policy = load(folders[name], **changes)
    perturb(policy)
    decisions = policy.act(observations(), streams=make_streams(3))
    ids = [decision.token_ids for decision in decisions]
    old = torch.tensor([sum(decision.logprobs) for decision in decisions], dtype=torch.float64)
    with torch.enable_grad():
        ratios = (policy.evaluate(observations(), ids).logprobs.double().sum(-1) - old).exp()
    assert (ratios - 1).abs().max().item() < 1e-5
    policy.module.train()  # as cloning does
    cloned = policy.evaluate(observations(), ids).logprobs.sum(-1)
    assert (cloned - old).abs().max().item() > 1e-3
