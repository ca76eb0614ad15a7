"""Checkpoints: exact round trips, damage is refused by name, nothing intact is lost."""

import errno
import logging

import numpy as np
import pytest
import torch

from distrl_trainer import checkpoint
from distrl_trainer.checkpoint import CheckpointError, latest_good, load, prune, save, verify
from distrl_trainer.storage import StorageError


def same(left, right):
    if isinstance(left, torch.Tensor | np.ndarray):
        return type(left) is type(right) and left.dtype == right.dtype and bool((left == right).all())
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_round_trip_of_optimizer_generators_and_bytes(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    parts = {
        "policy": dict(model.state_dict()),
        "optimizer": optimizer.state_dict(),
        "generators": {"numpy": np.random.default_rng(5).bit_generator.state, "torch": torch.get_rng_state()},
        "replay": {"frames": [b"\x00png", b""], "priorities": np.arange(4.0), "scale": np.float64(0.5)},
    }
    folder = save(tmp_path, 1000, parts, files={"config.yaml": "run: {}\n"})
    back = load(folder)
    assert back.keys() == parts.keys()
    assert all(same(parts[name], back[name]) for name in ("policy", "optimizer", "generators"))
    assert back["replay"]["frames"] == [b"\x00png", b""]
    assert same(back["replay"]["priorities"], np.arange(4.0))
    other = torch.optim.AdamW(torch.nn.Linear(3, 2).parameters(), lr=1.0)
    other.load_state_dict(back["optimizer"])
    assert other.param_groups[0]["lr"] == 1e-3
    assert (folder / "config.yaml").read_text() == "run: {}\n"
    assert verify(folder).env_steps == 1000


def test_tensors_that_share_memory_are_stored(tmp_path):
    weight = torch.ones(2)
    assert same(load(save(tmp_path, 0, {"p": {"a": weight, "b": weight}}))["p"], {"a": weight, "b": weight})


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(tmp_path, caplog):
    good = save(tmp_path, 10, {"policy": {"w": torch.zeros(3)}})
    bad = save(tmp_path, 20, {"policy": {"w": torch.ones(3)}})
    target = bad / "policy.safetensors"
    target.write_bytes(target.read_bytes()[:-1] + b"\xff")
    half = tmp_path / "step-000000030"
    half.mkdir()
    with caplog.at_level(logging.WARNING):
        assert latest_good(tmp_path) == good
    assert bad.name in caplog.text and "policy.safetensors" in caplog.text
    assert half.name in caplog.text and "half-written" in caplog.text
    assert bad.exists() and half.exists()
    with pytest.raises(CheckpointError, match=r"step-000000020.*policy\.safetensors"):
        load(bad)


def test_no_checkpoint_at_all(tmp_path):
    assert latest_good(tmp_path) is None
    assert latest_good(tmp_path / "absent") is None


def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_draft(tmp_path, monkeypatch):
    good = save(tmp_path, 10, {"policy": {"w": torch.zeros(3)}})

    def full(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(StorageError, match="No space left"):
        save(tmp_path, 20, {"policy": {"w": torch.ones(3)}})
    assert [path.name for path in tmp_path.iterdir()] == [good.name]
    assert latest_good(tmp_path) == good


def test_prune_keeps_the_newest_good_ones_and_whatever_is_damaged(tmp_path):
    folders = [save(tmp_path, steps, {"p": steps}) for steps in (1, 2, 2, 3)]
    (folders[0] / "p.msgpack").write_bytes(b"?")
    prune(tmp_path, 2)
    assert [folder.exists() for folder in folders] == [True, False, True, True]
    assert folders[2].name == "step-000000002-2"
    assert load(folders[3]) == {"p": 3}
