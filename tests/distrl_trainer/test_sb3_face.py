"""`DistRL` in the hands of a Stable-Baselines3 user: what they type works, or one line says what to do."""

import io

import gymnasium as gym
import numpy as np
import pytest
import torch
from runtime_fakes import ENV_ID, FakePhones, FakePolicy, fake_config, load_fake
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EveryNTimesteps,
    LogEveryNTimesteps,
    ProgressBarCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecFrameStack, VecMonitor, VecNormalize
from stable_baselines3.dqn import MultiInputPolicy

from distrl_trainer import archived_algorithm
from distrl_trainer.algorithm import DistRL
from distrl_trainer.archive import ArchiveError
from distrl_trainer.config import PolicyConfig, RunConfig
from distrl_trainer.learner import LearnerError
from distrl_trainer.vec_env import PhoneVecEnv


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(policy=None, phones=None, config=None, **kwargs):
    return DistRL(policy or FakePolicy(), phones or FakePhones(), config=config or fake_config(), **kwargs)


class Rows(BaseCallback):
    """Remembers what every step shows to a callback."""

    def __init__(self):
        super().__init__()
        self.rows, self.opened, self.ended = [], 0, 0

    def _on_training_start(self):
        self.opened += 1

    def _on_training_end(self):
        self.ended += 1

    def _on_step(self):
        self.rows.append({name: self.locals[name] for name in ("rewards", "dones", "infos")})
        return True


def test_callbacks_see_every_step_once_in_rows_of_the_phones():
    rows, model = Rows(), make(phones=FakePhones(4, device="fail-fifth"))
    model.learn(203, rows)
    assert {row["rewards"].shape for row in rows.rows} == {row["dones"].shape for row in rows.rows} == {(4,)}
    assert all(len(row["infos"]) == 4 for row in rows.rows)
    assert 4 * len(rows.rows) <= model.num_timesteps < 4 * len(rows.rows) + 4
    infos = [info for row in rows.rows for info in row["infos"]]
    ends = [info for info, done in zip(infos, np.concatenate([r["dones"] for r in rows.rows]), strict=True) if done]
    valid = [info for info in ends if info["reward_valid"]]
    assert 0 < len(valid) < len(ends) and all(("episode" in info) == info["reward_valid"] for info in ends)
    assert sum(row["rewards"].sum() for row in rows.rows) == sum(info["episode"]["r"] for info in valid)
    assert sum("episode" in info for info in infos) == len(valid)
    assert rows.opened == rows.ended == 1


def test_episode_buffers_and_the_numbers_that_sb3_logs():
    model = make(stats_window_size=10)
    model.set_logger(configure(None, []))
    model.learn(150, log_interval=None)
    assert len(model.ep_info_buffer) == len(model.ep_success_buffer) == 10
    model.logger.dump = lambda step: None
    model.dump_logs()
    logged = model.logger.name_to_value
    recent = list(model.books.recent)
    assert logged["rollout/ep_len_mean"] == np.mean([len(item.steps) for item in recent])
    assert logged["rollout/success_rate"] == np.mean([item.success for item in recent])
    assert logged["rollout/ep_rew_mean"] == logged["rollout/success_rate"]  # the fake pays 1 for success
    assert logged["time/episodes"] == model.books.counters.trajectories and logged["time/fps"] > 0
    assert logged["time/total_timesteps"] == model.num_timesteps


def test_stop_training_on_max_episodes_counts_episodes_per_phone():
    stop = StopTrainingOnMaxEpisodes(max_episodes=3, verbose=1)
    model = make().learn(100_000, stop)
    assert 12 <= stop.n_episodes <= 16 and model.num_timesteps < 200


def test_eval_callbacks_that_stop_training():
    reached = StopTrainingOnRewardThreshold(reward_threshold=-1.0, verbose=0)
    evaluation = EvalCallback(FakePhones(2), n_eval_episodes=2, eval_freq=5, callback_on_new_best=reached, verbose=0)
    assert make().learn(100_000, evaluation).num_timesteps < 200
    assert evaluation.last_mean_reward >= 0
    bored = StopTrainingOnNoModelImprovement(max_no_improvement_evals=1)
    config = fake_config(replay={"min_steps": 10**6, "capacity_steps": 10**7})  # it never learns
    evaluation = EvalCallback(FakePhones(2), n_eval_episodes=4, eval_freq=5, callback_after_eval=bored, verbose=0)
    assert make(config=config).learn(100_000, evaluation).num_timesteps < 2000


