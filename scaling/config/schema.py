"""The dataclasses behind `conf/`: every key a user may set, with its unit and meaning.

Hydra merges YAML and command line into these, so a wrong key or type is refused while composing; values are
checked in `__post_init__`, which runs in `load` before anything trains. The text under a field is its help.
Corpus and tokenizer keys are declared in `scaling.config.corpus`.
"""

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from scaling.config.corpus import (
    BPETokenizer,
    BytesTokenizer,
    CorpusConfig,
    HubCorpus,
    LexiconCorpus,
    StdlibCorpus,
    TextCorpus,
    TokenizerConfig,
)
from scaling.errors import UserError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f"{key}={value}: choose one of {', '.join(choices)}")


# --- model ---------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class ModelConfig:
    """A decoder's shape: given in full, or left to the ladder by `target_params`."""

    target_params: float | None = None
    """Total parameters to aim at (embedding included); the ladder then chooses width, depth, heads and ffn_width."""
    width: int = 64
    """Residual stream width (d_model)."""
    depth: int = 3
    """Number of blocks."""
    heads: int | None = None
    """Query heads; null: width divided by the ladder's head width."""
    kv_heads: int | None = None
    """Key/value heads (grouped-query attention); null: as many as query heads."""
    ffn_width: int | None = None
    """Hidden width of the feed-forward network; null: 8/3 width for swiglu, 4 width for gelu."""
    ffn: str = "swiglu"
    """Feed-forward kind: swiglu (three matrices) or gelu (two)."""
    context: int = 128
    """Tokens a sequence (training and validation windows)."""
    tied_head: bool = True
    """Whether the output head shares the embedding's matrix."""
    qk_norm: bool = True
    """Whether queries and keys are RMS-normalised a head; steadies high learning rates."""
    rope_base: float = 10_000.0
    """Base of the rotary frequencies."""

    def __post_init__(self) -> None:
        _one_of("model.ffn", self.ffn, ("swiglu", "gelu"))
        for key in ("width", "depth", "context"):
            _require(getattr(self, key) >= 1, f"model.{key}={getattr(self, key)}: must be at least 1")
        if self.target_params is not None:
            _require(
                self.target_params >= 1000,
                f"model.target_params={self.target_params:g}: the ladder starts at 1000 parameters",
            )


# --- how it is trained ---------------------------------------------------------------------------------


@dataclass(kw_only=True)
class OptimConfig:
    """What every optimizer shares. Null values follow the rules in `scaling/training/optim.py`."""

    kind: str = MISSING
    """Name of the optimizer: adamw or muon. Part of every record, since it moves the law."""
    lr: float | None = None
    """Peak learning rate; null: lr_reference * (N / 1e5) ** -lr_exponent, with N total parameters."""
    lr_reference: float = MISSING
    """Peak learning rate of a model of 1e5 parameters."""
    lr_exponent: float = MISSING
    """How fast the peak learning rate falls with size."""
    batch_tokens: int | None = None
    """Tokens an optimizer step, the same throughout; null: growing with the tokens seen so far, in doublings,
    below batch_reference * (tokens seen / 1e6) ** batch_exponent."""
    batch_smallest: int = 512
    """Tokens a step at the start."""
    batch_reference: int = 1024
    """Tokens a step once 1e6 tokens were seen."""
    batch_exponent: float = 0.75
    """How fast the batch grows with the tokens seen; 0: batch_reference throughout."""
    weight_decay: float = 0.1
    """Decoupled weight decay, on matrices only."""
    beta1: float = 0.9
    """AdamW: decay of the first moment."""
    beta2: float = 0.95
    """AdamW: decay of the second moment."""
    eps: float = 1e-8
    """AdamW: added to the denominator."""
    grad_clip: float | None = 1.0
    """Largest global gradient norm; null: no clipping."""

    def __post_init__(self) -> None:
        for key in ("lr", "lr_reference", "batch_tokens", "batch_smallest", "batch_reference", "grad_clip"):
            value = getattr(self, key)
            _require(value is None or value > 0, f"optim.{key}={value}: must be positive")
        for key in ("beta1", "beta2"):
            value = getattr(self, key)
            _require(0 <= value < 1, f"optim.{key}={value}: must lie in [0, 1)")
        _require(
            self.batch_exponent >= 0, f"optim.batch_exponent={self.batch_exponent}: must not be negative"
        )
        _require(self.weight_decay >= 0, f"optim.weight_decay={self.weight_decay}: must not be negative")


