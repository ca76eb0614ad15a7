"""Real devices in the trainer: which phones a run has, who sits out; `eval`, `collect`, `devices` on served phones."""

import json

import pytest
from judge_fakes import serve_judge
from runtime_fakes import fake_spec

from android_env_gym.devices.config import AdbConfig, EmulatorConfig
from android_env_gym.devices.make import DeviceUnavailableError
from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.server import AdbServer
from android_env_gym.phone.phone import SimPhone
from android_env_gym.vector import AsyncEnvPool
from distrl_trainer import cli, phones
from distrl_trainer.config import EnvConfig
from distrl_trainer.evaluation import RandomActor
from distrl_trainer.inspect_html import load_trajectories
from distrl_trainer.phones import PhonesError, check_playable, env_spec, env_specs, open_pool, workers_for
from distrl_trainer.quarantine import AFTER, FIRST_SECONDS, LONGEST_SECONDS, Quarantine
from distrl_trainer.settings import load_config, to_yaml


def test_embedded_phones_are_as_many_as_wanted_and_real_ones_as_many_as_named():
    specs = env_specs(EnvConfig(), "test", 5)
    assert [spec.device for spec in specs] == ["sim"] * 5 and workers_for(specs) == 0
    named = EnvConfig(device="adb:A, adb:192.168.1.5:5555,emulator:P,emulator:P", adb=AdbConfig(reset="clear"))
    specs = env_specs(named, "train", 99)
    assert [spec.device for spec in specs] == ["adb:A", "adb:192.168.1.5:5555", "emulator:P", "emulator:P"]
    assert workers_for(specs) == 4 and all(spec.adb == named.adb for spec in specs)
    assert env_spec(named, "train").device == "adb:A"
    with pytest.raises(ValueError, match="given twice: adb:A"):
        env_specs(EnvConfig(device="adb:A,adb:A"), "train", 1)


def test_a_device_is_a_setting_of_yaml_and_of_the_command_line(tmp_path):
    words = ["--env.device", "adb:A,adb:B", "--env.adb.reset", "clear", "--env.adb.packages", "com.a", "com.b"]
    config = load_config(None, words)
    assert config.env.adb.packages == ("com.a", "com.b") and config.env.adb.reset == "clear"
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config


def test_a_phone_that_fails_again_and_again_sits_out_for_longer_and_longer():
    now = [0.0]
    quarantine = Quarantine(3, lambda: now[0])
    for _ in range(AFTER):
        assert quarantine.fit([2, 0, 1]) == [0, 1, 2]
        quarantine.record(1, failed=True)
    assert quarantine.fit([2, 0, 1]) == [0, 2]
    now[0] += FIRST_SECONDS
    assert quarantine.fit([0, 1]) == [0, 1]
    quarantine.record(1, failed=True)
    now[0] += FIRST_SECONDS
    assert quarantine.fit([0, 1]) == [0]
    now[0] += FIRST_SECONDS
    assert quarantine.fit([0, 1]) == [0, 1]
    for _ in range(20):
        quarantine.record(1, failed=True)
    now[0] += LONGEST_SECONDS
    assert quarantine.fit([1]) == [1]
    quarantine.record(1, failed=False)
    quarantine.record(1, failed=True)
    assert quarantine.fit([1]) == [1]


def test_nobody_sits_out_when_no_phone_is_well():
    quarantine = Quarantine(2, lambda: 0.0)
    for phone in (0, 1):
        for _ in range(AFTER):
            quarantine.record(phone, failed=True)
    assert quarantine.fit([0, 1]) == [0, 1]
    quarantine.record(0, failed=False)
    assert quarantine.fit([0, 1]) == [0]


def test_one_lost_phone_does_not_stop_the_others(monkeypatch):
    from distrl_trainer import evaluation

    def pool(env, split, count):
        return AsyncEnvPool([fake_spec("dead"), fake_spec(), fake_spec()])

    class Item:
        id, needs_world = "a.x", True

        def splits(self):
            return ("test",)

    monkeypatch.setattr(evaluation, "open_pool", pool)
    monkeypatch.setattr(evaluation, "suite_templates", lambda name: (Item(),))
    result = evaluation.evaluate(RandomActor(0), EnvConfig(), split="test", episodes=24, seed=0, envs=3)
    assert result.success.n == 24 and result.unjudged == 0
    assert AFTER <= result.infra_errors <= AFTER + 1


def test_devices_that_are_away_are_left_out_and_none_at_all_is_an_error(monkeypatch, caplog):
    away = {"adb:A": "device A did not appear", "adb:B": "device B is 'offline'"}
    monkeypatch.setattr(phones, "_missing", lambda names: {name: away[name] for name in names if name in away})
    with pytest.raises(PhonesError, match="A did not appear; device B is 'offline'"):
        open_pool(EnvConfig(device="adb:A,adb:B"), "test", 1)
    opened = []
    monkeypatch.setattr(phones, "AsyncEnvPool", lambda specs, **more: opened.append((specs, more)))
    open_pool(EnvConfig(device="adb:A,adb:C"), "test", 1)
    ((specs, more),) = opened
    assert [spec.device for spec in specs] == ["adb:C"] and more["workers"] == 1
    assert "going on without it: device A did not appear" in caplog.text


