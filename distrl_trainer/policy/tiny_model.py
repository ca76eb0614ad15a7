"""The built-in `tiny` model: one screen, one instruction, a pointer over words, copy slots and screen cells.

A convolutional stem turns the frame (area-resized to 224x448) into 16x32 cell features, and every word of the
instruction is matched with every cell: that is reading. A strided convolution makes 128 context tokens; one encoder
layer mixes them with the words and the last actions; two decoder layers emit tokens. A cell's score is the decoder
state against its own feature + the upsampled encoder feature + row and column embeddings, plus how well it matches the
words that the state attends to.
Invariants: no state between calls, and dropout acts in supervised training alone, so acting and evaluating give the
same numbers; a row's numbers are its own, whoever pads it: nothing that is computed of padding reaches them.
`tiny_policy` calls it; registered with transformers' Auto classes on import.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as fn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from distrl_trainer.policy.tiny_text import FEATURES, MAX_SLOTS
from distrl_trainer.policy.tiny_vocab import CELL_BASE, CELLS, COLUMNS, COPY_BASE, ROWS, VOCABULARY

PATCH = 14
"""Pixels per cell, each way."""
IMAGE_HEIGHT, IMAGE_WIDTH = ROWS * PATCH, COLUMNS * PATCH
KINDS = 16
CONTEXT = 3
"""Context tokens: the last two action kinds and whether they were the same action."""
MAX_TOKENS = 64
MASKED = -1e9
WORD_DROPOUT = 0.3
MATCH = 6.0
"""About the logit above which a word and a cell match; grounding learns the exact one."""


class TinyConfig(PretrainedConfig):
    """Sizes of the tiny model, and whether it was grounded (can read); saved beside its weights as `config.json`."""

    model_type = "distrl_tiny"

    def __init__(
        self,
        hidden_size: int = 128,
        stroke_size: int = 12,
        glyph_size: int = 32,
        letter_size: int = 48,
        stem_size: int = 64,
        heads: int = 4,
        feed_forward: int = 256,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        word_size: int = 48,
        value_size: int = 128,
        dropout: float = 0.1,
        frames: int = 1,
        grounded: bool = False,
        **kwargs: object,
    ) -> None:
        self.hidden_size = hidden_size
        self.stroke_size = stroke_size
        self.glyph_size = glyph_size
        self.letter_size = letter_size
        self.stem_size = stem_size
        self.heads = heads
        self.feed_forward = feed_forward
        self.encoder_layers = encoder_layers
        self.decoder_layers = decoder_layers
        self.word_size = word_size
        self.value_size = value_size
        self.dropout = dropout
        self.frames = frames
        self.grounded = grounded
        super().__init__(**kwargs)  # pyright: ignore[reportArgumentType]


class Inputs(NamedTuple):
    """A batch: `cells` are the frames' features `(B, C, 32, 16)` from the stem, `words` ids `(B, W, F)` with 0 as
    padding, `context` ids `(B, 5)`: two action kinds, the repeat flag, and the cells of the two actions + 1 (0: no
    point).
    """

    cells: Tensor
    words: Tensor
    context: Tensor


class Memory(NamedTuple):
    """What one pass over an observation leaves for every decoding step; first dimension is the batch."""

    states: Tensor
    allowed: Tensor
    words: Tensor
    slots: Tensor
    cells: Tensor
    regions: Tensor
    found: Tensor
    shown: Tensor
    pooled: Tensor

    def select(self, rows: Tensor) -> Memory:
        """Return the memory of `rows`."""
        return Memory(*(tensor[rows] for tensor in self))


class Attention(nn.Module):
    """Multi-head attention of `queries` `(B, Q, D)` over `keys` `(B, K, D)`; `allowed` is `(B, 1, 1, K)`."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        self.out = nn.Linear(size, size)

    def forward(self, queries: Tensor, keys: Tensor, allowed: Tensor | None = None, causal: bool = False) -> Tensor:
        """Return `(B, Q, D)`."""
        batch, length, size = queries.shape
        query = self.query(queries).view(batch, length, self.heads, -1).transpose(1, 2)
        key, value = self.key_value(keys).view(batch, keys.shape[1], 2 * self.heads, -1).transpose(1, 2).chunk(2, 1)
        mixed = fn.scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, size))


