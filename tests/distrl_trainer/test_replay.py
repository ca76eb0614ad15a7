"""Replay: sampling against its definition, importance weights, eviction, write-back and exact resumption."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.stats import chisquare

from distrl_trainer import archive, checkpoint
from distrl_trainer.config import ReplayConfig
from distrl_trainer.replay import Batch, Replay, ReplayFileError
from distrl_trainer.trajectory import Step, Trajectory

CONFIG = ReplayConfig(capacity_steps=1000, refresh_share=0.0)


def trajectory(name: str, steps: int = 3, logprob: float = -0.5, reward_valid: bool = True) -> Trajectory:
    step = Step(token_ids=(1, 2), logprobs=(logprob, logprob), text="", action=b"", version=0, value=0.0)
    return Trajectory(
        id=name,
        template="t",
        task_id="t/0",
        split="train",
        instance=0,
        instruction="do it",
        steps=(step,) * steps,
        frames=(b"frame of " + name.encode(),) * (steps + 1),
        terminated=True,
        truncated=False,
        success=False,
        reward_valid=reward_valid,
        failure_kind="" if reward_valid else "device",
    )


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def write_back(replay: Replay, batch: Batch, generator: np.random.Generator) -> int:
    lengths = np.array([len(item.steps) for item in batch.trajectories])
    mask = np.arange(lengths.max()) < lengths[:, None]
    deltas, rhos, entropies = generator.normal(size=(3, *mask.shape))
    return replay.update(batch.ids, deltas, np.exp(rhos), np.abs(entropies), mask)


def filled(config: ReplayConfig = CONFIG, count: int = 20, folder: Path | None = None) -> Replay:
    """A replay of trajectories of 1 to 7 steps with measured priorities of different sizes."""
    replay, generator = Replay(config, folder), rng(1)
    for index in range(count):
        replay.add(trajectory(f"e{index}", steps=1 + index % 7))
    lengths = np.array([len(replay[id_].steps) for id_ in replay.ids.tolist()])
    mask = np.arange(7) < lengths[:, None]
    scale = generator.exponential(size=(len(replay), 1))
    deltas = scale * generator.normal(size=mask.shape)
    rhos = generator.exponential(3.0, size=mask.shape)
    replay.update(replay.ids, deltas, rhos, generator.exponential(size=mask.shape), mask)
    return replay


def test_probabilities_are_the_definition():
    """p from raw components and running means, with the means followed by hand."""
    config = msgspec.structs.replace(
        CONFIG, w_delta=1.0, w_rho=0.5, w_entropy=0.25, alpha=0.6, rho_max=2.0, epsilon=0.01
    )
    replay = Replay(config)
    for name, logprob in (("a", -0.5), ("b", -1.5)):
        replay.add(trajectory(name, steps=2, logprob=logprob))
    deltas = np.array([[1.0, -3.0], [0.5, np.nan]])
    rhos = np.array([[5.0, 1.0], [0.2, np.nan]])
    entropies = np.array([[0.4, 0.8], [1.0, np.nan]])
    assert replay.update(replay.ids, deltas, rhos, entropies, np.array([[True, True], [True, False]])) == 2
    raw = np.array([[2.0, 1.5, 0.6], [0.5, 0.2, 1.0]])
    rho_mean = 0.85  # only measured ratios count; the entropy of the behaviour is known on arrival
    entropy_mean = 0.99**2 * (0.99 * 0.5 + 0.01 * 1.5) + (1 - 0.99**2) * 0.8
    priorities = (raw / [1.25, rho_mean, entropy_mean] @ [1.0, 0.5, 0.25] + 0.01) ** 0.6
    np.testing.assert_allclose(replay.probabilities(), priorities / priorities.sum())


def test_sampling_frequencies_follow_the_definition():
    replay = filled(msgspec.structs.replace(CONFIG, alpha=1.0))
    expected = replay.probabilities()
    assert expected.max() > 3 * expected.min()
    batch = replay.sample(rng(), n_trajectories=20_000)
    counts = np.bincount(batch.ids, minlength=len(replay))
    assert chisquare(counts, 20_000 * expected).pvalue > 0.001
    assert chisquare(counts).pvalue < 1e-12, "not uniform"


def test_uniform_sampling_is_uniform_with_weights_one():
    replay = filled(msgspec.structs.replace(CONFIG, prioritised=False, refresh_share=0.5))
    batch = replay.sample(rng(), n_trajectories=20_000, beta=0.7)
    assert chisquare(np.bincount(batch.ids)).pvalue > 0.001
    assert (batch.weights == 1.0).all()
    assert batch.background == 0


def test_weights_are_the_definition():
    replay = filled()
    batch = replay.sample(rng(), n_trajectories=30, beta=0.4)
    weights = (len(replay) * replay.probabilities()[batch.ids]) ** -0.4
    np.testing.assert_allclose(batch.weights, weights / weights.max())


@pytest.mark.parametrize("size", [{"n_trajectories": 12}, {"n_steps": 40}])
@pytest.mark.parametrize("refresh_share", [0.0, 0.25])
def test_weighted_means_are_unbiased_at_beta_one(size: dict[str, int], refresh_share: float):
    """Summed over many batches, sum(w l) / sum(w T) is the plain mean over the buffer's steps, background included."""
    replay = filled(msgspec.structs.replace(CONFIG, refresh_share=refresh_share))
    generator = rng()
    quantity = rng(5).normal(1.0, 2.0, size=len(replay)) + np.arange(len(replay)) / 5
    lengths = np.array([len(replay[id_].steps) for id_ in replay.ids.tolist()])
    top, bottom = [], []
    for _ in range(4000):
        batch = replay.sample(generator, beta=1.0, **size)
        assert (batch.background > 0) == (refresh_share > 0)
        # The division by the batch's largest weight is undone: it rescales a step, not its direction.
        draws = len(batch.ids) - batch.background
        expected = replay.probabilities()[batch.ids] + np.isin(batch.ids, batch.ids[: batch.background]) / draws
        scale = 1 / (len(replay) * expected[0]) / batch.weights[0] / draws
        top.append(scale * (batch.weights * quantity[batch.ids] * lengths[batch.ids]).sum())
        bottom.append(scale * (batch.weights * lengths[batch.ids]).sum())
    exact = (quantity * lengths).sum() / lengths.sum()
    error = np.std(np.array(top) - exact * np.array(bottom)) / np.sqrt(len(top)) / np.mean(bottom)
    assert np.mean(top) / np.mean(bottom) == pytest.approx(exact, abs=4 * error)


