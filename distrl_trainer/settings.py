"""Reads, checks and writes the settings of a run.

Invariant: every value that leaves `load_config` satisfies the bounds written in `distrl_trainer.config`, and `to_yaml`
of it loads to the same value. Importing this module costs no torch. Callers: the command line, checkpoints, tests.
"""

from __future__ import annotations

import difflib
import logging
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import tyro
import yaml

from distrl_trainer.config import ABLATIONS, PRESETS, AlgorithmConfig, RunConfig

logger = logging.getLogger(__name__)

_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


class ConfigError(ValueError):
    """A setting or a settings file is wrong; the message says what was got, what is allowed, what to do."""


class OverrideError(ConfigError):
    """The wrong setting stood on the command line (wrong usage: exit status 2)."""


def load_config(path: Path | str | None = None, overrides: Sequence[str] = (), *, lenient: bool = False) -> RunConfig:
    """Return the resolved settings: defaults < presets of the file < the file < presets in `overrides` < `overrides`.

    Presets are what `algorithm.name` and `algorithm.without` stand for. One that the file names and `overrides` replace
    leaves nothing behind, even if the file spells out its settings, as `to_yaml` does.

    Args:
        path: YAML file, or None for the defaults.
        overrides: Command-line words such as `["--env.suite", "general"]`.
        lenient: Warn of unknown keys and ignore them: an older version may have written the file.

    Raises:
        ConfigError: The file is missing or malformed, a key is unknown or a value out of bounds.
        OverrideError: The same for a value given in `overrides`.
        SystemExit: An override cannot be parsed; tyro has printed why (status 2).
    """
    given = _read_yaml(Path(path), lenient=lenient) if path else {}
    of_file = _convert(given, str(path))
    presets = _presets(_override(of_file, overrides).algorithm)
    for preset in _presets(of_file.algorithm):
        if preset not in presets:
            given = _without(given, preset)
    words = {word.partition("=")[0] for word in overrides}
    below = 0 if "--algorithm.name" in words else 1 if "--algorithm.without" in words else len(presets)
    return _resolve([*presets[:below], given, *presets[below:]], str(path), overrides)


def amend_config(stored: RunConfig, path: Path | str | None, overrides: Sequence[str]) -> RunConfig:
    """Return `stored` with what the YAML file and `overrides` say changed; no preset is applied again.

    Raises:
        ConfigError, OverrideError, SystemExit: As `load_config`.
    """
    given = _read_yaml(Path(path)) if path else {}
    return _resolve([msgspec.to_builtins(stored), given], str(path), overrides)


def validated(config: RunConfig) -> RunConfig:
    """Return `config` if every bound holds (tyro and direct construction do not check them).

    Raises:
        ConfigError: A value is out of bounds, or two contradict each other.
    """
    config = _convert(msgspec.to_builtins(config), "settings")
    algorithm = config.algorithm
    if algorithm.value_loss == "bce" and algorithm.gamma != 1:
        raise ConfigError(
            f"algorithm.value_loss bce is valid for algorithm.gamma 1 only, got {algorithm.gamma}; set gamma 1 or huber"
        )
    if algorithm.name == "clone-only" and not (algorithm.cloning_coef and algorithm.cloning_batch):
        raise ConfigError(
            "algorithm.name clone-only learns from demonstrations alone, and algorithm.cloning_coef or "
            "algorithm.cloning_batch is 0: set both above 0, and leave algorithm.without bc out"
        )
    if algorithm.minibatch > algorithm.batch_steps:
        raise ConfigError(
            f"algorithm.minibatch {algorithm.minibatch} exceeds algorithm.batch_steps {algorithm.batch_steps}; lower it"
        )
    if algorithm.micro_batch > algorithm.minibatch:
        raise ConfigError(
            f"algorithm.micro_batch {algorithm.micro_batch} exceeds algorithm.minibatch {algorithm.minibatch}, and no "
            "pass is larger than a minibatch; lower it, or set 0 for as much"
        )
    if config.replay.min_steps > config.replay.capacity_steps:
        raise ConfigError(
            f"replay.min_steps {config.replay.min_steps} exceeds replay.capacity_steps {config.replay.capacity_steps}"
        )
    return config


