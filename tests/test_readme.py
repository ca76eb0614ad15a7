"""The Python and the files of the README work as they stand there; its device is a served phone."""

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


def test_the_blocks_run(adb_host, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as for `python` in the user's folder
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 5 and sum(SERIAL in block for block in blocks) == 1
    (tasks,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    Path("tasks.txt").write_text(tasks)
    names: dict[str, Any] = {}
    with AdbServer(ServedPhone(SimPhone())) as server:
        for block in blocks:
            if saved := re.match(r"# (\w+\.py)\n", block):
                Path(saved[1]).write_text(block)
                continue
            exec(compile(block.replace(SERIAL, server.serial), str(README), "exec"), names)
            if SERIAL in block:
                assert names["reward"] == 1.0 and names["info"]["failure"]["kind"] == ""
        adb_host.run("disconnect", server.serial)
    assert " 1.0 \n" in capsys.readouterr().out
    assert names["info"]["verdict"]["judged"]
    report = check_template(names["TurnOffWifi"](), 2)
    assert report.problems == ()
    observation, _ = names["env"].reset(seed=0)
    assert observation["screenshot"].shape == (448, 224, 3)