def test_lists_functions_and_intervals_of_callbacks(tmp_path):
    seen = []
    checkpoints = CheckpointCallback(25, str(tmp_path), save_replay_buffer=True, save_vecnormalize=True)
    every = EveryNTimesteps(
        n_steps=40, callback=ConvertCallback(lambda values, _: seen.append(len(values["dones"])) or True)
    )
    model = make()
    model.learn(120, CallbackList([checkpoints, every, LogEveryNTimesteps(50), ProgressBarCallback()]))
    assert set(seen) == {4} and len(seen) >= 2
    assert list(tmp_path.glob("rl_model_100_steps.zip")) and list(tmp_path.glob("*replay_buffer_100_steps*"))
    calls = []
    make().learn(30, lambda values, _: calls.append(values["self"].num_timesteps) or True)
    assert calls[:2] == [4, 8]


def test_a_callback_that_says_no_at_once_and_learning_again():
    model = make()
    model.learn(1000, lambda *_: False)
    counted = model.num_timesteps
    assert counted == model.books.counters.new_steps > 0  # steps that were made are counted, whoever stops
    model.learn(50, reset_num_timesteps=False)
    assert model.num_timesteps >= counted + 50
    model.learn(1)
    assert 1 <= model.num_timesteps < 100 and model.fleet is None


def test_learning_twice_numbers_the_tensorboard_runs_as_sb3_does(tmp_path):
    model = make(tensorboard_log=str(tmp_path))
    model.learn(40, tb_log_name="first")
    model.learn(40, tb_log_name="first", reset_num_timesteps=False)
    model.learn(40, tb_log_name="first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first_1", "first_2"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_a_callback_closes_the_phones(error):
    closed = []

    class Raise(BaseCallback):
        def _on_step(self):
            pool = self.model.fleet._pool
            close = pool.close
            pool.close = lambda: (closed.append(True), close())
            raise error("from the callback")

    model = make()
    with pytest.raises(error, match="from the callback"):
        model.learn(100, Raise())
    assert closed == [True] and model.fleet is None
    assert model.learn(50, reset_num_timesteps=False).num_timesteps >= 50


def test_constructor_arguments_of_sb3_become_settings():
    model = DistRL(
        FakePolicy(), FakePhones(), config=fake_config(), learning_rate=1e-3, buffer_size=500, learning_starts=40,
        batch_size=16, gamma=0.5, train_freq=(4, "step"), gradient_steps=2, ent_coef=0.01, max_grad_norm=0.5, seed=9,
        stats_window_size=7, policy_kwargs=None, action_noise=None, device="auto",
    )  # fmt: skip
    algorithm = model.config.algorithm
    assert (algorithm.lr, algorithm.batch_steps, algorithm.gamma) == (1e-3, 16, 0.5)
    assert (algorithm.entropy_coef, algorithm.max_grad_norm, algorithm.replay_ratio) == (0.01, 0.5, 8.0)
    assert model.config.replay.capacity_steps == 500 and model.learning_starts == 40
    assert (model.train_freq.frequency, model.gradient_steps, model.config.run.seed) == (2, 1, 9)
    assert model.learner.config is algorithm and model.learner.optimizer.param_groups[0]["lr"] == 1e-3
    fast = make(batch_size=16, train_freq=1, gradient_steps=3)
    assert (fast.train_freq.frequency, fast.gradient_steps) == (1, 3)
    fast.learn(60)
    assert fast._n_updates == 3 * round(fast._n_updates / 3) > 0
    assert make(gradient_steps=-1).train_freq.frequency == 1
    assert make(gradient_steps=2).train_freq.frequency == make().train_freq.frequency // 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 0.005}, "no target network"),
        ({"action_noise": NormalActionNoise(np.zeros(1), np.ones(1))}, "entropy_coef"),
        ({"exploration_fraction": 0.1}, "entropy_coef"),
        ({"replay_buffer_class": object}, "ReplayConfig"),
        ({"policy_kwargs": {"net_arch": [64]}}, "PolicyConfig"),
        ({"optimize_memory_usage": True}, "ReplayConfig"),
        ({"n_steps": 3}, "lambda_"),
        ({"use_sde": True}, "entropy_coef"),
        ({"learning_rate": LinearSchedule(1e-3, 0.0, 1.0)}, "constant learning_rate"),
        ({"learning_rate": "lin_0.001"}, "constant learning_rate"),
        ({"learnin_rate": 1e-3}, "did you mean learning_rate"),
        ({"quite_unknown": 1}, "every other setting is in RunConfig"),
        ({"device": "cpu"}, "PolicyConfig"),
        ({"learning_rate": -1.0}, r"learning_rate=-1\.0, which is algorithm\.lr"),
        ({"gamma": 1.5}, r"gamma=1\.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": "big"}, "batch_size='big'"),
        ({"train_freq": (1, "episode")}, "episodes of many phones"),
        ({"train_freq": 0}, "at least 1"),
        ({"gradient_steps": 0}, "-1 for one batch per step"),
    ],
)
def test_arguments_without_a_meaning_are_refused_with_the_remedy_in_one_line(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        make(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("policy", ["MlpPolicy", "CnnPolicy", "MultiInputPolicy", MultiInputPolicy, DQN, 7])
def test_stock_policies_are_refused_by_naming_those_that_exist(policy):
    with pytest.raises(TypeError, match=r'"tiny" \(built in\).*PolicyConfig'):
        DistRL(policy, FakePhones())


def test_the_policy_section_decides_where_no_policy_is_named():
    config = RunConfig(policy=PolicyConfig(model="tiny-untrained", frames=2, device="cpu"))
    model = DistRL(env=FakePhones(), config=config, device="cpu")
    assert model.config.policy.model == "tiny-untrained" and model.view.frames == 2
    given = PolicyConfig(model="tiny-untrained", frames=3, history=1)
    model = DistRL(given, FakePhones())
    assert model.config.policy == given and (model.view.frames, model.view.history) == (3, 1)
    assert DistRL("tiny-untrained", FakePhones(), device="cpu").device == torch.device("cpu")


class DoubleReward(VecEnvWrapper):
    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, 2 * rewards, dones, infos


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda env: VecFrameStack(env, 2), "VecFrameStack.*PolicyConfig"),
        (lambda env: VecNormalize(env, norm_obs=False), "VecNormalize.*std"),
        (DoubleReward, "DoubleReward.*ShapingConfig"),
        (lambda env: VecMonitor(DoubleReward(env)), "DoubleReward"),
    ],
)
def test_wrappers_that_the_fleet_would_bypass_are_refused(wrap, message):
    class Shown(FakePhones):
        """Stacking needs a Box, so that the wrapper itself can be made."""

        def __init__(self):
            super().__init__()
            self.observation_space = self.observation_space["screenshot"]

    with pytest.raises(TypeError, match=message) as caught:
        make(phones=wrap(Shown()))
    assert "\n" not in str(caught.value)


