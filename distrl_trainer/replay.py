"""`Replay`: whole trajectories, drawn by priority (DPER), and the weights that correct for it.

Source: DistRL (arXiv 2410.14803), section 4.3; prioritised replay (arXiv 1511.05952), section 3.4.

    p(tau) = (w_delta n(mean |delta|) + w_rho n(mean min(rho, rho_max)) + w_entropy n(mean H) + epsilon)^alpha
    P_i = p_i / sum p

`n` divides by a running mean, so the three weights are unitless. Each trajectory keeps the three raw means;
p is computed when sampling, so that scales of different ages never mix. The buffer is circular, counts
steps and holds whole trajectories, each with its last step. The learner admits, samples and writes back what
it computed; saved and loaded, a replay goes on bit for bit.

What is held here is an index: some 70 bytes a trajectory. The trajectories themselves are files, read when they
are drawn, through a cache of bounded size (`TrajectoryFiles`).

Importance weights. A batch holds m draws from P, with replacement, and the background: the trajectories
refreshed longest ago, each once and for certain. Trajectory i is thus expected `m P_i + b_i` times in the
batch (b_i is 1 in the background, else 0), and whichever way it came its weight is
`w_i = (N (P_i + b_i / m))^-beta`, over the largest of the batch. At beta 1 a weighted sum over the batch is
then in expectation proportional to the plain sum over the buffer. So a background trajectory, whose purpose
is its fresh priority, hardly moves the gradient. Without a background this is the usual `(N P_i)^-beta`.
"""

from __future__ import annotations

import itertools
import logging
import zlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from distrl_trainer.config import ReplayConfig
from distrl_trainer.inbox import Received
from distrl_trainer.trajectory import Trajectory
from distrl_trainer.trajectory_file import TrajectoryFileError, id_of
from distrl_trainer.trajectory_files import TrajectoryFiles

logger = logging.getLogger(__name__)

DELTA, RHO, ENTROPY = 0, 1, 2
_MEAN_DECAY = 0.99
_SMALLEST_MEAN = 1e-8


class ReplayFileError(RuntimeError):
    """A trajectory or a saved index is missing or damaged; the message names the file and says what to do."""


class Batch(msgspec.Struct, frozen=True):
    """What `Replay.sample` returns: aligned trajectories, their ids for `Replay.update`, and weights in (0, 1].

    The first `background` ones are there to refresh their priorities. One trajectory may occur several times.
    """

    trajectories: list[Trajectory]
    ids: NDArray[np.int64]
    weights: NDArray[np.float64]
    background: int = 0

    @property
    def steps(self) -> int:
        """Return the number of steps, repeated trajectories counted as often as they occur."""
        return sum(len(trajectory.steps) for trajectory in self.trajectories)


class _Entry(msgspec.Struct, frozen=True):
    """What the index holds of one trajectory; `components` is `(3,)`."""

    name: str
    length: int
    success: bool
    components: NDArray[np.float64]
    refreshed: int
    measured: bool


