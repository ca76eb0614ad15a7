"""A decision has one probability: alone, beside a longer instruction, in any order and minibatch, on every suite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from runtime_fakes import make_streams
from suite_observations import LONG, SUITES, shown_on

from distrl_trainer.config import PolicyConfig
from distrl_trainer.policy import load_policy
from distrl_trainer.policy.base import Decision, Observation, Policy
from distrl_trainer.policy.loading import BASE_MODELS

SAME = 1e-5
"""Nats: what float32 leaves between two orders of the same sums."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def logprobs(policy: Policy, shown: Sequence[Observation], ids: Sequence[Sequence[int]]) -> list[float]:
    """Return the log-probabilities of decisions, judged together."""
    with torch.no_grad():
        return policy.evaluate(shown, ids).logprobs.sum(-1).tolist()


def worst_difference(policy: Policy, shown: Sequence[Observation], *, batch: int = 16) -> float:
    """Return the largest difference in nats between the log-probabilities of a decision, over the ways to judge it.

    Acted in batches; judged alone, beside a longer instruction, and in shuffled minibatches of every size.
    """
    decisions: list[Decision] = []
    for start in range(0, len(shown), batch):
        together = shown[start : start + batch]
        decisions += policy.act(together, streams=make_streams(len(together), seed=start))
    ids = [decision.token_ids for decision in decisions]
    acted = np.array([sum(decision.logprobs) for decision in decisions])
    long = Observation(LONG, shown[0].frames)
    ways = [
        [logprobs(policy, [one], [tokens])[0] for one, tokens in zip(shown, ids, strict=True)],
        [logprobs(policy, [one, long], [tokens, ids[0]])[0] for one, tokens in zip(shown, ids, strict=True)],
    ]
    order = np.random.default_rng(0).permutation(len(shown))
    for size in (7, batch):
        found = np.empty(len(shown))
        for rows in np.split(order, range(size, len(order), size)):
            found[rows] = logprobs(policy, [shown[row] for row in rows], [ids[row] for row in rows])
        ways.append(found.tolist())
    return float(np.abs(np.array(ways) - acted).max())


needs_base_model = pytest.mark.skipif(not (BASE_MODELS / "tiny").is_dir(), reason="no base model in this checkout")


@needs_base_model
def test_the_base_model_has_one_probability_per_decision() -> None:
    shown = shown_on("starter", episodes=1, steps=2)
    assert worst_difference(load_policy(PolicyConfig(), seed=0), shown) < SAME


@needs_base_model
@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_the_base_model_has_one_probability_per_decision_on_every_suite(suite: str) -> None:
    shown = shown_on(suite, episodes=1)
    assert worst_difference(load_policy(PolicyConfig(), seed=0), shown) < SAME
