"""Recorded episodes: no file takes the place of another episode's, whatever tasks are called."""

import os

import pytest
from runtime_fakes import episode

from distrl_trainer.recorded import EpisodeFiles
from distrl_trainer.train_command import _Recorder
from distrl_trainer.trajectory import decode


def read(folder):
    return sorted(decode(path.read_bytes()).id for path in folder.glob("*.traj"))


@pytest.mark.parametrize("keeps_earlier", [True, False])
def test_episodes_of_one_task_get_files_of_their_own(keeps_earlier, tmp_path):
    files = EpisodeFiles(tmp_path / "out", keeps_earlier=keeps_earlier)
    tasks = [("a/b", 1), ("a_b", 1), ("a/b", 1), ("a/b", 2), ("../../x", 1), (".hidden", 1), ("y" * 300, 1)]
    for number, (template, instance) in enumerate(tasks):
        files.write(episode([1, 2], name=str(number), template=template, instance=instance, task_id="the same"))
    files.write(episode([1, 2], name="one", task_id=""))
    assert read(tmp_path / "out") == sorted([*map(str, range(len(tasks))), "one"])
    assert os.listdir(tmp_path) == ["out"]


def test_a_line_that_is_played_twice_in_a_run_is_kept_twice(tmp_path):
    for _ in range(2):  # an evaluation that was interrupted and is made again replaces its own
        record = _Recorder(tmp_path, 3, templates=1)
        for number in range(4):
            record(episode([1, 2], name=str(number), instance=number // 2, task_id="list/test/line"))
    assert read(tmp_path) == ["0", "1", "2"]


def test_episodes_collected_before_are_kept(tmp_path):
    for name in ("first", "second"):
        EpisodeFiles(tmp_path, keeps_earlier=True).write(episode([1, 2], name=name))
    assert read(tmp_path) == ["first", "second"]
