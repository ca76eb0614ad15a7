"""Seeded people: names and phone numbers for the contacts of a fresh phone."""

from __future__ import annotations

import numpy as np

FIRST_NAMES = (
    "Alice", "Ben", "Carla", "David", "Emma", "Frank", "Grace", "Henry", "Ivy", "Jack",
    "Karen", "Leo", "Maria", "Nina", "Oscar", "Paula", "Quinn", "Rosa", "Sam", "Tara",
    "Victor", "Wendy", "Yusuf", "Zoe", "Adam", "Bella", "Chris", "Diana", "Eric", "Fiona",
    "George", "Hannah", "Isaac", "Julia", "Kevin", "Laura", "Mike", "Olivia", "Peter", "Sofia",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Baker", "Clark", "Diaz", "Evans", "Fischer", "Garcia", "Hughes", "Ito", "Jones",
    "Khan", "Lopez", "Moore", "Nguyen", "Owens", "Patel", "Reyes", "Smith", "Turner", "Young",
)  # fmt: skip


def draw_people(rng: np.random.Generator, count: int) -> tuple[tuple[str, str], ...]:
    """Return `count` (first, last) names with distinct first names.

    Raises:
        ValueError: More people than there are first names.
    """
    if count > len(FIRST_NAMES):
        raise ValueError(f"{count} people asked for; there are {len(FIRST_NAMES)} first names")
    firsts = rng.permutation(len(FIRST_NAMES))[:count]
    return tuple((FIRST_NAMES[index], LAST_NAMES[int(rng.integers(len(LAST_NAMES)))]) for index in firsts)


def draw_phone_number(rng: np.random.Generator) -> str:
    """Return a number in the range kept free for fiction, e.g. "(415) 555-0123"."""
    return f"({int(rng.integers(201, 990))}) 555-01{int(rng.integers(100)):02d}"
