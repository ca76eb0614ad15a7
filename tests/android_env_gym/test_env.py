"""The environment's contract, on a fake phone for every branch and on the embedded phone for Gymnasium's checks."""

import json
import subprocess
import sys
import warnings
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gym_fakes import HANG, STRAY, WIN, Blind, FakePhone, WifiJudge, WifiOff, WifiOffAtFinish, make_env
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import android_env_gym  # noqa: F401 (registers the environment)
from android_env_gym.actions import ActionError, Finish, InvalidAction, LongPress, PressKey, Swipe, Tap, Wait, to_sample
from android_env_gym.devices.base import DeviceFailure
from android_env_gym.devices.make import DeviceUnavailableError
from android_env_gym.errors import ResetError, UnknownNameError, WindowClosedError
from android_env_gym.judges.base import Verdict
from android_env_gym.rendering import BAR_HEIGHT, Window, observe, with_touch

SMALL = (112, 56)
INFO_KEYS = {
    *("task_id", "template", "instance", "split", "instruction", "is_success", "verdict", "reward_valid", "failure"),
    *("invalid_action", "side_effects", "virtual_time", "step_limit", "false_completion"),
}


def ended(result):
    _, reward, terminated, truncated, info = result
    assert set(info) == INFO_KEYS
    return reward, terminated, truncated, info


# --- Gymnasium on the embedded phone ---


def test_check_env_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("AndroidTask-v0", suite="general", render_mode="rgb_array")
        check_env(env.unwrapped, skip_render_check=True)
        env.close()


def test_both_ways_of_making_it():
    code = (
        "import gymnasium as gym\n"
        "env = gym.make('android_env_gym:AndroidTask-v0', suite='general', max_steps=3, screen=(112, 56))\n"
        "env.reset(seed=1); assert gym.spec('AndroidTask-v0').max_episode_steps is None\n"
        "print(env.unwrapped.task.task_id)"
    )
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert first.returncode == 0, first.stderr
    env = gym.make("AndroidTask-v0", suite="general", max_steps=3, screen=SMALL)
    env.reset(seed=1)
    assert env.unwrapped.task.task_id == first.stdout.strip()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_make_vec(mode):
    envs = gym.make_vec(
        "AndroidTask-v0", num_envs=2, vectorization_mode=mode, suite="general", screen=SMALL, max_steps=2
    )
    observation, info = envs.reset(seed=3)
    assert observation["screenshot"].shape == (2, *SMALL, 3)
    assert len(observation["instruction"]) == 2 and all(observation["instruction"])
    assert info["task_id"].shape == (2,)
    for _ in range(4):  # over an end, where the vector environment resets by itself
        observation, rewards, _, truncated, info = envs.step(envs.action_space.sample())
        assert rewards.shape == (2,) and not truncated.any() and info["reward_valid"].all()
    envs.close()


def test_same_seed_same_pixels_and_info():
    outcomes = []
    for _ in range(2):
        env = gym.make("AndroidTask-v0", suite="general")
        observation, info = env.reset(seed=11)
        seen = [(observation["screenshot"].tobytes(), observation["instruction"], info)]
        for action in (Tap(0.2, 0.2), Wait(5.0), Tap(0.5, 0.5)):
            observation, reward, terminated, _, info = env.step(action)
            seen.append((observation["screenshot"].tobytes(), reward, terminated, info))
        outcomes.append(seen)
    assert outcomes[0] == outcomes[1]


# --- what step does ---


def test_success_ends_with_reward_one():
    env = make_env()
    observation, info = env.reset(seed=0)
    assert set(info) == INFO_KEYS and not info["verdict"]["judged"] and info["reward_valid"]
    assert info["failure"] == {"kind": "", "message": ""} and info["instruction"] == observation["instruction"]
    assert info["task_id"] == f"fake.wifi_off/train/{info['instance']}" == env.unwrapped.task.task_id
    assert observation["instruction"].startswith("Turn Wi-Fi off, ")
    assert observation in env.observation_space
    _, reward, terminated, _, info = env.step(Tap(0.5, 0.5 / 3))
    assert (reward, terminated, info["is_success"]) == (0.0, False, False)
    reward, terminated, truncated, info = ended(env.step(WIN))
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["is_success"] and info["verdict"]["success"] and info["side_effects"] == ""
    assert not info["false_completion"] and not info["step_limit"]
    assert info["virtual_time"] == env.world.state.now
    with pytest.raises(ResetNeeded, match="ended"):
        env.step(WIN)