def test_background_goes_to_those_refreshed_longest_ago():
    replay = filled(msgspec.structs.replace(CONFIG, refresh_share=0.25), count=12)
    refreshed: list[int] = []
    for _ in range(12):
        batch = replay.sample(rng(), n_trajectories=4)
        assert batch.background == 1
        refreshed.append(int(batch.ids[0]))
        first = Batch(batch.trajectories[:1], batch.ids[:1], batch.weights[:1])
        write_back(replay, first, rng())
    assert refreshed == list(range(12))


def test_a_background_longer_than_its_share_is_still_refreshed():
    replay = Replay(msgspec.structs.replace(CONFIG, refresh_share=0.1))
    for index in range(4):
        replay.add(trajectory(f"e{index}", steps=15))
    batch = replay.sample(rng(), n_steps=32)
    assert batch.background == 1
    assert batch.ids[0] == 0


def test_sampled_steps_reach_their_number_by_the_last_trajectory():
    replay = filled()
    for seed in range(20):
        batch = replay.sample(rng(seed), n_steps=50)
        assert batch.steps >= 50 > batch.steps - len(batch.trajectories[-1].steps)


def test_new_trajectories_get_the_largest_delta_and_their_own_entropy():
    replay = Replay(CONFIG)
    replay.add(trajectory("a", logprob=-0.25))
    np.testing.assert_allclose(replay._components[0], [1.0, 1.0, 0.25])
    one = np.ones((1, 3), dtype=bool)
    replay.update(replay.ids, np.full((1, 3), 4.0), np.ones((1, 3)), np.ones((1, 3)), one)
    replay.add(trajectory("b", logprob=-0.75))
    np.testing.assert_allclose(replay._components[1], [4.0, 1.0, 0.75])


