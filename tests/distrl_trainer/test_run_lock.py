"""One run, one folder, one process: with real processes, which are also killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runtime_fakes import FakePhones, FakePolicy, fake_config

from distrl_trainer import cli
from distrl_trainer.algorithm import DistRL
from distrl_trainer.run_folder import RunFolder
from distrl_trainer.run_lock import LOCK, FolderInUseError, hold
from distrl_trainer.settings import load_config

OWNER = """
import sys, time
from pathlib import Path
from distrl_trainer.run_lock import FolderInUseError, hold
folder, begin = Path(sys.argv[1]), float(sys.argv[2])
time.sleep(max(0.0, begin - time.time()))
try:
    with hold(folder):
        {body}
        print("inside", flush=True)
        sys.stdin.readline()
except FolderInUseError as error:
    print(error, flush=True)
"""


def start(folder: Path, body: str = "pass", begin: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER.format(body=body), str(folder), str(begin)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def owner(tmp_path):
    (tmp_path / "run").mkdir()
    process = start(tmp_path / "run")
    assert said(process) == "inside"
    yield process
    process.kill()
    process.communicate()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_of_processes_that_start_at_one_instant_one_gets_the_folder(tmp_path):
    begin = time.time() + 1.5  # all have imported what they need by then, or come later: either way one may enter
    processes = [start(tmp_path / "run", begin=begin) for _ in range(4)]
    words = [said(process) for process in processes]
    for process in processes:
        process.communicate("\n")
    assert words.count("inside") == 1
    winner = processes[words.index("inside")].pid
    others = [word for word in words if word != "inside"]
    # One that came before the winner had signed cannot name it.
    assert all(f"in use by process {winner} on " in word or "by another process" in word for word in others)


def test_a_second_training_in_a_folder_names_the_first_and_touches_nothing(tmp_path, capsys):
    RunFolder(tmp_path / "run").begin(load_config(None, []))
    process = start(tmp_path / "run")
    assert said(process) == "inside"
    (tmp_path / "run" / ".config.yaml.999999999.tmp").write_text("")
    before = snapshot(tmp_path)
    try:
        assert cli.main(["train", "--out", str(tmp_path / "run"), "--resume", "--run.total_env_steps", "7"]) == 1
    finally:
        process.communicate("\n")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and f"in use by process {process.pid} on " in line and "since 20" in line
    assert snapshot(tmp_path) == before


def test_a_new_run_where_another_process_is_about_to_begin_one_is_refused(owner, tmp_path, capsys):
    before = snapshot(tmp_path)
    assert cli.main(["train", "--out", str(tmp_path / "run")]) == 1
    assert f"process {owner.pid}" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_learning_in_a_folder_that_another_process_owns_is_refused(owner, tmp_path):
    model = DistRL(FakePolicy(), FakePhones(), config=fake_config(), folder=tmp_path / "run")
    with pytest.raises(FolderInUseError, match=str(owner.pid)):
        model.learn(8)
    assert os.listdir(tmp_path / "run") == [LOCK]


def test_the_lock_of_a_killed_owner_is_free_though_its_children_live(tmp_path):
    body = (
        "import multiprocessing as m, subprocess as s; child = m.get_context('spawn').Process("
        "target=time.sleep, args=(60,)); child.start(); other = s.Popen(['sleep', '60']); print(child.pid, other.pid)"
    )
    process = start(tmp_path / "run", body)
    children = [int(pid) for pid in said(process).split()]
    assert said(process) == "inside"
    try:
        process.kill()
        process.wait()  # its children keep its output open
        assert all(alive(pid) for pid in children)
        with hold(tmp_path / "run") as outermost:
            assert outermost
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_process_may_enter_again_and_the_lock_is_free_when_it_has_left_all(tmp_path):
    with hold(tmp_path / "run") as first:
        with hold(tmp_path / "run" / ".." / "run") as second:
            assert (first, second) == (True, False)
        process = start(tmp_path / "run")
        assert f"process {os.getpid()}" in said(process)
        process.communicate()
    process = start(tmp_path / "run")
    assert said(process) == "inside"
    process.communicate("\n")


def test_warmup_replaces_no_run_and_nothing_that_a_run_goes_on_from(tmp_path, capsys):
    with hold(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").write_text("")
    assert cli.main(["warmup", "--out", str(tmp_path / "run" / "warm")]) == 1
    assert "holds a run, which goes on from what it made itself; choose another --out" in capsys.readouterr().err
    assert cli.main(["warmup", "--out", str(tmp_path / "run")]) == 1
    assert "holds no policy; choose another --out" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path / "run")) == ["config.yaml", LOCK]
