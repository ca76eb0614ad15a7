"""How a policy turns scores into tokens: one uniform number per token, drawn on the CPU, inverted on the device.

Invariant: the token that a stream's next number picks depends on that number and the row's probabilities alone, not on
the device and not on who acts beside it. Called by the policies' `act`.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Streams = Sequence[np.random.Generator]
"""One generator per observation of a batch: the random numbers of the episode it belongs to."""


def check_streams(streams: Streams | None, count: int, greedy: bool) -> Streams | None:
    """Return the streams to draw from, None if the likeliest tokens are chosen.

    Raises:
        ValueError: Sampling without streams, or another number of streams than `count` observations.
    """
    if greedy:
        return None
    if streams is None:
        raise ValueError(
            "sampling needs `streams`, one numpy.random.Generator per observation; pass them, or greedy=True"
        )
    if len(streams) != count:
        raise ValueError(f"got {len(streams)} streams for {count} observations; sampling needs one for each")
    return streams


def pick(logprobs: Tensor, streams: Streams | None) -> Tensor:
    """Return one token per row of `logprobs` `(B, V)`: the likeliest, or drawn with one number of each row's stream.

    The inverse of the cumulative distribution, in float64 because a float32 sum over a large vocabulary is off by more
    than a rare token's probability. A token of probability 0 is never picked, however the sum was rounded.
    """
    if streams is None:
        return logprobs.argmax(-1)
    numbers = torch.tensor([stream.random() for stream in streams], dtype=torch.float64).to(logprobs.device)
    shares = logprobs.double().exp()
    possible = shares > 0
    cumulative = shares.cumsum(-1)
    # A parallel sum need not be monotone, and its last entry may lie below the number: then the last possible token.
    reached = possible & (cumulative > numbers[:, None] * cumulative[:, -1:])
    first = reached.to(torch.uint8).argmax(-1)
    last = possible.shape[-1] - 1 - possible.flip(-1).to(torch.uint8).argmax(-1)
    return torch.where(reached.any(-1), first, last)


def check_range(token_ids: Sequence[int], vocabulary: int, most: int) -> str:
    """Return why `token_ids` are no decision of at most `most` tokens in `range(vocabulary)`, or an empty string."""
    if not 0 < len(token_ids) <= most:
        return f"a decision of {len(token_ids)} tokens, allowed are 1 to {most} (policy.max_new_tokens)"
    outside = [one for one in token_ids if not 0 <= one < vocabulary]
    return f"token {outside[0]} is not in the vocabulary of 0 to {vocabulary - 1}" if outside else ""


def check_end(length: int, end: int | None, most: int) -> str:
    """Return why `length` tokens, of which the `end`-th ends a decision (None: none does), cannot have been drawn.

    A decision stops at its end, or without one at `most` tokens: a part of one has no probability of its own.
    """
    if end is None:
        return "" if length == most else f"the decision stops before its end, after {length} of at most {most} tokens"
    return "" if end == length else f"the decision goes on after its end, token {end} of {length}"