def test_stand_ins_do_not_keep_an_outlier_alive():
    def measure(replay: Replay, id_: int, delta: float) -> None:
        replay.update(np.array([id_]), *np.full((3, 1, 3), [[[delta]], [[1.0]], [[1.0]]]), np.ones((1, 3), dtype=bool))

    replay = Replay(msgspec.structs.replace(CONFIG, capacity_steps=30))
    replay.add(trajectory("a"))
    measure(replay, 0, 100.0)
    replay.add(trajectory("b"))
    measure(replay, 0, 0.5)
    for index in range(40):  # one of two is measured, so that there is a stand-in at every arrival
        replay.add(trajectory(f"e{index}"))
        assert replay._components[int(replay.ids[-1]) % 30, 0] == 0.5
        if index % 2:
            measure(replay, int(replay.ids[-1]), 0.5)
    assert replay.stats()["mean_rho"] == 1.0


def test_stand_ins_move_no_running_mean_and_survive_a_checkpoint(tmp_path: Path):
    replay = filled(count=6)
    before = replay._means.copy()
    replay.add(trajectory("new"))
    np.testing.assert_array_equal(replay._means[:2], before[:2])
    assert replay.stats()["unmeasured_share"] == pytest.approx(1 / 7)
    archive.save_replay(tmp_path / "replay", replay)
    resumed = Replay(CONFIG)
    archive.load_replay(tmp_path / "replay", resumed)
    assert resumed.stats() == replay.stats()
    replay = Replay(CONFIG)
    for name in "abc":  # nothing was measured yet: all alike
        replay.add(trajectory(name))
    np.testing.assert_array_equal(replay._components[:3, 0], 1.0)
    np.testing.assert_array_equal(np.isnan(replay._means), [True, True, False])


def test_oldest_make_room_and_whole_trajectories_stay():
    replay = Replay(msgspec.structs.replace(CONFIG, capacity_steps=10))
    names = [f"e{index}" for index in range(30)]
    for index, name in enumerate(names):
        assert replay.add(trajectory(name, steps=1 + index % 5))
        held = [replay[id_] for id_ in replay.ids.tolist()]
        assert replay.steps == sum(len(item.steps) for item in held) <= 10
        assert [item.id for item in held] == names[index + 1 - len(held) : index + 1]
        assert all(len(item.frames) == len(item.steps) + 1 for item in held)
    assert "e29" in replay
    assert "e0" not in replay
    with pytest.raises(KeyError, match="not held"):
        replay[0]


def test_a_late_write_back_does_not_touch_whoever_took_the_place():
    replay = Replay(msgspec.structs.replace(CONFIG, capacity_steps=6))
    replay.add(trajectory("a"))
    replay.add(trajectory("b"))
    batch = replay.sample(rng(), n_trajectories=30)
    replay.add(trajectory("c"))
    before = replay._components.copy()
    assert set(batch.ids) == {0, 1}
    assert write_back(replay, batch, rng()) == 1
    changed = np.flatnonzero((replay._components != before).any(axis=1))
    assert changed.tolist() == [1]


