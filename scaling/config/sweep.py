"""The keys of `scaling sweep`: those of a training job, and the design of the study."""

from dataclasses import dataclass, field

from scaling.config.design import DesignConfig
from scaling.config.train import TrainConfig


@dataclass(kw_only=True)
class SweepConfig(TrainConfig):
    """A study: the training jobs of a design, and the fit at its end."""

    name: str = "sweep"
    """Folder of the job or study, under `out`."""
    dry_run: bool = False
    """Whether to print the plan only (`--dry-run`): each run's shape, tokens, FLOPs, memory and time."""
    ask_machine: bool = False
    """Set by the sweep alone, for one process that it launches: train nothing, and tell what that machine can do."""
    design: DesignConfig = field(default_factory=DesignConfig)
    """Which runs the study trains."""