def test_a_dict_sample_is_as_good_as_the_action():
    env = make_env()
    env.reset(seed=0)
    assert env.step(to_sample(WIN))[1] == 1.0
    env.reset()
    with pytest.raises(ActionError, match="x: got 3"):
        env.step(Tap(3, 0))
    assert env.step(WIN)[1] == 1.0


def test_side_effects_are_named_at_the_end():
    env = make_env()
    env.reset(seed=0)
    assert env.step(STRAY)[4]["side_effects"] == ""
    assert env.step(WIN)[4]["side_effects"] == "system.settings.nfc"


def test_the_step_limit_terminates():
    env = make_env(max_steps=2)
    env.reset(seed=0)
    assert env.step(STRAY)[2:4] == (False, False)
    reward, terminated, truncated, info = ended(env.step(STRAY))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["step_limit"] and not info["false_completion"] and not info["verdict"]["success"]
    env.reset()
    env.step(STRAY)
    assert ended(env.step(WIN))[3]["step_limit"] is False
    own = make_env(max_steps=None)
    own.reset(seed=0)
    assert [own.step(STRAY)[2] for _ in range(own.task.max_steps)] == [False] * 14 + [True]


def test_a_wrong_finish_is_a_false_completion():
    env = make_env()
    env.reset(seed=0)
    reward, terminated, _, info = ended(env.step(Finish()))
    assert (reward, terminated, info["false_completion"], info["reward_valid"]) == (0.0, True, True, True)


def test_judging_at_finish_only():
    for arguments in ({"suite": (WifiOffAtFinish(),)}, {"judge_at": "finish"}):
        env = make_env(max_steps=3, **arguments)
        env.reset(seed=0)
        _, reward, terminated, _, info = env.step(WIN)
        assert (reward, terminated, info["verdict"]["judged"]) == (0.0, False, False)
        assert env.step(Finish("complete", "done"))[1:3] == (1.0, True)
        env.reset()
        results = [env.step(WIN) for _ in range(3)]
        assert results[-1][1:3] == (0.0, True) and "step limit" in results[-1][4]["verdict"]["reason"]
    env = make_env(suite=(WifiOffAtFinish(),), judge_at="step")
    env.reset(seed=0)
    assert env.step(WIN)[1:3] == (1.0, True)


def test_an_invalid_action_uses_a_step_and_executes_nothing():
    phone = FakePhone()
    env = make_env(phone, max_steps=2)
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step(InvalidAction("no such word"))
    assert (reward, terminated, info["invalid_action"]) == (0.0, False, "no such word")
    assert env.step(InvalidAction("again"))[2]
    assert phone.performed == []


# --- infrastructure failures ---


@pytest.mark.parametrize("method", ["perform", "screenshot"])
def test_a_device_failure_truncates_and_is_no_reward(method):
    phone = FakePhone()
    env = make_env(phone)
    first, _ = env.reset(seed=0)
    phone.faults[method] = [DeviceFailure("lost", "the cable came off")]
    observation, reward, terminated, truncated, info = env.step(WIN)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert set(info) == INFO_KEYS
    assert info["failure"] == {"kind": "lost", "message": "the cable came off"}
    assert not info["reward_valid"] and not info["verdict"]["valid"] and not info["is_success"]
    assert np.array_equal(observation["screenshot"], first["screenshot"])
    with pytest.raises(ResetNeeded):
        env.step(WIN)
    env.reset()
    assert env.step(WIN)[1] == 1.0


def test_a_bad_frame_is_a_failure():
    phone = FakePhone()
    env = make_env(phone)
    env.reset(seed=0)
    phone._frame = np.zeros((4, 4), np.uint8)
    info = env.step(InvalidAction("?"))[4]
    assert info["failure"]["kind"] == "bad_frame" and "(4, 4)" in info["failure"]["message"]
    assert env.frame.shape == (1200, 540, 3)


def test_a_judge_that_cannot_tell_is_a_failure_not_a_zero():
    env = make_env(judge=WifiJudge(Verdict(False, reason="no answer", valid=False)))
    env.reset(seed=0)
    reward, terminated, truncated, info = ended(env.step(STRAY))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["failure"] == {"kind": "judge", "message": "no answer"} and not info["reward_valid"]


class BrokenJudge(WifiJudge):
    """Has a bug."""

    def judge(self, evidence):
        raise KeyError("no such key")


