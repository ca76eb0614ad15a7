"""Settings: layers, bounds, suggestions, the YAML round trip, and that reading them costs no torch."""

import subprocess
import sys

import msgspec
import pytest

from distrl_trainer.config import ABLATIONS, PRESETS, RunConfig
from distrl_trainer.settings import ConfigError, OverrideError, load_config, nearest, to_yaml, validated


def test_defaults_satisfy_their_own_bounds():
    assert validated(RunConfig()) == RunConfig() == load_config()


def test_overrides_beat_yaml_and_yaml_beats_preset(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "algorithm:\n  name: td0\n  without: [dper, bc]\n  cloning_coef: 0.5\n  lr: 2e-4\nrun:\n  seed: 3\n"
    )
    config = load_config(path, ["--run.seed", "7", "--fleet.curriculum", "False"])
    assert config.algorithm.lambda_ == 0.0  # the preset
    assert not config.replay.prioritised  # an ablation
    assert config.algorithm.cloning_coef == 0.5  # the file beats the ablation "bc"
    assert config.algorithm.lr == 2e-4  # YAML 1.1 reads this as a string
    assert config.run.seed == 7
    assert not config.fleet.curriculum


def test_preset_named_on_the_command_line_applies():
    assert load_config(None, ["--algorithm.name", "vtrace"]).algorithm.lambda_ == 1.0
    assert load_config(None, ["--algorithm.name", "vtrace", "--algorithm.lambda_", "0.7"]).algorithm.lambda_ == 0.7


@pytest.mark.parametrize("before", [[], ["--algorithm.name", "td0", "--algorithm.without", "entropy", "async"]])
@pytest.mark.parametrize(
    "words",
    [
        ["--algorithm.name", "vtrace"],
        ["--algorithm.name", "aride", "--algorithm.without", "dper"],
        ["--algorithm.name=td0", "--algorithm.without", "bc"],
        ["--algorithm.name", "vtrace", "--algorithm.without", "dper", "--algorithm.lambda_", "0.7"],
    ],
)
def test_presets_on_the_command_line_beat_a_complete_file(tmp_path, before, words):
    path = tmp_path / "full.yaml"
    path.write_text(to_yaml(load_config(None, [*before, "--run.seed", "3"])))
    without = [] if "--algorithm.without" in words else before[2:]
    assert load_config(path, words) == load_config(None, [*words, *without, "--run.seed", "3"])


def test_a_file_keeps_its_own_values_where_the_command_line_names_another_preset(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("algorithm:\n  name: vtrace\n  lambda_: 0.8\n  advantage_estimate: retrace\n  without: [bc]\n")
    assert load_config(path, ["--algorithm.name", "aride"]).algorithm.lambda_ == 0.8
    replaced = load_config(path, ["--algorithm.without", "retrace"]).algorithm
    assert (replaced.advantage_estimate, replaced.lambda_) == ("monte-carlo", 0.8)
    assert replaced.cloning_coef == load_config().algorithm.cloning_coef


def test_a_micro_batch_above_the_minibatch_is_refused():
    with pytest.raises(ConfigError, match="micro_batch 65 exceeds"):
        load_config(None, ["--algorithm.micro_batch", "65"])
    assert load_config(None, ["--algorithm.micro_batch", "8"]).algorithm.minibatch == 64


def test_every_preset_and_ablation_names_real_fields():
    for layers in (PRESETS, ABLATIONS):
        for values in layers.values():
            for section, fields in values.items():
                allowed = set(msgspec.to_builtins(getattr(RunConfig(), section)))
                assert set(fields) <= allowed


def test_yaml_round_trip(tmp_path):
    config = load_config(None, ["--algorithm.without", "entropy", "--env.screen", "224", "112"])
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algorithm:\n  gama: 0.9\n", "unknown key algorithm.gama; did you mean gamma"),
        ("algoritm: {}\n", "unknown key algoritm; did you mean algorithm"),
        ("algorithm:\n  lr: -1\n", "algorithm.lr: Expected float > 0"),
        ("algorithm:\n  name: foo\n", "algorithm.name"),
        ("env: 3\n", "must be a section"),
        ("- 1\n", "holds a list"),
        ("env: [\n", "is not YAML"),
        ("algorithm:\n  value_loss: bce\n", "gamma 1"),
    ],
)
def test_a_wrong_file_is_explained_in_one_line(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_unknown_keys_can_be_ignored_with_a_warning(tmp_path, caplog):
    path = tmp_path / "run.yaml"
    path.write_text("warmup:\n  max_epochs: 9\n  epochs: 7\nold: {}\n")
    with pytest.raises(ConfigError, match=r"unknown key warmup\.max_epochs"):
        load_config(path)
    assert load_config(path, lenient=True) == load_config(None, ["--warmup.epochs", "7"])
    assert "unknown key warmup.max_epochs; unknown key old" in caplog.text
    path.write_text("env: 3\n")
    with pytest.raises(ConfigError, match="must be a section"):
        load_config(path, lenient=True)


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "small.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"did you mean .*small\.yaml"):
        load_config(tmp_path / "smal.yaml")


def test_bounds_hold_on_the_command_line_although_tyro_ignores_them():
    with pytest.raises(OverrideError, match=r"env\.max_steps: Expected int >= 1; got 0"):
        load_config(None, ["--env.max_steps", "0"])
    with pytest.raises(OverrideError, match=r"replay\.refresh_share: Expected float < 1"):
        load_config(None, ["--replay.refresh-share", "1"])


def test_nearest_lists_everything_if_nothing_is_close():
    assert nearest("xyz", ["alpha", "beta"]) == "allowed: alpha, beta"


def test_importing_settings_costs_no_torch():
    code = "import sys, distrl_trainer.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
