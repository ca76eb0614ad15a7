"""`distrl-train train | warmup | eval | collect | inspect | devices`: parses the words, explains what went wrong.

Exit status: 0 on success (also of a run that a signal stopped and that can be resumed), 1 on a failure explained in one
line, 2 on wrong usage. With `--json`, the last line of standard output is one JSON object and everything else goes to
standard error. Heavy imports happen inside the commands: help, `--dry-run` and wrong settings answer at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distrl_trainer.config import RunConfig
from distrl_trainer.named_code import permit_named_code
from distrl_trainer.plain_text import PlainFormatter, plain
from distrl_trainer.settings import OverrideError, load_config, to_yaml

EXPECTED = frozenset(
    {
        "android_env_gym.devices.base.DeviceFailure",
        "android_env_gym.devices.make.DeviceUnavailableError",
        "android_env_gym.errors.NeedsWorldError",
        "android_env_gym.errors.ResetError",
        "android_env_gym.errors.UnknownNameError",
        "android_env_gym.errors.WrongOpenCvError",
        "android_env_gym.judges.make.JudgeError",
        "android_env_gym.named.NamedError",
        "android_env_gym.tasks.instruction_lists.InstructionFileError",
        "android_env_gym.vector_worker.WorkerError",
        "distrl_trainer.archive.ArchiveError",
        "distrl_trainer.checkpoint.CheckpointError",
        "distrl_trainer.collector.CollectorError",
        "distrl_trainer.evaluation.EvaluationError",
        "distrl_trainer.fleet.FleetError",
        "distrl_trainer.inbox.InboxError",
        "distrl_trainer.inspect_html.InspectError",
        "distrl_trainer.learner.LearnerError",
        "distrl_trainer.named_code.UntrustedCodeError",
        "distrl_trainer.phones.PhonesError",
        "distrl_trainer.policy.loading.ModelError",
        "distrl_trainer.replay.ReplayFileError",
        "distrl_trainer.run_folder.RunFolderError",
        "distrl_trainer.run_lock.FolderInUseError",
        "distrl_trainer.seals.SealError",
        "distrl_trainer.self_check.SelfCheckError",
        "distrl_trainer.settings.ConfigError",
        "distrl_trainer.storage.StorageError",
        "distrl_trainer.value_fit.ValueHeadError",
        "distrl_trainer.warmup.WarmupError",
        "distrl_trainer.weights.WeightsError",
        "builtins.OSError",
    }
)
"""Exceptions whose message is the explanation, by qualified name: naming them must not import torch."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status (the console script `distrl-train`)."""
    arguments = _parse(argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("error: interrupted; what was written before is kept, the rest is not done", file=sys.stderr)
        return 1
    except Exception as error:
        if not is_expected(error):
            raise
        print(f"error: {plain(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, OverrideError) else 1


def is_expected(error: BaseException) -> bool:
    """Return whether the message of `error` explains the failure to a user."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in EXPECTED for kind in type(error).__mro__)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; what no option takes is a setting, for the commands that have some."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    if overrides and not arguments.takes_settings:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    arguments.overrides = overrides
    arguments.words = list(sys.argv[1:] if argv is None else argv)
    return arguments


class _SettingsHelp(argparse.Action):
    """Prints a command's help, then every setting with its meaning and default."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show this help and every setting, and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.print_help()
        print("\nSettings (defaults < presets in --config < --config < presets on the command line < command line):")
        load_config(None, ["--help"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distrl-train", description="Fine-tune multimodal agents that operate Android phones.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = _command(commands, "train", "train an agent: warm start, evaluation, RL, evaluation", settings=True)
    train.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/DATE-TIME)")
    train.add_argument("--resume", action="store_true", help="continue the run in --out from where it stopped")
    _trusting(train)
    train.add_argument("--dry-run", action="store_true", help="print the resolved settings and stop")
    warmup = _command(commands, "warmup", "the supervised start alone; writes a policy", settings=True)
    warmup.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder of the policy")
    evaluate = _command(commands, "eval", "success rates with Wilson intervals, greedy decoding", settings=True)
    _playing(evaluate)
    evaluate.add_argument("--record", type=Path, metavar="DIR", help="write every episode there, for `inspect`")
    collect = _command(commands, "collect", "write episodes of a policy as trajectories", settings=True)
    _playing(collect)
    collect.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder of the trajectories")
    inspect = _command(commands, "inspect", "show recorded episodes as a table or a page", settings=False)
    inspect.add_argument("path", type=Path, metavar="RUN_OR_TRAJECTORY")
    inspect.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page of filmstrips")
    _command(commands, "devices", "list attached devices: usable or not, and why", settings=False)
    return parser


def _command(commands: Any, name: str, text: str, *, settings: bool) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, add_help=not settings, allow_abbrev=False)
    command.set_defaults(run=globals()[f"_{name}"], takes_settings=settings)
    command.add_argument("--json", action="store_true", help="last line of standard output: one JSON object")
    if settings:
        command.add_argument("-h", "--help", action=_SettingsHelp)
        command.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings")
        command.epilog = "Any setting is also an option: --section.field VALUE."
    return command


def _playing(command: argparse.ArgumentParser) -> None:
    _trusting(command)
    command.add_argument("--policy", required=True, help="random, oracle, or a folder (a run's, or a saved policy's)")
    command.add_argument("--suite", help="task suite, or instructions:FILE (default: the setting env.suite)")
    command.add_argument("--split", help="train, test or unseen-template (default: the setting eval.split)")
    command.add_argument("--episodes", type=_count, metavar="N", help="default: the setting eval.episodes")
    command.add_argument("--seed", type=_seed, metavar="K", help="picks the task instances (default: eval.seed)")


def _trusting(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust-code",
        action="store_true",
        help='import the "module:name" judge or hook that a stored run names, ask its judge\'s endpoint, or start the '
        "emulator with its arguments",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; a number of episodes is 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}; a seed is a whole number, 0 or more")
    return int(text)


def _train(arguments: argparse.Namespace) -> int:
    config = _settings(arguments)
    if arguments.dry_run:
        print(to_yaml(config), end="")
        return 0
    from distrl_trainer.train_command import train

    return train(arguments, config)


def _warmup(arguments: argparse.Namespace) -> int:
    config = _settings(arguments)
    from distrl_trainer.train_command import warmup

    return warmup(arguments, config)


def _eval(arguments: argparse.Namespace) -> int:
    _settings(arguments)
    from distrl_trainer.play_commands import evaluate

    return evaluate(arguments)


def _collect(arguments: argparse.Namespace) -> int:
    _settings(arguments)
    from distrl_trainer.play_commands import collect

    return collect(arguments)


def _inspect(arguments: argparse.Namespace) -> int:
    from distrl_trainer.play_commands import inspect

    return inspect(arguments)


def _devices(arguments: argparse.Namespace) -> int:
    from distrl_trainer.device_commands import devices

    return devices(arguments)


def _settings(arguments: argparse.Namespace) -> RunConfig:
    """Return the settings given, with names checked that only the environment knows; before the heavy imports."""
    if getattr(arguments, "resume", False):
        config = _resumed(arguments)
    else:
        config = load_config(arguments.config, arguments.overrides)
        permit_named_code(config, None, arguments)
    from android_env_gym.tasks.suites import suite

    suite(config.env.suite)
    return config


def _resumed(arguments: argparse.Namespace) -> RunConfig:
    from distrl_trainer.run_folder import RunFolder, RunFolderError

    out = arguments.out or load_config(arguments.config, arguments.overrides).run.out
    if not out:
        raise RunFolderError("--resume continues the run in --out; name its folder")
    folder = RunFolder(Path(out))
    config = folder.resumed(arguments.config, arguments.overrides)
    if not arguments.dry_run:
        permit_named_code(config, folder.config, arguments)
    return config


if __name__ == "__main__":
    sys.exit(main())
