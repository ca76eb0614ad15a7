"""Answers are compared as values: 1,234.50 is 1234.5, 7:05 pm is 19:05; what contains the truth is not the truth.

Invariant: two texts are the same answer only if one normal form is theirs, so a longer answer (the whole screen read
out) never is. Called by the templates that ask a question.
"""

from __future__ import annotations

import re
import unicodedata

_TIME = re.compile(r"(?<![\w:.])(\d{1,2}):(\d{2})(?: ?([ap])\.?m\b\.?|(?![\d:]))")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_PHONE = re.compile(r"\+?[\d\s().\-\u2010-\u2015]+")
_QUOTES = "\"'\u2018\u2019\u201c\u201d"


def same_answer(answer: str | None, truth: str) -> bool:
    """Return whether `answer` is `truth`, whatever the case, the spaces, and the format of times and numbers."""
    return answer is not None and normal_form(answer) == normal_form(truth)


def same_amount(answer: str | None, truth: str) -> bool:
    """Return whether `answer` is the amount of dollars `truth`, with or without the sign."""
    return answer is not None and same_answer(_plain(answer).removeprefix("$"), _plain(truth).removeprefix("$"))


def same_phone(answer: str | None, truth: str) -> bool:
    """Return whether `answer` is the phone number `truth`, however its digits are grouped, and nothing else."""
    return answer is not None and _PHONE.fullmatch(answer.strip()) is not None and _digits(answer) == _digits(truth)


def normal_form(text: str) -> str:
    """Return `text` in the form that all spellings of one value share; applying it twice changes nothing more."""
    text = _TIME.sub(_time, _plain(text))
    return " ".join(_number(word) for word in text.split(" "))


def _plain(text: str) -> str:
    """Return `text` with one kind of letters and spaces, without quotation marks around it and the final full stop."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = " ".join(text.split())
    while text and (text[-1] in f".{_QUOTES}" or text[0] in _QUOTES):
        text = text.rstrip(f".{_QUOTES} ").lstrip(f"{_QUOTES} ")
    return text


def _time(found: re.Match[str]) -> str:
    hour, minute, half = int(found[1]), found[2], found[3]
    if hour > 23 or int(minute) > 59 or (half and not 1 <= hour <= 12):
        return found[0]
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{hour:02d}:{minute}"


def _number(word: str) -> str:
    """Return the number `word` without separators of thousands and zeros at the end; a code like 007 as it is."""
    if not _NUMBER.fullmatch(word) or re.match(r"0\d", word):
        return word
    whole, _, part = word.replace(",", "").partition(".")
    part = part.rstrip("0")
    return f"{whole}.{part}" if part else whole


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
