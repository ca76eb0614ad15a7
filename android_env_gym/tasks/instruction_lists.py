"""Lists of instructions in plain text (one a line, as AitW's are handed around): reading, cleaning, the report.

Invariant: no instruction of `test` occurs in `train`, compared as `normalise` sees them, whatever files they came from;
and every line of every file is either a task or counted in the report. Called by `instructions` and by
`python -m android_env_gym instructions`.
"""

from __future__ import annotations

import codecs
import difflib
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from android_env_gym.actions import MAX_INSTRUCTION, clean_text
from android_env_gym.tasks.base import MIN_GOALS_TO_SPLIT, TEST_SHARE, unit_hash

Role = Literal["train", "test", "hash"]
MAX_EXAMPLES = 5
_QUOTES = re.compile("[\"'`\u00b4\u2018-\u201f\u2032\u2033\u00ab\u00bb\u2039\u203a]")
_LINE_END = re.compile(r"\r\n|\r|\n")


class InstructionFileError(ValueError):
    """A list of instructions that cannot be used; the message says why and what to do."""


class Line(msgspec.Struct, frozen=True):
    """One instruction. `id` depends on the normalised text alone: not on the file, nor on the place in it."""

    id: str
    text: str


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file: `lines` = blank + unusable + duplicates + overlaps + train + test.

    Attributes:
        path: The file, as it was named.
        role: "train" and "test" for files that are one split, "hash" for a file that is split by hash.
        lines: Lines in the file.
        blank: Lines without text.
        unusable: Lines that no observation can carry: too long, other characters than `actions.CHARSET`, no word.
        duplicates: Further occurrences of an instruction of the same split, in this file or in one before it.
        overlaps: Train lines left out because the instruction is one of the test's.
        unquoted: Lines that were quoted as a whole, as CSV does, and lost these quotes; counted elsewhere as well.
        train: Tasks of split train.
        test: Tasks of split test.
    """

    path: str
    role: Role
    lines: int = 0
    blank: int = 0
    unusable: int = 0
    duplicates: int = 0
    overlaps: int = 0
    unquoted: int = 0
    train: int = 0
    test: int = 0


class CleaningReport(msgspec.Struct, frozen=True, kw_only=True):
    """What cleaning did. Sums over the files, and of the `overlaps` those that were the same letter by letter.

    `examples` holds up to `MAX_EXAMPLES` pairs (train line left out, test line kept), the differing ones first.
    """

    files: tuple[FileReport, ...]
    lines: int
    blank: int
    unusable: int
    duplicates: int
    overlaps: int
    overlaps_verbatim: int
    train: int
    test: int
    examples: tuple[tuple[str, str], ...] = ()


class CleanFile(msgspec.Struct, frozen=True):
    """The tasks of one file, per split, in the order of their ids (so the start of a split is a fair sample)."""

    path: Path
    train: tuple[Line, ...]
    test: tuple[Line, ...]
    report: FileReport


def clean(sources: Sequence[tuple[Path, Role]]) -> tuple[tuple[CleanFile, ...], CleaningReport]:
    """Read and clean files of instructions.

    Blank lines and repetitions go; a train line whose instruction is also one of the test's goes, so that test
    sets stay what they are elsewhere. A file of role "hash" with fewer than `MIN_GOALS_TO_SPLIT` instructions is all
    train.

    Raises:
        InstructionFileError: A file cannot be read as text, or nothing remains.
    """
    files = [_File(path, role) for path, role in sources]
    seen: dict[Literal["train", "test"], dict[str, str]] = {"train": {}, "test": {}}
    for file in files:
        file.fill(seen)
    pairs = [pair for file in files for pair in file.leave_out(seen["test"])]
    reports = tuple(file.report() for file in files)
    report = CleaningReport(
        files=reports,
        lines=sum(item.lines for item in reports),
        blank=sum(item.blank for item in reports),
        unusable=sum(item.unusable for item in reports),
        duplicates=sum(item.duplicates for item in reports),
        overlaps=len(pairs),
        overlaps_verbatim=sum(left == kept for left, kept in pairs),
        train=sum(item.train for item in reports),
        test=sum(item.test for item in reports),
        examples=tuple(sorted(pairs, key=lambda pair: pair[0] == pair[1])[:MAX_EXAMPLES]),
    )
    if not report.train + report.test:
        names = ", ".join(str(path) for path, _ in sources)
        raise InstructionFileError(
            f"{names}: no instruction remains of {report.lines} lines ({report.blank} blank, {report.unusable} "
            "unusable); want a text file with one instruction a line"
        )
    return tuple(file.cleaned(item) for file, item in zip(files, reports, strict=True)), report


def normalise(text: str) -> str:
    """Return what makes two instructions the same: not case, white space, quotation marks, nor the last . ? or !."""
    plain = _QUOTES.sub("", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(plain.split()).rstrip(".?! ")


class _File:
    """One file on its way from lines to tasks."""

    def __init__(self, path: Path, role: Role) -> None:
        self._path = path
        self._role: Role = role
        lines = read_lines(path)
        texts = [_unquoted(" ".join(unicodedata.normalize("NFC", line).split())) for line in lines]
        self._lines = len(lines)
        self._blank = sum(not text for text, _ in texts)
        self._usable = [text for text, _ in texts if text and is_usable(text)]
        self._unquoted = sum(quoted for _, quoted in texts)
        self._duplicates = 0
        self._overlaps = 0
        self._tasks: dict[Literal["train", "test"], dict[str, str]] = {"train": {}, "test": {}}

    def fill(self, seen: dict[Literal["train", "test"], dict[str, str]]) -> None:
        """Deal the usable lines to the splits; `seen` holds the instructions of each so far, by normalised text."""
        keyed = [(normalise(text), text) for text in self._usable]
        split_of = self._splitter(len({key for key, _ in keyed}))
        for key, text in keyed:
            split = split_of(key)
            if key in seen[split]:
                self._duplicates += 1
                continue
            seen[split][key] = text
            self._tasks[split][key] = text

    def leave_out(self, test: dict[str, str]) -> list[tuple[str, str]]:
        """Take the instructions of `test` out of train; return the pairs of texts (left out, kept)."""
        train = self._tasks["train"]
        common = [key for key in train if key in test]
        self._overlaps = len(common)
        return [(train.pop(key), test[key]) for key in common]

    def report(self) -> FileReport:
        return FileReport(
            path=str(self._path),
            role=self._role,
            lines=self._lines,
            blank=self._blank,
            unusable=self._lines - self._blank - len(self._usable),
            duplicates=self._duplicates,
            overlaps=self._overlaps,
            unquoted=self._unquoted,
            train=len(self._tasks["train"]),
            test=len(self._tasks["test"]),
        )

    def cleaned(self, report: FileReport) -> CleanFile:
        train, test = (_in_order(self._tasks[split]) for split in ("train", "test"))
        return CleanFile(self._path, train, test, report)

    def _splitter(self, distinct: int) -> Callable[[str], Literal["train", "test"]]:
        role = self._role
        if role != "hash":
            return lambda key: role
        if distinct < MIN_GOALS_TO_SPLIT:
            return lambda key: "train"
        # The file's name does not enter: an instruction belongs to the same split in every list.
        return lambda key: "test" if unit_hash(f"instruction/{key}") < TEST_SHARE else "train"


def read_lines(path: Path) -> list[str]:
    """Return the lines of the text file `path`: UTF-8, or UTF-16 with a byte order mark; any line ends.

    Raises:
        InstructionFileError: There is no such file, or it is not text.
    """
    if not path.is_file():
        raise InstructionFileError(_missing(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InstructionFileError(f"{path} cannot be read: {error.strerror}") from error
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InstructionFileError(
            f"{path} is no {encoding.removesuffix('-sig').upper()} text (byte {error.start} is "
            f"{data[error.start]:#04x}); save it as UTF-8, one instruction a line"
        ) from error
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def is_usable(text: str) -> bool:
    """Return whether an observation can carry `text` unchanged, and it has a letter or a digit."""
    return len(text) <= MAX_INSTRUCTION and clean_text(text) == text and any(char.isalnum() for char in text)


def _unquoted(text: str) -> tuple[str, bool]:
    """Return `text` without the quotes of a CSV field around it, and whether it had them."""
    inner = text[1:-1]
    if len(text) < 2 or text[0] != '"' or text[-1] != '"' or '"' in inner.replace('""', ""):
        return text, False
    return inner.replace('""', '"').strip(), True


def _in_order(tasks: dict[str, str]) -> tuple[Line, ...]:
    lines = (Line(hashlib.sha256(key.encode()).hexdigest()[:12], text) for key, text in tasks.items())
    return tuple(sorted(lines, key=lambda line: line.id))


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder, want a file here; a folder stands alone: instructions:{path}"
    beside = sorted(item.name for item in path.parent.glob("*.txt")) if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; want a text file with one instruction a line"
    return f"there is no file {path}{hint}"