def test_a_monitor_around_the_phones_is_taken_and_one_with_a_file_refused(tmp_path):
    model = make(phones=VecMonitor(FakePhones()))
    assert model.learn(40).num_timesteps >= 40 and len(model.ep_info_buffer) > 0
    with pytest.raises(TypeError, match="monitor file"):
        make(phones=VecMonitor(FakePhones(), str(tmp_path / "monitor")))


class OtherPhones(FakePhones):
    """The same phones under other names of their tasks."""

    @property
    def templates(self):
        return ("fake.odd", "fake.new")


def weights_equal(a, b):
    a, b = a.policy.state_dict(), b.policy.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def trained(monkeypatch):
    monkeypatch.setattr(archived_algorithm, "load_policy", load_fake)
    return make(verbose=0, seed=5, stats_window_size=9).learn(120)


def test_save_and_load_in_memory_and_through_open_files(trained, tmp_path):
    memory, replay = io.BytesIO(), io.BytesIO()
    trained.save(memory)
    trained.save_replay_buffer(replay)
    loaded = DistRL.load(memory, FakePhones(), device="cpu")
    loaded.load_replay_buffer(replay)
    assert weights_equal(trained, loaded) and loaded.replay.steps == trained.replay.steps
    assert loaded.seed == 5 and loaded._stats_window_size == 9
    with (tmp_path / "model").open("wb") as file:
        trained.save(file)
    with (tmp_path / "model").open("rb") as file:
        assert weights_equal(trained, DistRL.load(file))
    with pytest.raises(ArchiveError, match=r"DistRL\.save"):
        DistRL.load(io.BytesIO(b"nothing of ours"))


@pytest.mark.parametrize("with_replay", [False, True])
def test_loaded_in_its_folder_a_trainer_counts_no_episode_twice(with_replay, tmp_path, monkeypatch):
    monkeypatch.setattr(archived_algorithm, "load_policy", load_fake)
    folder = tmp_path / "run"
    first = make(folder=folder).learn(120)
    first.save(tmp_path / "model")
    first.save_replay_buffer(tmp_path / "replay")
    made, episodes, held = first.num_timesteps, first.books.counters.trajectories, first.replay.file_names
    loaded = DistRL.load(tmp_path / "model", FakePhones(), folder=folder)
    if with_replay:
        loaded.load_replay_buffer(tmp_path / "replay")
    loaded.learn(30, reset_num_timesteps=False)
    assert loaded.num_timesteps - made < 30 + 4 * 6  # a round ends with the episodes of its four phones
    new = {*loaded.replay.file_names} - {*held}
    assert loaded.books.counters.trajectories == episodes + len(new)
    assert {*loaded.replay.file_names} - new == ({*held} if with_replay else set())
    assert {path.name for path in (folder / "replay").iterdir()} == {*loaded.replay.file_names}


