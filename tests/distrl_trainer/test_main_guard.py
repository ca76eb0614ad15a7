"""A user's script that forgets `if __name__ == "__main__":`, run as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

LEARNS = """
import sys
sys.path.insert(0, {here!r})
from runtime_fakes import FakePhones, FakePolicy, fake_config
from distrl_trainer.algorithm import DistRL
config = fake_config(fleet={{"kind": "process", "collectors": 1, "envs_per_collector": 4, "restarts": 1}})
print("made", flush=True)
DistRL(FakePolicy(), FakePhones(), config=config).learn(8)
"""
ASKS = """
from distrl_trainer.main_guard import require_main_guard
def main():
    require_main_guard()
"""


def run(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "my_script.py"
    script.write_text(text)
    return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_script_without_a_guard_ends_with_one_line_that_says_so(tmp_path):
    ended = run(tmp_path, LEARNS.format(here=str(HERE)))
    (line,) = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert line.startswith("error: ") and "my_script.py, line 8" in line and 'if __name__ == "__main__":' in line
    assert ended.stdout.split() == ["made"]  # no collector was started, which would have made another


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("main()", 5),
        ("for _ in range(1):\n    main()", 6),
        ("try:\n    main()\nfinally:\n    pass", 6),
        ("if __name__ == '__main__':\n    pass\nelse:\n    pass\nmain()", 9),
        ("if __name__ != 'x':\n    main()", 6),
    ],
)
def test_a_call_outside_the_guard_is_refused_with_its_line(call, line, tmp_path):
    ended = run(tmp_path, ASKS + call)
    assert ended.returncode == 1 and f"my_script.py, line {line}:" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "call",
    [
        'if __name__ == "__main__":\n    main()',
        "if '__main__' == __name__ and True:\n    for _ in range(2):\n        main()",
        "import threading\nthread = threading.Thread(target=main)\nif __name__ == '__main__':\n    thread.start()",
    ],
)
def test_a_script_with_a_guard_is_let_through(call, tmp_path):
    ended = run(tmp_path, ASKS + call)
    assert (ended.returncode, ended.stderr) == (0, "")