def test_a_judge_that_raises_is_a_failure_and_its_traceback_is_logged_once(caplog):
    env = make_env(judge=BrokenJudge())
    for _ in range(2):
        env.reset(seed=0)
        reward, terminated, truncated, info = ended(env.step(STRAY))
        assert (reward, terminated, truncated, info["reward_valid"]) == (0.0, False, True, False)
        assert info["failure"] == {"kind": "judge", "message": "the judge failed: KeyError: 'no such key'"}
    assert caplog.text.count("Traceback") == 1 and 'raise KeyError("no such key")' in caplog.text


def test_a_judge_that_returns_no_verdict_is_a_failure():
    env = make_env(judge=SimpleNamespace(needs_world=False, judge=lambda evidence: True))
    env.reset(seed=0)
    assert "returned a bool, expected a Verdict" in ended(env.step(STRAY))[3]["failure"]["message"]


class NumpyJudge(WifiJudge):
    """Takes its numbers from arrays."""

    def judge(self, evidence):
        return Verdict(np.bool_(evidence.actions[-1] == WIN), np.float32(0.5), valid=np.bool_(True))


def test_info_is_plain_data_of_one_structure_at_every_step():
    phone = FakePhone()
    env = make_env(phone, judge=NumpyJudge())
    infos = [env.reset(seed=0)[1], env.step(STRAY)[4], env.step(InvalidAction("?"))[4], env.step(WIN)[4]]
    infos.append(env.reset()[1])
    phone.faults["perform"] = [DeviceFailure("lost", "gone")]
    infos.append(env.step(WIN)[4])
    assert infos[3]["is_success"] is True and infos[3]["verdict"]["score"] == 0.5
    assert [json.loads(json.dumps(info)) for info in infos] == infos
    assert len({structure(info) for info in infos}) == 1


def structure(value):
    if isinstance(value, dict):
        return tuple((key, structure(item)) for key, item in value.items())
    return type(value)


def test_reset_is_tried_three_times():
    phone = FakePhone({"reset": [DeviceFailure("timeout", "slow")] * 2})
    env = make_env(phone)
    env.reset(seed=0)
    phone.faults["screenshot"] = [DeviceFailure("lost", "gone")] * 3
    with pytest.raises(ResetError, match="failed 3 times, last with 'lost': gone") as error:
        env.reset()
    assert error.value.kind == "lost"
    with pytest.raises(ResetNeeded):
        env.step(WIN)


# --- drawing tasks ---


def test_options_choose_template_and_instance():
    env = make_env(suite=(WifiOff(), WifiOffAtFinish()))
    _, info = env.reset(options={"task": "fake.wifi_off_at_finish", "instance": 4})
    assert (info["template"], info["instance"], info["split"]) == ("fake.wifi_off_at_finish", 4, "train")
    env.reset(seed=5)
    drawn = {env.reset()[1]["template"] for _ in range(20)}
    assert drawn == {"fake.wifi_off", "fake.wifi_off_at_finish"}
    with pytest.raises(UnknownNameError, match=r"did you mean .fake\.wifi_off."):
        env.reset(options={"task": "fake.wifi_of"})
    with pytest.raises(UnknownNameError, match="did you mean 'instance'"):
        env.reset(options={"instanc": 1})


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"suite": "genral"}, UnknownNameError, "unknown suite 'genral'; did you mean 'general'"),
        ({"split": "tests"}, UnknownNameError, "did you mean 'test'"),
        ({"split": "unseen-template"}, ValueError, "none of its 1 templates has instances in split"),
        ({"device": "smi"}, UnknownNameError, "unknown device 'smi'; did you mean 'sim'"),
        ({"device": "adb:"}, DeviceUnavailableError, "which one? Write adb:SERIAL"),
        ({"device": "adb:R5"}, ValueError, 'pass world=..., or use the embedded phone (device="sim")'),
        ({"judge": "stat"}, UnknownNameError, "did you mean 'state'"),
        ({"judge": "vlm:model"}, ValueError, 'want "vlm:MODEL@URL"'),
        ({"judge_at": "end"}, UnknownNameError, "unknown judge_at 'end'"),
        ({"max_steps": 0}, ValueError, "max_steps: got 0"),
        ({"screen": (0, 3)}, ValueError, "screen: got (0, 3)"),
        ({"device_config": {"wallpapr": 1}}, ValueError, "unknown field `wallpapr`"),
        ({"adb": {"reset": 7}, "device": "sim"}, ValueError, "got `int` - at `$.reset`"),
        ({"render_mode": "rgb"}, UnknownNameError, "did you mean 'rgb_array'"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments, error, said):
    with pytest.raises(error) as caught:
        make_env(**arguments)
    assert said in str(caught.value)


