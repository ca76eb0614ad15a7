"""Tokens drawn by inverse CDF: the right distribution, never an impossible token, one number per token and row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from runtime_fakes import make_streams
from scipy.stats import chisquare

from distrl_trainer.policy.sampling import check_streams, pick


class Fixed:
    """A stream that gives one number for ever."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def picked(probabilities: list[float], number: float) -> int:
    logprobs = torch.tensor([probabilities], dtype=torch.float32).log()
    return int(pick(logprobs, [Fixed(number)])[0])  # pyright: ignore[reportArgumentType]


def test_draws_have_the_distribution_of_the_scores() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, float("-inf"), 1.0, -3.0])
    logprobs = logits.log_softmax(-1)
    stream = np.random.default_rng(7)
    tokens = pick(logprobs.expand(20_000, -1), [stream] * 20_000)
    counts = torch.bincount(tokens, minlength=6).numpy()
    assert counts[3] == 0
    expected = logprobs.exp().numpy().astype(np.float64)[[0, 1, 2, 4, 5]]
    assert chisquare(counts[[0, 1, 2, 4, 5]], expected / expected.sum() * 20_000).pvalue > 0.01


def test_neither_end_of_the_unit_interval_reaches_an_impossible_token() -> None:
    highest = float(np.nextafter(1.0, 0.0))
    for probabilities in ([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 1e-8, 0.0, 1.0 - 1e-8, 0.0]):
        assert picked(probabilities, 0.0) == 1
        assert picked(probabilities, highest) == 3
    assert picked([0.25, 0.25, 0.5], 0.25) == 1  # a number on the edge belongs to the token above it


def test_the_tail_of_a_large_vocabulary_is_reached_in_its_share() -> None:
    # 150 000 rare tokens share 1e-3: a float32 sum would round each of them away.
    scores = torch.full((1, 150_001), -6.9 - float(np.log(150_000)))
    scores[0, 0] = 0.0
    logprobs = scores.log_softmax(-1)
    shares = logprobs[0].double().exp()
    rest = 1.0 - float(shares[0] / shares.sum())
    for share in (0.1, 0.5, 0.9):
        number = 1.0 - rest * (1.0 - share)
        assert int(pick(logprobs, [Fixed(number)])[0]) == pytest.approx(150_000 * share, rel=0.01)  # pyright: ignore[reportArgumentType]


def test_a_row_uses_one_number_of_its_own_stream() -> None:
    logprobs = torch.randn(5, 40, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    together = pick(logprobs, make_streams(5)).tolist()
    alone = [int(pick(logprobs[row : row + 1], [stream])[0]) for row, stream in enumerate(make_streams(5))]
    assert together == alone
    streams = make_streams(5)
    pick(logprobs, streams)
    assert [stream.random() for stream in streams] == [stream.random(2)[1] for stream in make_streams(5)]


def test_sampling_says_what_it_needs() -> None:
    assert check_streams(None, 3, greedy=True) is None
    assert check_streams(make_streams(3), 3, greedy=True) is None
    with pytest.raises(ValueError, match="one numpy"):
        check_streams(None, 3, greedy=False)
    with pytest.raises(ValueError, match="got 2 streams for 3 observations"):
        check_streams(make_streams(2), 3, greedy=False)
