"""Grounding: the tiny model learns to tap the widget that a text names. No task is shown.

    python -m distrl_trainer.policy.grounding --out distrl_trainer/base_models/tiny

remakes the shipped base model. Labels and bounds come from the accessibility tree of phones walked at
random (`screens`). Invariant: the weights are a function of the arguments, the wheels and the CPU type.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from android_env_gym.devices.base import Device
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig
from distrl_trainer.policy.screens import Screen, Widget, Word, walk, written_page
from distrl_trainer.policy.tiny_model import MASKED, Inputs
from distrl_trainer.policy.tiny_policy import TinyPolicy
from distrl_trainer.policy.tiny_vocab import CELL_BASE, CELLS

PHRASES = (
    'tap "{}"', 'Tap on "{}".', "tap {}", "{}", 'open "{}"', "Open {}.", "select {}", 'Press the "{}" button.',
    "go to {}", "choose '{}'",
)  # fmt: skip
CENTRE_SHARE = 0.7
DISTRACTED_SHARE = 0.6
QUESTIONS_PER_SCREEN = 2
WORDS_PER_SCREEN = 32
SAVE_EVERY = 500
VOCABULARY_DRAWS = 20_000
PART_SHARE = 0.4
"""How often a question names one word of several, as a task may name a person by the first name."""


class Words(NamedTuple):
    """Words of the screens of a batch and where they stand.

    `ids` `(M, 1, F)` of words on screens `rows` `(M,)`; `target` `(M, CELLS)` a distribution over their cells and
    `centres` `(M,)` one in the middle; `same` `(M, M)` where two are the same word on two screens.
    """

    ids: Tensor
    rows: Tensor
    target: Tensor
    centres: Tensor
    same: Tensor


class Batch(NamedTuple):
    """Questions about screens: `images` `(S, ...)`; per question `words` `(N, W, F)`, `rows` `(N,)` into the images,
    `target` `(N, CELLS)` a distribution over the widget's cells, `widgets` the answers; `written` are words to read.
    """

    images: Tensor
    words: Tensor
    rows: Tensor
    target: Tensor
    widgets: tuple[Widget, ...]
    written: Words


def label_counts(screens: Sequence[Screen]) -> Counter[str]:
    """Return on how many of `screens` each label stands."""
    return Counter(widget.label for screen in screens for widget in screen.widgets)


def grounding_batch(
    policy: TinyPolicy, screens: Sequence[Screen], rng: np.random.Generator, counts: Mapping[str, int]
) -> Batch:
    """Return questions "tap <label>" about `screens`; some hide the label among labels of other screens.

    Labels are drawn by the inverse square root of their `counts`, so that what stands on every screen does not
    crowd out names and titles.
    """
    asked: list[tuple[int, Widget]] = []
    distractors = list(counts)
    for row, screen in enumerate(screens):
        asked += [(row, widget) for widget in _order(screen, counts, rng)[:QUESTIONS_PER_SCREEN]]
    return Batch(
        policy.images([screen.frame for screen in screens]),
        policy.words([_phrase(widget, screens[row], distractors, rng) for row, widget in asked]),
        torch.tensor([row for row, _ in asked]),
        _targets([(widget.inside, (widget.centre,)) for _, widget in asked]),
        tuple(widget for _, widget in asked),
        _written(policy, screens, rng),
    )


def _written(policy: TinyPolicy, screens: Sequence[Screen], rng: np.random.Generator) -> Words:
    read: list[tuple[int, Word]] = []
    for row, screen in enumerate(screens):
        picks = rng.permutation(len(screen.words))[:WORDS_PER_SCREEN]
        read += [(row, screen.words[i]) for i in picks]
    index = {word: i for i, word in enumerate(dict.fromkeys(one.word.lower() for _, one in read))}
    which = torch.tensor([index[one.word.lower()] for _, one in read])
    return Words(
        policy.words([one.word for _, one in read]),
        torch.tensor([row for row, _ in read]),
        _targets([(one.inside, one.centres) for _, one in read]),
        torch.tensor([one.centres[0] for _, one in read]),
        which[:, None] == which,
    )


def _order(screen: Screen, counts: Mapping[str, int], rng: np.random.Generator) -> list[Widget]:
    weights = np.array([counts.get(widget.label, 1) for widget in screen.widgets], np.float64) ** -0.5
    picks = rng.choice(len(weights), size=len(weights), replace=False, p=weights / weights.sum())
    return [screen.widgets[i] for i in picks]


def _part(widget: Widget, screen: Screen, rng: np.random.Generator) -> str:
    """Return the label, or now and then one word of it that no other label of the screen has."""
    words = widget.label.split()
    if len(words) < 2 or rng.random() > PART_SHARE:
        return widget.label
    word = words[rng.integers(len(words))]
    others = (other.label.split() for other in screen.widgets if other is not widget)
    return widget.label if any(word in other for other in others) else word


def _phrase(widget: Widget, screen: Screen, distractors: Sequence[str], rng: np.random.Generator) -> str:
    text = PHRASES[rng.integers(len(PHRASES))].format(_part(widget, screen, rng))
    if rng.random() > DISTRACTED_SHARE:
        return text
    here = " ".join(other.label.lower() for other in screen.widgets)
    others = [str(distractors[i]) for i in rng.integers(len(distractors), size=rng.integers(1, 4))]
    away = [other for other in others if not any(word in here for word in other.lower().split())]
    parts = [text, *away]
    return " ".join(parts[i] for i in rng.permutation(len(parts)))


def _targets(places: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Tensor:
    """Return `(N, CELLS)`: for each (cells, middle cells) a distribution with most of it in the middle."""
    target = np.zeros((len(places), CELLS), np.float32)
    for row, (inside, centres) in zip(target, places, strict=True):
        row[list(inside)] = (1 - CENTRE_SHARE) / len(inside)
        row[list(centres)] += CENTRE_SHARE / len(centres)
    return torch.from_numpy(target)


def _answers(policy: TinyPolicy, batch: Batch, stem: Tensor) -> Tensor:
    """Return `(N, VOCABULARY)` log-probabilities of the first token."""
    context = policy.context([()] * len(batch.widgets))
    memory = policy.model.encode(Inputs(stem[batch.rows], batch.words, context))
    empty = torch.empty(len(batch.widgets), 0, dtype=torch.long)
    return policy.model.logits(memory, policy.model.decode(memory, empty))[:, 0].log_softmax(-1)


def reading_loss(policy: TinyPolicy, stem: Tensor, words: Words) -> Tensor:
    """Return how badly `words` are matched with the cells of `stem` `(S, C, 32, 16)` they are written on.

    A word must find its cells among those of all screens, and a cell its word among all words (a contrast both ways,
    as CLIP's, arXiv 2103.00020). The same word elsewhere does not count.
    """
    cells = policy.model.label_cells(stem)
    keys = policy.model.label_keys(words.ids)
    scores = torch.einsum("md,sdn->msn", keys, cells)
    own = scores[torch.arange(len(keys)), words.rows]
    shown = torch.zeros(len(keys), len(cells)).index_add_(1, words.rows, words.same.float()) > 0
    elsewhere = scores.masked_fill(shown.unsqueeze(-1), MASKED).flatten(1).logsumexp(-1)
    finds = torch.logaddexp(own.logsumexp(-1), elsewhere) - (words.target * own).sum(-1)
    named = cells[words.rows, :, words.centres] @ keys.T
    other = words.same & ~torch.eye(len(keys), dtype=torch.bool)
    means = -named.masked_fill(other, MASKED).log_softmax(-1).diagonal()
    return finds.mean() + means.mean()


def _stem(policy: TinyPolicy, batch: Batch) -> Tensor:
    # bfloat16 halves the time where the processor has it
    with torch.autocast("cpu", torch.bfloat16):
        return policy.model.stem(batch.images).float()


def grounding_loss(policy: TinyPolicy, batch: Batch) -> Tensor:
    """Return the cross-entropy of the first token to the widgets' cells, plus the `reading_loss` of what is written."""
    stem = _stem(policy, batch)
    answers = _answers(policy, batch, stem)[:, CELL_BASE:]
    return -(batch.target * answers).sum(-1).mean() + reading_loss(policy, stem, batch.written)


def _greedy(policy: TinyPolicy, batch: Batch) -> list[int]:
    return _answers(policy, batch, policy.model.stem(batch.images)).argmax(-1).tolist()


@torch.no_grad()
def grounding_accuracy(policy: TinyPolicy, batches: Sequence[Batch]) -> float:
    """Return the share of questions whose greedy answer lies inside the widget."""
    hits = [
        token - CELL_BASE in widget.inside
        for batch in batches
        for token, widget in zip(_greedy(policy, batch), batch.widgets, strict=True)
    ]
    return sum(hits) / max(1, len(hits))


@torch.no_grad()
def reading_accuracy(policy: TinyPolicy, batches: Sequence[Batch]) -> float:
    """Return the share of words whose best cell of their screen is one they are written on."""
    hits: list[bool] = []
    for batch in batches:
        words = batch.written
        cells = policy.model.label_cells(policy.model.stem(batch.images))
        scores = torch.einsum("md,mdn->mn", policy.model.label_keys(words.ids), cells[words.rows])
        hits += (words.target.gather(1, scores.argmax(-1, keepdim=True))[:, 0] > 0).tolist()
    return sum(hits) / max(1, len(hits))


def read_loss(policy: TinyPolicy, batch: Batch) -> Tensor:
    """Return the `reading_loss` alone: neither encoder nor decoder runs."""
    return reading_loss(policy, _stem(policy, batch), batch.written)


def train(
    policy: TinyPolicy,
    screens: Sequence[Screen],
    rng: np.random.Generator,
    *,
    updates: int,
    batch: int,
    lr: float,
    pages: Sequence[Screen] = (),
    loss_of: Callable[[TinyPolicy, Batch], Tensor] = grounding_loss,
) -> Iterator[tuple[int, float]]:
    """Ground `policy` on `screens` for `updates` steps; yields (update, loss) after each.

    Half of a step's `batch` are drawn from `pages`, if there are any (`written_page`). The learning rate warms up over
    100 steps and decays linearly to a tenth.
    """
    counts = label_counts(screens)
    optimizer = torch.optim.AdamW(policy.parameter_groups(lr, lr), weight_decay=0.01)
    policy.model.train()
    for update in range(updates):
        factor = min(1.0, (update + 1) / 100) * (1 - 0.9 * update / updates)
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        written = batch // 2 if pages else 0
        shown = [screens[i] for i in rng.integers(len(screens), size=batch - written)]
        shown += [pages[i] for i in rng.integers(len(pages) or 1, size=written)]
        loss = loss_of(policy, grounding_batch(policy, shown, rng, counts))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.model.parameters(), 1.0)
        optimizer.step()
        yield update, float(loss.detach())
    policy.model.eval()


