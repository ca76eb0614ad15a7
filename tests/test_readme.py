"""The README's Python runs as it stands there, and its device is a served phone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.tasks.check import check_template

README = Path(__file__).parent.parent / "README.md"
SERIAL = "127.0.0.1:7001"


def test_the_python_blocks_run(adb_host, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)  # one block writes a file
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4 and sum(SERIAL in block for block in blocks) == 1
    names: dict[str, Any] = {}
    with AdbServer(ServedPhone(SimPhone())) as server:
        for block in blocks:
            exec(compile(block.replace(SERIAL, server.serial), str(README), "exec"), names)
            if SERIAL in block:
                assert names["reward"] == 1.0 and names["info"]["failure"] == {}
        adb_host.run("disconnect", server.serial)
    assert "1.0 {}" in capsys.readouterr().out
    assert names["info"]["verdict"] is not None
    report = check_template(names["TurnOffWifi"](), 2)
    assert report.problems == ()
    observation, _ = names["env"].reset(seed=0)
    assert observation["screenshot"].shape == (448, 224, 3)
