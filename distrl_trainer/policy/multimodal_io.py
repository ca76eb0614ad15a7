"""Loading and saving of `MultimodalPolicy`: transformers folders, peft adapters, `policy.json`.

Invariant: only safetensors are read or written, and no code is run that a model brings along; what `save` writes,
`load` makes again. A policy tuned by LoRA keeps its adapters and names its base model; one tuned in full keeps
everything.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForImageTextToText, GenerationConfig

from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy.fronts import Front, load_front

if TYPE_CHECKING:
    from distrl_trainer.policy.multimodal import MultimodalPolicy, MultimodalSettings

SETTINGS = "policy.json"
VALUE_HEAD = "value_head.safetensors"
PROJECTIONS = (("q_proj", "k_proj", "v_proj", "o_proj"), ("q", "k", "v", "o"), ("query", "key", "value"), ("c_attn",))


class LoadError(ValueError):
    """A model folder or hub id that cannot be loaded; one line."""


def load(reference: str, config: PolicyConfig, *, seed: int, device: str) -> MultimodalPolicy:
    """Return the policy over the model at `reference`, a folder or a hub id.

    A folder that `save` wrote keeps its own codec, frames, history and tuning; `config` decides otherwise.

    Raises:
        LoadError, FrontError: The model, its tokenizer or its image processor cannot be loaded.
    """
    from distrl_trainer.policy.multimodal import ModelWithValue, MultimodalPolicy, MultimodalSettings

    folder = Path(reference)
    saved = _read_settings(folder / SETTINGS, MultimodalSettings)
    settings = saved or MultimodalSettings(
        tuning="full" if config.tuning == "full" else "lora",
        codec=config.codec,
        frames=config.frames,
        history=config.history,
        max_new_tokens=config.max_new_tokens,
        base="" if config.tuning == "full" else _lasting(reference),
    )
    source = settings.base or reference
    model = _load_model(source, config)
    front = load_front(source, model.config, settings.frames, settings.history)
    eos = _neutral_generation(model, front)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.tuning == "lora":
            model = _with_adapters(model, folder if saved else None, config)
        parts = ModelWithValue(model, _hidden_size(model))
    if saved:
        parts.value_head.load_state_dict(load_file(folder / VALUE_HEAD))
    return MultimodalPolicy(parts.to(device), front, settings, eos)


def save(folder: Path, model: Any, value_head: nn.Module, front: Front, settings: MultimodalSettings) -> None:
    """Write a policy to `folder`; the front only beside full weights (adapters use their base model's)."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if settings.tuning == "full":
        front.save(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in value_head.state_dict().items()}
    save_file(tensors, folder / VALUE_HEAD)
    (folder / SETTINGS).write_bytes(msgspec.json.format(msgspec.json.encode(settings)))


def _read_settings(path: Path, kind: type[MultimodalSettings]) -> MultimodalSettings | None:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise LoadError(f"{path} is damaged: {error}") from error


def _lasting(reference: str) -> str:
    """Return `reference` so that it means the same from another working directory."""
    return os.path.abspath(reference) if Path(reference).is_dir() else reference


def _load_model(source: str, config: PolicyConfig) -> Any:
    dtype: torch.dtype = getattr(torch, config.dtype)
    try:
        # Left out, transformers asks on the terminal whether to run the code that a repository brings along.
        return AutoModelForImageTextToText.from_pretrained(
            source, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise LoadError(f"cannot load {source!r}: {str(error).strip().partition(chr(10))[0]}") from error


def _neutral_generation(model: Any, front: Front) -> tuple[int, ...]:
    """Drop the model's generation defaults (they would change the distribution); return the ids that end."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, Sequence) else [ends]
    ids = [int(one) for one in (front.tokenizer.eos_token_id, *ends) if one is not None]
    if not ids:
        raise LoadError("neither tokenizer nor generation_config.json names an end-of-sequence token")
    pad = front.tokenizer.pad_token_id
    start = getattr(model.config, "decoder_start_token_id", None)
    unique = list(dict.fromkeys(ids))
    model.generation_config = GenerationConfig(
        eos_token_id=unique, pad_token_id=ids[0] if pad is None else pad, decoder_start_token_id=start
    )
    return tuple(unique)


def _with_adapters(model: Any, folder: Path | None, config: PolicyConfig) -> Any:
    if folder is not None:
        return PeftModel.from_pretrained(model, folder, is_trainable=True)
    targets = list(config.lora_targets) or _projections(model)
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # pyright: ignore[reportArgumentType]  # typed int, used as a factor
        lora_dropout=config.lora_dropout,
        target_modules=targets,
    )
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise LoadError(f"lora_targets {targets}: {str(error).partition(chr(10))[0]}") from error


def _projections(model: nn.Module) -> list[str]:
    """Return the attention projections that the model names in one of the usual ways."""
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for group in PROJECTIONS:
        if group[0] in names:
            return [name for name in group if name in names]
    raise LoadError(f"no attention projections found for LoRA; name some in lora_targets, e.g. {sorted(names)[:8]}")


def _hidden_size(model: Any) -> int:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return int(base.get_output_embeddings().weight.shape[1])