def to_yaml(config: RunConfig) -> str:
    """Return `config` as YAML that `load_config` reads back to an equal value."""
    return yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False, allow_unicode=True)


def nearest(got: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean ...?` or the list of what is allowed, to end an error message with."""
    names = sorted(allowed)
    close = difflib.get_close_matches(got, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"allowed: {', '.join(names)}"


def _read_yaml(path: Path, *, lenient: bool = False) -> dict[str, Any]:
    if not path.is_file():
        found = [str(p) for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        hint = nearest(str(path), found) if found else f"no YAML file in {path.parent}"
        raise ConfigError(f"settings file {path} does not exist; {hint}")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"settings file {path} is not YAML: {' '.join(str(error).split())}") from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ConfigError(f"settings file {path} holds a {type(given).__name__}; expected sections such as `env:`")
    unknown: list[str] = []
    known = _known(given, RunConfig, "", path, unknown)
    if unknown and not lenient:
        raise ConfigError(f"{path}: {unknown[0]}")
    if unknown:
        logger.warning("%s, ignored: %s", path, "; ".join(place.partition(";")[0] for place in unknown))
    return known


def _known(
    given: Mapping[Any, Any], struct: type[msgspec.Struct], where: str, path: Path, unknown: list[str]
) -> dict[str, Any]:
    """Return what `struct` knows of `given`; what it does not know is added to `unknown`, as a message."""
    hints = get_type_hints(struct)
    known: dict[str, Any] = {}
    for key, value in given.items():
        if key not in hints:
            unknown.append(f"unknown key {where}{key}; {nearest(str(key), hints)}")
        elif not _is_section(hints[key]):
            known[key] = value
        elif isinstance(value, dict):
            known[key] = _known(value, hints[key], f"{where}{key}.", path, unknown)
        else:
            raise ConfigError(f"{path}: {where}{key} must be a section of `key: value` lines, got {_short(value)}")
    return known


def _convert(values: Mapping[str, Any], source: str) -> RunConfig:
    try:
        # not strict: YAML 1.1 reads 2e-4 as a string
        return msgspec.convert(values, RunConfig, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        where = re.sub(r"^`\$\.?|`$", "", place)
        got: Any = values
        for key in re.sub(r"\[.*", "", where).split("."):
            got = got.get(key) if isinstance(got, Mapping) else got
        raise ConfigError(f"{source}: {where}: {text.replace('`', '')}; got {_short(got)}") from error


def _short(value: Any) -> str:
    """Return `repr(value)` cut short: a file of a few lines can name a list of millions."""
    return _SHORT.repr(value)


def _presets(algorithm: AlgorithmConfig) -> list[Mapping[str, Any]]:
    return [PRESETS[algorithm.name], *(ABLATIONS[name] for name in algorithm.without)]


def _without(given: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` without the values that `preset` put there."""
    return {
        section: {name: value for name, value in values.items() if preset.get(section, {}).get(name, ...) != value}
        for section, values in given.items()
    }


def _resolve(layers: Sequence[Mapping[str, Any]], source: str, overrides: Sequence[str]) -> RunConfig:
    config = _override(_convert(_merge(layers), source), overrides)
    try:
        return validated(config)
    except ConfigError as error:
        if overrides:
            raise OverrideError(str(error)) from None
        raise


def _override(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    if not overrides:
        return config
    return tyro.cli(
        RunConfig,
        default=config,
        args=list(overrides),
        prog="distrl-train",
        description="Settings, as `--section.field value`.",
        config=(tyro.conf.FlagConversionOff,),
    )


def _merge(layers: Sequence[Mapping[str, Any]], struct: type[msgspec.Struct] = RunConfig) -> dict[str, Any]:
    hints = get_type_hints(struct)
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            inner = hints[name]
            merged[name] = _merge([merged.get(name, {}), value], inner) if _is_section(inner) else value
    return merged


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)
