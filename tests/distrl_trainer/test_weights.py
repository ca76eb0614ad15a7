"""Weight store: versions round-trip, never change, and a broken one is passed over by name."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from distrl_trainer.storage import StorageError
from distrl_trainer.weights import WeightsError, WeightStore


def tensors(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    tied = torch.randn(3, 4)
    return {
        "tied.a": tied,
        "tied.b": tied,
        "scale": torch.tensor(0.5),
        "half": torch.randn(5).to(torch.bfloat16),
        "turned": torch.randn(2, 3).T,
        "empty": torch.zeros(0, 2),
        "count": torch.tensor([1, 2]),
    }


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    return WeightStore(tmp_path / "weights")


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        assert got[name].dtype == tensor.dtype
        assert torch.equal(got[name], tensor), name


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def test_round_trip(store: WeightStore):
    assert store.latest() is None
    assert store.load_latest() is None
    for version in (0, 12):
        path = store.publish(tensors(version), version)
    assert path.name == "v000012.safetensors"
    assert store.latest() == 12
    assert_same(store.load(0).tensors, tensors(0))
    newest = store.load_latest()
    assert newest is not None
    assert newest.version == 12
    assert_same(newest.tensors, tensors(12))


def test_polling_returns_newer_versions_only(store: WeightStore):
    store.publish(tensors(3), 3)
    assert store.load_latest(newer_than=3) is None
    assert store.load_latest(newer_than=2) is not None


def test_a_version_never_changes(store: WeightStore):
    path = store.publish(tensors(1), 1)
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="versions never change"):
        store.publish(tensors(2), 1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["half", "bit", "empty", "text", "foreign"])
def test_a_broken_newest_version_is_skipped_by_name(store: WeightStore, how: str, caplog: pytest.LogCaptureFixture):
    store.publish(tensors(1), 1)
    path = store.publish(tensors(2), 2)
    data = path.read_bytes()
    if how == "bit":
        damage(path)
    else:
        foreign = save({"w": torch.ones(2)})
        path.write_bytes(
            {"half": data[: len(data) // 2], "empty": b"", "text": b"hello world", "foreign": foreign}[how]
        )
    content = path.read_bytes()
    with pytest.raises(WeightsError, match=r"v000002\.safetensors"):
        store.load(2)
    with caplog.at_level(logging.WARNING):
        newest = [store.load_latest() for _ in range(3)][-1]
    assert newest is not None
    assert newest.version == 1
    assert_same(newest.tensors, tensors(1))
    assert len(caplog.records) == 1
    assert "v000002.safetensors" in caplog.text
    assert path.read_bytes() == content
    assert store.load_latest(newer_than=1) is None


def test_a_renamed_version_is_not_believed(store: WeightStore):
    store.publish(tensors(1), 1).rename(store.path(5))
    with pytest.raises(WeightsError, match="holds version '1', not 5"):
        store.load(5)


def test_missing_version_lists_those_present(store: WeightStore):
    store.publish(tensors(1), 1)
    with pytest.raises(WeightsError, match=r"does not exist; present versions: \[1\]"):
        store.load(7)


def test_only_the_newest_are_kept(tmp_path: Path):
    store = WeightStore(tmp_path, keep=2)
    (tmp_path / "notes.txt").write_text("left alone")
    for version in range(5):
        store.publish(tensors(version), version)
    assert store.versions() == [3, 4]
    assert (tmp_path / "notes.txt").exists()
    with pytest.raises(ValueError, match="keep is 0"):
        WeightStore(tmp_path, keep=0)


def test_a_full_disk_leaves_the_previous_version(store: WeightStore, monkeypatch: pytest.MonkeyPatch):
    store.publish(tensors(1), 1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            store.publish(tensors(2), 2)
    assert [entry.name for entry in store.folder.iterdir()] == ["v000001.safetensors"]
    newest = store.load_latest()
    assert newest is not None
    assert newest.version == 1
