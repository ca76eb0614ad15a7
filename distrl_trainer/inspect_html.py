"""`distrl-train inspect`: recorded episodes as one self-contained page, or as a table.

The page holds everything inline (frames as JPEG data URIs, no script, no font, no request), so that it can be mailed.
Advantages are computed here from what was stored while acting (values, rewards, behaviour log-probs equal to the
policy's): Retrace with ratios of one. Callers: `play_commands`, `train_command`, `warmup`.
"""

from __future__ import annotations

import base64
import html
import itertools
import stat
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from distrl_trainer.filmstrip import annotate, describe
from distrl_trainer.observations import MAX_PIXELS, FrameError, check_frame, decode_action, decode_frame
from distrl_trainer.plain_text import plain
from distrl_trainer.retrace import retrace
from distrl_trainer.trajectory import Trajectory, decode

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 86)

_CSS = """
:root { --bg:#f6f7f9; --card:#fff; --ink:#1b1d21; --soft:#667085; --line:#e4e7ec; --good:#146c2e; --goodbg:#dff3e4;
  --bad:#b3261e; --badbg:#fbe4e2; --warn:#8a5a00; --warnbg:#fdf0d5; --accent:#e91e63; }
@media (prefers-color-scheme: dark) { :root { --bg:#121316; --card:#1c1e22; --ink:#e8eaed; --soft:#9aa0a8;
  --line:#30333a; --good:#7bd893; --goodbg:#17351f; --bad:#ff9a92; --badbg:#431a17; --warn:#f3c46b;
  --warnbg:#3d2f10; } }
* { box-sizing:border-box }
body { margin:0; background:var(--bg); color:var(--ink); font:14px/1.5 Roboto,system-ui,-apple-system,sans-serif }
main { max-width:1280px; margin:0 auto; padding:32px 20px 64px }
h1 { font-size:22px; font-weight:600; margin:0 0 4px } .sub { color:var(--soft); margin:0 0 24px }
article { background:var(--card); border:1px solid var(--line); border-radius:14px; margin:0 0 22px; overflow:hidden }
header { display:flex; gap:16px; justify-content:space-between; align-items:flex-start; padding:16px 20px 12px }
h2 { font-size:16px; font-weight:600; margin:0 } header p { margin:2px 0 0; color:var(--soft); font-size:13px }
.badge { border-radius:99px; padding:3px 12px; font-weight:600; font-size:12.5px; white-space:nowrap }
.good { color:var(--good); background:var(--goodbg) } .bad { color:var(--bad); background:var(--badbg) }
.warn { color:var(--warn); background:var(--warnbg) }
.strip { display:flex; gap:14px; overflow-x:auto; padding:4px 20px 18px; scroll-snap-type:x proximity }
figure { margin:0; flex:0 0 172px; scroll-snap-align:start }
figure img { width:172px; display:block; border-radius:10px; border:1px solid var(--line) }
figcaption { font-size:12px; margin-top:7px } figcaption b { display:block; font-weight:600; overflow-wrap:anywhere }
dl { display:grid; grid-template-columns:auto 1fr; gap:0 8px; margin:4px 0 0; color:var(--soft) }
dt { margin:0 } dd { margin:0; text-align:right; font-variant-numeric:tabular-nums; color:var(--ink) }
.note { color:var(--bad); overflow-wrap:anywhere } dd.up { color:var(--good) } dd.down { color:var(--bad) }
"""


MAX_BYTES = 2**28
"""Of a recorded episode that is read: 256 MiB are 100 steps on the largest screen that is decoded."""


MAX_EPISODE_PIXELS = 128 * MAX_PIXELS
"""Of all frames of a recorded episode that are decoded: as many as `MAX_BYTES` of screens like a photo hold. A blank
frame shrinks to a thousandth, so that a file of this size could ask for a terabyte."""


class InspectError(Exception):
    """What was to be inspected is missing or damaged; the message names it."""


class InvalidEpisodeError(ValueError):
    """A trajectory whose parts do not go together."""


def load_trajectories(path: Path) -> list[Trajectory]:
    """Return the trajectories of a run's folder, of a folder of `.traj` files, or of one such file.

    Raises:
        InspectError: `path` does not exist, holds no trajectory, or a file in it is damaged.
    """
    return [_read(file) for file in _episode_files(path)]


