"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from android_env_gym.tasks.check import check_template

README = Path(__file__).parent.parent / "README.md"


def test_the_python_blocks_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["info"]["verdict"] is not None
    report = check_template(names["TurnOffWifi"](), 2)
    assert report.problems == ()
    observation, _ = names["env"].reset(seed=0)
    assert observation["screenshot"].shape == (448, 224, 3)
