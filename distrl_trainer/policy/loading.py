"""`load_policy`: from a `PolicyConfig` to a `Policy`, offline unless the model id asks the hub.

Invariant: weights come from safetensors, random ones only from `seed`; an unknown model is refused in one
line that names what would work. Called by the command line, collectors and the learner.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import torch
from safetensors import SafetensorError

from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy.base import Policy
from distrl_trainer.policy.tiny_policy import TinyPolicy

BASE_MODELS = Path(__file__).resolve().parent.parent / "base_models"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
TINY = "tiny"
TINY_UNTRAINED = "tiny-untrained"


_REMAKE = "python -m distrl_trainer.policy.grounding --out distrl_trainer/base_models/tiny"
_log = logging.getLogger(__name__)
_FORMS = (
    '"tiny" (built in), a folder with config.json and *.safetensors ("./runs/a/policy"), or a hub id '
    '("owner/name"; with HF_HUB_OFFLINE=1 it must be in the cache)'
)


class ModelError(ValueError):
    """A model that cannot be loaded; the message says what was got and which forms are allowed."""


def load_policy(config: PolicyConfig | None = None, *, seed: int = 0) -> Policy:
    """Return the policy that `config` names, ready on its device.

    `config.model` is "tiny" (the shipped base model, grounded, with a fresh value head), "tiny-untrained"
    (random weights from `seed`), a folder (written by `Policy.save`, or any transformers model), or a hub id.

    Raises:
        ModelError: No such model or device, or a folder that holds no model; one line.
    """
    config = config or PolicyConfig()
    device = torch_device(config.device)
    if device.startswith("cuda"):
        # cuDNN may compute float32 convolutions in TF32, of 10 bits, for some batch sizes and not for others.
        torch.backends.cudnn.allow_tf32 = False
    if config.model in (TINY, TINY_UNTRAINED):
        return _load_builtin(config, seed, device)
    folder = Path(config.model).expanduser()
    if _model_type(folder) == "distrl_tiny":
        return _load_tiny(folder, config, device)
    if is_policy(folder):
        return _load_multimodal(str(folder), config, seed, device)
    if folder.exists() or not _HUB_ID.fullmatch(config.model):
        raise _unknown(config.model)
    return _load_multimodal(config.model, config, seed, device)


def is_policy(folder: Path) -> bool:
    """Return whether `folder` holds a model: a whole one, or adapters with what they adapt (`policy.json`)."""
    return (folder / "config.json").is_file() or (folder / "policy.json").is_file()


def torch_device(name: str) -> str:
    """Return the torch device that `policy.device` means: itself, for "auto" a GPU if there is one.

    Raises:
        ModelError: There is no such device here.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (AssertionError, RuntimeError) as error:  # "not compiled with CUDA", no driver, no such name or number
        found = ["auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise ModelError(
            f"policy.device {name!r} cannot be used here ({str(error).splitlines()[0]}); available: {', '.join(found)}"
        ) from error
    return name


def _load_builtin(config: PolicyConfig, seed: int, device: str) -> TinyPolicy:
    if config.tuning == "lora":
        raise ModelError('the tiny model takes no adapters: got tuning "lora", allowed are "auto" and "full"')
    if config.model == TINY and config.frames != 1:
        _log.warning(
            "the base model reads 1 frame: with policy.frames %d the tiny model starts untrained", config.frames
        )
    if config.model == TINY_UNTRAINED or config.frames != 1:
        return TinyPolicy.create(seed=seed, frames=config.frames, max_new_tokens=config.max_new_tokens, device=device)
    if not (BASE_MODELS / TINY / "config.json").is_file():
        _log.warning("no base model in %s: random weights; %s makes one", BASE_MODELS / TINY, _REMAKE)
        return TinyPolicy.create(seed=seed, max_new_tokens=config.max_new_tokens, device=device)
    policy = _load_tiny(BASE_MODELS / TINY, config, device)
    policy.reset_value_head(seed)
    return policy


def _load_tiny(folder: Path, config: PolicyConfig, device: str) -> TinyPolicy:
    try:
        reading = True if config.tuning == "full" else None
        return TinyPolicy.from_folder(folder, tune_reading=reading, max_new_tokens=config.max_new_tokens, device=device)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no readable tiny model: {error}".splitlines()[0]) from error


def _load_multimodal(reference: str, config: PolicyConfig, seed: int, device: str) -> Policy:
    # transformers' auto classes and peft cost seconds; the tiny model does without
    from distrl_trainer.policy import multimodal_io
    from distrl_trainer.policy.fronts import FrontError

    try:
        return multimodal_io.load(reference, config, seed=seed, device=device)
    except (multimodal_io.LoadError, FrontError) as error:
        raise ModelError(f"{error}; models are: {_FORMS}") from error


def _model_type(folder: Path) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _unknown(model: str) -> ModelError:
    return ModelError(f"unknown model {model!r}; models are: {_FORMS}")