class Replay:
    """A circular buffer of at most `config.capacity_steps` steps; the oldest trajectories make room.

    Without `config.prioritised` it draws uniformly, with all weights 1 and no background share. Numbers (`ids`) are
    given on arrival and never reused, so a late `update` of an evicted trajectory is recognised.

    Args:
        config: Settings.
        folder: Of the run, where the files lie; None: a temporary folder.
    """

    def __init__(self, config: ReplayConfig, folder: Path | None = None) -> None:
        if config.capacity_steps < 1:
            raise ValueError(f"capacity_steps is {config.capacity_steps}; at least one step must fit")
        if not 0.0 <= config.refresh_share < 1.0:
            raise ValueError(f"refresh_share is {config.refresh_share}; it must be at least 0 and below 1")
        self.config = config
        self.capacity_steps = capacity_steps = config.capacity_steps
        self._temporary = TemporaryDirectory(prefix="distrl-") if folder is None else None
        root = folder or Path(self._temporary.name if self._temporary is not None else "")
        self.files = TrajectoryFiles(root, cache_bytes=config.cache_mib << 20)
        self._component_weights = np.array([config.w_delta, config.w_rho, config.w_entropy])
        # A ring addressed by id % capacity: every trajectory has a step, so no more than that many fit.
        self._files: list[str] = [""] * capacity_steps
        self._lengths = np.zeros(capacity_steps, dtype=np.int32)
        self._successes = np.zeros(capacity_steps, dtype=np.bool_)
        self._components = np.zeros((capacity_steps, 3))
        self._refreshed = np.zeros(capacity_steps, dtype=np.int64)
        # Whether the components were measured by the learner, rather than put there on arrival.
        self._measured = np.zeros(capacity_steps, dtype=np.bool_)
        self._first = 0
        self._next = 0
        self._steps = 0
        self._refreshes = 0
        self._lost = 0
        self._means = np.full(3, np.nan)
        self._names: set[str] = set()

    def __len__(self) -> int:
        """Return the number of trajectories."""
        return self._next - self._first

    def __contains__(self, trajectory_id: str) -> bool:
        """Return whether the trajectory of this `Trajectory.id` is held."""
        return trajectory_id in self._names

    @property
    def steps(self) -> int:
        """Return the number of steps held."""
        return self._steps

    @property
    def ids(self) -> NDArray[np.int64]:
        """Return the ids held, oldest first."""
        return np.arange(self._first, self._next)

    @property
    def file_names(self) -> list[str]:
        """Return the names of the files held, oldest first."""
        return [self._files[slot] for slot in self._slots().tolist()]

    def __getitem__(self, id_: int) -> Trajectory:
        """Return the trajectory of an id held.

        Raises:
            KeyError: It was evicted or never existed.
            ReplayFileError: Its file is gone or damaged.
        """
        if not self._first <= id_ < self._next:
            raise KeyError(f"trajectory {id_} is not held; held are {self._first} to {self._next - 1}")
        name = self._files[id_ % self.capacity_steps]
        try:
            return self.files.read(name)
        except (TrajectoryFileError, FileNotFoundError) as error:
            reason = "it is gone" if isinstance(error, FileNotFoundError) else str(error)
            raise ReplayFileError(
                f"cannot read {self.files.replay / name}: {reason}. Resume: the run goes on without this trajectory"
            ) from error

    def add(self, trajectory: Trajectory) -> bool:
        """Write `trajectory` to a file and `admit` it; False if its id is held already.

        Raises:
            ValueError: As `admit`, or its id cannot be part of a file's name.
            StorageError: The disk refused.
        """
        self._check(trajectory)
        return trajectory.id not in self._names and self.admit(self.files.put(trajectory))

    def admit(self, received: Received) -> bool:
        """Append a trajectory from the inbox, evicting the oldest if it does not fit; False if its id is held already.

        It gets the largest TD component among the trajectories measured since they came (1 if there is none), the
        ratio 1 of fresh data, and the entropy of its own behaviour log-probs. What stands in for a measurement
        neither feeds another stand-in, which would keep an outlier alive for ever, nor moves the running means.

        Raises:
            ValueError: Its reward is not valid, it has no step, or it is longer than the whole buffer.
            StorageError: The disk refused; the trajectory stays where it was.
        """
        trajectory = received.trajectory
        self._check(trajectory)
        if trajectory.id in self._names:
            return False
        slots = self._slots()
        measured = self._components[slots[self._measured[slots]], DELTA]
        largest = float(measured.max()) if measured.size else 1.0
        components = np.array([[largest, min(1.0, self.config.rho_max), _behaviour_entropy(trajectory)]])
        self.files.admit(received)
        self._observe(components, (ENTROPY,))
        self._insert(
            _Entry(
                name=received.name,
                length=len(trajectory.steps),
                success=trajectory.success,
                components=components[0],
                refreshed=self._refreshes,
                measured=False,
            )
        )
        return True

    def update(
        self,
        ids: NDArray[np.int64],
        deltas: NDArray[np.floating],
        rhos: NDArray[np.floating],
        entropies: NDArray[np.floating],
        mask: NDArray[np.bool_],
    ) -> int:
        """Write back what the learner computed for sampled trajectories; return how many were still held.

        Args:
            ids: `(B,)` of the batch; repeated and evicted ones are allowed.
            deltas: `(B, T)` TD errors.
            rhos: `(B, T)` unclipped ratios.
            entropies: `(B, T)` mean per-token negative log-probability of each action.
            mask: `(B, T)`, True on the steps of each trajectory.

        Raises:
            ValueError: A value inside the mask is not finite.
        """
        per_step = np.stack([np.abs(deltas), np.minimum(rhos, self.config.rho_max), entropies], axis=-1).astype(
            np.float64
        )
        components = np.where(mask[..., None], per_step, 0.0).sum(axis=1) / mask.sum(axis=1)[:, None]
        broken = ids[~np.isfinite(components).all(axis=1)]
        if broken.size:
            raise ValueError(f"priorities of trajectories {broken.tolist()} are not finite; the learner diverged")
        _, firsts = np.unique(ids, return_index=True)
        held = np.sort(firsts)
        held = held[(ids[held] >= self._first) & (ids[held] < self._next)]
        self._refreshes += 1
        if held.size:
            slots = ids[held] % self.capacity_steps
            self._components[slots] = components[held]
            self._refreshed[slots] = self._refreshes
            self._measured[slots] = True
            self._observe(components[held], (DELTA, RHO, ENTROPY))
        return int(held.size)

    def probabilities(self) -> NDArray[np.float64]:
        """Return P_i of the trajectories held, oldest first (aligned with `ids`)."""
        if not self.config.prioritised:
            return np.full(len(self), 1.0 / max(1, len(self)))
        means = np.where(np.isnan(self._means), 1.0, np.maximum(self._means, _SMALLEST_MEAN))
        priorities = (
            self._components[self._slots()] / means @ self._component_weights + self.config.epsilon
        ) ** self.config.alpha
        return priorities / priorities.sum()

    def sample(
        self,
        generator: np.random.Generator,
        *,
        n_steps: int | None = None,
        n_trajectories: int | None = None,
        beta: float = 1.0,
    ) -> Batch:
        """Draw a batch.

        With `n_steps` drawing stops once that many steps are reached, the last trajectory included: the
        number of draws is then a stopping time, so expected sums stay those of independent draws (Wald's
        identity), while cutting or dropping the last one would favour short trajectories.

        Args:
            generator: The only source of randomness.
            n_steps: Smallest number of steps. Give this or `n_trajectories`.
            n_trajectories: Exact number of trajectories.
            beta: Exponent of the importance weights, 0 to 1.

        Raises:
            ValueError: The replay is empty, or not exactly one size of at least 1 was given.
        """
        size = n_steps if n_trajectories is None else n_trajectories
        if (n_steps is None) == (n_trajectories is None) or size is None or size < 1:
            raise ValueError(f"got n_steps={n_steps}, n_trajectories={n_trajectories}; give one of them, at least 1")
        if not len(self):
            raise ValueError("the replay is empty; add trajectories before sampling")
        in_steps = n_trajectories is None
        probabilities = self.probabilities()
        background = self._stalest(size, in_steps)
        filled = self._fill(background, in_steps)
        drawn = self._draw(probabilities, generator, max(1, size - filled), in_steps)
        places = np.array(background + drawn, dtype=np.int64)
        expected = probabilities[places] + np.isin(places, background) / len(drawn)
        weights = (len(self) * expected) ** -beta
        ids = places + self._first
        # One drawn several times is read once.
        read = {id_: self[id_] for id_ in dict.fromkeys(ids.tolist())}
        return Batch([read[id_] for id_ in ids.tolist()], ids, weights / weights.max(), len(background))

    def stats(self) -> dict[str, float]:
        """Return what is worth logging about the content: sizes, successes, scales, evenness of P."""
        held = len(self)
        probabilities = self.probabilities()
        evenness = 1.0 / (held * np.square(probabilities).sum()) if held else 1.0
        measured = self._measured[self._slots()]
        return {
            "trajectories": float(held),
            "steps": float(self._steps),
            "lost": float(self._lost),
            "success_share": float(self._successes[self._slots()].sum()) / max(1, held),
            "mean_delta": float(np.nan_to_num(self._means[DELTA])),
            "mean_rho": float(np.nan_to_num(self._means[RHO])),
            "mean_entropy": float(np.nan_to_num(self._means[ENTROPY])),
            "evenness": float(evenness),
            "unmeasured_share": float(np.mean(~measured)) if held else 0.0,
            "unmeasured_draws": float(probabilities[~measured].sum()),
        }

    def state(self) -> dict[str, Any]:
        """Return the index and the names of spent files, for a checkpoint: no trajectory is read or written."""
        slots = self._slots()
        return {
            # Names share most of their letters: 41 bytes shrink to some 15.
            "names": zlib.compress("\n".join(self.file_names).encode()),
            "lengths": self._lengths[slots],
            "successes": self._successes[slots],
            "components": self._components[slots],
            "refreshed": self._refreshed[slots],
            "measured": self._measured[slots],
            "means": self._means.copy(),
            "counters": np.array([self._first, self._refreshes, self._lost], dtype=np.int64),
            "spent": sorted(self.files.spent),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Replace the content by what `state` returned; settings stay. A smaller capacity keeps the newest.

        Every file is read once here and checked. Those that are missing or damaged are dropped, which the log says
        and `stats` counts: one bad block must not end a run of a week. If none is left, the folder is another one.

        Raises:
            ReplayFileError: There is no folder of files at all; the content is then unchanged.
        """
        names = names_of(state)
        lost = self.files.recover(names)
        if len(lost) == len(names) > 0 and not self.files.replay.is_dir():
            raise ReplayFileError(
                f"{self.files.replay} does not exist, where the {len(names)} trajectories of the saved replay should "
                "be. Put the folder back that belongs to this checkpoint, or start a new run"
            )
        for name, reason in itertools.islice(lost.items(), 1):
            logger.warning(
                "%s has lost %d of %d trajectories, among them %s (%s); the run goes on without them",
                self.files.replay, len(lost), len(names), name, reason,
            )  # fmt: skip
        self.files.spent = set(state["spent"]).difference(names)
        self.files.evict([name for name in self.file_names if name not in set(names)])
        self._names.clear()
        self._steps = 0
        self._first, self._refreshes, known_lost = (int(value) for value in state["counters"])
        self._next = self._first
        self._lost = known_lost + len(lost)
        self._means = np.array(state["means"])
        columns = ("lengths", "successes", "components", "refreshed", "measured")
        for name, *row in zip(names, *(state[column] for column in columns), strict=True):
            entry = _Entry(name, int(row[0]), bool(row[1]), row[2], int(row[3]), bool(row[4]))
            if name not in lost and entry.length <= self.capacity_steps:
                self._insert(entry)

    def _slots(self) -> NDArray[np.int64]:
        return self.ids % self.capacity_steps

    def _check(self, trajectory: Trajectory) -> None:
        if not trajectory.reward_valid:
            raise ValueError(
                f"trajectory {trajectory.id} has no valid reward ({trajectory.failure_kind}); count it only"
            )
        if not 1 <= len(trajectory.steps) <= self.capacity_steps:
            raise ValueError(
                f"trajectory {trajectory.id} has {len(trajectory.steps)} steps; 1 to {self.capacity_steps} fit"
            )

    def _insert(self, entry: _Entry) -> None:
        evicted: list[str] = []
        while self._steps + entry.length > self.capacity_steps:
            evicted.append(self._evict())
        slot = self._next % self.capacity_steps
        self._files[slot] = entry.name
        self._lengths[slot] = entry.length
        self._successes[slot] = entry.success
        self._components[slot] = entry.components
        self._refreshed[slot] = entry.refreshed
        self._measured[slot] = entry.measured
        self._names.add(id_of(entry.name))
        self._steps += entry.length
        self._next += 1
        # Last, because the disk may refuse: the index is then in order already.
        self.files.evict(evicted)

    def _evict(self) -> str:
        """Take the oldest trajectory out of the index and return its file's name."""
        slot = self._first % self.capacity_steps
        name, self._files[slot] = self._files[slot], ""
        self._names.discard(id_of(name))
        self._steps -= int(self._lengths[slot])
        self._first += 1
        return name

    def _observe(self, components: NDArray[np.float64], which: Sequence[int]) -> None:
        """Move the running means of the components `which` towards those of `(n, 3)` new values."""
        kept = _MEAN_DECAY ** len(components)
        for index in which:
            mean = components[:, index].mean()
            started = not np.isnan(self._means[index])
            self._means[index] = kept * self._means[index] + (1.0 - kept) * mean if started else mean

    def _fill(self, places: Sequence[int], in_steps: bool) -> int:
        if not in_steps:
            return len(places)
        slots = (self._first + np.array(places, dtype=np.int64)) % self.capacity_steps
        return int(self._lengths[slots].sum())

    def _stalest(self, size: int, in_steps: bool) -> list[int]:
        """Return the places refreshed longest ago, ties by arrival, until their share of `size` is reached."""
        room = int(self.config.refresh_share * size) if self.config.prioritised else 0
        order = np.argsort(self._refreshed[self._slots()], kind="stable")[:room].tolist()
        background: list[int] = []
        for place in order:
            if self._fill(background, in_steps) >= room:
                break
            background.append(place)
        return background

    def _draw(
        self, probabilities: NDArray[np.float64], generator: np.random.Generator, size: int, in_steps: bool
    ) -> list[int]:
        cumulative = probabilities.cumsum()
        drawn: list[int] = []
        filled = 0
        while filled < size:
            place = int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))
            drawn.append(min(place, len(self) - 1))
            filled += self._fill(drawn[-1:], in_steps)
        return drawn


def names_of(state: dict[str, Any]) -> list[str]:
    """Return the names of the files held that a `Replay.state` names, oldest first."""
    return zlib.decompress(state["names"]).decode().split("\n") if len(state["lengths"]) else []


def _behaviour_entropy(trajectory: Trajectory) -> float:
    """Return the mean over steps of the mean per-token negative log-probability under the behaviour policy."""
    per_step = [-sum(step.logprobs) / max(1, len(step.logprobs)) for step in trajectory.steps]
    return float(np.mean(per_step))