def _episode_files(path: Path) -> list[Path]:
    if not path.exists():
        raise InspectError(f"{path} does not exist; give a run's folder or a .traj file")
    folder = path / "episodes" if (path / "episodes").is_dir() else path
    files = sorted(folder.glob("*.traj")) if path.is_dir() else [path]
    if not files:
        raise InspectError(f"{folder} holds no .traj file; a run records some while it evaluates (run.record_episodes)")
    return files


def read_episodes(path: Path) -> tuple[list[Trajectory], list[str]]:
    """Return the trajectories of `path`, as `load_trajectories` does, and why each other file was left out.

    Raises:
        InspectError: Nothing remains.
    """
    found: list[Trajectory] = []
    refused: list[str] = []
    for file in _episode_files(path):
        try:
            found.append(read_episode(file))
        except InspectError as error:
            refused.append(str(error))
    if not found:
        raise InspectError(refused[0] if len(refused) == 1 else f"none of {len(refused)} files is whole: {refused[0]}")
    return found, refused


def read_episode(file: Path) -> Trajectory:
    """Return the trajectory in `file`: its parts go together and its frames are of a sensible size, not yet decoded.

    Raises:
        InspectError: It is not; nothing was waited for, and nothing large allocated.
    """
    try:
        trajectory = _read(file)
        _check_shown(trajectory)
    except (msgspec.DecodeError, FrameError, InvalidEpisodeError) as error:
        raise InspectError(f"{file} is damaged: {error}") from error
    return trajectory


def advantages(trajectory: Trajectory, gamma: float, lambda_: float) -> list[float]:
    """Return the T Retrace advantages of `trajectory` under the policy that acted (ratios of one).

    The value after the last step is unknown here: a trajectory that bootstraps uses its last step's value.
    """
    if not trajectory.steps:
        return []
    rewards = [step.reward_task + step.reward_shaping for step in trajectory.steps]
    values = [step.value for step in trajectory.steps]
    size = len(values)
    targets = retrace(
        torch.tensor([rewards]),
        torch.tensor([[*values, values[-1]]]),
        torch.zeros(1, size),
        torch.tensor([trajectory.bootstraps]),
        torch.ones(1, size, dtype=torch.bool),
        gamma,
        lambda_,
    )
    return targets.advantages[0].tolist()


def page(trajectories: Sequence[Trajectory], title: str, *, gamma: float = 0.95, lambda_: float = 0.9) -> str:
    """Return an HTML page with one filmstrip per trajectory.

    Args:
        trajectories: Shown in this order.
        title: Heading.
        gamma: Discount of the advantages shown.
        lambda_: Trace decay of the advantages shown.
    """
    valid = [item for item in trajectories if item.reward_valid]
    solved = sum(item.success for item in valid)
    summary = f"{len(trajectories)} episodes, {solved} of {len(valid)} valid ones succeeded"
    articles = "\n".join(_article_or_reason(item, gamma, lambda_) for item in trajectories)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_escaped(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style></head>\n'
        f'<body><main><h1>{_escaped(title)}</h1><p class="sub">{summary} &middot; advantages: Retrace, '
        f"&gamma; {gamma:g}, &lambda; {lambda_:g}</p>\n{articles}\n</main></body></html>\n"
    )


def table(trajectories: Sequence[Trajectory]) -> list[tuple[str, str, str, str, str, str]]:
    """Return a row per trajectory: id, task, steps, versions, verdict, instruction."""
    return [
        (item.id, item.task_id, str(len(item.steps)), _versions(item), _verdict(item)[1], item.instruction)
        for item in trajectories
    ]


