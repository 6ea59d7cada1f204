"""The keys `trainer.…`: on which devices a run is trained, in which precision, and what it keeps."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from scaling.config.checks import one_of, require
from scaling.config.ranges import COUNT, Range, check_ranges


@dataclass(kw_only=True)
class TrainerConfig:
    """Where a run is computed, how precisely, and what it keeps."""

    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu, gpu or mps. Tested on the CPU only: nothing here has run on a GPU (CUDA or
    MPS) yet, nor has the sharing of a GPU between the jobs of a sweep."""
    devices: Annotated[int, Range(at_least=1, at_most=10_000)] = 1
    """Devices of one run, all in one machine; on the CPU, processes. Each has an equal share of every batch. Tested
    with CPU processes on one machine; never run with several GPUs (CUDA, NCCL), and not made for several nodes."""
    strategy: str = "auto"
    """How several devices share a run: ddp (each holds the whole model; also what auto means) or fsdp (each holds its
    share of weights, gradients and optimizer states). Both are tested with CPU processes on one machine, and neither
    has run on GPUs (CUDA, NCCL) yet."""
    precision: str = "auto"
    """auto: 16 bits where they pay on the device, else float32 (`scaling/training/precision.py`); 32-true; bf16-mixed
    (float32 weights, bf16 products); bf16-master (bf16 throughout, and a float32 copy for the optimizer); or bf16-true.
    What auto stands for is part of every record."""
    compile: bool = False
    """Whether the model goes through torch.compile; pays back only on long runs."""
    threads: Annotated[int | None, Range(at_least=1, at_most=10_000)] = None
    """CPU threads of a run; null: one for each run of a sweep, and else one for a small model, whose products are too
    small to share out, or the cores divided by the runs at once for a large one (`scaling/training/machine.py`)."""
    micro_batch_tokens: Annotated[int | None, COUNT] = None
    """Tokens in a forward pass on each device; null: the whole batch at once. Fewer mean gradient accumulation."""
    deterministic: bool = True
    """Whether only deterministic algorithms may be used."""
    validation_batch_tokens: Annotated[int, COUNT] = 16_384
    """Tokens in a forward pass of validation."""
    log_every_seconds: Annotated[float, Range(at_least=0, at_most=1e9)] = 1.0
    """Seconds between two readings of the loss, for progress, logger and the check for divergence. Short steps are read
    in groups that take a tenth of a second; 0: read after every step."""
    curve_points: Annotated[int, Range(at_least=1, at_most=10**6)] = 200
    """Points of the training curve kept in the record's folder, evenly spaced in steps."""
    checkpoint_every_seconds: Annotated[float | None, Range(at_least=0, at_most=1e9)] = 60.0
    """Seconds between checkpoints of a run; 0: after every step; null: only where a branch leaves the trunk."""
    save_model: bool = True
    """Whether the trained weights of each run are kept beside its record; with schedule=wsd also, for a run trained
    alone, the state before its decay (about three times their size), from which a run of more tokens goes on."""
    callbacks: list[Any] = field(default_factory=list)
    """Lightning callbacks of the user's own, each written {_target_: package.module.Class, argument: value}. They see
    the training, do not count in a run's identity, and are taken from the command line only, from no config file that
    lies outside the installed packages."""

    def __post_init__(self) -> None:
        for callback in self.callbacks:
            require(
                isinstance(callback, dict) and isinstance(callback.get("_target_"), str),
                f"trainer.callbacks=[{callback}]: each must be of the form {{_target_: package.module.Class}}",
            )
        one_of("trainer.accelerator", self.accelerator, ("auto", "cpu", "gpu", "cuda", "mps"))
        one_of("trainer.strategy", self.strategy, ("auto", "ddp", "fsdp"))
        one_of(
            "trainer.precision", self.precision, ("auto", "32-true", "bf16-mixed", "bf16-master", "bf16-true")
        )
        check_ranges(self, "trainer.")
        require(
            self.devices == 1 or self.accelerator != "mps",
            f"trainer.devices={self.devices}: trainer.accelerator=mps is one device; set trainer.devices=1",
        )
        require(
            self.devices == 1 or self.strategy != "fsdp" or not self.compile,
            "trainer.compile=true: not with trainer.strategy=fsdp; use trainer.strategy=ddp or trainer.compile=false",
        )
