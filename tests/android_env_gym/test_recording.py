"""Recordings: what was recorded is replayed bit for bit, and what differs is found at its first frame."""

import msgspec
import pytest
from gym_fakes import WifiJudge, WifiOff, make_env

from android_env_gym.actions import Finish, InvalidAction, OpenApp, Swipe, Tap, Wait, to_sample
from android_env_gym.errors import UnknownNameError
from android_env_gym.phone.state import DeviceConfig
from android_env_gym.recording import RecordingError, ReplayMismatchError, read_recording, replay, write_recording
from android_env_gym.wrappers import RecordEpisode

OWN = (WifiOff(),)
ACTIONS = (OpenApp("Contacts"), Swipe(0.5, 0.8, 0.5, 0.2), Wait(3.0), InvalidAction("?"), Tap(0.2, 0.4), Finish())


@pytest.fixture
def recorded(tmp_path):
    config = DeviceConfig(wallpaper=1, shuffle_icons=True)
    inner = make_env(device="sim", device_config=config, judge=WifiJudge(), screen=(60, 27))
    env = RecordEpisode(inner, tmp_path)
    env.reset(seed=4)
    env.step(to_sample(ACTIONS[0]))
    assert env.reset(options={"instance": 3})[1]["recording"] == ""
    infos = [env.step(to_sample(action) if isinstance(action, Tap) else action)[4] for action in ACTIONS]
    info = infos.pop()
    assert {earlier["recording"] for earlier in infos} == {""}
    assert info["recording"] == str(tmp_path / "00000-fake.wifi_off-3.rec")
    return tmp_path / "00000-fake.wifi_off-3.rec"


def test_an_episode_is_recorded_and_replays_bit_for_bit(recorded):
    recording = replay(recorded, OWN)
    assert recording.actions == ACTIONS
    assert (recording.template, recording.split, recording.instance) == ("fake.wifi_off", "train", 3)
    assert recording.device_config == DeviceConfig(wallpaper=1, shuffle_icons=True)
    assert recording.rewards == (0.0,) * 6 and not recording.success
    assert len(set(recording.frame_hashes)) > 2
    assert [path.name for path in recorded.parent.iterdir()] == [recorded.name]


def test_the_first_frame_that_differs_is_named(recorded):
    recording = read_recording(recorded)
    hashes = list(recording.frame_hashes)
    hashes[2] = hashes[4] = "0" * 32
    write_recording(msgspec.structs.replace(recording, frame_hashes=tuple(hashes)), recorded)
    with pytest.raises(ReplayMismatchError, match=r"frame 2 \(after action 2, Swipe") as error:
        replay(recorded, OWN)
    assert error.value.step == 2


def test_another_phone_or_another_task_does_not_pass(recorded):
    recording = read_recording(recorded)
    write_recording(msgspec.structs.replace(recording, device_config=DeviceConfig()), recorded)
    with pytest.raises(ReplayMismatchError, match="after reset"):
        replay(recorded, OWN)
    write_recording(msgspec.structs.replace(recording, instruction="Something else"), recorded)
    with pytest.raises(ReplayMismatchError, match="recorded was"):
        replay(recorded, OWN)


def test_damaged_files_are_refused_by_name(recorded):
    data = recorded.read_bytes()
    for broken in (data[:-20], b"", b"junk"):
        recorded.write_bytes(broken)
        with pytest.raises(RecordingError, match=r"off-3\.rec is not a readable recording"):
            replay(recorded, OWN)
    recording = msgspec.msgpack.decode(data)
    recorded.write_bytes(msgspec.msgpack.encode(recording | {"format": 9}))
    with pytest.raises(RecordingError, match="has format 9; this version reads format 1"):
        replay(recorded, OWN)
    recorded.write_bytes(msgspec.msgpack.encode(recording | {"actions": []}))
    with pytest.raises(RecordingError, match="7 frames do not fit 0 actions"):
        replay(recorded, OWN)


def test_a_template_that_does_not_exist_is_named(recorded):
    with pytest.raises(UnknownNameError, match=r"unknown task template 'fake\.wifi_off'"):
        replay(recorded)


def test_only_the_embedded_phone_is_recorded(tmp_path):
    with pytest.raises(ValueError, match="RecordEpisode records the embedded phone"):
        RecordEpisode(make_env(), tmp_path)
