"""Which precision a run trains in: `trainer.precision=auto` resolved for the device at hand.

The resolved name stands in the run's record and identity, so that runs of unlike machines are told apart.
"""

from dataclasses import replace

from scaling.config.schema import TrainerConfig
from scaling.errors import UserError

MASTER = "bf16-master"
"""Weights, activations and products in bfloat16; the optimizer updates a float32 copy of the weights."""
MASTER_LEAST_WIDTH = 48
"""Narrowest model that `auto` trains so, on a processor with AVX-512 BF16: from here on it is no slower at any batch
tried, below it small products lose at small ones (`benchmarks/precision.py`)."""


def resolved(trainer: TrainerConfig, width: int) -> TrainerConfig:
    """The trainer's config with a precision that is not `auto`, for a model of a width.

    Raises:
        UserError: for bf16-master on more than one device, whose wrappers know nothing of the float32 copy.
    """
    single = trainer.devices == 1 and trainer.strategy in ("auto", "single_device")
    if trainer.precision == MASTER and not single:
        raise UserError(
            f"trainer.precision={MASTER}: for one device and strategy=auto alone, not for devices={trainer.devices} "
            f"and strategy={trainer.strategy}; take bf16-mixed"
        )
    if trainer.precision != "auto":
        return trainer
    return replace(trainer, precision=best(trainer.accelerator, single, width))


def best(accelerator: str, single_device: bool, width: int) -> str:
    """16 bits over float32 weights where the device multiplies them faster at any batch, else float32.

    On a processor, losses agree with float32's within .002 nats on average over seeds where
    `benchmarks/precision.py` compares them.
    """
    import torch

    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"
    on_cpu = accelerator == "cpu" or not torch.backends.mps.is_available()
    wide = width >= MASTER_LEAST_WIDTH
    return MASTER if on_cpu and single_device and wide and processor_multiplies_bf16() else "32-true"


def processor_multiplies_bf16() -> bool:
    """Whether the processor has instructions for products of bfloat16 (AVX-512 BF16 or AMX)."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
