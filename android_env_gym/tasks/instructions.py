"""Suites made of instruction files: `suite="instructions:PATH"`, for phones whose state nobody can read.

PATH is one of (`~` is expanded, relative paths start at the working directory, no path holds a comma)

    LIST.txt               the lines are split by the hash that splits templates (a quarter is test)
    TRAIN.txt,TEST.txt     a file per split; one side may be empty: `,TEST.txt` evaluates a whole file
    FOLDER                 the .txt files in it whose names end in the word train or test: general_train.txt

Every file is one `InstructionFile`, a task template without set-up, state check and oracle: the device's reset policy
prepares the phone, a judge that looks at the screen decides. `suites.suite` and `suites.draw_task` take these names
and templates, so `AndroidTaskEnv` and trainers need to know nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from android_env_gym.errors import unknown_name
from android_env_gym.tasks.base import SPLITS, Split, Task, TaskTemplate, canonical
from android_env_gym.tasks.instruction_lists import CleanFile, CleaningReport, InstructionFileError, Line, Role, clean

PREFIX = "instructions:"
_ROLE = re.compile(r"(?:^|.*[^a-z])(train|test)", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.-]+")


class InstructionFile(TaskTemplate):
    """The instructions of one file as a task template; instance k is its k-th line, modulo their number.

    Args:
        name: Its id; the file's name without the extension.
        lines: The instructions per split.
    """

    apps = ()
    phrasings = ()
    oracle_steps = 0
    needs_world = False

    def __init__(self, name: str, lines: Mapping[Split, Sequence[Line]]) -> None:
        self.id = name
        self.lines: dict[Split, tuple[Line, ...]] = {split: tuple(found) for split, found in lines.items() if found}
        self.goals = sum(map(len, self.lines.values()))

    def splits(self) -> tuple[Split, ...]:
        """Return the splits that the file has lines in."""
        return tuple(split for split in SPLITS if split in self.lines)

    def count(self, split: str) -> int:
        """Return how many instructions the file has in `split`."""
        return len(self._lines_of(split))

    def task(self, split: str, instance: int) -> Task:
        """Return the task of line `instance`, modulo their number, of `split`.

        Raises:
            UnknownNameError: The file has no lines in `split`.
        """
        lines = self._lines_of(split)
        if not lines:
            raise unknown_name(f"split of {self.id}", split, self.splits())
        line = lines[instance % len(lines)]
        return Task(
            template=self.id,
            instance=instance,
            split=split,
            instruction=line.text,
            goal=canonical({"line": line.id}),
            line=line.id,
        )

    def _lines_of(self, split: str) -> tuple[Line, ...]:
        return next((lines for name, lines in self.lines.items() if name == split), ())


class InstructionSuite(msgspec.Struct, frozen=True):
    """What an `instructions:` name stands for, and what cleaning its files did."""

    templates: tuple[InstructionFile, ...]
    report: CleaningReport


def read_instructions(name: str) -> InstructionSuite:
    """Return the suite that `name` ("instructions:PATH", or PATH alone) stands for; the files are read now.

    Raises:
        InstructionFileError: A file is missing or no text, a folder holds no lists, or no instruction remains.
    """
    files, report = clean(_sources(name.removeprefix(PREFIX)))
    names = _names([file.path for file in files])
    found = (_template(id_, file) for id_, file in zip(names, files, strict=True))
    return InstructionSuite(tuple(template for template in found if template.goals), report)


def _sources(text: str) -> list[tuple[Path, Role]]:
    """Return the files that the PATH part of a suite's name stands for, and what each of them is."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 2 or not any(parts):
        raise InstructionFileError(
            f"suite {PREFIX + text!r}: want instructions:LIST.txt, instructions:TRAIN.txt,TEST.txt (one side may be "
            "empty), or instructions:FOLDER"
        )
    paths = [Path(part).expanduser() if part else None for part in parts]
    if len(paths) == 1 and paths[0] is not None:
        return _folder(paths[0]) if paths[0].is_dir() else [(paths[0], "hash")]
    roles: tuple[Role, Role] = ("train", "test")
    return [(path, role) for path, role in zip(paths, roles, strict=True) if path is not None]


def _folder(folder: Path) -> list[tuple[Path, Role]]:
    """Return the lists in `folder`, by name; files that are neither train nor test by name are no lists."""
    found: list[tuple[Path, Role]] = []
    for path in sorted(folder.glob("*.txt")):
        match = _ROLE.fullmatch(path.stem)
        if match is not None:
            found.append((path, "train" if match[1].lower() == "train" else "test"))
    if not found:
        raise InstructionFileError(
            f"the folder {folder} holds no list: want files named *train.txt or *test.txt, e.g. general_train.txt; "
            f"a list of another name is given by itself, e.g. {PREFIX}{folder / 'LIST.txt'}"
        )
    return found


def _template(name: str, file: CleanFile) -> InstructionFile:
    return InstructionFile(name, {"train": file.train, "test": file.test})


def _names(paths: Sequence[Path]) -> list[str]:
    """Return an id per file: its name, with its folder's and a number before it where that is not unique."""
    names = [_UNSAFE.sub("_", path.stem) for path in paths]
    if len(set(names)) < len(names):
        names = [_UNSAFE.sub("_", f"{path.resolve().parent.name}.{path.stem}") for path in paths]
    if len(set(names)) < len(names):
        names = [f"{number}.{name}" for number, name in enumerate(names, 1)]
    return names