@dataclass(kw_only=True)
class AdamWConfig(OptimConfig):
    """AdamW (Loshchilov and Hutter, 2019), fused."""

    kind: str = "adamw"
    lr_reference: float = 6e-3
    lr_exponent: float = 0.25


@dataclass(kw_only=True)
class MuonConfig(OptimConfig):
    """Muon (Jordan, 2024) on the hidden matrices, AdamW on embedding, head and norms."""

    kind: str = "muon"
    lr_reference: float = 3.8e-3
    lr_exponent: float = 0.35
    muon_lr_ratio: float = 3.0
    """Learning rate of the hidden matrices (orthogonalised updates) over that of the rest."""
    momentum: float = 0.95
    """Nesterov momentum of the hidden matrices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.muon_lr_ratio > 0, f"optim.muon_lr_ratio={self.muon_lr_ratio}: must be positive")
        _require(0 <= self.momentum < 1, f"optim.momentum={self.momentum}: must lie in [0, 1)")


@dataclass(kw_only=True)
class ScheduleConfig:
    """Learning rate over tokens, as a share of its peak."""

    kind: str = MISSING
    """Name of the schedule: wsd or cosine. Part of every record, since it moves the law."""
    warmup_tokens: float | None = None
    """Length of the linear warmup; null: warmup_tokens_per_param * N, at most a quarter of the smallest budget."""
    warmup_tokens_per_param: float = 1.0
    """Warmup tokens a parameter (Porian et al., 2024, warm up over N tokens)."""
    final_lr_fraction: float = 0.0
    """Learning rate at the end over what it would be without the decay."""

    def __post_init__(self) -> None:
        _require(
            self.warmup_tokens is None or self.warmup_tokens >= 0,
            f"schedule.warmup_tokens={self.warmup_tokens}: must not be negative",
        )
        _require(
            0 <= self.final_lr_fraction < 1,
            f"schedule.final_lr_fraction={self.final_lr_fraction}: must lie in [0, 1)",
        )


@dataclass(kw_only=True)
class WSDConfig(ScheduleConfig):
    """Warmup, stable, decay: one stable trunk serves several budgets, each a decaying branch of its own.

    Longer runs want lower rates (Bjorck et al., 2024, arXiv:2409.19913). A trunk that serves short runs and long ones
    gives both theirs where its rate fades with the steps taken.
    """

    kind: str = "wsd"
    decay_fraction: float = 0.2
    """Share of a run's tokens spent decaying, linearly, at its end."""
    fade_steps: int = 200
    """Steps at the peak; from then on the stable rate fades as a power of the steps taken."""
    fade_exponent: float = 0.35
    """How fast it fades: peak * (steps / fade_steps) ** -fade_exponent; 0: not at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            0 < self.decay_fraction <= 1,
            f"schedule.decay_fraction={self.decay_fraction}: must lie in (0, 1]",
        )
        _require(self.fade_steps >= 1, f"schedule.fade_steps={self.fade_steps}: must be at least 1")
        _require(
            0 <= self.fade_exponent < 1, f"schedule.fade_exponent={self.fade_exponent}: must lie in [0, 1)"
        )


@dataclass(kw_only=True)
class CosineConfig(ScheduleConfig):
    """Half a cosine from peak to final learning rate over the whole run: one budget a training job."""

    kind: str = "cosine"
    final_lr_fraction: float = 0.1


@dataclass(kw_only=True)
class TrainerConfig:
    """Handed to Lightning's Trainer, or kept beside it: where and how precisely a run is computed."""

    accelerator: str = "auto"
    """Lightning accelerator: auto, cpu, gpu, mps."""
    devices: int = 1
    """Devices a run; on the CPU, processes. Each has an equal share of every batch."""
    strategy: str = "auto"
    """How several devices share a run: ddp (each holds the whole model; also what auto means) or fsdp (each holds its
    share of weights, gradients and optimizer states)."""
    precision: str = "auto"
    """auto: 16 bits where they pay on the device, else float32 (`scaling/training/precision.py`); 32-true; bf16-mixed
    (float32 weights, bf16 products); bf16-master (bf16 throughout, and a float32 copy for the optimizer); or bf16-true.
    What auto stands for is part of every record."""
    compile: bool = False
    """Whether the model goes through torch.compile; pays back only on long runs."""
    threads: int | None = None
    """CPU threads a run; null: PyTorch's choice for `train`, one for each run of a sweep."""
    micro_batch_tokens: int | None = None
    """Tokens a forward pass on each device; null: the whole batch at once. Smaller means gradient accumulation."""
    deterministic: bool = True
    """Whether only deterministic algorithms may be used."""
    validation_batch_tokens: int = 16_384
    """Tokens a forward pass in validation."""
    log_every_seconds: float = 1.0
    """Time between two looks at the loss: progress, logger and the check for divergence. Steps that take a tenth of a
    second together are looked at together; 0: after every step."""
    curve_points: int = 200
    """Points of the training curve kept in the record's folder, evenly spaced in steps."""
    checkpoint_every_seconds: float | None = 60.0
    """Time between checkpoints of a run under way; 0: after every step; null: only where a branch leaves the trunk."""
    save_model: bool = True
    """Whether the trained weights of each run are kept beside its record."""

    def __post_init__(self) -> None:
        _one_of("trainer.strategy", self.strategy, ("auto", "ddp", "fsdp"))
        _one_of(
            "trainer.precision", self.precision, ("auto", "32-true", "bf16-mixed", "bf16-master", "bf16-true")
        )
        for key in ("devices", "threads", "micro_batch_tokens", "validation_batch_tokens", "curve_points"):
            value = getattr(self, key)
            _require(value is None or value >= 1, f"trainer.{key}={value}: must be at least 1")
        _require(
            self.devices == 1 or self.accelerator != "mps",
            f"trainer.devices={self.devices}: trainer.accelerator=mps is one device; set trainer.devices=1",
        )
        _require(
            self.devices == 1 or self.strategy != "fsdp" or not self.compile,
            "trainer.compile=true: not with trainer.strategy=fsdp; use trainer.strategy=ddp or trainer.compile=false",
        )