class Block(nn.Module):
    """A pre-norm transformer layer; with `cross`, also attention over the memory."""

    def __init__(self, config: TinyConfig, cross: bool) -> None:
        super().__init__()
        size = config.hidden_size
        self.attend = Attention(size, config.heads)
        self.attend_norm = nn.LayerNorm(size)
        self.cross = Attention(size, config.heads) if cross else None
        self.cross_norm = nn.LayerNorm(size) if cross else None
        self.feed = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, size)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, allowed: Tensor | None, memory: Tensor | None = None) -> Tensor:
        """Return `x` `(B, L, D)` transformed; `allowed` masks what is attended (with `cross`: the memory)."""
        normed = self.attend_norm(x)
        if self.cross is None or self.cross_norm is None or memory is None:
            x = x + self.drop(self.attend(normed, normed, allowed))
        else:
            x = x + self.drop(self.attend(normed, normed, causal=True))
            x = x + self.drop(self.cross(self.cross_norm(x), memory, allowed))
        return x + self.drop(self.feed(x))


class Stem(nn.Module):
    """Frames -> cell features `(B, C, 32, 16)`: three convolutions, a maximum per cell, two residual 3x3 convolutions.

    The maximum makes a stroke count wherever in its cell it falls: words start at any pixel.
    """

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        size = config.stem_size
        self.strokes = nn.Conv2d(3 * config.frames, config.stroke_size, 5, 2, 2)
        self.glyphs = nn.Conv2d(config.stroke_size, config.glyph_size, 5, 2, 2)
        self.letters = nn.Conv2d(config.glyph_size, config.letter_size, 3, padding=1)
        self.patch = nn.Conv2d(config.letter_size, size, 1)
        self.mix = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.GroupNorm(1, size) for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """Return cell features of uint8 `images` `(B, 3 * frames, 448, 224)`."""
        x = images.float().sub_(127.5).div_(64.0).contiguous(memory_format=torch.channels_last)
        for conv in (self.strokes, self.glyphs, self.letters):
            x = fn.relu(conv(x))
        x = fn.gelu(self.patch(fn.adaptive_max_pool2d(x, (ROWS, COLUMNS))))
        for conv, norm in zip(self.mix, self.norms, strict=True):
            x = x + fn.gelu(conv(norm(x)))
        return x


