"""`T5VisionForConditionalGeneration`: a T5 that reads a screenshot, the shape of the paper's Auto-UI.

Convolutional screen features replace the `image_token_id` placeholders of the encoder's input, so text and
screen share one sequence, one attention mask and T5's own generation code. Registered with transformers'
Auto classes on import; a folder needs `config.json`, `model.safetensors` and a tokenizer.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn
from transformers import AutoConfig, AutoModelForImageTextToText, T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Stack

STRIDE = 32
"""Pixels per screen token: patches of 16, merged two by two."""


class T5VisionConfig(T5Config):
    """A T5 configuration with an image size `(height, width)` in multiples of 32 and a placeholder token id."""

    model_type = "distrl_t5_vision"

    image_height: int = 448
    image_width: int = 224
    vision_size: int = 128
    image_token_id: int = 0

    @property
    def image_tokens(self) -> int:
        """Placeholders per image."""
        return (self.image_height // STRIDE) * (self.image_width // STRIDE)


class ConvVision(nn.Module):
    """Images `(N, 3, H, W)` in [-1, 1] -> tokens `(N, H / 32 * W / 32, d_model)`."""

    def __init__(self, config: T5VisionConfig) -> None:
        super().__init__()
        size = config.vision_size
        self.patch = nn.Conv2d(3, size, STRIDE // 2, STRIDE // 2)
        self.mix = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(1, size) for _ in range(2))
        self.merge = nn.Conv2d(size, config.d_model, 2, 2)
        self.place = nn.Embedding(config.image_tokens, config.d_model)

    def forward(self, images: Tensor) -> Tensor:
        """Return screen tokens, row by row."""
        x = fn.gelu(self.patch(images))
        for conv, norm in zip(self.mix, self.norms, strict=True):
            x = x + fn.gelu(conv(norm(x)))
        return self.merge(x).flatten(2).transpose(1, 2) + self.place.weight


class T5VisionEncoder(T5Stack):
    """T5's encoder over text in which placeholders carry screen tokens."""

    def __init__(self, config: T5VisionConfig) -> None:
        super().__init__(config)
        self.vision = ConvVision(config)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `T5Stack.forward`; `pixel_values` `(N, 3, H, W)` fill the placeholders of `input_ids` in order."""
        if pixel_values is not None and input_ids is not None and inputs_embeds is None:
            embeds = self.embed_tokens(input_ids)
            here = (input_ids == self.config.image_token_id).unsqueeze(-1).expand_as(embeds)
            inputs_embeds = embeds.masked_scatter(here, self.vision(pixel_values).to(embeds.dtype))
            input_ids = None
        return super().forward(
            input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
        )


class T5VisionForConditionalGeneration(T5ForConditionalGeneration):
    """T5 with `T5VisionEncoder`; `from_pretrained` of a plain T5 keeps its weights and draws the vision part."""

    config_class = T5VisionConfig

    def __init__(self, config: T5VisionConfig) -> None:
        super().__init__(config)
        encoder_config = copy.deepcopy(config)
        encoder_config.is_decoder = False
        encoder_config.use_cache = False
        self.encoder = T5VisionEncoder(encoder_config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise the vision part; everything else as T5 does."""
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ConvVision):
            nn.init.normal_(module.place.weight, std=0.02)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        encoder_outputs: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As T5's forward, with `pixel_values` `(N, 3, H, W)`."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, pixel_values=pixel_values
            )
        return super().forward(attention_mask=attention_mask, encoder_outputs=encoder_outputs, **kwargs)


def pixels(frames: Sequence[NDArray[np.uint8]], config: T5VisionConfig) -> Tensor:
    """Return RGB `frames` as `(N, 3, H, W)` float32 in [-1, 1] at the size that `config` asks for."""
    size = (config.image_width, config.image_height)
    resized = [cast("NDArray[np.uint8]", cv2.resize(frame, size, interpolation=cv2.INTER_AREA)) for frame in frames]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


AutoConfig.register(T5VisionConfig.model_type, T5VisionConfig)
AutoModelForImageTextToText.register(T5VisionConfig, T5VisionForConditionalGeneration)