def test_what_cannot_enter_is_refused():
    replay = Replay(msgspec.structs.replace(CONFIG, capacity_steps=5))
    with pytest.raises(ValueError, match=r"no valid reward \(device\)"):
        replay.add(trajectory("a", reward_valid=False))
    with pytest.raises(ValueError, match="6 steps; 1 to 5 fit"):
        replay.add(trajectory("a", steps=6))
    with pytest.raises(ValueError, match="0 steps; 1 to 5 fit"):
        replay.add(trajectory("a", steps=0))
    with pytest.raises(ValueError, match="the replay is empty"):
        replay.sample(rng(), n_steps=1)
    assert replay.add(trajectory("a"))
    assert not replay.add(trajectory("a"))
    assert len(replay) == 1
    with pytest.raises(ValueError, match="give one of them"):
        replay.sample(rng(), n_steps=1, n_trajectories=1)
    nan = np.full((1, 1), np.nan)
    with pytest.raises(ValueError, match=r"trajectories \[0\] are not finite"):
        replay.update(np.array([0]), nan, nan, nan, np.ones((1, 1), dtype=bool))


def run_on(replay: Replay, generator: np.random.Generator) -> list[list[float]]:
    trace: list[list[float]] = []
    for index in range(40):
        replay.add(trajectory(f"later{index}", steps=1 + index % 6, logprob=-0.1 * (1 + index % 3)))
        batch = replay.sample(generator, n_steps=30, beta=0.5)
        write_back(replay, batch, generator)
        trace += [batch.ids.tolist(), batch.weights.tolist(), replay.probabilities().tolist()]
    return trace


@pytest.mark.parametrize("through", ["archive", "checkpoint"])
def test_resumes_bit_for_bit(tmp_path: Path, through: str):
    config = msgspec.structs.replace(CONFIG, capacity_steps=60, refresh_share=0.2, cache_mib=0)
    original = filled(config, folder=tmp_path / "run")
    run_on(original, rng(2))
    for index in range(15):
        original.add(trajectory(f"extra{index}", steps=1 + index % 5))
    if through == "archive":
        resumed = Replay(config)
        archive.save_replay(tmp_path / "replay", original)
        archive.load_replay(tmp_path / "replay", resumed)
    else:
        folder = checkpoint.save(tmp_path, 1, {"replay": original.state()})
        resumed = Replay(config, copied(original, tmp_path / "copy"))
        resumed.load_state(checkpoint.load(folder)["replay"])
    assert [resumed[i] for i in resumed.ids.tolist()] == [original[i] for i in original.ids.tolist()]
    assert resumed.stats() == original.stats()
    assert run_on(resumed, rng(3)) == run_on(original, rng(3))


def copied(replay: Replay, folder: Path) -> Path:
    shutil.copytree(replay.files.replay, folder / "replay")
    return folder


def test_an_empty_replay_and_a_smaller_one_load(tmp_path: Path):
    archive.save_replay(tmp_path / "empty", Replay(CONFIG))
    replay = filled()
    archive.load_replay(tmp_path / "empty", replay)
    assert (len(replay), replay.steps, list(replay.files.replay.iterdir())) == (0, 0, [])
    archive.save_replay(tmp_path / "full", filled())
    small = Replay(msgspec.structs.replace(CONFIG, capacity_steps=11))
    archive.load_replay(tmp_path / "full", small)
    assert [small[id_].id for id_ in small.ids.tolist()] == ["e18", "e19"]
    assert len(list(small.files.replay.iterdir())) == 2
    assert small.sample(rng(), n_steps=20).steps >= 20


