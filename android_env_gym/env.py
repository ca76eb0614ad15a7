"""`AndroidTaskEnv`: reset draws a task, step performs one action, the judge gives the reward.

Invariants: the reward is the task reward alone (1 at the step where the judge says success, else 0). An
infrastructure failure is never a reward: it ends the episode with `truncated`, `info["failure"]` and
`info["reward_valid"] = False`, showing the last good frame. No returned array or dict is ever reused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import gymnasium as gym
import msgspec
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from android_env_gym.actions import (
    MAX_INSTRUCTION,
    Action,
    Finish,
    InvalidAction,
    clean_text,
    from_sample,
    make_action_space,
    make_text_space,
    validate,
)
from android_env_gym.devices.base import Device, DeviceFailure, FailureKind, World
from android_env_gym.devices.config import AdbConfig
from android_env_gym.devices.make import make_device
from android_env_gym.errors import NeedsWorldError, ResetError, unknown_name
from android_env_gym.judges.base import Evidence, Judge, Verdict
from android_env_gym.judges.make import make_judge
from android_env_gym.judges.state import SideEffects
from android_env_gym.phone.state import DeviceConfig, PhoneState
from android_env_gym.phone.world.diff import side_effects
from android_env_gym.rendering import Frame, Window, check_frame, observe, with_touch
from android_env_gym.tasks import suites
from android_env_gym.tasks.base import SPLITS, Task, TaskTemplate

logger = logging.getLogger(__name__)

RESET_ATTEMPTS = 3
SLACK_SECONDS = 10.0
INSTANCES = 2**31 - 1
RESET_OPTIONS = ("task", "instance")
JUDGE_TIMES = ("", "step", "finish")

Config = TypeVar("Config", bound=msgspec.Struct)
Observation = dict[str, Any]
ActionLike = Action | InvalidAction | Mapping[str, Any]


class _Episode:
    """One episode so far: `len(frames) == len(actions) + 1`; `before` is the state it started from."""

    def __init__(self, task: Task, template: TaskTemplate, before: PhoneState | None, frame: Frame) -> None:
        self.task = task
        self.template = template
        self.before = before
        self.frames: list[Frame] = [frame]
        self.actions: list[Action | InvalidAction] = []
        self.verdict: Verdict | None = None
        self.ended = False


class AndroidTaskEnv(gym.Env[Observation, Any]):
    """Tasks on an Android phone, seen as pixels and an instruction (`AndroidTask-v0`).

    Observation: `Dict(screenshot: uint8 (H, W, 3) RGB, instruction: Text)`. Action: a typed action, a member
    of `make_action_space()`, or `InvalidAction`, which executes nothing and uses a step.

    An episode ends with `terminated` on success, on `Finish` and at the step limit (part of the task, so a
    learner must not bootstrap), with `truncated` on an infrastructure failure. `info` is plain data and always has
    the keys `task_id, template, instance, split, instruction, is_success, verdict` (`judged, success, score, reason,
    valid`; `judged` is False until a judge was asked), `reward_valid, failure` (`kind, message`, empty if nothing
    failed), `invalid_action` (the reason, or ""), `side_effects` (paths of destructive changes outside what the task
    allows, see `phone.world.harm`, separated by spaces; at the end only), `virtual_time` (ms since the epoch on the
    phone, 0 without a `World`), `step_limit, false_completion` (a `Finish` that was wrong).

    Args:
        device: "sim", "adb:SERIAL", "emulator:AVD", or a `Device`, which the caller then closes.
        suite: Name of a suite, "instructions:PATH" (`tasks.instructions`), or the templates themselves.
        split: "train", "test" or "unseen-template"; templates without instances in it are left out.
        judge: "state", "vlm:MODEL@URL", "module:Class" (made without arguments) or a `Judge`.
        judge_at: "step" or "finish"; "" leaves it to the task.
        side_effects: "fail": the judge "state" says no success while a destructive side effect stands; "report": the
            goal alone counts, and `info["side_effects"]` still names them.
        max_steps: Step limit; None leaves it to the task (15 unless its template says otherwise).
        screen: `(height, width)` of the observed screenshot.
        device_config: How the embedded phone is built: a `DeviceConfig`, or its fields as a dict, which Gymnasium and
            Minari can write into files.
        adb: How a real or emulated device is driven, reset and started: an `AdbConfig`, or its fields.
        render_mode: None, "rgb_array" (the device's full frame) or "human" (a window).
        world: State access to the device, where the device object itself does not have it.

    Raises:
        UnknownNameError: Unknown suite, split, device, judge, judging time or meaning of side effects.
        DeviceUnavailableError: The device needs something that is not installed here.
        InstructionFileError: The suite's instruction files cannot be used.
        JudgeError: The suite is of instruction files, and the judge compares states; or its name is malformed.
        NeedsWorldError: Suite or judge need a `World` and there is none.
        ValueError: The suite has nothing in the split; a field of a config is unknown or of a wrong type.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 4}  # noqa: RUF012 (Gymnasium's own idiom)

    def __init__(
        self,
        device: str | Device = "sim",
        suite: str | Sequence[TaskTemplate] = "starter",
        split: str = "train",
        judge: str | Judge = "state",
        judge_at: str = "",
        max_steps: int | None = 15,
        screen: tuple[int, int] = (448, 224),
        device_config: DeviceConfig | Mapping[str, Any] | None = None,
        adb: AdbConfig | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        world: World | None = None,
        side_effects: SideEffects = "fail",
    ) -> None:
        _check_arguments(judge_at, max_steps, screen, render_mode)
        self.render_mode = render_mode
        self.screen = (int(screen[0]), int(screen[1]))
        self.split = split
        self.device_config = as_config(device_config, DeviceConfig)
        self._judge_at = judge_at
        self._max_steps = max_steps
        self._templates = _templates_in(suite, split)
        self.judge: Judge = make_judge(judge, self._templates, side_effects)
        self._owns_device = isinstance(device, str)
        self.device: Device = (
            make_device(device, self.device_config, as_config(adb, AdbConfig)) if isinstance(device, str) else device
        )
        self.world = world if world is not None else self.device if isinstance(self.device, World) else None
        if self.world is None:
            self._refuse_needs_of_a_world()
        self.observation_space = make_observation_space(self.screen)
        self.action_space = make_action_space()
        self._judge_errors: set[type[Exception]] = set()
        self._episode: _Episode | None = None
        self._raw: Frame | None = None
        self._seen: Frame = np.zeros((*self.screen, 3), np.uint8)
        self._window: Window | None = None

    @property
    def task(self) -> Task:
        """The current task.

        Raises:
            ResetNeeded: Before the first reset.
        """
        return self._current().task

    @property
    def actions(self) -> tuple[Action | InvalidAction, ...]:
        """The typed actions of the episode so far, whatever form they were given in.

        Raises:
            ResetNeeded: Before the first reset.
        """
        return tuple(self._current().actions)

    @property
    def templates(self) -> tuple[TaskTemplate, ...]:
        """The templates that tasks are drawn from."""
        return self._templates

    @property
    def frame(self) -> Frame:
        """The device's last good frame, full size, `(height, width, 3)` uint8 RGB; not to be written into.

        Raises:
            ResetNeeded: Before the first reset.
        """
        if self._raw is None:
            raise ResetNeeded("there is no frame before the first reset()")
        return self._raw

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; without options, of a task drawn uniformly over the templates of suite and split.

        Args:
            seed: Seeds the drawing of tasks.
            options: "task" (template id) and "instance" (a number) choose the task; each is drawn if absent.

        Raises:
            UnknownNameError: Unknown option or template.
            ResetError: The device failed `RESET_ATTEMPTS` times.
        """
        super().reset(seed=seed)
        template, instance = self._choose(options or {})
        task, state = suites.draw_task(template, self.split, instance, self.device_config)
        self._episode = None
        before = self._start_device(state if template.needs_world else None)
        self._episode = _Episode(task, template, before, self._seen)
        self._show()
        return self._observation(task), self._info(self._episode)

    def step(self, action: ActionLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Perform one action and judge.

        Raises:
            ActionError: `action` is neither a valid action, a member of the action space nor an `InvalidAction`.
            ResetNeeded: No episode is running.
            WindowClosedError: The window of `render_mode="human"` was closed.
        """
        episode = self._current()
        if episode.ended:
            raise ResetNeeded("the episode has ended; call reset()")
        typed = _typed(action)
        invalid = typed.reason if isinstance(typed, InvalidAction) else ""
        self._show(typed)
        try:
            if not isinstance(typed, InvalidAction | Finish):
                self.device.perform(typed)
            self._look()
        except DeviceFailure as failure:
            return self._failed(episode, typed, failure.kind, str(failure))
        episode.actions.append(typed)
        episode.frames.append(self._seen)
        self._show()
        limit = len(episode.actions) >= (self._max_steps or episode.task.max_steps)
        finish = typed if isinstance(typed, Finish) else None
        episode.verdict = self._judged(episode, finish, limit)
        if episode.verdict is not None and not episode.verdict.valid:
            return self._failed(episode, None, "judge", episode.verdict.reason)
        success = episode.verdict is not None and episode.verdict.success
        episode.ended = success or finish is not None or limit
        info = self._info(episode, invalid_action=invalid)
        info["false_completion"] = finish is not None and not success
        info["step_limit"] = limit and finish is None and not success
        return self._observation(episode.task), float(success), episode.ended, False, info

    def render(self) -> Any:
        """Return a copy of the device's full frame (`rgb_array`), or show it (`human`)."""
        if self.render_mode == "rgb_array":
            return self.frame.copy()
        self._show()
        return None

    def close(self) -> None:
        """Close the window and the device, if the environment made it; may be called twice."""
        if self._window is not None:
            self._window.close()
            self._window = None
        if self._owns_device:
            self.device.close()

    def _current(self) -> _Episode:
        if self._episode is None:
            raise ResetNeeded("no episode is running; call reset() first")
        return self._episode

    def _choose(self, options: Mapping[str, Any]) -> tuple[TaskTemplate, int]:
        unknown = sorted(set(options) - set(RESET_OPTIONS))
        if unknown:
            raise unknown_name("reset option", unknown[0], RESET_OPTIONS)
        wanted, instance = options.get("task"), options.get("instance")
        if wanted is None:
            template = self._templates[int(self.np_random.integers(len(self._templates)))]
        else:
            by_id = {template.id: template for template in self._templates}
            if wanted not in by_id:
                raise unknown_name(f"task template of this suite and split {self.split!r}", wanted, by_id)
            template = by_id[wanted]
        return template, int(self.np_random.integers(INSTANCES) if instance is None else instance)

    def _start_device(self, state: PhoneState | None) -> PhoneState | None:
        """Bring the device to the start of the episode, with `state` set up, and return the state it has there."""
        for attempt in range(1, RESET_ATTEMPTS + 1):
            try:
                self.device.reset()
                if self.world is not None and state is not None:
                    self.world.apply_setup(state)
                self._look()
            except DeviceFailure as failure:
                if attempt == RESET_ATTEMPTS:
                    raise ResetError(failure.kind, attempt, str(failure)) from failure
            else:
                break
        return None if self.world is None else self.world.snapshot()

    def _look(self) -> None:
        frame = self.device.screenshot()
        if frame is not self._raw:
            self._raw = check_frame(frame)
            self._seen = observe(self._raw, self.screen)

    def _show(self, action: Action | InvalidAction | None = None) -> None:
        """Show a person the frame, with the touch of the `action` that is about to be performed."""
        if self.render_mode == "human":
            self._window = self._window or Window("AndroidTask-v0")
            frame, fps = with_touch(self.frame, action), self.metadata["render_fps"]
            self._window.show(frame, fps, self._episode.task.instruction if self._episode else "")

    def _judged(self, episode: _Episode, finish: Finish | None, limit: bool) -> Verdict | None:
        if finish is None and (self._judge_at or episode.task.judge_at) == "finish":
            return Verdict(False, reason="the step limit came before a Finish") if limit else None
        evidence = Evidence(
            task=episode.task,
            frames=tuple(episode.frames),
            actions=tuple(episode.actions),
            finish=finish,
            before=episode.before,
            now=None if self.world is None else self.world.state,
        )
        try:
            verdict = self.judge.judge(evidence)
            if not isinstance(verdict, Verdict):
                raise TypeError(f"judge() returned a {type(verdict).__name__}, expected a Verdict")
        except Exception as error:  # a judge is anybody's code, and must not end everybody's run
            if type(error) not in self._judge_errors:  # each once: a judge that is broken fails at every step
                self._judge_errors.add(type(error))
                logger.exception("the judge %r failed", self.judge)
            return Verdict(False, reason=f"the judge failed: {type(error).__name__}: {error}", valid=False)
        return verdict

    def _failed(
        self, episode: _Episode, action: Action | InvalidAction | None, kind: FailureKind, message: str
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """End the episode by an infrastructure failure: no evidence about the policy, the last good frame."""
        if action is not None:
            episode.actions.append(action)
            episode.frames.append(self._seen)
        episode.ended = True
        info = self._info(episode) | failure_info(kind, message)
        return self._observation(episode.task), 0.0, False, True, info

    def _observation(self, task: Task) -> Observation:
        return {"screenshot": self._seen.copy(), "instruction": clean_text(task.instruction)}

    def _info(self, episode: _Episode, invalid_action: str = "") -> dict[str, Any]:
        task, verdict = episode.task, episode.verdict
        effects: tuple[str, ...] = ()
        checked = episode.ended and episode.template.needs_world
        if checked and self.world is not None and episode.before is not None:
            allowed = episode.template.allowed(suites.goal_of(task))
            effects = side_effects(episode.before, self.world.state, allowed)
        return make_info(
            task_id=task.task_id,
            template=task.template,
            instance=task.instance,
            split=task.split,
            instruction=clean_text(task.instruction),
            is_success=verdict is not None and bool(verdict.success),
            verdict=verdict_info(verdict),
            invalid_action=invalid_action,
            side_effects=" ".join(effects),
            virtual_time=0 if self.world is None else self.world.state.now,
        )

    def _refuse_needs_of_a_world(self) -> None:
        by_name = {"suite": any(item.needs_world for item in self._templates), "judge": self.judge.needs_world}
        needing = [name for name, needs in by_name.items() if needs]
        if needing:
            raise NeedsWorldError(" and ".join(needing), self.device.info().kind)


def as_config(given: Config | Mapping[str, Any] | None, kind: type[Config]) -> Config:
    """Return `given`, a config, its fields or None for the defaults, as a `kind`.

    Raises:
        ValueError: A field is unknown or of a wrong type.
    """
    if isinstance(given, kind):
        return given
    return msgspec.convert({} if given is None else given, kind)


def make_observation_space(screen: tuple[int, int]) -> spaces.Dict:
    """Return the observation space of phones whose screenshots are `screen` = (height, width) pixels."""
    picture = spaces.Box(0, 255, (*screen, 3), np.uint8)
    return spaces.Dict({"screenshot": picture, "instruction": make_text_space(MAX_INSTRUCTION)})


def longest_command(device: str, adb: AdbConfig) -> float:
    """Return within how many seconds `reset` and `step` end on a real device, by the bounds of `adb`."""
    start = adb.reset_seconds
    if device.startswith("emulator:"):
        start += adb.emulator.boot_seconds + adb.emulator.max_backoff_seconds + 3 * adb.emulator.stop_seconds
    return RESET_ATTEMPTS * (start + adb.step_seconds + SLACK_SECONDS)


def make_info(**known: Any) -> dict[str, Any]:
    """Return an `info` with every key of the contract, `known` ones set (see `AndroidTaskEnv`).

    Its keys and types are the same at every step: Minari and Gymnasium's vectors store them by column, for which a
    tuple of varying length has no place.
    """
    return {
        "task_id": "",
        "template": "",
        "instance": 0,
        "split": "",
        "instruction": "",
        "is_success": False,
        "verdict": verdict_info(None),
        "reward_valid": True,
        "failure": {"kind": "", "message": ""},
        "invalid_action": "",
        "side_effects": "",
        "virtual_time": 0,
        "step_limit": False,
        "false_completion": False,
    } | known


def verdict_info(verdict: Verdict | None) -> dict[str, Any]:
    """Return `verdict` as plain data; None: nobody was asked yet."""
    said = verdict or Verdict(False, valid=False)
    # A judge is anybody's code: what it took from an array is a NumPy number, which JSON refuses.
    return {
        "judged": verdict is not None,
        "success": bool(said.success),
        "score": float(said.score),
        "reason": str(said.reason),
        "valid": bool(said.valid),
    }


def failure_info(kind: FailureKind, message: str) -> dict[str, Any]:
    """Return the part of `info` that says an infrastructure failure ended the episode."""
    return {
        "reward_valid": False,
        "failure": {"kind": kind, "message": message},
        "verdict": verdict_info(Verdict(False, reason=message, valid=False)),
        "is_success": False,
    }


def _check_arguments(judge_at: str, max_steps: int | None, screen: Sequence[int], render_mode: str | None) -> None:
    if judge_at not in JUDGE_TIMES:
        raise unknown_name("judge_at", judge_at, JUDGE_TIMES)
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps: got {max_steps}, allowed is 1 or more, or None for the task's own limit")
    if len(screen) != 2 or min(screen) < 1:
        raise ValueError(f"screen: got {screen!r}, allowed is (height, width) in pixels")
    modes = AndroidTaskEnv.metadata["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise unknown_name("render_mode", render_mode, modes)


def _templates_in(suite: str | Sequence[TaskTemplate], split: str) -> tuple[TaskTemplate, ...]:
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    templates = suites.suite(suite) if isinstance(suite, str) else tuple(suite)
    found = tuple(template for template in templates if split in template.splits())
    if not found:
        raise ValueError(f"suite {suite!r}: none of its {len(templates)} templates has instances in split {split!r}")
    return found


def _typed(action: ActionLike) -> Action | InvalidAction:
    if isinstance(action, InvalidAction):
        return action
    return from_sample(action) if isinstance(action, Mapping) else validate(action)
