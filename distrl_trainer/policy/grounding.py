"""Grounding: the tiny model learns to tap the widget that a text names. No task is shown.

    python -m distrl_trainer.policy.grounding --out distrl_trainer/base_models/tiny --minutes 4 --seed 0

remakes the shipped base model. Labels and bounds come from the accessibility tree of phones walked at
random (`screens`). Invariant: with `--updates` instead of `--minutes` the weights are a function of the
seed, the wheels and the CPU type.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from android_env_gym.devices.base import Device
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import DeviceConfig
from distrl_trainer.policy.base import Observation
from distrl_trainer.policy.screens import Screen, Widget, walk, written_page
from distrl_trainer.policy.tiny_model import Inputs
from distrl_trainer.policy.tiny_policy import TinyPolicy
from distrl_trainer.policy.tiny_vocab import CELL_BASE, CELLS

PHRASES = (
    'tap "{}"', 'Tap on "{}".', "tap {}", "{}", 'open "{}"', "Open {}.", "select {}", 'Press the "{}" button.',
    "go to {}", "choose '{}'",
)  # fmt: skip
CENTRE_SHARE = 0.7
DISTRACTED_SHARE = 0.3
QUESTIONS_PER_SCREEN = 1
LABELS_PER_SCREEN = 16
PART_SHARE = 0.4
"""How often a question or label is one word of several, as a task may name a person by the first name."""


class Batch(NamedTuple):
    """Questions about screens: `inputs` (images `(S, ...)`, words `(N, ...)`), `image_rows` `(N,)` into the
    images, `target` `(N, CELLS)` a distribution over the widget's cells, `widgets` the answers.

    `labels` `(M, W, F)` are more labels of the same screens, with `label_rows` and `label_target` alike.
    """

    inputs: Inputs
    image_rows: Tensor
    target: Tensor
    widgets: tuple[Widget, ...]
    labels: Tensor
    label_rows: Tensor
    label_target: Tensor


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
    read: list[tuple[int, Widget]] = []
    distractors = list(counts)
    for row, screen in enumerate(screens):
        order = _order(screen, counts, rng)
        asked += [(row, widget) for widget in order[:QUESTIONS_PER_SCREEN]]
        read += [(row, widget) for widget in order[:LABELS_PER_SCREEN]]
    questions = [
        Observation(_phrase(widget, screens[row], distractors, rng), (screens[row].frame,)) for row, widget in asked
    ]
    images = policy.inputs([Observation("", (screen.frame,)) for screen in screens]).images
    inputs = policy.inputs(questions)._replace(images=images)
    labels = policy.words([_part(widget, screens[row], rng) for row, widget in read])
    return Batch(
        inputs,
        torch.tensor([row for row, _ in asked]),
        _targets([widget for _, widget in asked]),
        tuple(widget for _, widget in asked),
        labels,
        torch.tensor([row for row, _ in read]),
        _targets([widget for _, widget in read]),
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
    others = [str(distractors[i]) for i in rng.integers(len(distractors), size=2)]
    away = [other for other in others if not any(word in here for word in other.lower().split())]
    parts = [text, *away]
    return " ".join(parts[i] for i in rng.permutation(len(parts)))


def _targets(widgets: Sequence[Widget]) -> Tensor:
    target = torch.zeros(len(widgets), CELLS)
    for row, widget in enumerate(widgets):
        target[row, list(widget.inside)] = (1 - CENTRE_SHARE) / len(widget.inside)
        target[row, widget.centre] += CENTRE_SHARE
    return target


def _answers(policy: TinyPolicy, batch: Batch, stem: Tensor) -> Tensor:
    """Return `(N, VOCABULARY)` log-probabilities of the first token."""
    memory = policy.model.encode(batch.inputs, stem[batch.image_rows])
    empty = torch.empty(len(batch.widgets), 0, dtype=torch.long)
    return policy.model.logits(memory, policy.model.decode(memory, empty))[:, 0].log_softmax(-1)


def grounding_loss(policy: TinyPolicy, batch: Batch) -> Tensor:
    """Return the cross-entropy of the first token to the widgets' cells, plus that of reading labels.

    Reading (`TinyModel.read`) skips encoder and decoder, so it learns from every label of a screen at once.
    """
    stem = policy.model.stem(batch.inputs.images)
    answers = _answers(policy, batch, stem)[:, CELL_BASE:]
    read = policy.model.read(stem, batch.labels, batch.label_rows).log_softmax(-1)
    return -(batch.target * answers).sum(-1).mean() - (batch.label_target * read).sum(-1).mean()


def _greedy(policy: TinyPolicy, batch: Batch) -> list[int]:
    return _answers(policy, batch, policy.model.stem(batch.inputs.images)).argmax(-1).tolist()


@torch.no_grad()
def grounding_accuracy(policy: TinyPolicy, batches: Sequence[Batch]) -> float:
    """Return the share of questions whose greedy answer lies inside the widget."""
    hits = [
        token - CELL_BASE in widget.inside
        for batch in batches
        for token, widget in zip(_greedy(policy, batch), batch.widgets, strict=True)
    ]
    return sum(hits) / max(1, len(hits))


def train(
    policy: TinyPolicy,
    screens: Sequence[Screen],
    rng: np.random.Generator,
    *,
    updates: int,
    batch: int,
    lr: float,
    written: int = 0,
) -> Iterator[tuple[int, float]]:
    """Ground `policy` on `screens` for up to `updates` steps; yields (update, loss) after each, stop to end.

    Of the `batch` pages of a step, `written` show words of the phone at random places (`written_page`). The learning
    rate warms up over 100 steps and decays linearly to a tenth: pass the planned `updates`.
    """
    counts = label_counts(screens)
    words = sorted({word for label in counts for word in label.split()})
    optimizer = torch.optim.AdamW(policy.parameter_groups(lr, lr), weight_decay=0.01)
    policy.model.train()
    for update in range(updates):
        factor = min(1.0, (update + 1) / 100) * (1 - 0.9 * update / updates)
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        shown = [screens[i] for i in rng.integers(len(screens), size=batch - written)]
        shown += [written_page(words, rng) for _ in range(written)]
        loss = grounding_loss(policy, grounding_batch(policy, shown, rng, counts))
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
    parser = argparse.ArgumentParser(description="Ground the tiny model: widget label -> tap on it.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--init", type=Path, help="folder of a grounded model to go on from (default: random weights)")
    parser.add_argument("--minutes", type=float, default=4.0, help="about how long to learn (sets the updates)")
    parser.add_argument("--updates", type=int, default=0, help="learn exactly this many updates instead")
    parser.add_argument("--screens", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=16, help="pages per update")
    parser.add_argument("--written", type=int, default=0, help="how many of them are written pages, not screens")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _planned_updates(policy: TinyPolicy, screens: Sequence[Screen], args: argparse.Namespace) -> int:
    """Return `--updates`, or how many fit into `--minutes` at the speed of a few on a throw-away copy."""
    if args.updates:
        return args.updates
    kept = policy.state_dict()
    start = time.perf_counter()
    trial = 6
    rng = np.random.default_rng(0)
    list(train(policy, screens, rng, updates=trial, batch=args.batch, lr=args.lr, written=args.written))
    policy.load_state_dict(kept)
    return max(1, int(args.minutes * 60 / (time.perf_counter() - start) * trial))


def main() -> None:
    """Collect screens, learn, measure on phones never walked, write the model; the last line is JSON."""
    args = _parse()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    start = time.perf_counter()
    screens = list(islice(walk(make_phone, rng), args.screens))
    policy = TinyPolicy.from_folder(args.init) if args.init else TinyPolicy.create(seed=args.seed)
    updates = _planned_updates(policy, screens, args)
    print(f"{len(screens)} screens in {time.perf_counter() - start:.0f} s; {updates} updates", file=sys.stderr)  # noqa: T201
    losses: list[float] = []
    steps = train(policy, screens, rng, updates=updates, batch=args.batch, lr=args.lr, written=args.written)
    for update, loss in steps:
        losses.append(loss)
        if update % 100 == 99:
            print(f"update {update + 1}: loss {np.mean(losses[-100:]):.3f}", file=sys.stderr)  # noqa: T201
    held_out = list(islice(walk(make_phone, np.random.default_rng([args.seed, 1])), 400))
    counts = label_counts(screens)
    questions = [grounding_batch(policy, held_out[i : i + 20], rng, counts) for i in range(0, len(held_out), 20)]
    accuracy = grounding_accuracy(policy, questions)
    policy.save(args.out)
    seconds = round(time.perf_counter() - start)
    n = sum(len(batch.widgets) for batch in questions)
    print(json.dumps({"held_out": round(accuracy, 4), "n": n, "updates": updates, "seconds": seconds}))  # noqa: T201


if __name__ == "__main__":
    main()
