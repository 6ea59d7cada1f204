"""What a machine can do, as far as the training of a run depends on it. Training asks the machine only here; how
fast it is, for a plan on `hardware=auto`, is measured in `scaling.accounting.this_machine`.

A study is planned on one machine and may be trained on another. What `auto` stands for is therefore decided once, from
the `Machine` where the jobs will run, and the decision is recorded and carried to the jobs.
"""

import os
from dataclasses import dataclass

import psutil

from scaling.accounting.device import Device
from scaling.accounting.this_machine import cores
from scaling.config.schema import TrainerConfig
from scaling.errors import UserError

SHARED_PASS_FLOPS = 3e11
"""FLOPs of a forward and backward pass from which on a job of open `trainer.threads` shares it among the cores.

`benchmarks/threads.py`, decoders of 4 layers in float32, tokens a second with one and with two threads, in turn, on two
cores that other work kept busy (2 to 5 runnable processes a core), median of 3 rounds (of 2 from 8.5e10 on)::

    width  batch  FLOPs    1 thread  2 threads
       32    512  2.8e8      11,045      1,596
       32   4096  2.2e9      26,299      6,346
       64    512  8.5e8       8,628        905
       64   4096  6.8e9      14,300      5,548
      128    512  2.9e9       6,000        492
      128   4096  2.3e10      6,931      2,058
      256    512  1.1e10        702        146
      256   4096  8.5e10      1,513        525
      256  16384  3.4e11      1,045        904

Rounds of one cell differ by up to a factor of 5. On busy cores two threads lost wherever the pass was smaller than the
bound, since each product waits for the slower of them. On idle cores the bound may be lower; it was not measured."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device on which runs are trained."""

    accelerator: str
    """cpu, gpu (NVIDIA's or AMD's, through CUDA's interface) or mps (Apple's)."""
    multiplies_bf16: bool
    """Whether the device has instructions for products of bfloat16."""


def probe(accelerator: str = "auto") -> Machine:
    """This machine's device of a kind.

    Args:
        accelerator: `trainer.accelerator`; auto: a GPU where there is one, else Apple's, else the processor.
    """
    import torch  # Planning a study of explicit precision needs no torch.

    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available()):
        there = torch.cuda.is_available()
        return Machine(accelerator="gpu", multiplies_bf16=there and torch.cuda.is_bf16_supported())
    if accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        return Machine(accelerator="mps", multiplies_bf16=False)
    # AVX-512 BF16, or AMX on Intel's processors.
    units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return Machine(accelerator="cpu", multiplies_bf16=units)


def described_by(device: Device) -> Machine:
    """The machine that a device of the hardware catalogue makes."""
    kind = "cpu" if device.name == "cpu" else "mps" if device.name.startswith("apple") else "gpu"
    return Machine(accelerator=kind, multiplies_bf16=kind == "gpu" and "bf16" in device.peak_flops)


def refuse_what_is_missing(trainer: TrainerConfig) -> None:
    """Refuse a run whose accelerator, as asked or as planned elsewhere, is not on this machine.

    Raises:
        UserError: one line with the accelerator or the precision that is missing, and the remedy.
    """
    if trainer.accelerator not in ("gpu", "cuda", "mps"):
        return
    import torch

    there = torch.backends.mps.is_available() if trainer.accelerator == "mps" else torch.cuda.is_available()
    if not there:
        raise UserError(
            f"trainer.accelerator={trainer.accelerator}: this machine has no such device that PyTorch can use; run "
            "where there is one, or choose another name= and set trainer.accelerator=cpu"
        )
    if trainer.precision.startswith("bf16") and not probe(trainer.accelerator).multiplies_bf16:
        raise UserError(
            f"trainer.precision={trainer.precision}: the device of this machine has no bfloat16 products; run where "
            "there are, or choose another name= and set trainer.precision=32-true"
        )


def threads_for(trainer: TrainerConfig, pass_flops: float, jobs_at_once: int = 1) -> int | None:
    """CPU threads of each process of a job: the user's number, or the fastest for the size of the model and its batch.

    Args:
        trainer: with its accelerator decided; where that is not a processor, null stays null.
        pass_flops: FLOPs of the job's largest forward and backward pass on one device.
        jobs_at_once: most jobs that share the cores of this machine; all their threads together are no more than its
            cores, as long as the jobs and their processes are not.
    """
    if trainer.threads is not None or trainer.accelerator != "cpu":
        return trainer.threads
    if pass_flops < SHARED_PASS_FLOPS:
        return 1
    # Queues and launchers that divide a machine themselves set this variable.
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    most = min(cores(), int(allowed)) if allowed.isdecimal() and int(allowed) else cores()
    return max(1, most // (trainer.devices * jobs_at_once))


def available_memory_bytes() -> int:
    """Memory that new processes can have without swapping."""
    return int(psutil.virtual_memory().available)
