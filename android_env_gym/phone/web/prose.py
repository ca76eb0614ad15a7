"""Plausible text about any topic, drawn from the topic itself: the same topic reads the same everywhere."""

from __future__ import annotations

from android_env_gym.phone.web.site import drawn

FIRST_NAMES = ("Alma", "Bruno", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Leo")
LAST_NAMES = ("Barlow", "Castell", "Dunmore", "Ekberg", "Farrow", "Grell", "Holt", "Ivers", "Kessel", "Lorne", "Marsh")
_OPENINGS = (
    "More people than ever ask about {t}, and there are good reasons for it.",
    "{T} is easier than it looks once you know where to start.",
    "We spent three weeks on {t} and wrote down what we found.",
    "If you read only one page about {t} this year, let it be this one.",
)
_MIDDLES = (
    "Start small, take notes, and compare at least two or three alternatives before you decide.",
    "Prices and opening times change often, so check them on the day.",
    "Readers told us that patience matters more than equipment.",
    "Experts disagree on the details, but most of them name the same three points.",
    "A local guide or a good library can save you a lot of time.",
    "What worked ten years ago may not be the best choice today.",
    "Set yourself a budget and a date, and keep to both.",
    "In our survey, four out of five people were happy with their choice.",
)
_SNIPPETS = (
    "Everything you need to know about {t}: what it costs, what to look for and the mistakes to avoid.",
    "Our editors compared twelve options for {t}. Here is what they recommend this season.",
    "{T} explained in plain words, with pictures, tips from readers and answers to common questions.",
    "Questions and answers about {t}. 48 people found this helpful.",
    "A short guide to {t} for beginners, last updated this week.",
    "We asked twenty readers about {t}. Their answers surprised us.",
    "{T}: what changed this year and what stays the same. With a list of useful addresses.",
    "Is {t} worth your time and money? An honest look at both sides.",
)
_HEADLINES = (
    "{T}: the complete guide",
    "What nobody tells you about {t}",
    "{T} in 2026: what is new",
    "Ten ideas for {t}",
    "{T} for beginners",
    "How we fell in love with {t}",
    "{T}: questions and answers",
    "Why {t} is worth a second look",
    "A short history of {t}",
    "{T}, step by step",
    "The best of {t} this month",
    "{T} on a small budget",
)


def capital(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def headline(topic: str, *key: object) -> str:
    """Return a title of an article about `topic`."""
    return _fill(_pick(_HEADLINES, topic, "headline", *key), topic)


def snippet(topic: str, *key: object) -> str:
    """Return two lines about `topic`, as a search result shows them."""
    return _fill(_pick(_SNIPPETS, topic, "snippet", *key), topic)


def paragraphs(topic: str, count: int, *key: object) -> tuple[str, ...]:
    """Return `count` paragraphs about `topic`."""
    rng = drawn(topic, "paragraphs", *key)
    opening = _fill(_OPENINGS[int(rng.integers(len(_OPENINGS)))], topic)
    order = [int(index) for index in rng.permutation(len(_MIDDLES))]
    found = []
    for number in range(count):
        first, second = order[(2 * number) % len(order)], order[(2 * number + 1) % len(order)]
        found.append(" ".join(((opening,) if number == 0 else ()) + (_MIDDLES[first], _MIDDLES[second])))
    return tuple(found)


def author(*key: object) -> str:
    """Return a person's name."""
    rng = drawn("author", *key)
    return f"{_choice(FIRST_NAMES, rng.random())} {_choice(LAST_NAMES, rng.random())}"


def _choice(items: tuple[str, ...], share: float) -> str:
    return items[int(share * len(items))]


def _pick(patterns: tuple[str, ...], *key: object) -> str:
    return _choice(patterns, drawn(*key).random())


def _fill(pattern: str, topic: str) -> str:
    return pattern.format(t=topic, T=capital(topic))