def test_damaged_archives_are_refused_and_nothing_changes(tmp_path: Path):
    archive.save_replay(tmp_path / "good", filled())
    data = (tmp_path / "good").read_bytes()
    replay = filled(count=3)
    before = sorted(replay.files.replay.iterdir())
    path = tmp_path / "bad"
    for place in (data.index(b"frame of e7"), data.index(b"names"), data.index(b"frame of e1") + 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises((archive.ArchiveError, ReplayFileError, checkpoint.CheckpointError), match="bad"):
            archive.load_replay(path, replay)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(archive.ArchiveError, match="bad is no archive"):
        archive.load_replay(path, replay)
    assert len(replay) == 3 and sorted(replay.files.replay.iterdir()) == before


def test_what_a_checkpoint_names_and_the_disk_has_lost_is_dropped_loudly(tmp_path: Path, caplog):
    replay = filled(folder=tmp_path)
    state = replay.state()
    files = [tmp_path / "replay" / name for name in replay.file_names]
    files[3].unlink()
    files[5].write_bytes(files[5].read_bytes()[:-1])
    files[6].unlink()
    files[6].mkdir()
    resumed = Replay(CONFIG, tmp_path)
    with caplog.at_level(logging.WARNING):
        resumed.load_state(state)
    assert [item for index, item in enumerate(replay.file_names) if index not in (3, 5, 6)] == resumed.file_names
    assert "has lost 3 of 20 trajectories" in caplog.text and files[3].name in caplog.text
    assert resumed.stats()["lost"] == 3 and resumed.state()["counters"][2] == 3
    assert resumed.sample(rng(), n_steps=200).steps >= 200
    assert len(list((tmp_path / "refused").glob("*.reason"))) == 2
    again = Replay(CONFIG, tmp_path)
    again.load_state(resumed.state())
    assert again.stats()["lost"] == 3
    with pytest.raises(ReplayFileError, match=r"replay does not exist, where the 20 traj.*Put the folder back"):
        Replay(CONFIG, tmp_path / "elsewhere").load_state(state)


def test_a_file_that_goes_away_under_a_run_is_named(tmp_path: Path):
    replay = filled(msgspec.structs.replace(CONFIG, cache_mib=0), folder=tmp_path)
    (tmp_path / "replay" / replay.file_names[4]).unlink()
    with pytest.raises(ReplayFileError, match=rf"{replay.file_names[4]}: it is gone. Resume"):
        replay[4]


def test_memory_is_bounded_by_the_cache(tmp_path: Path):
    config = msgspec.structs.replace(CONFIG, capacity_steps=10_000, cache_mib=1)
    replay = Replay(config, tmp_path)
    for index in range(100):
        replay.add(msgspec.structs.replace(trajectory(f"e{index}"), frames=(bytes([index]) * 20_000,) * 4))
    cache = replay.files._cache
    assert 0.9 < cache.bytes / 2**20 <= 1 and len(cache._held) == 1 + 11
    batch = replay.sample(rng(), n_trajectories=300)
    assert {item.frames[0][0] for item in batch.trajectories} == {int(id_) for id_ in batch.ids}
    assert cache.bytes <= 2**20


def old_sample(lengths, probabilities, refreshed, config, generator, size, beta):
    """What the replay of trajectories in memory drew, written out as it was: places and weights."""
    room = int(config.refresh_share * size)
    background: list[int] = []
    for place in np.argsort(refreshed, kind="stable")[:room].tolist():
        if sum(lengths[p] for p in background) >= room:
            break
        background.append(place)
    wanted = max(1, size - sum(lengths[p] for p in background))
    cumulative = probabilities.cumsum()
    drawn: list[int] = []
    filled_steps = 0
    while filled_steps < wanted:
        place = int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right"))
        drawn.append(min(place, len(lengths) - 1))
        filled_steps += lengths[drawn[-1]]
    places = np.array(background + drawn, dtype=np.int64)
    expected = probabilities[places] + np.isin(places, background) / len(drawn)
    weights = (len(lengths) * expected) ** -beta
    return places, weights / weights.max()


def test_draws_are_those_of_the_replay_in_memory():
    replay = filled(msgspec.structs.replace(CONFIG, capacity_steps=60, refresh_share=0.2), count=40)
    for seed in range(30):
        batch = replay.sample(rng(seed), n_steps=50, beta=0.7)
        lengths = [len(replay[id_].steps) for id_ in replay.ids.tolist()]
        refreshed = replay._refreshed[replay.ids % 60]
        places, weights = old_sample(lengths, replay.probabilities(), refreshed, replay.config, rng(seed), 50, 0.7)
        np.testing.assert_array_equal(batch.ids, places + replay.ids[0])
        np.testing.assert_array_equal(batch.weights, weights)
        assert [item.id for item in batch.trajectories] == [replay[int(id_)].id for id_ in batch.ids]
        write_back(replay, batch, rng(seed))