def make_phone(seed: int) -> Device:
    """Return an embedded phone whose contents, wallpaper and icon order follow `seed`."""
    return SimPhone(DeviceConfig(wallpaper=seed % 4, shuffle_icons=seed % 3 > 0), seed=seed)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Ground the tiny model: first what is written where, then widget label -> tap on it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the base model, written every 500 updates")
    parser.add_argument("--init", type=Path, help="folder of a grounded model to go on from; none: random weights")
    parser.add_argument("--reading-updates", type=int, default=9000, help="updates of reading alone")
    parser.add_argument("--reading-lr", type=float, default=3e-3)
    parser.add_argument("--updates", type=int, default=2500, help="updates of tapping and reading")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--screens", type=int, default=6000, help="screens to walk for")
    parser.add_argument("--batch", type=int, default=8, help="screens per update")
    parser.add_argument("--pages", type=int, default=6000, help="written pages, half of each batch; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _vocabulary(screens: Sequence[Screen], rng: np.random.Generator) -> list[str]:
    """Return words of the screens, each as often as the square root of on how many it stands."""
    counts = Counter(written.word for screen in screens for written in screen.words)
    words = sorted(counts)
    weights = np.sqrt([counts[word] for word in words])
    return [words[i] for i in rng.choice(len(words), size=VOCABULARY_DRAWS, p=weights / weights.sum())]


def _learner(folder: Path | None, seed: int) -> TinyPolicy:
    policy = TinyPolicy.from_folder(folder, tune_reading=True) if folder else TinyPolicy.create(seed=seed)
    policy.model.config.grounded = True
    return policy


def main() -> None:
    """Collect screens, learn, measure on phones never walked, write the model; the last line is JSON."""
    args = _parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)  # of dropout
    rng = np.random.default_rng(args.seed)
    start = time.perf_counter()
    screens = list(islice(walk(make_phone, rng), args.screens))
    policy = _learner(args.init, args.seed)
    words = _vocabulary(screens, rng)
    pages = [written_page(words, rng) for _ in range(args.pages)]
    print(f"{len(screens)} screens and {len(pages)} pages in {time.perf_counter() - start:.0f} s", file=sys.stderr)  # noqa: T201
    stages = (
        ("reading", read_loss, args.reading_updates, args.reading_lr),
        ("tapping", grounding_loss, args.updates, args.lr),
    )
    for name, loss_of, updates, lr in stages:
        losses: list[float] = []
        steps = train(policy, screens, rng, updates=updates, batch=args.batch, lr=lr, pages=pages, loss_of=loss_of)
        for update, loss in steps:
            losses.append(loss)
            if update % SAVE_EVERY == SAVE_EVERY - 1:
                policy.save(args.out)
                seconds = time.perf_counter() - start
                mean = np.mean(losses[-SAVE_EVERY:])
                print(f"{name} {update + 1}: loss {mean:.3f}, {seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
    policy.save(args.out)
    held_out = list(islice(walk(make_phone, np.random.default_rng([args.seed, 1])), 400))
    counts = label_counts(screens)
    questions = [grounding_batch(policy, held_out[i : i + 20], rng, counts) for i in range(0, len(held_out), 20)]
    found = {
        "held_out": round(grounding_accuracy(policy, questions), 4),
        "read": round(reading_accuracy(policy, questions), 4),
        "n": sum(len(batch.widgets) for batch in questions),
        "seconds": round(time.perf_counter() - start),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