def test_load_takes_what_sb3_takes(trained, tmp_path, capsys):
    trained.save(tmp_path / "model")
    loaded = DistRL.load(
        tmp_path / "model", device="cpu", custom_objects={"learning_rate": 1e-4}, print_system_info=True,
        force_reset=True, verbose=0, seed=6,
    )  # fmt: skip
    assert loaded.config.algorithm.lr == 1e-4 and loaded.seed == 6 and loaded.get_env() is None
    assert {group["lr"] for group in loaded.learner.optimizer.param_groups[:1]} == {1e-4}
    printed = capsys.readouterr().out
    assert "SAVED MODEL SYSTEM INFO" in printed and printed.count("Stable-Baselines3") == 2
    with pytest.raises(TypeError, match="'lr_schedule' in custom_objects"):
        DistRL.load(tmp_path / "model", custom_objects={"lr_schedule": lambda _: 0.0})


def test_load_then_set_env_learns_on_and_the_curriculum_follows(trained, tmp_path):
    trained.save(tmp_path / "model")
    loaded = DistRL.load(tmp_path / "model")
    with pytest.raises(ValueError, match="no environment"):
        loaded.learn(10)
    loaded.set_env(OtherPhones(2), force_reset=False)
    assert loaded.n_envs == 2 and loaded.get_env().num_envs == 2
    curriculum, before = loaded.books.curriculum, trained.books.curriculum
    assert curriculum.templates == ("fake.odd", "fake.new")
    assert curriculum.success["fake.odd"] == before.success["fake.odd"] != 0.5 == curriculum.success["fake.new"]
    assert loaded.learner.task_means["fake.odd"] == trained.learner.task_means["fake.odd"] != 0.0
    assert loaded.learner.task_means["fake.new"] == 0.0
    seen = len(loaded.books.recent)
    loaded.learn(80, reset_num_timesteps=False)
    later = list(loaded.books.recent)[seen:]
    assert {item.template for item in later} == {"fake.odd", "fake.new"}
    assert curriculum.success.count("fake.new") > 0


def test_set_env_between_two_calls_of_learn_drops_tasks_that_are_gone():
    model = make(phones=FakePhones(device="fail-fifth"))
    model.learn(60)
    model._fleet_state["again"] = [{"template": "fake.even", "instance": 1}]
    model.set_env(OtherPhones(4))
    model.learn(60, reset_num_timesteps=False)
    assert {item.template for item in list(model.books.recent)[-5:]} <= {"fake.odd", "fake.new"}

    class Swap(BaseCallback):
        def _on_step(self):
            self.model.set_env(FakePhones())
            return True

    with pytest.raises(RuntimeError, match="before or after learn"):
        model.learn(50, Swap())
    with pytest.raises(TypeError, match="PhoneVecEnv"):
        model.set_env(object())
    with pytest.raises(ValueError, match="same screen"):
        model.set_env(PhoneVecEnv(1, suite="starter"))


def test_parameters_round_trip_with_the_optimizer(trained, tmp_path):
    parameters = trained.get_parameters()
    assert set(parameters) == {"policy", "policy.optimizer"}
    other = make(FakePolicy(seed=4))
    other.set_parameters(parameters)
    trained.save(tmp_path / "model")
    third = make(FakePolicy(seed=6))
    third.set_parameters(tmp_path / "model", device="cpu")
    for model in (other, third):
        assert weights_equal(trained, model)
        moments = model.learner.optimizer.state()["adamw"]["state"]
        assert all(
            torch.equal(moments[key]["exp_avg"], state["exp_avg"])
            for key, state in parameters["policy.optimizer"]["adamw"]["state"].items()
        )
    trained.learn(80, reset_num_timesteps=False)
    assert not weights_equal(trained, other)  # what was returned are copies
    other.set_parameters(parameters)
    name, tensor = next(iter(parameters["policy"].items()))
    other.set_parameters({"policy": {name: tensor + 1}}, exact_match=False)
    assert torch.equal(other.policy.state_dict()[name], tensor + 1)
    before = other.get_parameters()["policy"]
    for wrong, message in (
        ({"policy": parameters["policy"]}, "policy.optimizer"),
        ({"actor": {}}, "actor"),
        ({**parameters, "policy": {name: tensor}}, "exact_match=False"),
        ({**parameters, "policy": {**parameters["policy"], name: torch.zeros(1)}}, "shape"),
        ({**parameters, "policy.optimizer": {"state": {}, "param_groups": []}}, "does not fit"),
        (
            {**parameters, "policy.optimizer": {**parameters["policy.optimizer"], "masters": {"0": tensor}}},
            "does not fit",
        ),
    ):
        with pytest.raises((ValueError, LearnerError), match=message):
            other.set_parameters(wrong)
    assert all(torch.equal(before[key], value) for key, value in other.get_parameters()["policy"].items())


