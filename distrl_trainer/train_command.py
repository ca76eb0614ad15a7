"""`distrl-train train`: warm start, evaluation, RL, choice of the policy, evaluation, report; and `warmup` alone.

Invariant: every phase leaves its result in the run's folder under a name that exists only when it is complete, so that
`--resume` begins with the first phase that is not. Once RL has started the oracle is not asked again. Caller: `cli`.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import cv2
import msgspec
import torch

from distrl_trainer import seals
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.evaluation import EvaluationResult, check_verdicts, compare, evaluate, pairs, plan
from distrl_trainer.inspect_html import load_trajectories
from distrl_trainer.interrupts import Interrupted, Interrupts
from distrl_trainer.live import LiveView, Status, make_console
from distrl_trainer.named_code import named_code
from distrl_trainer.observations import View
from distrl_trainer.phones import check_playable, env_spec
from distrl_trainer.play_commands import emit_json
from distrl_trainer.policy import Policy, load_policy
from distrl_trainer.policy.loading import is_policy, torch_device
from distrl_trainer.recorded import EpisodeFiles
from distrl_trainer.report import CurvePoint, Summary, plot_curve, result_table, write_summary
from distrl_trainer.rl_phase import RLPhase
from distrl_trainer.run_folder import RunFolder, RunFolderError, write_model
from distrl_trainer.run_lock import LOCK, hold
from distrl_trainer.trajectory import Trajectory, encode
from distrl_trainer.warmup import CloningResult, clone, load_demonstrations, record_demonstrations

logger = logging.getLogger(__name__)

DEMONSTRATIONS = "demonstrations"


def train(arguments: argparse.Namespace, config: RunConfig) -> int:
    """Run a training with `config`, or resume one with it, and print its result."""
    folder = RunFolder(arguments.out or Path(config.run.out or Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}"))
    for split in ("train", config.eval.split):  # wrong names are refused before anything is made or changed
        plan(config.env.suite, split, episodes=1, seed=0)
    check_playable(config.env)
    torch_device(config.policy.device)
    with folder.own():
        if arguments.resume:
            # Again, now that nobody else can change them.
            config = folder.resumed(arguments.config, arguments.overrides)
            folder.check_intact()
            folder.store(config)
        else:
            folder.begin(config)
        return _train(arguments, config, folder)


def _train(arguments: argparse.Namespace, config: RunConfig, folder: RunFolder) -> int:
    console = make_console(stderr=arguments.json)
    _set_threads(config)
    try:
        with Interrupts() as interrupts, LiveView(console) as view:
            run = _Run(config, folder, view, interrupts)
            summary = run.go()
    except Interrupted:
        console.print(
            f"stopped; continue with: distrl-train train --out {folder.root} --resume"
            f"{' --trust-code' if named_code(config) else ''}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        return 0
    except Exception:
        folder.abandon()
        raise
    if run.before is not None and run.after is not None:
        console.print(result_table(run.before, run.after))
    console.print(_verdict(summary, folder), highlight=False, soft_wrap=True, markup=False)
    if arguments.json:
        emit_json(msgspec.to_builtins(summary))
    for result in (run.before, run.after):
        if result is not None:
            check_verdicts(result)
    return 0


def warmup(arguments: argparse.Namespace, config: RunConfig) -> int:
    """Make the supervised start alone and write its policy."""
    console = make_console(stderr=arguments.json)
    _set_threads(config)
    with _own_target(arguments.out), LiveView(console) as view:
        result = make_warm_start(config, arguments.out, view)
    if arguments.json:
        emit_json({"out": str(arguments.out), "cloning": msgspec.to_builtins(result)})
    else:
        console.print(f"warm policy in {arguments.out}")
    return 0


@contextmanager
def _own_target(target: Path) -> Iterator[None]:
    """Be the one process that replaces `target` while inside.

    Raises:
        RunFolderError: Something is there that is no policy, or it would lie in a run's folder.
        FolderInUseError: Another process writes there.
        StorageError: The disk refused.
    """
    target = target.absolute()
    around = RunFolder(target.parent)
    if around.config.is_file() and (around.root / LOCK).is_file():
        raise RunFolderError(f"{around.root} holds a run, which goes on from what it made itself; choose another --out")
    if target.exists() and not is_policy(target) and (target.is_file() or any(target.iterdir())):
        raise RunFolderError(f"{target} exists and holds no policy; choose another --out")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.name}.lock")
    with hold(target, lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def make_warm_start(config: RunConfig, target: Path, view: LiveView, run: str = "") -> CloningResult | None:
    """Write the warm policy and its demonstrations to `target`, whole or not at all.

    Args:
        config: Settings.
        target: Folder that is made or replaced.
        view: Shows how it goes.
        run: Identity of the run that it is for, if any.

    Returns:
        How cloning went; None if there was nothing to clone.

    Raises:
        ModelError: No such model.
        SealError: `warmup.weights` is damaged.
        WarmupError: The demonstrations cannot be had, or cloning diverged.
        StorageError: The disk refused.
    """
    if config.warmup.weights:
        seals.check_manifest(Path(config.warmup.weights))
    settings, shown = config.warmup, View(config.policy.frames, config.policy.history)
    start = msgspec.structs.replace(config.policy, model=settings.weights or config.policy.model)
    policy = load_policy(start, seed=config.run.seed)
    demonstrations = _demonstrations(config, policy, view)
    result = None
    if demonstrations and not settings.weights:
        result = clone(
            policy,
            demonstrations,
            settings,
            view=shown,
            seed=config.run.seed,
            micro_batch=config.algorithm.micro_batch,
            progress=lambda epoch, seen, unseen: view.update(
                Status(done=epoch, total=settings.epochs, losses={"training": seen, "validation": unseen})
            ),
        )
        view.note(
            f"cloned {len(demonstrations)} demonstrations, {result.epochs} epochs, "
            f"validation loss {result.validation_losses[-1]:.3f}{'' if result.flattened else ' and still falling'}"
        )

    def fill(folder: Path) -> None:
        policy.save(folder)
        (folder / DEMONSTRATIONS).mkdir()
        for number, item in enumerate(demonstrations):
            # Not by its id: that of a recorded one is whatever somebody wrote, a path elsewhere or the same twice.
            (folder / DEMONSTRATIONS / f"{number:08d}.traj").write_bytes(encode(item))
        if result is not None:
            (folder / "cloning.json").write_bytes(msgspec.json.encode(result))

    write_model(target, fill, run)
    return result


class _Run:
    """A run in progress."""

    def __init__(self, config: RunConfig, folder: RunFolder, view: LiveView, interrupts: Interrupts) -> None:
        self.config = config
        self.folder = folder
        self.before: EvaluationResult | None = None
        self.after: EvaluationResult | None = None
        self._view = view
        self._interrupts = interrupts
        self._seconds: dict[str, float] = folder.read(folder.seconds, dict[str, float]) or {}

    def go(self) -> Summary:
        """Go through all phases that are not complete and return the summary."""
        if not self.folder.warm.is_dir():
            run = self.folder.run
            self._timed("warm start", lambda: make_warm_start(self.config, self.folder.warm, self._view, run))
        self.before = self._evaluation("before", lambda: self._load(self.folder.warm), None)
        phase = RLPhase(self.config, self.folder, self._kept_demonstrations(), self._view, self._interrupts)
        self._view.phase("control arm: cloning" if phase.is_control else "RL")
        phase.run()
        self.folder.write_model(self.folder.policy, phase.policy.save)
        recorder = _Recorder(self.folder.episodes, self.config.run.record_episodes, len(self.before.templates))
        name = f"after-{phase.chosen_steps:09d}-{self.config.run.total_env_steps:09d}"
        self.after = self._evaluation(name, lambda: phase.policy, recorder)
        summary = self._summary(phase, self.before, self.after)
        points = [
            *phase.curve,
            CurvePoint(env_steps=0, rate=self.before.success, kind="test"),
            CurvePoint(env_steps=phase.done, rate=self.after.success, kind="test"),
        ]
        title = f"{self.config.algorithm.name} on {self.config.env.suite}, seed {self.config.run.seed}"
        plot_curve(self.folder.curve, points, title)
        write_summary(self.folder.root, summary)
        return summary

    def _timed(self, name: str, work: Callable[[], object]) -> None:
        self._view.phase(name)
        begun = time.monotonic()
        work()
        self._seconds[name.replace(" ", "_")] = time.monotonic() - begun
        self.folder.write(self.folder.seconds, self._seconds)

    def _load(self, folder: Path) -> Policy:
        return load_policy(_at(self.config.policy, folder), seed=self.config.run.seed)

    def _kept_demonstrations(self) -> Sequence[Trajectory]:
        folder = self.folder.warm / DEMONSTRATIONS
        return load_trajectories(folder) if any(folder.glob("*.traj")) else ()

    def _evaluation(
        self, name: str, policy: Callable[[], Policy], record: Callable[[Trajectory], None] | None
    ) -> EvaluationResult:
        """Return the stored evaluation, or make and store it."""
        path = self.folder.evaluations / f"{name}.json"
        stored = self.folder.read(path, EvaluationResult)
        label = name.partition("-")[0]
        if stored is None:
            settings = self.config.eval

            def work() -> None:
                result = evaluate(
                    policy(),
                    self.config.env,
                    split=settings.split,
                    episodes=settings.episodes,
                    seed=settings.seed,
                    envs=settings.envs,
                    view=View(self.config.policy.frames, self.config.policy.history),
                    record=record,
                    progress=lambda done: self._view.update(Status(done=done, total=settings.episodes)),
                )
                check_verdicts(result, allowed=1.0)  # kept with its bounds; the end of the run says what is missing
                self.folder.write(path, result)

            self._timed(label, work)
            stored = self.folder.read(path, EvaluationResult)
            assert stored is not None
        self._view.evaluated(f"{label}, {stored.split} goals", str(stored.success))
        return stored

    def _summary(self, phase: RLPhase, before: EvaluationResult, after: EvaluationResult) -> Summary:
        done, counters, gate = phase.progress, phase.model.books.counters, phase.model.books.gate.counts
        learning = done.seconds - done.validation_seconds
        name = "control" if phase.is_control else "rl"
        parts = {**self._seconds, name: learning, "validation": done.validation_seconds}
        return Summary(
            before=before.success,
            after=after.success,
            env_steps=phase.model.num_timesteps,
            trajectories=counters.trajectories,
            updates=done.updates,
            dropped_lag=gate.dropped,
            infra_errors=counters.failures + before.infra_errors + after.infra_errors,
            max_lag_admitted=gate.max_lag_admitted,
            seconds={**parts, "total": sum(parts.values())},
            busy=done.busy,
            algorithm=self.config.algorithm.name,
            seed=self.config.run.seed,
            chosen=phase.chosen(),
            demonstrations=len(list((self.folder.warm / DEMONSTRATIONS).glob("*.traj"))),
            comparison=compare(before, after) if pairs(before, after) else None,
            templates_before=before.templates,
            templates_after=after.templates,
            curve=phase.curve,
            self_check=done.self_check,
        )


class _Recorder:
    """Writes the first `count` episodes that have a verdict, spread evenly over the `templates`."""

    def __init__(self, folder: Path, count: int, templates: int) -> None:
        self._files = EpisodeFiles(folder, keeps_earlier=False)
        self._left = count
        self._each = math.ceil(count / max(1, templates))
        self._seen: Counter[str] = Counter()

    def __call__(self, trajectory: Trajectory) -> None:
        if not self._left or not trajectory.reward_valid or self._seen[trajectory.template] >= self._each:
            return
        self._seen[trajectory.template] += 1
        self._left -= 1
        self._files.write(trajectory)


def _demonstrations(config: RunConfig, policy: Policy, view: LiveView) -> Sequence[Trajectory]:
    settings, shown = config.warmup, View(config.policy.frames, config.policy.history)
    if settings.trajectories:
        return load_demonstrations(Path(settings.trajectories), policy, view=shown)
    beside = Path(settings.weights) / DEMONSTRATIONS
    if settings.weights:
        return load_demonstrations(beside, policy, view=shown) if any(beside.glob("*.traj")) else ()
    if not settings.demonstrations:
        return ()
    spec = env_spec(config.env, "train")
    total = settings.demonstrations
    return record_demonstrations(
        total,
        spec,
        policy,
        view=shown,
        seed=config.run.seed,
        progress=lambda done: view.update(Status(done=done, total=total)),
    )


def _at(policy: PolicyConfig, folder: Path) -> PolicyConfig:
    return msgspec.structs.replace(policy, model=str(folder))


def _set_threads(config: RunConfig) -> None:
    torch.set_num_threads(config.run.threads)
    cv2.setNumThreads(1)
    with suppress(RuntimeError):  # can be set once per process only, before the first parallel work
        torch.set_num_interop_threads(1)


def _verdict(summary: Summary, folder: RunFolder) -> str:
    """Return what one run has to say: about its two policies, not about training, which takes several seeds."""
    lines = [
        f"this policy (seed {summary.seed}) against its warm start: success {summary.before} -> {summary.after}, "
        f"in {summary.seconds['total']:.0f} s"
    ]
    if summary.comparison is not None:
        paired = summary.comparison
        silent = f", {paired.unjudged} unjudged: either way within this interval" if paired.unjudged else ""
        lines.append(
            f"paired on {paired.n} test tasks: {paired.difference * 100:+.1f} points "
            f"[{paired.low * 100:+.1f}, {paired.high * 100:+.1f}] between these two{silent}, "
            f"McNemar p = {paired.p_value:.2g}; final policy: {summary.chosen}"
        )
    lines.append(f"{folder.policy}, {folder.summary}, {folder.curve}")
    lines.append(f"look at episodes: distrl-train inspect {folder.root} --html {folder.root / 'episodes.html'}")
    return "\n".join(lines)
