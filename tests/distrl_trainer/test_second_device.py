"""What runs on a GPU, run on a device that is none: it has a GPU's rules about what lies where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import second_device

HERE = Path(__file__).parent


def run(program, *words, **environment):
    command = [sys.executable, *program, *words]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=900)


def on_device(name, *words):
    alone = ["-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return run(["-m", "pytest"], *alone, str(HERE / "test_on_device.py"), *words, DISTRL_TEST_DEVICE=name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_a_gpu_pass_on_a_device_with_its_rules():
    # The run of a multimodal model takes minutes more here; its parts are tested, and `make gpu-check` runs it.
    done = on_device(second_device.NAME, "-k", "not (200 and qwen3)")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "11 passed" in done.stdout and "skipped" not in done.stdout


def test_without_the_device_they_fail():
    done = on_device("xpu", "-k", "self_check and tiny")
    assert done.returncode != 0 and "these tests need device 'xpu'" in done.stdout and "passed" not in done.stdout


def test_the_device_refuses_what_cuda_refuses():
    code = """
import sys
import torch
sys.path.insert(0, "tests/distrl_trainer")
import second_device
second_device.install()
here = torch.arange(3, device="second").float()
assert here.device.type == "second" and (here + torch.tensor(1.0)).tolist() == [1, 2, 3]
assert here[torch.tensor([2, 0])].tolist() == [2, 0] and here.cpu().numpy().sum() == 3
refused = 0
for wrong in (
    lambda: here + torch.ones(3),
    lambda: torch.cat([here, torch.ones(3)]),
    lambda: torch.multinomial(here, 1, generator=torch.Generator()),
    lambda: here.numpy(),
):
    try:
        wrong()
    except second_device.MixedDevicesError:
        refused += 1
print("refused", refused)
"""
    done = run(["-c"], code)
    assert "refused 4" in done.stdout, done.stderr[-2000:]
