"""The commands `eval`, `collect` and `inspect`: what `cli` parsed, done and printed."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import torch
from rich.table import Table
from rich.text import Text

from distrl_trainer import seals
from distrl_trainer.config import RunConfig
from distrl_trainer.evaluation import (
    EvaluationError,
    EvaluationResult,
    RandomActor,
    check_verdicts,
    evaluate_oracle,
    outcome_of,
    summarise,
)
from distrl_trainer.evaluation import evaluate as evaluate_actor
from distrl_trainer.inspect_html import page, read_episodes, table
from distrl_trainer.live import make_console
from distrl_trainer.named_code import permit_named_code
from distrl_trainer.observations import View
from distrl_trainer.phones import env_spec
from distrl_trainer.plain_text import plain
from distrl_trainer.policy import Policy, load_policy
from distrl_trainer.policy.loading import is_policy
from distrl_trainer.recorded import EpisodeFiles
from distrl_trainer.settings import ConfigError, load_config, nearest
from distrl_trainer.storage import write_atomic
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.warmup import record_demonstrations

logger = logging.getLogger(__name__)

NAMED = ("random", "oracle")


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the success rate of a policy: `distrl-train eval`."""
    config = playing_settings(arguments)
    record = EpisodeFiles(arguments.record, keeps_earlier=True).write if arguments.record else None
    if arguments.policy == "oracle":
        if record is not None:
            raise EvaluationError("--record needs a policy or random; the oracle sees no frames. Use `collect`")
        result = evaluate_oracle(
            config.env,
            split=config.eval.split,
            episodes=config.eval.episodes,
            seed=config.eval.seed,
            progress=_progress(config.eval.episodes),
        )
    else:
        result = _play(arguments, config, record, greedy=True)
    if arguments.json:
        emit_json({"policy": arguments.policy, "max_steps": config.env.max_steps, **result.report()})
    else:
        make_console().print(result_rows(arguments.policy, result))
    check_verdicts(result)
    return 0


def collect(arguments: argparse.Namespace) -> int:
    """Write episodes as trajectories, sampled as in training: `distrl-train collect`."""
    arguments.split = arguments.split or "train"
    config = playing_settings(arguments)
    record = EpisodeFiles(arguments.out, keeps_earlier=True).write
    if arguments.policy == "oracle":
        result = _play_oracle(config, record)
    else:
        result = _play(arguments, config, record, greedy=False)
    if arguments.json:
        emit_json({"policy": arguments.policy, "out": str(arguments.out), **result.report()})
    else:
        make_console().print(
            Text(plain(f"{config.eval.episodes} episodes in {arguments.out}, success {result.success}")), soft_wrap=True
        )
    check_verdicts(result)
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    """Show recorded episodes: `distrl-train inspect`. A file that cannot be shown is one line, and stops nothing."""
    trajectories, refused = read_episodes(arguments.path)
    algorithm = _shown_settings(arguments.path / "config.yaml").algorithm
    if arguments.html:
        title = f"Episodes of {arguments.path.absolute().name}"
        text = page(trajectories, title, gamma=algorithm.gamma, lambda_=algorithm.lambda_)
        arguments.html.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(arguments.html, text.encode())
    console = make_console(stderr=arguments.json)
    for reason in refused:
        console.print(Text(f"left out: {plain(reason)}"), soft_wrap=True)
    if arguments.json:
        solved = sum(item.success for item in trajectories)
        counts = {"episodes": len(trajectories), "successes": solved, "left_out": len(refused)}
        emit_json({**counts, "html": str(arguments.html or "")})
    elif arguments.html:
        console.print(Text(plain(f"{len(trajectories)} episodes in {arguments.html}")), soft_wrap=True)
    else:
        rows = Table("id", "task", "steps", "version", "verdict", "instruction", title=Text(plain(str(arguments.path))))
        for row in table(trajectories):
            rows.add_row(*(Text(plain(cell)) for cell in row))
        console.print(rows)
    return 0


def _shown_settings(stored: Path) -> RunConfig:
    """Return the settings that advantages are shown with: a damaged file is no reason to show nothing."""
    try:
        return load_config(stored if stored.is_file() else None, lenient=True)
    except ConfigError as error:
        logger.warning("advantages are shown with default settings: %s", error)
        return load_config()


