"""`DistRL` as SB3 users meet it, on a fake phone: learn, predict, save, load, callbacks, logs, exact resume."""

import pickle
import zipfile

import gymnasium as gym
import msgspec
import numpy as np
import pytest
import torch
from runtime_fakes import (
    ENV_ID,
    SCREEN,
    TOKENS,
    FakePhone,
    FakePhones,
    FakePolicy,
    assert_same,
    build_fake,
    colour_frame,
    episode,
    fake_config,
    load_fake,
)
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure

from android_env_gym.vector import EnvSpec
from distrl_trainer import algorithm, archived_algorithm, checkpoint, make_fleet
from distrl_trainer.algorithm import DistRL
from distrl_trainer.archive import ArchiveError
from distrl_trainer.config import RunConfig
from distrl_trainer.observations import View
from distrl_trainer.policy.loading import load_policy
from distrl_trainer.process_fleet import ProcessFleet
from distrl_trainer.vec_env import PhoneVecEnv
from distrl_trainer.warmup import clone, record_demonstrations


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(policy=None, phones=None, config=None, **kwargs):
    return DistRL(policy or FakePolicy(), phones or FakePhones(), config=config or fake_config(), **kwargs)


def weights_equal(a, b):
    a, b = a.policy.state_dict(), b.policy.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


