"""What a user sees while a run works: a live panel on a terminal, plain lines anywhere else.

Invariant: the view only shows; it never changes what a run computes. The share of invalid rewards and the lag histogram
are always visible. Caller: `train_command`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import msgspec
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_HISTORY = 60
_PLAIN_WIDTH = 140


def make_console(*, stderr: bool = False) -> Console:
    """Return a console; where it is no terminal, lines have room for whole tables."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_PLAIN_WIDTH)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a run. Shares and rates are in [0, 1]; `steps_per_second` counts environment steps.

    `success` is the share among recent training episodes, `lags` the number of arrivals by collection lag.
    """

    done: int = 0
    total: int = 0
    success: float | None = None
    steps_per_second: float = 0.0
    episodes: int = 0
    updates: int = 0
    version: int = 0
    lags: Mapping[int, int] = {}
    dropped: int = 0
    invalid_reward_share: float = 0.0
    infra_errors: int = 0
    losses: Mapping[str, float] = {}
    busy: Mapping[str, float] = {}


class LiveView:
    """Shows the phase of a run and its `Status`; a context manager.

    Args:
        console: Where to write; a panel is drawn if it is a terminal.
        every: Seconds between two plain lines.
    """

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self._console = console
        self._every = every
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._phase = ""
        self._status = Status()
        self._history: list[float] = []
        self._evaluations: list[str] = []
        self._last_line = float("-inf")
        self._begun = time.monotonic()

    def __enter__(self) -> LiveView:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, name: str) -> None:
        """Say that the phase `name` begins."""
        self._phase = name
        self._status = Status()
        self._last_line = float("-inf")
        self.note(f"{name} ...")

    def note(self, line: str) -> None:
        """Show one line that stays."""
        self._console.print(Text(f"{_clock(time.monotonic() - self._begun)}  {line}"), soft_wrap=True)

    def evaluated(self, label: str, rate: str) -> None:
        """Show the result of an evaluation; it stays in the panel."""
        self._evaluations.append(f"{label}: {rate}")
        self.note(f"{label}: {rate}")

    def update(self, status: Status) -> None:
        """Show `status`."""
        self._status = status
        if status.success is not None:
            self._history = [*self._history, status.success][-_HISTORY:]
        if self._live is not None:
            self._live.update(self._render())
        elif time.monotonic() - self._last_line >= self._every:
            self._last_line = time.monotonic()
            self.note(plain(self._phase, status))

    def _render(self) -> Panel:
        status = self._status
        parts: list[RenderableType] = []
        if status.total:
            bar = Table.grid(expand=True)
            bar.add_row(ProgressBar(total=status.total, completed=status.done))
            parts.append(bar)
        parts.append(
            Columns([_numbers(status), _lags(status.lags)], padding=(0, 4)) if status.episodes else _numbers(status)
        )
        if self._history:
            parts.append(Text(f"success  {sparkline(self._history)}", style="green"))
        parts += [Text(line, style="bold") for line in self._evaluations[-3:]]
        elapsed = _clock(time.monotonic() - self._begun)
        return Panel(Group(*parts), title=f"distrl-train: {self._phase}", subtitle=elapsed, width=92)


def plain(phase: str, status: Status) -> str:
    """Return `status` as one line."""
    parts = [f"{phase} {status.done}/{status.total}" if status.total else phase]
    if status.success is not None:
        parts.append(f"success {status.success:.1%}")
    if status.steps_per_second:
        parts.append(f"{status.steps_per_second:.0f} steps/s")
    if status.updates:
        parts.append(f"updates {status.updates}, version {status.version}")
    if status.lags:
        parts.append("lags " + " ".join(f"{lag}:{count}" for lag, count in sorted(status.lags.items())))
        parts.append(f"dropped {status.dropped}, invalid rewards {status.invalid_reward_share:.1%}")
    parts += [f"{name} {value:.3g}" for name, value in status.losses.items()]
    parts += [f"{name} busy {share:.0%}" for name, share in status.busy.items()]
    return ", ".join(parts)


def sparkline(shares: Sequence[float]) -> str:
    """Return one block character per share in [0, 1]."""
    return "".join(_BLOCKS[min(int(min(max(share, 0.0), 1.0) * len(_BLOCKS)), len(_BLOCKS) - 1)] for share in shares)


def _numbers(status: Status) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {"done": f"{status.done:,} of {status.total:,}"}
    collecting = {
        "throughput": f"{status.steps_per_second:.0f} steps/s",
        "success (training)": "-" if status.success is None else f"{status.success:.1%}",
        "episodes": f"{status.episodes:,}",
        "updates / version": f"{status.updates:,} / {status.version:,}",
        "invalid rewards": f"{status.invalid_reward_share:.1%}",
        "infrastructure errors": f"{status.infra_errors:,}",
    }
    rows |= collecting if status.episodes else {}
    rows |= {
        **{name: f"{value:.4g}" for name, value in status.losses.items()},
        **{f"{name} busy": f"{share:.0%}" for name, share in status.busy.items()},
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), value)
    return table


def _lags(lags: Mapping[int, int]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("lag", style="dim"), Text("arrivals", style="dim"))
    most = max(lags.values(), default=1)
    for lag, count in sorted(lags.items()):
        table.add_row(str(lag), Text("\u2588" * max(1, round(20 * count / most)), style="cyan"), f"{count:,}")
    return table


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