def playing_settings(arguments: argparse.Namespace) -> RunConfig:
    """Return the settings of `eval` or `collect`: `--config`, else those of the run that the policy came from."""
    path, stored, overrides = arguments.config, None, arguments.overrides
    if arguments.policy not in NAMED:
        folder = policy_folder(arguments.policy)
        stored = next((p for p in (folder / "config.yaml", folder.parent / "config.yaml") if p.is_file()), None)
        _check_policy(folder, stored)
        path = path or stored
        overrides = [*overrides, "--policy.model", str(folder)]
    config = load_config(path, overrides, lenient=arguments.config is None)  # a run may be of an older version
    permit_named_code(config, stored if arguments.config is None else None, arguments)
    given = {name: getattr(arguments, name) for name in ("split", "episodes", "seed")}
    chosen = msgspec.structs.replace(config.eval, **{name: value for name, value in given.items() if value is not None})
    env = msgspec.structs.replace(config.env, suite=arguments.suite or config.env.suite)
    torch.set_num_threads(config.run.threads)
    cv2.setNumThreads(1)
    return msgspec.structs.replace(config, eval=chosen, env=env)


def _check_policy(folder: Path, settings: Path | None) -> None:
    """Check that a policy and its run's settings are what the run wrote, as far as it left checksums.

    Raises:
        SealError: They are not.
    """
    run = seals.settings_run(settings) if settings is not None else ""
    if not seals.check_manifest(folder, run) and run:
        logger.warning("%s has no %s, though its run writes one: damage is not noticed", folder, seals.MANIFEST)


def policy_folder(name: str) -> Path:
    """Return the folder of the policy that the user named: itself, or `policy/` in a run's folder.

    Raises:
        EvaluationError: There is no such folder, or it holds no policy.
    """
    folder = Path(name)
    if not folder.is_dir():
        beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
        near = [str(path) for path in beside if is_policy(path) or (path / "config.yaml").is_file()]
        raise EvaluationError(f"unknown policy {name!r}; {nearest(name, [*NAMED, *near])}")
    for candidate in (folder / "policy", folder):
        if is_policy(candidate):
            return candidate
    hint = "; its warm start is in warm/" if (folder / "warm").is_dir() else ""
    raise EvaluationError(f"{folder} holds no policy (no config.json or policy.json there or in policy/){hint}")


def result_rows(title: str, result: EvaluationResult) -> Table:
    """Return an evaluation as a table."""
    heading = Text(plain(f"{title} on {result.suite}/{result.split}"))
    rows = Table("template", "success", "95% interval", title=heading)
    for name, rate in [*result.templates.items(), ("all", result.success)]:
        style = "bold" if name == "all" else ""
        rows.add_row(
            Text(plain(name)), f"{rate.share()} ({rate.counts()})", f"{rate.low:.1%} - {rate.high:.1%}", style=style
        )
    rows.caption = (
        f"{result.invalid} invalid actions in {result.steps} steps, {result.false_completions} false completions, "
        f"{result.side_effects} episodes with side effects, {result.infra_errors} infrastructure errors"
    )
    if result.unjudged:
        rows.caption += f"; {result.unjudged} episodes without a verdict: as failures to as successes"
    return rows


def emit_json(report: dict[str, Any]) -> None:
    """Write `report` as the last line of standard output."""
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()


def _play(
    arguments: argparse.Namespace, config: RunConfig, record: Callable[[Trajectory], None] | None, *, greedy: bool
) -> EvaluationResult:
    actor: Policy | RandomActor
    if arguments.policy == "random":
        actor = RandomActor(config.eval.seed)
    else:
        actor = load_policy(config.policy, seed=config.run.seed)
    return evaluate_actor(
        actor,
        config.env,
        split=config.eval.split,
        episodes=config.eval.episodes,
        seed=config.eval.seed,
        envs=config.eval.envs,
        view=View(config.policy.frames, config.policy.history),
        greedy=greedy,
        record=record,
        progress=_progress(config.eval.episodes),
    )


def _play_oracle(config: RunConfig, record: Callable[[Trajectory], None]) -> EvaluationResult:
    """Record demonstrations, which are successes by definition, with token ids of the policy in the settings."""
    settings = config.eval
    demonstrations = record_demonstrations(
        settings.episodes,
        env_spec(config.env, settings.split),
        load_policy(config.policy, seed=config.run.seed),
        view=View(config.policy.frames, config.policy.history),
        seed=settings.seed,
        progress=_progress(settings.episodes),
        record=record,
    )
    return summarise(config.env.suite, settings.split, settings.seed, [outcome_of(item) for item in demonstrations])


def _progress(total: int) -> Callable[[int], None]:
    """Return what says on standard error how far an evaluation is, every tenth of it."""
    console = make_console(stderr=True)
    said = [0]

    def progress(done: int) -> None:
        if done * 10 // total > said[0]:
            said[0] = done * 10 // total
            console.print(f"{done}/{total} episodes", style="dim", highlight=False)

    return progress
