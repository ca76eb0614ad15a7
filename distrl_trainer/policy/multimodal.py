"""`MultimodalPolicy`: any transformers image-text-to-text model, in full or by peft LoRA, with a value head.

Actions are the model's own tokens, decoded by a codec. Invariants: `act` samples from the untruncated softmax over the
tokens that are text (`special_tokens`; no temperature, no generation defaults of the model) and records its log-probs;
`evaluate` gives the same numbers by teacher forcing, in any batch. Made by `load_policy` through `multimodal_io`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, LogitsProcessorList

from android_env_gym.actions import Action, ActionError
from android_env_gym.codecs import get_codec
from distrl_trainer.policy import multimodal_io
from distrl_trainer.policy.base import Decision, Evaluation, Observation
from distrl_trainer.policy.fronts import Front
from distrl_trainer.policy.sampling import Streams, check_end, check_range, check_streams, pick
from distrl_trainer.policy.special_tokens import MASKED, allowed_tokens

VALUE_SIZE = 256


class MultimodalSettings(msgspec.Struct, frozen=True):
    """What a saved policy needs beside weights; written as `policy.json`. `base` is empty for full weights."""

    tuning: Literal["full", "lora"]
    codec: str
    frames: int
    history: int
    max_new_tokens: int
    base: str = ""


class ModelWithValue(nn.Module):
    """The language model (with adapters) and its value head, `hidden -> 256 -> 1`, last layer 0 at first."""

    def __init__(self, model: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.model: Any = model
        self.value_head = nn.Sequential(nn.Linear(hidden_size, VALUE_SIZE), nn.GELU(), nn.Linear(VALUE_SIZE, 1))
        nn.init.zeros_(self.value_head[2].weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(self.value_head[2].bias)  # pyright: ignore[reportArgumentType]


class _Sampler(LogitsProcessor):
    """Draws the tokens itself, from each row's own stream, and leaves `generate` nothing to choose.

    A row that has ended uses no more numbers of its stream: how many it uses must not depend on longer rows beside it.
    """

    def __init__(self, streams: Streams | None, eos: Sequence[int], forbidden: Tensor) -> None:
        self.streams, self.eos, self.forbidden = streams, eos, forbidden
        self.ended: set[int] = set()
        self.tokens: list[Tensor] = []
        self.logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logprobs = scores.float().masked_fill(self.forbidden, MASKED).log_softmax(-1)
        token = torch.full_like(input_ids[:, 0], self.eos[0])
        rows = [row for row in range(len(token)) if row not in self.ended]
        if rows:
            index = torch.tensor(rows, device=token.device)
            token[index] = pick(logprobs[index], None if self.streams is None else [self.streams[row] for row in rows])
            self.ended |= {row for row, one in zip(rows, token[index].tolist(), strict=True) if one in self.eos}
        self.tokens.append(token)
        self.logprobs.append(logprobs.gather(1, token[:, None])[:, 0])
        return torch.full_like(scores, float("-inf")).scatter_(1, token[:, None], 0.0)


class MultimodalPolicy:
    """Policy over a transformers model.

    Attributes:
        version: Set by whoever loads weights.
        module: Model and value head.
        value_trunk_gradient: Whether the value loss reaches the trunk (off: the feature is detached).
    """

    def __init__(self, module: ModelWithValue, front: Front, settings: MultimodalSettings, eos: Sequence[int]) -> None:
        self.version = 0
        self.parts = module.eval()
        self.module: nn.Module = module
        self.front, self.settings, self.eos = front, settings, tuple(eos)
        self.codec = get_codec(settings.codec)
        self.value_trunk_gradient = False
        self._device = next(module.value_head.parameters()).device
        self._dtype = next(module.model.parameters()).dtype
        self._encoder_decoder = bool(module.model.config.is_encoder_decoder)
        forward = inspect.signature(_bare(module.model).forward).parameters
        vocabulary = _bare(module.model).get_output_embeddings().weight.shape[0]
        allowed = allowed_tokens(front.tokenizer, module.model.config, self.eos, vocabulary)
        self._forbidden = (~allowed).to(self._device)
        self._accepted = set(forward)
        self._keeps_logits = "logits_to_keep" in forward

    @torch.no_grad()
    def act(
        self, observations: Sequence[Observation], *, greedy: bool = False, streams: Streams | None = None
    ) -> list[Decision]:
        """Generate one action per observation; as `Policy.act`."""
        sampler = _Sampler(check_streams(streams, len(observations), greedy), self.eos, self._forbidden)
        if not observations:
            return []
        self.module.eval()
        with self._hidden() as hidden:
            self.parts.model.generate(
                **self._inputs(observations),
                logits_processor=LogitsProcessorList([sampler]),
                max_new_tokens=self.settings.max_new_tokens,
                do_sample=False,
            )
        values = self._value(hidden[0][:, -1]).tolist()
        tokens, logprobs = torch.stack(sampler.tokens, 1).tolist(), torch.stack(sampler.logprobs, 1).tolist()
        return [self._decision(*row) for row in zip(tokens, logprobs, values, strict=True)]

    def evaluate(self, observations: Sequence[Observation], token_ids: Sequence[Sequence[int]]) -> Evaluation:
        """Return log-probs, exact entropy and values of decisions taken, by teacher forcing; as `Policy.evaluate`.

        A token that cannot be sampled has the log-probability -1e9, and the model is shown an end token in its place:
        an image placeholder without an image would stop it.
        """
        tokens, mask = self._pad_right(token_ids)
        shown = tokens.masked_fill(self._forbidden[tokens], self.eos[0])
        logits, feature = self._forward(self._inputs(observations), shown, mask)
        scores = logits.float().masked_fill(self._forbidden, MASKED).log_softmax(-1)
        entropy = -(scores.exp() * scores).sum(-1)
        return Evaluation(
            logprobs=torch.where(mask, scores.gather(2, tokens.unsqueeze(-1)).squeeze(-1), 0.0),
            entropy=torch.where(mask, entropy, 0.0),
            mask=mask,
            values=self._value(feature),
        )

    def check_tokens(self, token_ids: Sequence[int]) -> str:
        """Return why `act` could never have chosen `token_ids`, or an empty string; as `Policy.check_tokens`."""
        reason = check_range(token_ids, len(self._forbidden), self.settings.max_new_tokens)
        if reason:
            return reason
        special = [one for one in token_ids if self._forbidden[one]]
        if special:
            return f"token {special[0]} ({self.front.tokenizer.convert_ids_to_tokens(special[0])!r}) is never sampled"
        ends = [place for place, one in enumerate(token_ids, start=1) if one in self.eos]
        return check_end(len(token_ids), ends[0] if ends else None, self.settings.max_new_tokens)

    def values(self, observations: Sequence[Observation]) -> Tensor:
        """Return `(batch,)` state values."""
        tokens, mask = self._pad_right([(0,)] * len(observations))
        return self._value(self._forward(self._inputs(observations), tokens, mask)[1])

    def encode_action(self, action: Action, observation: Observation) -> tuple[int, ...]:
        """Return the token ids of the codec's text for `action`, end of sequence included.

        Raises:
            ActionError: The codec or the vocabulary has no words for it, or it takes more than `max_new_tokens`.
        """
        text = self.codec.encode(action)
        ids = [*self.front.tokenizer(text, add_special_tokens=False)["input_ids"], self.eos[0]]
        if len(ids) > self.settings.max_new_tokens:
            limit = self.settings.max_new_tokens
            raise ActionError(f"{text!r} takes {len(ids)} tokens, allowed are {limit} (policy.max_new_tokens)")
        reason = self.check_tokens(ids)
        if reason:
            raise ActionError(f"the model's tokenizer cannot spell {text!r}: {reason}")
        return tuple(ids)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the trained weights (adapters or all, and the value head), detached copies on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._trained()}

    @torch.no_grad()
    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Install weights that `state_dict` returned.

        Raises:
            KeyError: The names are not those of this policy's trained weights.
        """
        trained = dict(self._trained())
        if trained.keys() != tensors.keys():
            wrong = sorted(trained.keys() ^ tensors.keys())
            raise KeyError(f"{len(wrong)} weights are missing or unknown, e.g. {wrong[:3]}: another model or tuning")
        for name, tensor in tensors.items():
            trained[name].copy_(tensor)

    def parameter_groups(self, lr: float, value_lr: float) -> list[dict[str, object]]:
        """Return optimizer groups: the trained part of the model at `lr`, the value head at `value_lr`."""
        trained = list(self._trained())
        policy = [tensor for name, tensor in trained if not name.startswith("value_head.")]
        head = [tensor for name, tensor in trained if name.startswith("value_head.")]
        return [{"params": policy, "lr": lr, "name": "policy"}, {"params": head, "lr": value_lr, "name": "value"}]

    def save(self, folder: Path) -> None:
        """Write adapters or all weights, the value head, `policy.json` and the tokenizer to `folder`."""
        multimodal_io.save(folder, self.parts.model, self.parts.value_head, self.front, self.settings)

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, one) for name, one in self.module.named_parameters() if one.requires_grad)

    def _inputs(self, observations: Sequence[Observation]) -> dict[str, Tensor]:
        made = self.front(observations, self.codec.prompt)
        moved = {name: tensor.to(self._device) for name, tensor in made.items() if name in self._accepted}
        return {name: t.to(self._dtype) if t.is_floating_point() else t for name, t in moved.items()}

    def _forward(self, inputs: dict[str, Tensor], tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits `(B, L, V)` of `tokens` `(B, L)` and the feature `(B, D)` before the first."""
        length = tokens.shape[1]
        with self._hidden() as hidden:
            if self._encoder_decoder:
                start = torch.full_like(tokens[:, :1], self.parts.model.config.decoder_start_token_id)
                shifted = torch.cat([start, tokens[:, :-1]], 1)
                logits = self.parts.model(**inputs, decoder_input_ids=shifted, use_cache=False).logits
            else:
                keep = {"logits_to_keep": length + 1} if self._keeps_logits else {}
                whole = self._with_positions(_appended(inputs, tokens, mask))
                logits = self.parts.model(**whole, **keep, use_cache=False).logits
                logits = logits[:, -length - 1 : -1]
        feature = hidden[0][:, 0] if self._encoder_decoder else hidden[0][:, -length - 1]
        return logits, feature

    def _with_positions(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `inputs` with positions counted from each row's first token, as `generate` counts them.

        Models that place images by their grid count positions themselves.
        """
        if "position_ids" not in self._accepted or "image_grid_thw" in inputs:
            return inputs
        mask = inputs["attention_mask"]
        return inputs | {"position_ids": (mask.long().cumsum(-1) - 1).masked_fill(mask == 0, 0)}

    @contextmanager
    def _hidden(self) -> Iterator[list[Tensor]]:
        """Collect what enters the output layer: the last hidden states, one tensor per forward pass."""
        collected: list[Tensor] = []

        def note(_module: nn.Module, args: tuple[Any, ...]) -> None:
            if not collected:
                collected.append(args[0])

        handle = _bare(self.parts.model).get_output_embeddings().register_forward_pre_hook(note)
        try:
            yield collected
        finally:
            handle.remove()

    def _value(self, feature: Tensor) -> Tensor:
        feature = feature.float()
        return self.parts.value_head(feature if self.value_trunk_gradient else feature.detach()).squeeze(-1)

    def _decision(self, tokens: list[int], logprobs: list[float], value: float) -> Decision:
        ends = [i + 1 for i, token in enumerate(tokens) if token in self.eos]
        ids = tokens[: ends[0]] if ends else tokens
        text = str(self.front.tokenizer.decode(ids, skip_special_tokens=True)).strip()
        return Decision(tuple(ids), tuple(logprobs[: len(ids)]), value, text, self.codec.decode(text))

    def _pad_right(self, token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        longest = max(map(len, token_ids))
        tokens = torch.full((len(token_ids), longest), self.eos[0], dtype=torch.long)
        mask = torch.zeros(len(token_ids), longest, dtype=torch.bool)
        for row, ids in enumerate(token_ids):
            tokens[row, : len(ids)] = torch.tensor(list(ids), dtype=torch.long)
            mask[row, : len(ids)] = True
        return tokens.to(self._device), mask.to(self._device)


def _bare(model: Any) -> Any:
    """Return the transformers model inside peft's wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _appended(inputs: dict[str, Tensor], tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Return decoder-only `inputs` with the action's tokens after the prompt."""
    prompt = inputs["input_ids"].shape
    out = dict(inputs)
    for name, tensor in inputs.items():
        if tensor.shape != prompt:
            continue
        more = tokens if name == "input_ids" else mask.to(tensor.dtype) if name == "attention_mask" else None
        out[name] = torch.cat([tensor, torch.zeros_like(tokens).to(tensor.dtype) if more is None else more], 1)
    return out
