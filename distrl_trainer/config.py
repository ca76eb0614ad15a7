"""The settings of a run: frozen structs that are at once the YAML schema and the command line.

Importing this module costs no torch. The defaults train the built-in model on suite `starter` in at most 20 minutes
on two cores. Bounds hold for whatever `distrl_trainer.settings.load_config` returns. Callers: every constructor that
takes one of the sections.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from android_env_gym.devices.config import AdbConfig
from distrl_trainer.shaping import ShapingConfig

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Unit = Annotated[float, Meta(ge=0, le=1)]
NonNegative = Annotated[float, Meta(ge=0)]
PositiveFloat = Annotated[float, Meta(gt=0)]

AlgorithmName = Literal["aride", "vtrace", "td0", "clone-only"]
Ablation = Literal["dper", "retrace", "entropy", "penalty", "async", "curriculum", "bc"]
Advantage = Literal["std", "raw", "centred", "indicator"]
Estimate = Literal["retrace", "monte-carlo"]
Baseline = Literal["value", "task_ema", "both"]
ValueLoss = Literal["huber", "bce"]


class EnvConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The environment: the keyword arguments of `gym.make("AndroidTask-v0", ...)`."""

    device: str = "sim"
    """"sim"; or real devices, each in a worker process of its own: "adb:SERIAL" or "emulator:AVD", several separated by
    commas ("adb:R58M12ABCDE,adb:192.168.1.5:5555"). An AVD is named as often as instances of it are wanted."""
    suite: str = "starter"
    """Task suite (`python -m android_env_gym list` names them), or instruction files: "instructions:LIST.txt",
    "instructions:TRAIN.txt,TEST.txt", "instructions:FOLDER"."""
    judge: str = "state"
    """Who decides success: "state" (needs a simulated phone and tasks of its own), "vlm:MODEL@URL", or "module:Class",
    a judge of your own, made without arguments."""
    judge_at: Literal["", "step", "finish"] = ""
    """When success is judged; empty leaves it to the task."""
    side_effects: Literal["fail", "report"] = "fail"
    """Whether the judge "state" denies success while something was deleted, overwritten, sent or switched that the task
    did not ask for, or the goal alone counts and side effects are only counted."""
    max_steps: Positive = 10
    """Actions after which an episode ends without success."""
    screen: tuple[Positive, Positive] = (448, 224)
    """Observation (height, width) in pixels."""
    step_timeout: PositiveFloat = 60.0
    """Seconds after which a worker's step counts as hung (longer where the bounds in `adb` allow more)."""
    adb: AdbConfig = AdbConfig()
    """How real devices and emulators are driven, and how an episode starts there."""


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The model and how it is tuned."""

    model: str = "tiny"
    """"tiny" (built in, grounded), "tiny-untrained", a folder written by `save_pretrained`, or a hub id."""
    tuning: Literal["auto", "full", "lora"] = "auto"
    """What learns; "auto": all of the tiny model but its reading (stem and spelling), adapters in any other."""
    lora_rank: Positive = 16
    """Rank of the adapters."""
    lora_alpha: PositiveFloat = 32.0
    """Scale of the adapters (alpha / rank multiplies them)."""
    lora_dropout: Unit = 0.0
    """Dropout inside the adapters while learning."""
    lora_targets: tuple[str, ...] = ()
    """Module names that get adapters; empty: the q, k, v and o projections found."""
    codec: Literal["compact", "autoui"] = "compact"
    """Text format of actions."""
    frames: Positive = 1
    """Screenshots shown, newest last."""
    history: Count = 2
    """Texts of the last actions shown, newest last."""
    max_new_tokens: Positive = 48
    """Longest action in tokens."""
    device: str = "auto"
    """torch device; "auto": a GPU if there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number type of the weights."""


class AlgorithmConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Losses and optimisation of A-RIDE (arXiv 2410.14803); names follow the formulas of the documentation."""

    name: AlgorithmName = "aride"
    """A-RIDE, or a baseline as settings of the same trainer (`PRESETS`); "clone-only" is the control arm without RL."""
    without: tuple[Ablation, ...] = ()
    """Ingredients switched off (`ABLATIONS`), for ablation studies."""
    gamma: Unit = 0.95
    """Discount per step."""
    lambda_: Unit = 0.9
    """Trace decay of Retrace: 1 is V-trace, 0 is TD(0)."""
    rho_bar: PositiveFloat = 1.0
    """Upper clip of pi_old / mu in the policy loss."""
    clip_eps: PositiveFloat = 0.2
    """PPO clip of pi / pi_old; acts with several gradient steps per batch only."""
    entropy_coef: NonNegative = 0.003
    """beta: weight of the per-token entropy bonus."""
    invalid_coef: NonNegative = 0.01
    """eta: weight of the term that lowers the probability of invalid actions."""
    cloning_coef: NonNegative = 0.1
    """kappa: weight of the cloning term on the warm start's demonstrations."""
    cloning_batch: Count = 16
    """Demonstration steps beside each minibatch of the policy loss."""
    advantage: Advantage = "std"
    """Divided by its standard deviation, as it is, also centred, or 1 where positive."""
    advantage_estimate: Estimate = "retrace"
    """Retrace, or without its correction the plain return ("monte-carlo"); V is fitted by Retrace either way."""
    advantage_baseline: Baseline = "value"
    """What stands for the value of a state in advantages: V(s), a running mean per template, or half of each."""
    negative_advantage_scale: Unit = 0.3
    """Factor on negative advantages."""
    lr: PositiveFloat = 2e-4
    """Learning rate of the policy (AdamW)."""
    value_lr: PositiveFloat = 1e-3
    """Learning rate of the value head."""
    value_coef: NonNegative = 0.5
    """Weight of the value loss."""
    value_loss: ValueLoss = "huber"
    """Huber on returns, or cross-entropy to 1{return > 0} (only with gamma 1 and rewards 0/1)."""
    value_trunk_gradient: bool = False
    """Whether the value loss reaches the policy's trunk."""
    batch_steps: Positive = 256
    """Environment steps drawn from replay per batch."""
    minibatch: Positive = 64
    """Steps per optimizer step."""
    micro_batch: Count = 0
    """Steps per forward and backward pass, also of cloning: what memory holds; changes no gradient. 0: a minibatch."""
    epochs_per_batch: Positive = 1
    """Passes over each batch."""
    updates_per_version: Positive = 1
    """Batches learned between two published weight versions."""
    replay_ratio: PositiveFloat = 2.0
    """Steps learned from per step collected: above it the learner waits, below it collectors are held back."""
    max_grad_norm: PositiveFloat = 1.0
    """Clip of the gradient's norm."""


class ReplayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Prioritised replay of whole trajectories (DPER)."""

    prioritised: bool = True
    """Whether sampling follows priorities; False: uniform."""
    capacity_steps: Positive = 4_000
    """Steps kept; the oldest trajectories leave."""
    min_steps: Count = 512
    """Steps collected before the first update."""
    cache_mib: Count = 256
    """MiB of trajectories kept in memory (some 7,000 steps of the embedded phone); others are read from their files."""
    alpha: Unit = 0.5
    """Exponent of priorities: 0 is uniform."""
    beta_start: Unit = 0.4
    """First exponent of the importance weights; reaches 1 after `beta_steps`."""
    beta_steps: Positive = 24_000
    """Environment steps over which the exponent rises; apart from the run's length, which may be extended."""
    w_delta: NonNegative = 1.0
    """w1: weight of the mean absolute TD error."""
    w_rho: NonNegative = 0.5
    """w2: weight of the mean importance ratio."""
    w_entropy: NonNegative = 0.5
    """w3: weight of the mean negative log-probability per token."""
    rho_max: PositiveFloat = 10.0
    """Clip of the ratios that enter priorities."""
    epsilon: PositiveFloat = 0.01
    """Added to every priority before the exponent."""
    refresh_share: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Share of each batch given to the trajectories whose priority is oldest."""


class StalenessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How far behind the learner a trajectory may be when it arrives."""

    max_lag: Positive = 4
    """Versions; later arrivals are dropped and counted."""


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who collects."""

    kind: Literal["serial", "process"] = "process"
    """In turn with the learner (reproducible bit for bit), or in processes of their own."""
    collectors: Positive = 1
    """Collector processes."""
    envs_per_collector: Positive = 16
    """Phones per collector, batched over whoever is ready."""
    curriculum: bool = True
    """Whether templates are drawn by p(1-p) of their running success; False: uniformly."""
    curriculum_uniform: Unit = 0.2
    """Share of draws that stay uniform."""
    restarts: Count = 10
    """How often collectors that died or hang are replaced before the run fails."""
    restart_hours: PositiveFloat = 24.0
    """Hours in which all restarts are given back, while episodes succeed: a death a day ends no run."""
    start_seconds: PositiveFloat = 900.0
    """Seconds that a collector may take until it has its phones and its policy (loading a large model, booting)."""
    act_seconds: PositiveFloat = 300.0
    """Seconds that acting on one batch may take, newer weights included; a collector that is silent for as long and
    for `env.step_timeout` is replaced."""


class WarmupConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The supervised start: cloning of oracle demonstrations of train goals."""

    weights: str = ""
    """Folder with a policy to start from instead of warming up (for instance another run's `warm/`)."""
    demonstrations: Count = 96
    """Episodes of the oracle; none is drawn once RL has started. 0: start from the model as it is."""
    trajectories: str = ""
    """Folder of recorded trajectories to clone instead of asking the oracle."""
    lr: PositiveFloat = 6e-4
    """Peak learning rate of cloning."""
    batch: Positive = 32
    """Samples per gradient step."""
    epochs: Positive = 40
    """Passes over the demonstrations, while the learning rate falls: enough for the validation loss to flatten."""
    validation_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1
    """Share of the demonstrations held out to see the loss flatten."""
    value_steps: Count = 1024
    """Environment steps of the warm policy on which the value head is fitted before RL."""


class EvalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluation with greedy decoding."""

    split: Literal["train", "test", "unseen-template"] = "test"
    """Goals of the reported success rates."""
    episodes: Positive = 480
    """Episodes per reported rate, spread evenly over the templates."""
    envs: Positive = 32
    """Phones evaluated at once."""
    seed: Count = 0
    """Picks the task instances; the same for every policy, so that rates are paired."""
    validation_episodes: Count = 144
    """Episodes on train goals that choose the final policy; 0: the last one is final."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The run itself."""

    seed: Count = 0
    """Seed of every random draw."""
    threads: Positive = 1
    """torch threads per process; results are bit-stable per thread count."""
    total_env_steps: Positive = 24_000
    """Environment steps of RL."""
    control_updates: Count = 0
    """Gradient batches of `clone-only`; 0: as many as RL makes with these settings."""
    control_seconds: NonNegative = 0.0
    """Wall-clock of `clone-only` instead: what the run compared with took for RL; 0: counted in updates."""
    save_every_env_steps: Positive = 4_000
    """Steps between checkpoints."""
    eval_every_env_steps: Positive = 4_000
    """Steps between validations (`eval.validation_episodes`)."""
    keep_checkpoints: Positive = 2
    """Checkpoints kept; older ones are removed after a newer one is complete."""
    record_episodes: Count = 6
    """Evaluation episodes written to `episodes/`."""
    tensorboard: bool = True
    """Whether TensorBoard events are written."""
    out: str = ""
    """Folder of the run."""


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run; every field can be set in YAML and as `--section.field value`."""

    env: EnvConfig = EnvConfig()
    """The environment."""
    policy: PolicyConfig = PolicyConfig()
    """The model."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    """Losses and optimisation."""
    shaping: ShapingConfig = ShapingConfig()
    """Penalties beside the task's reward, in training only."""
    replay: ReplayConfig = ReplayConfig()
    """Prioritised replay."""
    staleness: StalenessConfig = StalenessConfig()
    """Bound on the collection lag."""
    fleet: FleetConfig = FleetConfig()
    """Collectors."""
    warmup: WarmupConfig = WarmupConfig()
    """Supervised start."""
    eval: EvalConfig = EvalConfig()
    """Evaluation."""
    run: RunSettings = RunSettings()
    """The run itself."""


PRESETS: dict[str, dict[str, dict[str, object]]] = {
    "aride": {},
    "vtrace": {"algorithm": {"lambda_": 1.0}},
    "td0": {"algorithm": {"lambda_": 0.0}},
    "clone-only": {},
}
"""Settings that `algorithm.name` puts below those given explicitly beside it, in a file or on the command line.
"clone-only" keeps all of them: it differs in what runs, not in how."""

ABLATIONS: dict[str, dict[str, dict[str, object]]] = {
    "dper": {"replay": {"prioritised": False}},
    "retrace": {"algorithm": {"advantage_estimate": "monte-carlo"}},
    "entropy": {"algorithm": {"entropy_coef": 0.0}},
    "penalty": {"algorithm": {"invalid_coef": 0.0}, "shaping": {"invalid": 0.0, "empty_type": 0.0, "repeat": 0.0}},
    "async": {"fleet": {"kind": "serial"}},
    "curriculum": {"fleet": {"curriculum": False}},
    "bc": {"algorithm": {"cloning_coef": 0.0}},
}
"""Settings that each name in `algorithm.without` puts below those given explicitly beside it."""
