"""Every kind of file that a run leaves, damaged in every way: refused in one line by name, or set aside, once.

The run is made by hand, with the functions that a real one uses: what is attacked is read before anything is learned.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from runtime_fakes import SMALL, episode

from distrl_trainer import checkpoint, cli
from distrl_trainer.config import PolicyConfig
from distrl_trainer.evaluation import summarise
from distrl_trainer.inbox import Inbox
from distrl_trainer.policy import load_policy
from distrl_trainer.run_folder import RunFolder
from distrl_trainer.settings import load_config
from distrl_trainer.trajectory import encode
from distrl_trainer.weights import WeightStore

DAMAGES = ("truncated", "emptied", "flipped", "swapped", "hostile")
DEEP = b"[" * 100_000
"""JSON that a parser which calls itself does not survive; as YAML too."""
HUGE_FRAME = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + 2 * (60_000).to_bytes(4, "big") + b"\x08\x02\0\0\0"


def make_run(root: Path, seed: int) -> RunFolder:
    folder = RunFolder(root)
    config = load_config(None, [*SMALL, "--run.seed", str(seed)])
    folder.begin(config)
    policy = load_policy(PolicyConfig(model="tiny-untrained"), seed=seed)

    def fill(target: Path) -> None:
        policy.save(target)
        (target / "demonstrations").mkdir()
        (target / "demonstrations" / "d.traj").write_bytes(encode(episode([1, 2], name=f"d{seed}")))

    folder.write_model(folder.warm, fill)
    folder.write_model(folder.policy, policy.save)
    folder.write(folder.seconds, {"warm_start": 1.5 + seed})
    folder.write(folder.evaluations / "before.json", summarise("starter", "test", seed, []))
    parts = {"policy": {"w": torch.full((8,), float(seed))}, "loop": {"num_timesteps": 32 + seed}}
    checkpoint.save(folder.checkpoints, 32, parts, files={"config.yaml": folder.settings_text(config)})
    folder.write(folder.saved, {"first_checkpoint": 32 + seed})
    (root / "episodes").mkdir()
    (root / "episodes" / "e.traj").write_bytes(encode(episode([1, 2], name=f"e{seed}")))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """Two runs that differ in their seed alone; nobody changes them."""
    root = tmp_path_factory.mktemp("runs")
    return make_run(root / "one", 1).root, make_run(root / "other", 2).root


@pytest.fixture
def run(runs, tmp_path) -> Path:
    return Path(shutil.copytree(runs[0], tmp_path / "run"))


def damage(path: Path, how: str, other: Path, hostile: bytes) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "truncated": data[:middle],
            "emptied": b"",
            "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "swapped": other.read_bytes(),
            "hostile": hostile,
        }[how]
    )


STEP = "checkpoints/step-000000032"
OWN: dict[str, bytes] = {
    "config.yaml": b"run:\n  seed: &a " + DEEP,
    f"{STEP}/config.yaml": b"- \0",
    f"{STEP}/loop.msgpack": b"\x91" * 100_000,
    f"{STEP}/policy.safetensors": b"\xff" * 8 + b"{" * 1000,
    f"{STEP}/manifest.json": DEEP,
    "saved.json": b'{"first_checkpoint": "\\u001b[2J"}',
    "seconds.json": DEEP,
    "evaluations/before.json": b'{"suite": 1e999}',
    "warm/model.safetensors": b"\xff" * 8 + b"{" * 1000,
    "warm/config.json": b'{"model_type": "distrl_tiny", "screen": [1000000000, 1000000000]}',
    "warm/demonstrations/d.traj": b"\x91" * 100_000,
    "warm/manifest.json": b'{"format": 1, "run": "", "files": {"../../../etc/passwd": "0"}}',
}
"""Files of a run that `--resume` builds upon, each with hostile content."""


def refused(words: list[str], capsys) -> str:
    """Return the one line that the command ends with."""
    assert cli.main(words) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ") and last.isprintable()
    return last


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", OWN)
def test_resume_refuses_a_damaged_file_by_name(name, how, run, runs, capsys):
    if name == "saved.json":
        shutil.rmtree(run / "checkpoints")  # it is read where no checkpoint is
    damage(run / name, how, runs[1] / name, OWN[name])
    if (run / name).read_bytes() == (runs[0] / name).read_bytes():
        pytest.skip("both runs have the same file")
    resume = ["train", "--out", str(run), "--resume"]
    line = refused(resume, capsys)
    named = name.split("/")[0] if "/" not in name else str(Path(name).parts[1] if STEP in name else Path(name).parts[0])
    assert named in line, line
    assert not (run / "summary.json").exists() and not (run / "inbox").exists()
    if name != "saved.json" and how == "flipped":  # put back, it is no longer what the run is refused for
        shutil.copy2(runs[0] / name, run / name)
        assert refused(resume, capsys) != line


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(
    "name", ["policy/model.safetensors", "policy/config.json", "policy/manifest.json", "config.yaml"]
)
def test_eval_refuses_a_damaged_policy_by_name(name, how, run, runs, capsys):
    damage(run / name, how, runs[1] / name, b"{}")
    if (run / name).read_bytes() == (runs[0] / name).read_bytes():
        pytest.skip("both runs have the same file")
    if (name, how) == ("config.yaml", "hostile"):
        pytest.skip("settings without a seal are an older version's, or the user's")
    line = refused(["eval", "--policy", str(run), "--episodes", "1"], capsys)
    assert "policy" in line or name in line


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_recorded_episode_is_one_line_beside_the_others(how, run, runs, capsys):
    file = run / "episodes" / "bad\x1b[2J[red].traj"
    shutil.copy2(run / "episodes" / "e.traj", file)
    hostile = episode([1, 2], frames=(HUGE_FRAME, HUGE_FRAME), instruction="[/red]\x1b[2J<script>\u202e")
    damage(file, how, runs[1] / "episodes" / "e.traj", encode(hostile))
    for more in ([], ["--html", str(run / "page.html")]):
        assert cli.main(["inspect", str(run), *more]) == 0
        out = capsys.readouterr().out
        assert ("\x1b" not in out and "e1" in out) or more
        assert how in ("swapped", "flipped") or sum("left out" in line for line in out.splitlines()) == 1
    assert "\x1b" not in (run / "page.html").read_text() and "<script>" not in (run / "page.html").read_text()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_trajectory_in_the_inbox_is_set_aside_once(how, tmp_path, caplog):
    inbox, other = Inbox(tmp_path / "inbox"), Inbox(tmp_path / "other")
    good, bad = inbox.put(episode([1, 2], name="good")), inbox.put(episode([1, 2], name="bad"))
    damage(bad, how, other.put(episode([2, 3], name="other")), b"\x91" * 100_000)
    for _ in range(2):
        assert [item.name for item in Inbox(tmp_path / "inbox").drain()] == [good.name]
    assert sum("refused trajectory" in record.message for record in caplog.records) == 1
    assert bad.name in caplog.text and (tmp_path / "refused" / bad.name).exists()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_weights_version_is_passed_over_by_name(how, tmp_path, caplog):
    store, other = WeightStore(tmp_path / "one"), WeightStore(tmp_path / "other")
    for version in (1, 2):
        store.publish({"w": torch.full((64,), float(version))}, version)
    other.publish({"w": torch.zeros(64)}, 3)
    damage(store.path(2), how, other.path(3), b"\xff" * 8 + b"{" * 1000)
    for _ in range(2):
        loaded = store.load_latest()
        assert loaded is not None and loaded.version == 1
    assert sum("v000002" in record.message for record in caplog.records) == 1


LOSSES: dict[str, tuple[Callable[[Path], object], str]] = {
    "checkpoints": (
        lambda run: shutil.rmtree(run / "checkpoints"),
        "holds no checkpoint, and the run has written some",
    ),
    "one part": (lambda run: (run / STEP / "loop.msgpack").unlink(), "loop.msgpack is missing"),
    "manifest": (lambda run: (run / STEP / "manifest.json").unlink(), "no manifest.json"),
    "warm": (lambda run: shutil.rmtree(run / "warm"), "warm is missing, and the run had come further"),
    "warm weights": (lambda run: (run / "warm" / "model.safetensors").unlink(), "has lost model.safetensors"),
    "warm manifest": (lambda run: (run / "warm" / "manifest.json").unlink(), "has no manifest.json"),
    "added to warm": (
        lambda run: (run / "warm/adapter_config.json").write_text(""),
        "adapter_config.json is not in",
    ),
    "settings": (lambda run: (run / "config.yaml").unlink(), "has lost its config.yaml"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_resume_notices_what_is_gone(loss, run, capsys):
    lose, message = LOSSES[loss]
    lose(run)
    assert message in refused(["train", "--out", str(run), "--resume"], capsys)
    assert not (run / "summary.json").exists()


FOLDERS = {"warm": "belongs to another run", STEP: "belongs to another run"}


@pytest.mark.parametrize("name", FOLDERS)
def test_resume_refuses_a_whole_folder_of_another_run(name, run, runs, capsys):
    shutil.rmtree(run / name)
    shutil.copytree(runs[1] / name, run / name)
    line = refused(["train", "--out", str(run), "--resume"], capsys)
    assert FOLDERS[name] in line and Path(name).name in line


def test_eval_refuses_the_policy_of_another_run_and_takes_it_where_it_belongs(run, runs, capsys):
    shutil.rmtree(run / "policy")
    shutil.copytree(runs[1] / "policy", run / "policy")
    words = ["--episodes", "1", "--env.max_steps", "1"]
    assert "belongs to another run" in refused(["eval", "--policy", str(run), *words], capsys)
    shutil.move(run / "policy", run.parent / "alone")
    assert cli.main(["eval", "--policy", str(run.parent / "alone"), *words]) == 0


def test_weights_for_a_warm_start_are_checked(run, capsys):
    weights = run / "warm" / "model.safetensors"
    damage(weights, "flipped", weights, b"")
    words = ["warmup", "--out", str(run.parent / "new"), "--warmup.weights", str(run / "warm")]
    assert "model.safetensors is damaged" in refused(words, capsys)
    assert not (run.parent / "new").exists()


def test_settings_changed_by_hand_are_refused_until_their_seal_is_taken_off(run, capsys, caplog):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("seed: 1", "seed: 3"))
    resume = ["train", "--out", str(run), "--resume"]
    line = refused(resume, capsys)
    assert "--resume --section.field VALUE" in line and "remove its first line" in line
    path.write_text(path.read_text().partition("\n")[2])
    assert "made with another run.seed" in refused(resume, capsys)
    assert "carries no seal" in caplog.text


def test_a_settings_file_of_a_few_lines_that_means_millions_is_refused_in_a_short_line(tmp_path, capsys):
    bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    bomb += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    for last in ("env: *i", "env:\n  max_steps: *i"):
        (tmp_path / "bomb.yaml").write_text("\n".join([*bomb, last]))
        assert len(refused(["train", "--dry-run", "--config", str(tmp_path / "bomb.yaml")], capsys)) < 3000


def test_sealed_json_is_the_json_that_scripts_read(run):
    content = json.loads((run / "seconds.json").read_text())
    assert content.pop("seal") and content == {"warm_start": 2.5}
    assert msgspec.json.decode((run / "evaluations" / "before.json").read_bytes())["suite"] == "starter"