def _read(file: Path) -> Trajectory:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise InspectError(f"{file} is no regular file")
        if status.st_size > MAX_BYTES:
            raise InspectError(f"{file} has {status.st_size} bytes; a recorded episode has at most {MAX_BYTES}")
        return decode(file.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise InspectError(f"{file} is no trajectory, or damaged: {error}") from error
    except OSError as error:
        raise InspectError(f"{file} cannot be read: {error.strerror}") from error


def _check_shown(trajectory: Trajectory) -> None:
    """Check what the table and the page rely on, without decoding a frame.

    Raises:
        msgspec.DecodeError: An action is damaged.
        FrameError: A frame is no PNG image, or claims to be too large, as all of them together may.
        InvalidEpisodeError: Steps and frames do not go together.
    """
    if len(trajectory.frames) != len(trajectory.steps) + 1:
        raise InvalidEpisodeError(f"{len(trajectory.frames)} frames for {len(trajectory.steps)} steps")
    for step in trajectory.steps:
        decode_action(step)
    pixels = 0
    for before, frame in itertools.pairwise((b"", *trajectory.frames)):
        height, width = check_frame(frame)
        pixels += height * width * (frame != before)  # an unchanged screen is decoded once
    if pixels > MAX_EPISODE_PIXELS:
        raise FrameError(f"its frames claim {pixels} pixels; an episode has at most {MAX_EPISODE_PIXELS}")


def _article_or_reason(trajectory: Trajectory, gamma: float, lambda_: float) -> str:
    try:
        return _article(trajectory, gamma, lambda_)
    except (FrameError, msgspec.DecodeError, ValueError, OverflowError) as error:  # pixels, or a number, are damaged
        reason = f"{trajectory.id} cannot be shown: {error}"
        return f"<article><header><h2>{_escaped(reason)}</h2></header></article>"


def _escaped(text: str) -> str:
    return html.escape(plain(text))


def _article(trajectory: Trajectory, gamma: float, lambda_: float) -> str:
    kind, verdict = _verdict(trajectory)
    facts = [trajectory.task_id, f"{len(trajectory.steps)} steps", f"version {_versions(trajectory)}", trajectory.id]
    reason = trajectory.failure_message or trajectory.verdict_reason
    if reason:
        facts.append(reason)
    return (
        f"<article><header><div><h2>{_escaped(trajectory.instruction)}</h2>"
        f"<p>{_escaped(' - '.join(facts))}</p></div>"
        f'<span class="badge {kind}">{_escaped(verdict)}</span></header>'
        f'<div class="strip">{"".join(_figures(trajectory, gamma, lambda_))}</div></article>'
    )


def _figures(trajectory: Trajectory, gamma: float, lambda_: float) -> list[str]:
    # One at a time: all of a long episode would take gigabytes.
    frames = map(decode_frame, trajectory.frames)
    figures: list[str] = []
    for number, (step, advantage) in enumerate(
        zip(trajectory.steps, advantages(trajectory, gamma, lambda_), strict=True)
    ):
        action = decode_action(step)
        sign = "up" if advantage > 0 else "down"
        rows = [
            ("value", f"{step.value:.3f}", ""),
            ("advantage", f"{advantage:+.3f}", sign),
            ("log-prob", f"{sum(step.logprobs):.2f}", ""),
            ("reward", _reward(step.reward_task, step.reward_shaping), ""),
            ("version", str(step.version), ""),
        ]
        note = f'<div class="note">{_escaped(step.invalid)}</div>' if step.invalid else ""
        caption = f"<b>{number + 1}. {_escaped(describe(action))}</b>{note}<dl>{''.join(map(_row, rows))}</dl>"
        figures.append(_figure(annotate(next(frames), action), caption))
    figures.extend(_figure(annotate(frame, None), "<b>end</b>") for frame in frames)
    return figures


def _row(row: tuple[str, str, str]) -> str:
    name, value, css = row
    return f'<dt>{name}</dt><dd class="{css}">{value}</dd>' if css else f"<dt>{name}</dt><dd>{value}</dd>"


def _figure(image: NDArray[np.uint8], caption: str) -> str:
    return f'<figure><img alt="" src="{_data_uri(image)}"><figcaption>{caption}</figcaption></figure>'


def _data_uri(image: NDArray[np.uint8]) -> str:
    written, data = cv2.imencode(".jpg", image[..., ::-1], _JPEG)
    if not written:
        raise InspectError(f"a frame of shape {image.shape} could not be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _reward(task: float, shaping: float) -> str:
    return f"{task:g}" if shaping == 0 else f"{task:g} {shaping:+g}"


def _versions(trajectory: Trajectory) -> str:
    versions = [step.version for step in trajectory.steps]
    if not versions:
        return "-"
    return str(versions[0]) if min(versions) == max(versions) else f"{min(versions)}-{max(versions)}"


def _verdict(trajectory: Trajectory) -> tuple[str, str]:
    if not trajectory.reward_valid or trajectory.failure_kind:
        return "warn", f"no verdict: {trajectory.failure_kind or 'judge failed'}"
    if trajectory.success:
        return "good", "success"
    return "bad", "false completion" if trajectory.false_completion else "not reached"