@dataclass(kw_only=True)
class LoggerConfig:
    """Where the training curve goes while it is made."""

    kind: str = "csv"
    """csv, tensorboard, wandb, mlflow or none; the last three but none are extras to install."""
    project: str = "scaling"
    """Project or experiment name, for loggers that have one."""
    uri: str | None = None
    """Tracking server of MLflow; null: files in the run's folder."""
    offline: bool = True
    """W&B: keep the log on this machine."""

    def __post_init__(self) -> None:
        _one_of("logger.kind", self.kind, ("csv", "tensorboard", "wandb", "mlflow", "none"))


@dataclass(kw_only=True)
class HardwareConfig:
    """The device whose peak and memory stand in plans; training itself measures its own."""

    name: str = "auto"
    """A name of the hardware catalogue (`scaling budget --help`), or auto: the device found."""


@dataclass(kw_only=True)
class Branch:
    """One run of a training job: the trunk decayed to this many tokens."""

    tokens: float = MISSING
    """Token budget of the run."""
    budget_flops: float | None = None
    """The compute budget that the run belongs to, in FLOPs; null: none."""


@dataclass(kw_only=True)
class TrainConfig:
    """One training job: one model, one trunk, one run for each branch."""

    name: str = "train"
    """Folder of the job under `out`."""
    out: str = "runs"
    """Folder of all runs."""
    seed: int = 0
    """Seeds initialisation and data order."""
    tokens: float = 1e6
    """Token budget of the run (ignored when `branches` are given)."""
    branches: list[Branch] = field(default_factory=list)
    """Several token budgets from one trunk (wsd only); empty: the one run of `tokens`."""
    cache: str = ".cache"
    """Folder of prepared corpora, made once and shared by all runs."""
    model: ModelConfig = field(default_factory=ModelConfig)
    corpus: CorpusConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    optim: OptimConfig = MISSING
    schedule: ScheduleConfig = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)

    def __post_init__(self) -> None:
        _require(self.tokens >= 1, f"tokens={self.tokens:g}: must be at least 1")
        _require(
            bool(self.name) and not self.name.startswith("/") and ".." not in Path(self.name).parts,
            f"name={self.name}: must be a plain folder name under out={self.out}",
        )
        budgets = [branch.tokens for branch in self.branches]
        _require(all(b >= 1 for b in budgets), f"branches={budgets}: every token budget must be at least 1")
        _require(
            sorted(set(budgets)) == budgets, f"branches={budgets}: token budgets must rise without repeats"
        )
        _require(
            len(budgets) <= 1 or self.schedule.kind == "wsd",
            f"schedule={self.schedule.kind}: several budgets share a trunk with wsd only; give one branch",
        )

    @property
    def folder(self) -> Path:
        """Where the job writes."""
        return Path(self.out) / self.name

    @property
    def runs(self) -> list[Branch]:
        """The runs of this job, by rising token budget."""
        return self.branches or [Branch(tokens=self.tokens)]