def test_without_a_world_construction_fails_and_with_one_beside_the_device_it_works():
    phone = FakePhone()
    with pytest.raises(ValueError, match="pass world=") as error:
        make_env(device=Blind(phone))
    assert 'judge="vlm:MODEL@URL"' in str(error.value)
    env = make_env(device=Blind(phone), world=phone)
    env.reset(seed=0)
    assert env.step(WIN)[1] == 1.0


# --- frames ---


def test_returned_arrays_are_the_callers_own():
    env = make_env(render_mode="rgb_array")
    first, _ = env.reset(seed=0)
    first["screenshot"][:] = 7
    second = env.step(InvalidAction("?"))[0]
    assert not np.shares_memory(first["screenshot"], second["screenshot"])
    assert second["screenshot"].min() == 170
    picture = env.render()
    assert picture.shape == (1200, 540, 3)
    picture[:] = 0
    assert env.render().min() == 170


def test_observe_halves_by_area_then_resizes_linearly():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (1200, 540, 3), np.uint8)
    assert observe(frame, (448, 224)).shape == (448, 224, 3)
    half = frame.reshape(600, 2, 270, 2, 3).mean((1, 3))
    assert np.abs(observe(frame, (600, 270)) - half).max() <= 0.5
    assert observe(frame, (1200, 540)) is frame
    assert observe(frame, (1300, 601)).shape == (1300, 601, 3)


def test_human_mode_draws_a_window(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = make_env(render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 1000}
    env.reset(seed=0)
    env.step(STRAY)
    surface = pygame.display.get_surface()
    assert surface.get_size() == (405, BAR_HEIGHT + 900)
    assert tuple(surface.get_at((200, 400)))[:3] == (150, 150, 150)
    bar = pygame.surfarray.array3d(surface)[:, :BAR_HEIGHT]
    assert (bar == 255).mean() > 0.8 and (bar < 100).mean() > 0.01  # black text on white
    env.close()
    env.close()
    assert pygame.display.get_surface() is None


def test_human_mode_shows_the_touch_before_what_it_does(monkeypatch):
    shown = []
    monkeypatch.setattr(Window, "__init__", lambda window, title: None)
    monkeypatch.setattr(Window, "show", lambda window, frame, fps, instruction: shown.append((frame, instruction)))
    env = make_env(render_mode="human")
    observation, _ = env.reset(seed=0)
    env.step(WIN)
    (first, _), (touched, _), (after, said) = shown
    assert said == observation["instruction"]
    x, y = round(540 * WIN.x), round(1200 * WIN.y)
    near = (slice(y - 60, y + 60), slice(0, x + 60))
    assert (first == 170).all() and (after == 120).all()
    assert (touched[near] != 170).any() and (touched[:, x + 60 :] == 170).all()
    assert (env.render() is None) and len(shown) == 4


def test_closing_the_window_ends_the_loop_and_a_reset_opens_another(monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = make_env(render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 1000}
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    with pytest.raises(WindowClosedError, match="reset"):
        env.step(STRAY)
    assert pygame.display.get_surface() is None
    env.reset()
    assert pygame.display.get_surface() is not None
    env.close()


def test_every_touch_is_drawn_where_it_is():
    frame = np.zeros((448, 224, 3), np.uint8)
    for action in (Tap(0.5, 0.5), LongPress(0.5, 0.5), Swipe(0.5, 0.7, 0.5, 0.3), Tap(1.0, 1.0), Tap(0.0, 0.0)):
        drawn = with_touch(frame, action)
        rows, columns = np.nonzero(drawn.any(-1))
        centre = {Tap: (action.x, action.y) if isinstance(action, Tap) else None}.get(type(action)) or (0.5, 0.5)
        assert abs(columns - 224 * centre[0]).min() < 20 and abs(rows - 448 * centre[1]).min() < 20
        assert drawn.shape == frame.shape and not frame.any()
    assert with_touch(frame, PressKey("back")) is frame and with_touch(frame, None) is frame


def test_human_mode_without_pygame_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = make_env(render_mode="human")
    with pytest.raises(ImportError, match=r'pip install "android-env-gym\[human\]"'):
        env.reset(seed=0)


def test_close_closes_only_what_the_environment_made():
    phone = FakePhone()
    env = make_env(phone)
    env.close()
    env.close()
    assert phone.closed == 0
    assert HANG not in phone.performed
