"""Code that settings name as "module:name" (a judge, a hook), a judge's endpoint, words of the emulator's command line:
whose word is enough to use them.

What the user types, or writes in a file given with --config, is imported, also from the working directory. What the
settings stored in a run's folder name is not, unless the user says --trust-code: a folder may come from anybody, and
`cd` into it must not be enough to run what lies there, nor to send screens and the user's key to whoever made it. The
emulator takes options of QEMU, which starts scripts and opens files.
Callers: `cli`, `play_commands`, `train_command`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from distrl_trainer.config import RunConfig

_EMULATOR = "env.adb.emulator.arguments"


class UntrustedCodeError(Exception):
    """Stored settings name code, an endpoint or a command line that the user has not agreed to."""


def named_code(config: RunConfig) -> dict[str, str]:
    """Return the settings that name code, an endpoint or a command line, such as {"env.judge": "module:Class"}."""
    found = {"env.judge": config.env.judge, "env.adb.hook": config.env.adb.hook}
    named = {place: name for place, name in found.items() if ":" in name}
    arguments = config.env.adb.emulator.arguments
    return named | ({_EMULATOR: shlex.join(arguments)} if arguments else {})


def permit_named_code(config: RunConfig, stored: Path | None, arguments: argparse.Namespace) -> None:
    """Let what `config` names be imported, from the working directory too, if the user wants that.

    Args:
        config: The settings about to be used.
        stored: The run's settings that they came from; None if the user gave all of them.
        arguments: Of the command: `overrides`, `trust_code`, and `words`, which are repeated in the message.

    Raises:
        UntrustedCodeError: `stored` names such, and neither the command line does nor --trust-code is there.
    """
    named = named_code(config)
    typed = {word.partition("=")[0].removeprefix("--") for word in arguments.overrides}
    unasked = {place: name for place, name in named.items() if place not in typed}
    if stored is not None and unasked and not arguments.trust_code:
        said = "; ".join(f"{place} {name!r} ({_origin(place, name)})" for place, name in unasked.items())
        raise UntrustedCodeError(
            f"{stored} names what to run or to ask: {said}. If you trust that, repeat with --trust-code: "
            f"{shlex.join(['distrl-train', *arguments.words, '--trust-code'])}"
        )
    if named:
        sys.path.append(os.getcwd())  # last: it finds the user's files, and they shadow nothing


def _origin(place: str, name: str) -> str:
    """Return where the module would come from, found without importing it, or what an endpoint would get."""
    if place == _EMULATOR:
        return "words of the emulator's command line"
    if name.startswith("vlm:"):
        return "it would get the screens and the key in OPENAI_API_KEY"
    top = name.partition(":")[0].partition(".")[0]
    found = PathFinder.find_spec(top, [*sys.path, os.getcwd()]) if top not in sys.builtin_module_names else None
    if found is None:
        return "built into Python" if top in sys.builtin_module_names else "not found here"
    return f"from {found.origin or next(iter(found.submodule_search_locations or ()), 'somewhere')}"