def test_a_device_that_cannot_exist_is_refused_before_a_worker_starts(monkeypatch, tmp_path):
    (tmp_path / "tasks.txt").write_text("Open the clock\n")
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    wanted = {"suite": f"instructions:{tmp_path / 'tasks.txt'}", "judge": "vlm:m@http://127.0.0.1:1/v1"}
    for device, message in {
        "adb:A,emulator:Pixel": "device 'emulator:Pixel': no Android emulator found",
        "adb:A,adb:A": "given twice: adb:A",
        "adb:A,adb": "which one",
        "adb:A,abd:B": "did you mean 'adb'",
    }.items():
        with pytest.raises(ValueError, match=message) as caught:
            check_playable(EnvConfig(device=device, **wanted))
        assert cli.is_expected(caught.value), "the command line explains it in one line"
    writable = AdbConfig(emulator=EmulatorConfig(read_only=False, data_root=str(tmp_path)))
    with pytest.raises(DeviceUnavailableError, match="given twice: emulator:P"):
        check_playable(EnvConfig(device="emulator:P,emulator:P", adb=writable, **wanted))


# --- on served phones ---


@pytest.fixture
def judge():
    with serve_judge(lambda body: True) as server:
        yield server.name


@pytest.fixture
def two_phones(adb_host):
    with AdbServer(ServedPhone(SimPhone(seed=1))) as first, AdbServer(ServedPhone(SimPhone(seed=2))) as second:
        yield first, second
        for server in (first, second):
            adb_host.run("disconnect", server.serial)


@pytest.mark.slow
def test_eval_and_collect_run_on_several_devices_at_once(two_phones, judge, tmp_path, capsys):
    tasks = tmp_path / "tasks_test.txt"
    tasks.write_text("Open the clock\nOpen the settings\nShow my contacts\n")
    names = ",".join(f"adb:{server.serial}" for server in two_phones)
    settings = [
        *("--suite", f"instructions:,{tasks}", "--split", "test", "--episodes", "4", "--json"),
        *("--env.device", names, "--env.judge", judge, "--env.judge_at", "step", "--env.max_steps", "2"),
        *("--env.adb.settle.react_seconds", "0"),
    ]
    starts = [server.served.phone.state.now for server in two_phones]
    assert cli.main(["eval", "--policy", "random", *settings]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["success"]["k"] == report["success"]["n"] == 4 and report["infra_errors"] == 0
    assert all(server.served.phone.state.now > start for server, start in zip(two_phones, starts, strict=True))
    assert cli.main(["collect", "--policy", "random", "--out", str(tmp_path / "out"), *settings]) == 0
    capsys.readouterr()
    found = load_trajectories(tmp_path / "out")
    assert len(found) == 4 and all(item.success and item.reward_valid and len(item.frames) >= 2 for item in found)


@pytest.mark.slow
def test_training_on_several_devices(two_phones, judge, tmp_path, capsys):
    (tmp_path / "all_train.txt").write_text("Open the clock\nOpen the settings\nShow my contacts\n")
    (tmp_path / "all_test.txt").write_text("Open the notes\nShow my messages\n")
    settings = [
        *("--env.suite", f"instructions:{tmp_path}", "--env.judge", judge, "--env.judge_at", "step"),
        *("--env.device", ",".join(f"adb:{server.serial}" for server in two_phones), "--env.max_steps", "2"),
        *("--env.adb.settle.react_seconds", "0", "--policy.model", "tiny-untrained"),
        *("--warmup.demonstrations", "0", "--warmup.value_steps", "4"),
        *("--run.total_env_steps", "24", "--run.eval_every_env_steps", "8"),
        *("--replay.min_steps", "4", "--algorithm.batch_steps", "4", "--algorithm.minibatch", "4"),
        *("--eval.episodes", "4", "--eval.validation_episodes", "2", "--run.tensorboard", "False"),
    ]
    assert cli.main(["train", "--out", str(tmp_path / "run"), "--json", *settings]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["env_steps"] >= 24 and summary["infra_errors"] == 0 and summary["updates"] > 0
    # How many fit in between depends on how many steps arrive at once; the first and the last are always there.
    validated = [point["env_steps"] for point in summary["curve"]]
    assert validated[0] == 0 and validated[-1] >= 24 and len(validated) >= 3
    assert all(point["rate"]["n"] == 2 for point in summary["curve"])


def test_devices_lists_what_is_attached_as_json_and_as_a_table(two_phones, adb_host, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    first, second = two_phones
    for server in two_phones:
        adb_host.run("connect", server.serial)
    second.served.properties["sys.boot_completed"] = ""
    assert cli.main(["devices", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["device"]: row for row in report["devices"]}
    assert rows[f"adb:{first.serial}"]["usable"] and rows[f"adb:{first.serial}"]["size"] == [540, 1200]
    assert rows[f"adb:{second.serial}"]["reason"] == "it has not finished booting"
    assert report["avds"] == [] and "sdkmanager" in report["emulator"]
    assert cli.main(["devices"]) == 0
    assert f"adb:{first.serial}" in capsys.readouterr().out


def test_a_device_that_is_not_there_is_one_line(adb_host, judge, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("android_env_gym.devices.health.absent_devices.__defaults__", (0.5,))
    tasks = tmp_path / "tasks_test.txt"
    tasks.write_text("Open the clock\n")
    words = ["--suite", f"instructions:,{tasks}", "--env.judge", judge, "--env.device", "adb:NOSUCHPHONE"]
    assert cli.main(["eval", "--policy", "random", "--episodes", "2", *words]) == 1
    assert "device NOSUCHPHONE did not appear" in capsys.readouterr().err.strip().splitlines()[-1]