class Watch(BaseCallback):
    """Remembers the number of steps at every event; `stop_after` ends learning."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.steps, self.rollouts, self.stop_after = [], [], stop_after

    def _on_rollout_start(self):
        self.rollouts.append(self.model.num_timesteps)

    def _on_step(self):
        self.steps.append(self.model.num_timesteps)
        return self.stop_after is None or self.model.num_timesteps < self.stop_after


def test_it_learns():
    model = make(config=fake_config(algorithm={"lr": 1e-2, "entropy_coef": 0.03}))
    before, _ = evaluate_policy(model, FakePhones(split="test"), n_eval_episodes=20)
    model.learn(4000)
    after, _ = evaluate_policy(model, FakePhones(split="test"), n_eval_episodes=20)
    assert before < 0.5 and after > 0.9
    assert model.books.counters.updates > 100 and model.books.counters.version == model.books.counters.updates
    assert model.books.gate.counts.max_lag_admitted == 0


def test_two_serial_runs_are_equal_bit_for_bit_and_another_seed_is_not():
    runs = [make(seed=seed).learn(400) for seed in (1, 1, 2)]
    assert weights_equal(runs[0], runs[1]) and not weights_equal(runs[0], runs[2])


def test_a_run_resumed_from_a_checkpoint_goes_on_bit_for_bit(tmp_path):
    class Save(Watch):
        def _on_rollout_start(self):
            if self.model.num_timesteps >= 200 and not list(tmp_path.glob("step-*")):
                checkpoint.save(tmp_path, self.model.num_timesteps, self.model.training_state())
                self.model.replay.files.keep_spent = True

    config = fake_config(algorithm={"cloning_coef": 0.1, "cloning_batch": 4, "advantage_baseline": "both"})
    demonstrations = [episode([0, 1, 2], name="demo")]
    folder = tmp_path / "run"
    whole = make(config=config, demonstrations=demonstrations, folder=folder).learn(600, Save())
    parts = checkpoint.load(checkpoint.latest_good(tmp_path))
    resumed = make(FakePolicy(seed=8), config=config, demonstrations=demonstrations, folder=folder)
    resumed.load_training_state(parts)
    assert 200 <= resumed.num_timesteps < 300
    resumed.learn(600 - resumed.num_timesteps, reset_num_timesteps=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert weights_equal(whole, resumed)
    assert msgspec.to_builtins(whole.books.counters) == msgspec.to_builtins(resumed.books.counters)
    np.testing.assert_array_equal(whole.replay.probabilities(), resumed.replay.probabilities())


def test_what_a_killed_serial_learner_collected_with_later_weights_arrives_where_phones_cannot_repeat(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(make_fleet, "is_blocking", lambda device: True)  # as of real devices

    class SaveThenDie(Watch):
        def _on_rollout_start(self):
            if self.model.num_timesteps >= 100 and not list(tmp_path.glob("step-*")):
                checkpoint.save(tmp_path, self.model.num_timesteps, self.model.training_state())
            if self.model.num_timesteps >= 250:
                raise KeyboardInterrupt

    folder = tmp_path / "run"
    first = make(folder=folder)
    first.replay.files.keep_spent = True
    with pytest.raises(KeyboardInterrupt):
        first.learn(600, SaveThenDie())
    parts = checkpoint.load(checkpoint.latest_good(tmp_path))
    assert int(parts["books"]["counters"]["version"]) < first.books.counters.version - 1
    resumed = make(FakePolicy(seed=8), folder=folder)
    resumed.load_training_state(parts)
    resumed.learn(1, reset_num_timesteps=False)
    assert not (folder / "refused").exists()
    assert {*first.replay.file_names} <= {*resumed.replay.file_names}
    assert resumed.books.gate.counts.dropped == 0 and min(resumed.books.gate.counts.histogram) >= 0


def everything(model, tmp_path):
    """All that a run continues from, but for what clocks wrote."""
    state = checkpoint.load(checkpoint.save(tmp_path, model.num_timesteps, model.training_state()))
    held = [model.replay[int(id_)] for id_ in model.replay.ids]
    # Names hold a checksum of the content, and so of the seconds.
    state["replay"]["names"] = [msgspec.structs.replace(item, seconds=0.0) for item in held]
    return state


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("parts", [[240, 240], [50, 70, 360]])
def test_a_run_in_parts_is_the_run_at_once_bit_for_bit(tmp_path, resumed, parts):
    config = fake_config(
        algorithm={"cloning_coef": 0.1, "cloning_batch": 4, "advantage_baseline": "both"}, warmup={"value_steps": 90}
    )
    demonstrations = [episode([0, 1, 2], name="demo")]
    whole = make(config=config, demonstrations=demonstrations).learn(sum(parts))
    folder = tmp_path / "run"
    model = make(config=config, demonstrations=demonstrations, folder=folder)
    for number, steps in enumerate(parts):
        if resumed and number:
            saved = checkpoint.load(checkpoint.save(tmp_path / "cut", number, model.training_state()))
            model = make(FakePolicy(seed=8), config=config, demonstrations=demonstrations, folder=folder)
            model.load_training_state(saved)
        model.learn(steps, reset_num_timesteps=False)
        if number == 0:
            assert model.num_timesteps > steps  # rounds end with their episodes, so they bring more
    assert_same(everything(whole, tmp_path / "whole"), everything(model, tmp_path / "parts"))


def test_a_learn_that_was_stopped_counts_from_where_it_was_stopped():
    model = make().learn(10_000, Watch(stop_after=40))
    stopped = model.num_timesteps
    assert stopped == sum(len(item.steps) for item in model.books.recent)
    model.learn(50, reset_num_timesteps=False)
    assert stopped + 50 <= model.num_timesteps < stopped + 150


def test_raw_environments_are_refused_with_the_name_of_what_works():
    with pytest.raises(TypeError, match="PhoneVecEnv"):
        DistRL(FakePolicy(), FakePhone())
    with pytest.raises(TypeError, match=r"got OrderEnforcing.*PhoneVecEnv"):
        DistRL(FakePolicy(), gym.make(ENV_ID, disable_env_checker=True))
    with pytest.raises(ValueError, match="no environment"):
        DistRL(FakePolicy(), config=fake_config()).learn(10)


def test_save_and_load_round_trip_without_pickle(tmp_path, monkeypatch):
    monkeypatch.setattr(archived_algorithm, "load_policy", load_fake)
    model = make().learn(300)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "replay.pkl")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert not [name for name in archive.namelist() if name.endswith((".pkl", ".pth", ".bin"))]
    loaded = DistRL.load(tmp_path / "model", FakePhones())
    loaded.load_replay_buffer(tmp_path / "replay.pkl")
    assert weights_equal(model, loaded) and loaded.num_timesteps == model.num_timesteps
    assert loaded.replay.steps == model.replay.steps
    observation = {"screenshot": colour_frame(2), "instruction": "x"}
    assert model.predict(observation, deterministic=True)[0] == loaded.predict(observation, deterministic=True)[0]
    loaded.learn(100, reset_num_timesteps=False)
    assert loaded.num_timesteps >= 300 + 100


def test_foreign_and_missing_files_are_refused_by_name(tmp_path):
    (tmp_path / "sb3.pkl").write_bytes(pickle.dumps({"a": 1}))
    with zipfile.ZipFile(tmp_path / "sb3.zip", "w") as archive:
        archive.writestr("data", "{}")
        archive.writestr("policy.pth", b"x")
    with pytest.raises(ArchiveError, match=r"sb3\.zip.*Stable-Baselines3"):
        DistRL.load(tmp_path / "sb3.zip")
    with pytest.raises(ArchiveError, match=r"sb3\.pkl.*pickle"):
        make().load_replay_buffer(tmp_path / "sb3.pkl")
    with pytest.raises(ArchiveError, match=r"none\.zip does not exist"):
        DistRL.load(tmp_path / "none")
    with pytest.raises(TypeError, match="exclude"):
        make().save(tmp_path / "m", exclude=["policy"])


def test_sb3_callbacks_logger_and_progress_bar_work(tmp_path):
    model = make(tensorboard_log=str(tmp_path / "tb"))
    evaluation = FakePhones(2, split="test")
    callbacks = [
        CheckpointCallback(save_freq=25, save_path=str(tmp_path / "ck"), save_replay_buffer=True),
        EvalCallback(evaluation, n_eval_episodes=4, eval_freq=30, log_path=str(tmp_path / "ev"), verbose=0),
        Watch(),
    ]
    model.learn(200, callbacks, progress_bar=True, log_interval=10)
    assert len(list((tmp_path / "ck").glob("rl_model_*_steps.zip"))) == 2
    assert len(list((tmp_path / "ck").glob("*replay_buffer*"))) == 2
    assert len(np.load(tmp_path / "ev" / "evaluations.npz")["timesteps"]) >= 1
    assert list((tmp_path / "tb").rglob("events.out.tfevents.*"))
    steps = callbacks[2].steps
    assert steps == list(range(4, model.num_timesteps + 1, 4))  # once per n_envs steps, as a VecEnv would


def test_log_keys_are_namespaced_and_the_lag_always_shows():
    model = make()
    model.set_logger(configure(None, []))
    model.learn(150, log_interval=10**9)
    model.logger.dump = lambda step: None
    model.dump_logs()
    keys = set(model.logger.name_to_value)
    assert {key.split("/")[0] for key in keys} <= {"collect", "replay", "rollout", "train", "time", "eval"}
    assert {"collect/lags", "collect/invalid_reward_share", "collect/dropped_lag", "collect/success_rate"} <= keys
    assert {"train/kl_behaviour", "train/effective_sample_share", "time/learner_busy", "replay/evenness"} <= keys


def test_callbacks_and_stop_requests_end_learning_in_order():
    watch = Watch(stop_after=40)
    model = make().learn(10_000, watch)
    assert 40 <= watch.steps[-1] < 60 and model.fleet is None
    model = make()
    model.request_stop()
    assert model.learn(10_000).num_timesteps == 0
    assert model.learn(50).num_timesteps >= 50


def test_failed_and_late_trajectories_are_counted_and_never_enter_replay():
    model = make(phones=FakePhones(device="fail-fifth"))
    model.learn(150)
    counters = model.books.counters
    assert counters.failures > 0
    assert all(model.replay[int(id_)].reward_valid for id_ in model.replay.ids)
    assert counters.trajectories == counters.failures + model.books.gate.counts.admitted
    assert all(model.replay[int(id_)].instance % 5 for id_ in model.replay.ids)
    model.books.counters.version = 100
    late = episode([0, 1], name="late")
    held = len(model.replay)
    model.books.arrive(model.replay.files.put(late), model.replay, model.learner, 0.0)
    assert model.books.gate.counts.dropped == 1 and len(model.replay) == held


def test_steps_of_failed_episodes_are_not_new_steps():
    replay = {"capacity_steps": 10**6}
    for device in ("sim", "fail-half"):
        model = make(phones=FakePhones(device=device), config=fake_config(replay=replay)).learn(1200)
        sampled = model.books.counters.updates * model.config.algorithm.batch_steps
        # What was collected before the first update is sampled from, but no update belongs to it.
        ratio = sampled / (model.replay.steps - model.learning_starts)
        assert ratio == pytest.approx(model.config.algorithm.replay_ratio, rel=0.1), device
        assert 1200 <= model.num_timesteps < 1300
        assert model.books.counters.new_steps == model.replay.steps
    assert model.num_timesteps - model.replay.steps > 400


def test_a_budget_that_failures_use_up_ends_learning_without_an_update_that_nobody_paid_for():
    model = make(phones=FakePhones(device="fail-half"), seed=1)
    model.learn(40)
    assert model.num_timesteps >= 40 and model.books.counters.updates == 0 and not model.books.counters.values_fitted


def test_arrivals_that_are_too_late_or_known_are_no_new_steps():
    model = make()
    model.books.counters.version = 100
    put = model.replay.files.put
    late, known = put(episode([0, 1, 2], name="late")), put(episode([0, 1, 2], name="known", seed=1))
    model.replay.add(episode([0, 1, 2], name="known"))
    assert model.books.arrive(late, model.replay, model.learner, 0.0) == 0
    assert model.books.arrive(known, model.replay, model.learner, 0.0) == 0
    model.books.counters.version = 0
    fresh = put(episode([0, 1, 2], name="fresh"))
    assert model.books.arrive(fresh, model.replay, model.learner, 0.0) == 2 == model.books.counters.new_steps


def test_leftovers_of_a_killed_learner_are_late_by_the_weights_that_lie_between_not_by_their_numbers():
    model = make()
    books, put = model.books, model.replay.files.put

    def lag_of(version):
        name = f"of-{version}-{books.counters.version}"
        made = episode([0, 1], name=name)
        steps = tuple(msgspec.structs.replace(step, version=version) for step in made.steps)
        before = books.gate.counts.histogram.copy()
        books.arrive(put(msgspec.structs.replace(made, steps=steps)), model.replay, model.learner, 0.0)
        (lag,) = [lag for lag, count in books.gate.counts.histogram.items() if count > before.get(lag, 0)]
        return lag

    books.counters.version = 100  # the checkpoint's; the killed learner had published up to 130
    books.jump_to(131)
    assert [lag_of(version) for version in (97, 100, 104, 130, 131)] == [3, 0, 0, 0, 0]
    books.counters.version = 133
    assert [lag_of(version) for version in (98, 100, 130, 131, 133)] == [4, 2, 2, 2, 0]
    # Each `learn` that ends before anything arrives makes a number, and no other weights.
    for version in range(134, 140):
        books.jump_to(version)
    assert [lag_of(version) for version in (98, 130, 132, 133, 136, 139)] == [4, 2, 1, 0, 0, 0]


def test_predict_remembers_frames_and_action_texts():
    policy = FakePolicy()
    model = make(policy, config=fake_config(policy={"frames": 2, "history": 1}))
    batch = {"screenshot": np.stack([colour_frame(0), colour_frame(1)]), "instruction": np.array(["a", "b"], object)}
    actions, state = model.predict(batch, deterministic=True)
    assert len(actions) == 2 and all(action in TOKENS for action in actions)
    policy.shown.clear()
    model.predict(batch, state, np.array([True, False]), deterministic=True)
    assert [len(shown.frames) for shown in policy.shown] == [1, 2]
    assert policy.shown[0].history == () and len(policy.shown[1].history) == 1


def test_a_seed_makes_sampled_predictions_and_the_order_of_learning_repeat():
    model = make().learn(100)
    batch = {"screenshot": np.stack([colour_frame(i % 4) for i in range(32)]), "instruction": np.array(["a"] * 32)}
    steps = model.num_timesteps

    def predicted():
        return [*model.predict(batch)[0], *model.predict(batch)[0]]

    model.set_random_seed(7)
    first, batches = predicted(), model.replay.sample(model._generator, n_steps=32, beta=1.0)
    model.set_random_seed(None)
    assert predicted() != first
    model.set_random_seed(7)
    assert predicted() == first
    again = model.replay.sample(model._generator, n_steps=32, beta=1.0)
    assert [one.id for one in again.trajectories] == [one.id for one in batches.trajectories]
    model.set_random_seed(8)
    assert predicted() != first
    assert model.num_timesteps == steps and model.seed == 3


def test_values_are_fitted_before_the_first_policy_step():
    model = make(config=fake_config(warmup={"value_steps": 120}))
    assert model.learning_starts == 120
    model.learn(100)
    assert model.books.counters.updates == 0 and not model.books.counters.values_fitted
    model.learn(60, reset_num_timesteps=False)
    assert model.books.counters.values_fitted and model.books.counters.updates > 0


def test_phone_vec_env_follows_sb3():
    phones = FakePhones(2)
    assert phones._pool is None
    assert phones.env_is_wrapped(gym.Wrapper) == [False, False]
    with pytest.raises(AttributeError, match="another PhoneVecEnv"):
        phones.set_attr("x", 1)
    first = phones.reset()
    assert first["screenshot"].shape == (2, *SCREEN, 3) and first["instruction"].shape == (2,)
    done = np.array([False, False])
    for _ in range(6):
        _, rewards, done, infos = phones.step([TOKENS[4], TOKENS[5]])
        if done[1]:
            break
    assert done.all() and rewards.tolist() == [0.0, 0.0]
    assert infos[1]["episode"]["l"] == 6 and infos[0]["episode"]["l"] == 1
    assert infos[0]["terminal_observation"]["screenshot"].shape == (*SCREEN, 3)
    assert not infos[0]["TimeLimit.truncated"]
    phones.close()
    phones.close()
    with pytest.raises(ValueError, match="at least 1"):
        PhoneVecEnv(0)


@pytest.mark.slow
def test_process_fleet_trains_while_collectors_run(tmp_path, monkeypatch):
    make_fleet = algorithm.make_fleet

    def with_fakes(*args, **kwargs):
        fleet = make_fleet(*args, **kwargs)
        assert isinstance(fleet, ProcessFleet)
        fleet._build = build_fake
        return fleet

    monkeypatch.setattr(algorithm, "make_fleet", with_fakes)
    config: RunConfig = fake_config(fleet={"kind": "process", "collectors": 1}, algorithm={"lr": 1e-2})
    model = make(config=config, folder=tmp_path)
    model.learn(1500)
    counts = model.books.gate.counts
    assert model.num_timesteps >= 1500 and model.books.counters.version > 3
    assert counts.max_lag_admitted <= config.staleness.max_lag
    assert counts.dropped <= 0.05 * model.books.counters.trajectories
    assert 0 < model.busy()["learner"] <= 1 and 0 < model.busy()["collectors"] <= 1
    assert not list(tmp_path.glob("refused/*"))


@pytest.mark.slow
def test_the_tiny_policy_on_the_embedded_phone_is_reproducible_bit_for_bit():
    config = fake_config(
        env={"max_steps": 5},
        policy={"model": "tiny-untrained"},
        algorithm={"lr": 2e-4, "cloning_coef": 0.1, "cloning_batch": 4, "minibatch": 16},
        warmup={"epochs": 1},
    )
    spec = EnvSpec(suite="starter", max_steps=5)
    runs = []
    for _ in range(2):
        policy = load_policy(config.policy, seed=0)
        found = record_demonstrations(12, spec, policy, view=View(), seed=0)
        clone(policy, found, config.warmup, view=View(), seed=0)
        runs.append(DistRL(policy, PhoneVecEnv([spec] * 8), config=config, demonstrations=found).learn(60))
    assert runs[0].books.counters.updates >= 2 and runs[0].books.counters.failures == 0
    assert weights_equal(*runs)
    assert len({step.version for item in runs[0].books.recent for step in item.steps}) > 1
    assert all(item.template in runs[0].books.curriculum.templates for item in runs[0].books.recent)