def test_number_type_and_tuning_of_the_policy_survive_a_file(tmp_path, monkeypatch):
    asked = []

    def load_narrow(config):
        asked.append(config)
        policy = load_fake(config)
        policy.module.to(getattr(torch, config.dtype))
        return policy

    monkeypatch.setattr(archived_algorithm, "load_policy", load_narrow)
    policy = FakePolicy()
    policy.module.to(torch.bfloat16)
    config = fake_config(policy={"lora_rank": 3, "lora_dropout": 0.1, "codec": "autoui", "max_new_tokens": 9})
    make(policy, config=config).save(tmp_path / "model")
    loaded = DistRL.load(tmp_path / "model", device="cpu")
    assert (asked[0].dtype, asked[0].lora_rank, asked[0].lora_dropout) == ("bfloat16", 3, 0.1)
    assert (asked[0].codec, asked[0].max_new_tokens, asked[0].device) == ("autoui", 9, "cpu")
    assert loaded.config.policy.lora_rank == 3


@pytest.mark.slow
def test_a_fully_tuned_tiny_policy_is_fully_tuned_after_loading(tmp_path):
    model = DistRL(PolicyConfig(model="tiny-untrained", tuning="full"), PhoneVecEnv(1, suite="starter"))
    model.save(tmp_path / "model")
    loaded = DistRL.load(tmp_path / "model", PhoneVecEnv(2, suite="starter"))
    assert loaded.config.policy.tuning == "full"
    assert len(loaded.learner.optimizer.param_groups[0]["params"]) == len(
        model.learner.optimizer.param_groups[0]["params"]
    )


@pytest.mark.parametrize("wrap", [lambda env: env, Monitor, lambda env: DummyVecEnv([lambda: Monitor(env)])])
def test_eval_callback_and_evaluate_policy_take_the_environment_itself(wrap, trained, tmp_path):
    evaluation = EvalCallback(
        wrap(gym.make(ENV_ID, split="test")), n_eval_episodes=2, eval_freq=10, verbose=0,
        best_model_save_path=str(tmp_path), log_path=str(tmp_path),
    )  # fmt: skip
    trained.learn(60, evaluation, reset_num_timesteps=False)
    assert len(evaluation.evaluations_timesteps) >= 1 and len(evaluation.evaluations_successes[0]) == 2
    best = DistRL.load(tmp_path / "best_model", FakePhones())
    rewards, lengths = evaluate_policy(best, wrap(gym.make(ENV_ID)), n_eval_episodes=3, return_episode_rewards=True)
    assert len(rewards) == 3 and all(1 <= length <= 6 for length in lengths)


def test_an_android_task_can_be_evaluated_on_whatever_wraps_it():
    model = DistRL("tiny-untrained", device="cpu")
    env = Monitor(gym.make("android_env_gym:AndroidTask-v0", suite="starter", max_steps=2))
    observation, _ = env.reset(seed=0)
    action, _ = model.predict(observation, deterministic=True)
    env.step(action)
    _, lengths = evaluate_policy(model, env, n_eval_episodes=1, return_episode_rewards=True)
    assert 1 <= lengths[0] <= 2


def test_what_no_phone_shows_is_refused_in_one_line(trained):
    screens = np.zeros((2, 8, 6, 3), np.uint8)
    for wrong, got in ((screens, "ndarray"), ({"screenshot": screens}, r"\['screenshot'\]")):
        with pytest.raises(TypeError, match=f"a dict with screenshot and instruction, got {got}"):
            trained.predict(wrong)
    for said in ("open", ["open"] * 3):
        with pytest.raises(ValueError, match=r"got [13] instructions for 2 screenshots"):
            trained.predict({"screenshot": screens, "instruction": said})