# --- sweeps --------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class DesignConfig:
    """Which runs a study trains: IsoFLOP budgets, and sizes around the optimum expected at each."""

    min_flops: float = 1e11
    """Smallest compute budget."""
    max_flops: float = 2.7e12
    """Largest compute budget; at the end it is also predicted from the smaller ones, and the error printed."""
    budgets: int = 4
    """Number of budgets, evenly spaced in log compute from min_flops to max_flops."""
    sizes: int = 5
    """Model sizes a budget."""
    size_ratio: float = 1.8
    """Parameters of one size over those of the next smaller."""
    expected_params: float = 33e3
    """Total parameters expected to be best at `expected_at_flops`: the middle of the valley."""
    expected_at_flops: float = 3e11
    """Compute at which `expected_params` holds."""
    expected_exponent: float = 0.5
    """How the best size is expected to grow: N ∝ C ** this."""
    convention: str = "6nd"
    """How a budget counts FLOPs: 6nd (six times total parameters times tokens) or exact (with attention and head)."""
    share_trunks: bool = True
    """Whether the budgets of one size share a trunk (wsd); otherwise every run is trained alone."""
    seeds: int = 1
    """Repetitions of every run, with seeds seed, seed + 1, …"""

    def __post_init__(self) -> None:
        _require(self.min_flops > 0, f"design.min_flops={self.min_flops:g}: must be positive")
        _require(
            self.max_flops >= self.min_flops,
            f"design.max_flops={self.max_flops:g}: must not be below design.min_flops={self.min_flops:g}",
        )
        _require(self.budgets >= 1, f"design.budgets={self.budgets}: must be at least 1")
        _require(self.sizes >= 1, f"design.sizes={self.sizes}: must be at least 1")
        _require(self.size_ratio > 1, f"design.size_ratio={self.size_ratio}: must be above 1")
        _require(self.seeds >= 1, f"design.seeds={self.seeds}: must be at least 1")
        _one_of("design.convention", self.convention, ("6nd", "exact"))


@dataclass(kw_only=True)
class SweepConfig(TrainConfig):
    """A study: the training jobs of a design, and the fit at its end."""

    name: str = "sweep"
    dry_run: bool = False
    """Whether the plan is only printed (`--dry-run`): each run's shape, tokens, FLOPs, memory and time."""
    ask_machine: bool = False
    """Set by the sweep alone, for one process that it launches: train nothing, and tell what that machine can do."""
    design: DesignConfig = field(default_factory=DesignConfig)


# --- registration and loading --------------------------------------------------------------------------

SCHEMAS: dict[str, type] = {
    "train_schema": TrainConfig,
    "sweep_schema": SweepConfig,
    "corpus/schema_stdlib": StdlibCorpus,
    "corpus/schema_text": TextCorpus,
    "corpus/schema_hub": HubCorpus,
    "corpus/schema_lexicon": LexiconCorpus,
    "tokenizer/schema_bytes": BytesTokenizer,
    "tokenizer/schema_bpe": BPETokenizer,
    "optim/schema_adamw": AdamWConfig,
    "optim/schema_muon": MuonConfig,
    "schedule/schema_wsd": WSDConfig,
    "schedule/schema_cosine": CosineConfig,
}


def register() -> None:
    """Put the schemas where the YAML under `conf/` finds them."""
    store = ConfigStore.instance()
    for path, schema in SCHEMAS.items():
        group, _, name = path.rpartition("/")
        store.store(group=group or None, name=name, node=schema)


def load(config: DictConfig) -> TrainConfig:
    """The typed config behind a composed one; runs every check.

    Raises:
        UserError: one line, naming key, value and remedy.
    """
    result = OmegaConf.to_object(config)
    assert isinstance(result, TrainConfig)
    _refuse_added_keys(result, "")
    return result


def _refuse_added_keys(node: Any, prefix: str) -> None:
    # `+key=value` adds to a config what its dataclass does not declare; nothing would ever read it.
    declared = {item.name for item in fields(node)}
    for key, value in vars(node).items():
        _require(
            key in declared,
            f"+{prefix}{key}={value}: no such key; keys there: {', '.join(sorted(declared))}",
        )
        if is_dataclass(value):
            _refuse_added_keys(value, f"{prefix}{key}.")
