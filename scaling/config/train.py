"""The keys of `scaling train`: one training job, with a group of keys for each folder of `conf/`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from scaling.config.checks import require
from scaling.config.corpus import BytesTokenizer, CorpusConfig, StdlibCorpus, TokenizerConfig
from scaling.config.hardware import HardwareConfig
from scaling.config.logger import LoggerConfig
from scaling.config.model import ModelConfig
from scaling.config.optim import MuonConfig, OptimConfig
from scaling.config.ranges import FLOPS, SEED, TOKENS, check_ranges
from scaling.config.schedule import ScheduleConfig, WSDConfig
from scaling.config.trainer import TrainerConfig


@dataclass(kw_only=True)
class Branch:
    """One run of a training job: it leaves the trunk, the part of training that all runs share, to decay by itself."""

    tokens: Annotated[float, TOKENS]
    """Tokens that the run has seen at its end."""
    budget_flops: Annotated[float | None, FLOPS] = None
    """Compute budget of the study that the run belongs to, in FLOPs; null: none."""

    def __post_init__(self) -> None:
        check_ranges(self, "branches: ")


@dataclass(kw_only=True)
class TrainConfig:
    """One training job: one model, trained along one trunk, with one run for each branch."""

    name: str = "train"
    """Folder of the job, under `out`."""
    out: str = "runs"
    """Folder of all runs."""
    seed: Annotated[int, SEED] = 0
    """Seed of the initial weights and of the order of the data."""
    tokens: Annotated[float, TOKENS] = 1e6
    """Tokens to train on (ignored when `branches` are given)."""
    branches: list[Branch] = field(default_factory=list)
    """Several token budgets that share one trunk (schedule=wsd only); empty: the one run of `tokens`."""
    cache: str = ".cache"
    """Folder of prepared corpora, made once and shared by all runs."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Shape of the model."""
    corpus: CorpusConfig = field(default_factory=StdlibCorpus)
    """Text to train on."""
    tokenizer: TokenizerConfig = field(default_factory=BytesTokenizer)
    """How text becomes tokens."""
    optim: OptimConfig = field(default_factory=MuonConfig)
    """Optimizer, learning rate and batch."""
    schedule: ScheduleConfig = field(default_factory=WSDConfig)
    """Learning rate in the course of a run."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Devices, precision, and what a run keeps."""
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    """Where the training curve is logged."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """Device that plans are made for."""

    def __post_init__(self) -> None:
        check_ranges(self)
        require(
            bool(self.name) and not self.name.startswith("/") and ".." not in Path(self.name).parts,
            f"name={self.name}: must be a plain folder name under out={self.out}",
        )
        budgets = [branch.tokens for branch in self.branches]
        require(
            sorted(set(budgets)) == budgets, f"branches={budgets}: token budgets must rise without repeats"
        )
        require(
            len(budgets) <= 1 or self.schedule.kind == "wsd",
            f"schedule={self.schedule.kind}: several budgets share a trunk with wsd only; give one branch",
        )

    @property
    def folder(self) -> Path:
        """The folder that the job writes to."""
        return Path(self.out) / self.name

    @property
    def runs(self) -> list[Branch]:
        """The runs of this job, by rising token budget."""
        return self.branches or [Branch(tokens=self.tokens)]
