"""The pool: one result per command, any-ready, and workers that hang, die or cannot start."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from gym_fakes import BUG, DIE, HANG, STRAY, WIN, FakePhone, WifiJudge, WifiOff

from android_env_gym import vector_worker
from android_env_gym.actions import ActionError, InvalidAction, Tap
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.env import AndroidTaskEnv
from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset, WorkerError

FAKE = EnvSpec(id="gym_fakes:FakePhone-v0", screen=(60, 27))


HUNG = "pool.send([Reset()], [0]); pool.recv(); pool.send([HANG], [0]); os.kill(os.getpid(), signal.SIGKILL)"


def step(pool, command, id_=0):
    pool.send([command], [id_])
    (result,) = pool.recv()
    assert result.id == id_
    return result


def processes(pool):
    return [worker.process for worker in pool._backend._workers]


@pytest.mark.parametrize("workers", [0, 2])
def test_both_kinds_give_the_same_results(workers):
    with AsyncEnvPool([FAKE] * 3, workers=workers) as pool:
        pool.send([Reset("fake.wifi_off", id_, seed=1) for id_ in range(3)], [0, 1, 2])
        results = sorted(pool.recv(min_ready=3), key=lambda result: result.id)
        assert [(r.reward, r.terminated, r.truncated, r.info["instance"]) for r in results] == [
            (0.0, False, False, id_) for id_ in range(3)
        ]
        assert all(r.observation["screenshot"].shape == (60, 27, 3) for r in results)
        assert all((r.observation["screenshot"] == 170).all() for r in results)
        assert len({r.observation["instruction"] for r in results}) == 3
        pool.send([WIN, STRAY, InvalidAction("what?")], [0, 1, 2])
        won, stray, invalid = sorted(pool.recv(min_ready=3), key=lambda result: result.id)
        assert (won.reward, won.terminated, won.ended, won.info["is_success"]) == (1.0, True, True, True)
        assert won.info["verdict"]["reason"] == "looked at Wi-Fi" and won.info["side_effects"] == ""
        assert (won.observation["screenshot"] == 120).all()
        assert (stray.reward, stray.ended) == (0.0, False) and (stray.observation["screenshot"] == 150).all()
        assert invalid.info["invalid_action"] == "what?"
        assert step(pool, WIN, 1).info["side_effects"] == "system.settings.nfc"
        assert not np.shares_memory(won.observation["screenshot"], step(pool, Reset(), 0).observation["screenshot"])


def test_a_wrong_send_is_refused_whole():
    with AsyncEnvPool([FAKE] * 2) as pool:
        with pytest.raises(ValueError, match="environment 0 has no running episode"):
            pool.send([WIN], [0])
        pool.send([Reset()], [0])
        with pytest.raises(ValueError, match="environment 0 has a command under way"):
            pool.send([Reset(), Reset()], [1, 0])
        with pytest.raises(ValueError, match="got the id 2; this pool has 0 to 1"):
            pool.send([Reset()], [2])
        with pytest.raises(ValueError, match="each may occur once"):
            pool.send([Reset(), Reset()], [1, 1])
        with pytest.raises(ValueError, match="min_ready: got 2, but 1 commands are under way"):
            pool.recv(min_ready=2)
        assert pool.outstanding == 1
        pool.recv()
        with pytest.raises(ActionError, match="x: got 2"):
            pool.send([Tap(2, 0)], [0])
        assert step(pool, WIN).ended
        with pytest.raises(ValueError, match="send Reset"):
            pool.send([WIN], [0])


def test_a_reset_that_fails_for_good_is_a_failure_result(monkeypatch):
    phone = FakePhone({"reset": [DeviceFailure("lost", "gone")] * 3})
    monkeypatch.setattr(
        EnvSpec,
        "make",
        lambda spec: AndroidTaskEnv(device=phone, suite=(WifiOff(),), judge=WifiJudge(), screen=(60, 27)),
    )
    with AsyncEnvPool([FAKE]) as pool:
        result = step(pool, Reset("fake.wifi_off", 9))
        assert result.truncated and not result.info["reward_valid"]
        assert result.info["failure"]["kind"] == "reset" and "gone" in result.info["failure"]["message"]
        assert (result.info["template"], result.info["instance"]) == ("fake.wifi_off", 9)
        assert result.observation["screenshot"].shape == (60, 27, 3)
        assert not step(pool, Reset()).ended


def test_whoever_is_ready_is_returned_and_a_hung_worker_is_replaced():
    with AsyncEnvPool([FAKE] * 2, workers=2, step_timeout=2.0) as pool:
        pool.send([Reset(), Reset()], [0, 1])
        pool.recv(min_ready=2)
        hung = processes(pool)[0]
        pool.send([HANG, STRAY], [0, 1])
        (quick,) = pool.recv(min_ready=1)
        assert quick.id == 1 and not quick.truncated
        assert pool.recv(min_ready=1, timeout=0.01) == []
        (result,) = pool.recv(min_ready=1)
        assert result.id == 0 and result.truncated and not result.terminated
        assert result.info["failure"]["kind"] == "worker"
        assert "gave no answer within 2 s" in result.info["failure"]["message"]
        assert not result.info["reward_valid"] and result.info["template"] == "fake.wifi_off"
        assert (result.observation["screenshot"] == 170).all()
        assert not hung.is_alive() and pool.replaced == 1
        assert not step(pool, Reset()).truncated
        assert step(pool, WIN).reward == 1.0
        assert step(pool, WIN, 1).reward == 1.0


def test_a_dead_worker_is_replaced_and_every_episode_it_held_is_reported():
    with AsyncEnvPool([FAKE] * 3, workers=1) as pool:
        pool.send([Reset()] * 3, [0, 1, 2])
        pool.recv(min_ready=3)
        (worker,) = processes(pool)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        under_way = step(pool, STRAY, 0)
        assert under_way.info["failure"] == {"kind": "worker", "message": under_way.info["failure"]["message"]}
        lost = step(pool, STRAY, 1)
        assert lost.truncated and "the episode is lost" in lost.info["failure"]["message"]
        assert not step(pool, Reset(), 2).truncated
        assert step(pool, WIN, 2).reward == 1.0
        assert [step(pool, Reset(), id_).truncated for id_ in (0, 1)] == [False, False]
        assert pool.replaced == 1


def test_an_exception_in_a_worker_is_reported_with_its_traceback():
    with AsyncEnvPool([FAKE], workers=1) as pool:
        step(pool, Reset())
        result = step(pool, BUG)
        assert result.truncated and "ZeroDivisionError: a bug in the device" in result.info["failure"]["message"]
        assert not step(pool, Reset()).truncated
        assert step(pool, DIE).info["failure"]["kind"] == "worker"


def test_a_worker_that_cannot_start_raises_with_its_reason():
    with pytest.raises(WorkerError, match="no such phone"):
        AsyncEnvPool([FAKE, EnvSpec(id=FAKE.id, suite="broken")], workers=2)


def test_a_worker_that_only_fails_is_given_up(monkeypatch):
    monkeypatch.setattr(vector_worker, "MAX_FAILURES_IN_A_ROW", 1)
    with AsyncEnvPool([FAKE], workers=1) as pool:
        step(pool, Reset())
        pool.send([DIE], [0])
        with pytest.raises(WorkerError, match="exit code 7"):
            pool.recv()


def test_close_ends_the_processes_even_a_hung_one(monkeypatch):
    monkeypatch.setattr(vector_worker, "CLOSE_SECONDS", 0.2)
    pool = AsyncEnvPool([FAKE] * 2, workers=2)
    pool.send([Reset()] * 2, [0, 1])
    pool.recv(min_ready=2)
    pool.send([HANG], [0])
    children = processes(pool)
    pool.close()
    pool.close()
    assert [child.is_alive() for child in children] == [False, False]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("raise RuntimeError('oops')", id="exception"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", id="killed"),
        pytest.param(HUNG, id="killed-with-a-hung-worker", marks=pytest.mark.slow),
    ],
)
def test_no_process_survives_the_interpreter(tmp_path, end):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import os, signal
        from gym_fakes import HANG
        from android_env_gym.vector import AsyncEnvPool, EnvSpec, Reset
        if __name__ == "__main__":
            pool = AsyncEnvPool([EnvSpec(id="gym_fakes:FakePhone-v0", screen=(60, 27))], workers=1)
            print(pool._backend._workers[0].process.pid, flush=True)
            {end}
        """)
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode != 0
    assert wait_for_end(int(done.stdout))


def wait_for_end(pid):
    """Return whether the process ends within 10 s (an orphan closes its environments first)."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        threading.Event().wait(0.1)
    return False
