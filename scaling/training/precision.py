"""Which precision a run trains in: what `trainer.precision=auto` stands for on a machine.

The name that it stands for is part of the run's record and identity, so that runs of unlike precision are told apart.
"""

from dataclasses import replace

from scaling.config.schema import TrainerConfig
from scaling.errors import UserError
from scaling.training.machine import Machine, probe

MASTER = "bf16-master"
"""Weights, activations and products in bfloat16; the optimizer updates a float32 copy of the weights."""
MASTER_LEAST_WIDTH = 48
"""Narrowest model that `auto` trains so, on a processor with AVX-512 BF16. From this width on it is no slower at any
batch tried; below it, small products lose at small batches (`benchmarks/precision.py`)."""


def decided(trainer: TrainerConfig, width: int, machine: Machine | None = None) -> TrainerConfig:
    """The trainer's config with every `auto` replaced by what it stands for, for a model of a width.

    Args:
        trainer: as the user wrote it, or decided already: then it is returned as it is.
        width: of the model's residual stream.
        machine: where the run will be trained; None: on this machine, which is probed where something is `auto`.

    Raises:
        UserError: for bf16-master on more than one device, whose wrappers know nothing of the float32 copy.
    """
    if trainer.precision == MASTER and trainer.devices > 1:
        raise UserError(
            f"trainer.precision={MASTER}: for one device alone, not for trainer.devices={trainer.devices}; "
            "take bf16-mixed"
        )
    if "auto" not in (trainer.accelerator, trainer.precision):
        return trainer
    machine = machine or probe(trainer.accelerator)
    accelerator = machine.accelerator if trainer.accelerator == "auto" else trainer.accelerator
    precision = best(machine, trainer.devices, width) if trainer.precision == "auto" else trainer.precision
    return replace(trainer, accelerator=accelerator, precision=precision)


def as_decided_before(trainer: TrainerConfig, accelerator: str, precision: str) -> TrainerConfig:
    """The trainer's config with each `auto` as it was decided when the job or the study began.

    Where the user now asks for another accelerator, nothing is taken over.
    """
    if trainer.accelerator not in ("auto", accelerator):
        return trainer
    return replace(
        trainer,
        accelerator=accelerator,
        precision=precision if trainer.precision == "auto" else trainer.precision,
    )


def best(machine: Machine, devices: int, width: int) -> str:
    """16 bits over float32 weights where the machine multiplies them faster at any batch, else float32.

    On a processor, the losses agree with float32's within .002 nats on average over seeds, where
    `benchmarks/precision.py` compares them.
    """
    if not machine.multiplies_bf16:
        return "32-true"
    if machine.accelerator == "gpu":
        return "bf16-mixed"
    return MASTER if devices == 1 and width >= MASTER_LEAST_WIDTH else "32-true"