class TinyModel(PreTrainedModel):
    """The tiny model with its value head. `encode` once per observation, then `logits` per decoding step."""

    config_class = TinyConfig
    base_model_prefix = "tiny"
    main_input_name = "images"
    _supports_sdpa = True

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        size, stem = config.hidden_size, config.stem_size
        self.stem = Stem(config)
        self.down = nn.Conv2d(stem + 1, size, 2, 2)
        self.down_norm = nn.LayerNorm(size)
        self.place = nn.Parameter(torch.zeros(CELLS // 4, size))
        self.word_features = nn.Embedding(FEATURES, config.word_size, padding_idx=0)
        self.word_in = nn.Sequential(
            nn.Linear(config.word_size, size), nn.GELU(), nn.Linear(size, size), nn.LayerNorm(size)
        )
        self.word_place = nn.Embedding(MAX_SLOTS, size)
        self.word_shown, self.shown_above = nn.Linear(1, size), nn.Parameter(torch.tensor(MATCH))
        self.kinds = nn.Embedding(KINDS, size)
        self.context_place = nn.Parameter(torch.zeros(CONTEXT, size))
        self.last_point = nn.Parameter(torch.zeros(size, size))
        self.encoder = nn.ModuleList(Block(config, cross=False) for _ in range(config.encoder_layers))
        self.encoder_norm = nn.LayerNorm(size)
        self.decoder = nn.ModuleList(Block(config, cross=True) for _ in range(config.decoder_layers))
        self.decoder_norm = nn.LayerNorm(size)
        self.start = nn.Parameter(torch.zeros(size))
        self.token_in = nn.Embedding(COPY_BASE, size)
        self.token_place = nn.Embedding(MAX_TOKENS, size)
        self.token_out = nn.Linear(size, COPY_BASE)
        self.slot_query, self.slot_key = nn.Linear(size, size), nn.Linear(size, size)
        self.cell_query = nn.Linear(size, size)
        self.cell_stem, self.cell_context = nn.Conv2d(stem + 1, size, 1), nn.Linear(size, size)
        self.read_query, self.word_key = nn.Linear(size, size), nn.Linear(size, size)
        self.read_gates = nn.Linear(size, 3)
        self.cell_word = nn.Conv2d(stem, size, 1)
        self.rows, self.columns = nn.Parameter(torch.zeros(ROWS, 1, size)), nn.Parameter(torch.zeros(1, COLUMNS, size))
        self.drop = nn.Dropout(config.dropout)
        self.value_head = nn.Sequential(
            nn.Linear(3 * size, config.value_size), nn.GELU(), nn.Linear(config.value_size, 1)
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise one module as transformers asks; the value head's last layer starts at 0."""
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02 if module.padding_idx is None else 0.1)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        if isinstance(module, TinyModel):
            nn.init.zeros_(module.read_gates.weight)
            for parameter in (self.place, self.context_place, self.start, self.rows, self.columns):
                nn.init.normal_(parameter, std=0.02)

    def reading(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that say what is written where: the stem, spelling, and their match."""
        for part in (self.stem, self.word_features, self.word_in, self.word_key, self.cell_word):
            yield from part.parameters()

    def reset_value_head(self) -> None:
        """Start the value head anew: hidden layer random, last layer 0, so the first values are 0."""
        first, last = cast(nn.Linear, self.value_head[0]), cast(nn.Linear, self.value_head[-1])
        nn.init.xavier_uniform_(first.weight)
        nn.init.zeros_(first.bias)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def label_keys(self, labels: Tensor) -> Tensor:
        """Return `(B, D)`: what `label_cells` are compared with, for labels as word ids `(B, W, F)`."""
        present = (labels > 0).any(-1, keepdim=True).float()
        keys = (self.word_key(self.word_in(self._bag(labels))) * present).sum(1) / present.sum(1).clamp(min=1)
        return keys * keys.shape[-1] ** -0.5

    def label_cells(self, stem: Tensor) -> Tensor:
        """Return `(B, D, CELLS)`: what is written in each cell, from the cell features `stem` alone."""
        return self.cell_word(stem).flatten(2)

    def encode(self, inputs: Inputs) -> Memory:
        """Return the memory of a batch of observations: one pass, shared by policy and value.

        Every word of the instruction is matched with every cell before anything else: a word knows whether it is on
        the screen, a cell whether it shows one of the words.
        """
        present = (inputs.words > 0).any(-1)
        spelled = self.word_in(self._bag(inputs.words))
        matches = _against(self.word_key(spelled), self.cell_word, inputs.cells) * spelled.shape[-1] ** -0.5
        shown = torch.sigmoid(matches.amax(-1, keepdim=True) - self.shown_above)
        best = matches.masked_fill(~present.unsqueeze(-1), float("-inf")).amax(1).clamp(min=-MATCH)
        best = best.view(-1, 1, ROWS, COLUMNS) / MATCH
        stem = torch.cat([inputs.cells, best], 1)
        screen = self.down_norm(self.down(stem).flatten(2).transpose(1, 2)) + self.place
        # Without their spelling now and then, words are told apart by place and by being on the screen, as new ones.
        known = fn.dropout(torch.ones_like(shown), WORD_DROPOUT, self.training) * (1 - WORD_DROPOUT * self.training)
        words = known * spelled + self.word_place.weight[: inputs.words.shape[1]] + self.word_shown(shown)
        context = self.kinds(inputs.context[:, :CONTEXT]) + self.context_place + self._last_points(inputs.context)
        ones = present.new_ones(present.shape[0], 1)
        seen = torch.cat([ones.expand(-1, screen.shape[1]), present, ones.expand(-1, CONTEXT)], 1)
        allowed = seen[:, None, None, :]
        states = torch.cat([screen, words, context], 1)
        for block in self.encoder:
            states = block(states, allowed)
        states = self.encoder_norm(states)
        screen, text = states[:, : screen.shape[1]], states[:, screen.shape[1] : -CONTEXT]
        weight = present.unsqueeze(-1).float()
        pooled = torch.cat([screen.mean(1), (text * weight).sum(1) / weight.sum(1).clamp(min=1)], 1)
        return Memory(
            states,
            allowed,
            text,
            self._slots(text, present),
            stem,
            self.cell_context(screen),
            matches.softmax(-1),
            shown,
            pooled,
        )

    def _last_points(self, context: Tensor) -> Tensor:
        """Return `(B, CONTEXT, D)`: where the last actions touched, of which a screen may show a caret alone."""
        places = (self.rows + self.columns).view(CELLS, -1)
        none = places.new_zeros(1, places.shape[1])
        cells = fn.pad(context[:, CONTEXT:], (0, 1))
        return torch.cat([none, places])[cells] @ self.last_point

    def _bag(self, ids: Tensor) -> Tensor:
        batch, words, features = ids.shape
        count = (ids > 0).sum(-1, keepdim=True).clamp(min=1).sqrt()
        bags = fn.embedding_bag(ids.reshape(-1, features), self.word_features.weight, mode="sum", padding_idx=0)
        return bags.view(batch, words, -1) / count

    def _slots(self, text: Tensor, present: Tensor) -> Tensor:
        keys = text.new_zeros(text.shape[0], MAX_SLOTS, text.shape[2] + 1)
        keys[:, : text.shape[1], :-1] = self.slot_key(text)
        keys[:, :, -1] = MASKED
        keys[:, : text.shape[1], -1] = (~present).float() * MASKED
        return keys

    def _cell_scores(self, memory: Memory, queries: Tensor) -> Tensor:
        """Return `(B, L, CELLS)`: `queries` `(B, L, D)` against each cell's feature, its region's and its place."""
        batch, length, _ = queries.shape
        regions = (queries @ memory.regions.transpose(1, 2)).view(batch, length, ROWS // 2, 1, COLUMNS // 2, 1)
        regions = regions.expand(-1, -1, -1, 2, -1, 2).reshape(batch, length, CELLS)
        places = queries @ (self.rows + self.columns).view(CELLS, -1).T
        return _against(queries, self.cell_stem, memory.cells) + regions + places

    def decode(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Return states `(B, L + 1, D)` before each token and after the last, for `tokens` `(B, L)`."""
        start = self.start.expand(tokens.shape[0], 1, -1)
        x = torch.cat([start, self._embed(memory, tokens)], 1) if tokens.shape[1] else start
        x = x + self.token_place.weight[: x.shape[1]]
        for block in self.decoder:
            x = block(x, memory.allowed, memory.states)
        return self.decoder_norm(x)

    def _embed(self, memory: Memory, tokens: Tensor) -> Tensor:
        plain = self.token_in(tokens.clamp(max=COPY_BASE - 1))
        slot = (tokens - COPY_BASE).clamp(0, memory.words.shape[1] - 1)
        copied = memory.words.gather(1, slot.unsqueeze(-1).expand(-1, -1, plain.shape[-1]))
        # Past the words of its own instruction a token copies nothing, whatever a longer one beside it has there.
        exists = memory.slots[..., -1].gather(1, (tokens - COPY_BASE).clamp(0, MAX_SLOTS - 1)) == 0
        copied = copied * exists.unsqueeze(-1)
        places = (self.rows + self.columns).view(CELLS, -1)[(tokens - CELL_BASE).clamp(min=0)]
        kind = tokens.unsqueeze(-1)
        return torch.where(kind >= CELL_BASE, places, torch.where(kind >= COPY_BASE, copied, plain))

    def logits(self, memory: Memory, states: Tensor) -> Tensor:
        """Return `(B, L, VOCABULARY)` logits for decoder `states`; slots that do not exist get -1e9."""
        scale = states.shape[-1] ** -0.5
        words = self.token_out(states)
        slots = self.slot_query(states) @ memory.slots[..., :-1].transpose(1, 2) * scale
        slots = slots + memory.slots[..., -1].unsqueeze(1)
        cells = self._cell_scores(memory, self.drop(self.cell_query(states))) * scale
        shown, found, beside = self.read_gates(states).split(1, -1)
        where = self.read_query(states) @ memory.words.transpose(1, 2) * scale
        where = where + (MATCH + shown) * memory.shown.transpose(1, 2)
        where = where + memory.slots[:, : where.shape[2], -1].unsqueeze(1)
        written = where.softmax(-1) @ memory.found
        cells = cells + (1 + found) * _log(written) + beside * _log(_along_rows(written))
        return torch.cat([words, slots, cells], -1)

    def value(self, memory: Memory, states: Tensor, trunk_gradient: bool) -> Tensor:
        """Return `(B,)` values from the state before the first token and the pooled memory.

        Without `trunk_gradient` the trunk is detached (ALGORITHM.md section 3).
        """
        feature = torch.cat([states[:, 0], memory.pooled], 1)
        return self.value_head(feature if trunk_gradient else feature.detach()).squeeze(-1)

    def forward(self, images: Tensor, words: Tensor, context: Tensor, tokens: Tensor) -> Tensor:
        """Return teacher-forced logits `(B, L + 1, VOCABULARY)` for `tokens` `(B, L)` and uint8 `images`."""
        memory = self.encode(Inputs(self.stem(images), words, context))
        return self.logits(memory, self.decode(memory, tokens))


def _log(share: Tensor) -> Tensor:
    return torch.log(share + 1 / CELLS)


def _along_rows(share: Tensor) -> Tensor:
    """Return `(B, L, CELLS)`: how much of `share` lies in a cell's row, half of it for the rows next to that.

    A list's switches and buttons stand in the row of the text that names them.
    """
    batch, length, _ = share.shape
    rows = share.view(batch, length, ROWS, COLUMNS).sum(-1)
    near = rows + 0.5 * (fn.pad(rows, (1, 0))[..., :-1] + fn.pad(rows, (0, 1))[..., 1:])
    return near.unsqueeze(-1).expand(-1, -1, -1, COLUMNS).reshape(batch, length, CELLS)


def _against(queries: Tensor, conv: nn.Conv2d, cells: Tensor) -> Tensor:
    """Return `queries` `(B, Q, D)` times the 1x1 convolution `conv` of `cells` `(B, C, 32, 16)`: `(B, Q, CELLS)`.

    The few queries are taken to the cells' space, not the many cells to theirs.
    """
    weight, bias = conv.weight.flatten(1), cast(Tensor, conv.bias)
    return (queries @ weight) @ cells.flatten(2) + (queries @ bias).unsqueeze(-1)


assert VOCABULARY == CELL_BASE + CELLS
AutoConfig.register(TinyConfig.model_type, TinyConfig)
AutoModel.register(TinyConfig, TinyModel)
