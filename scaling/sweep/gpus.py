"""The GPUs of this machine, and what a training job takes of one. Imports no torch and opens no device."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from scaling.config.schema import TrainConfig
from scaling.corpus import TokenCorpus, prepare
from scaling.errors import UserError
from scaling.sweep.admission import Admission, Demand, Gpu
from scaling.training.job import Job, as_first_planned, plan_job
from scaling.training.planned import evaluation_memory, reserved_memory

GPU_MEMORY_SHARE = 0.9
"""Most of a GPU's memory that its jobs may be predicted to take together. Predictions of reserved memory are off by up
to 8.4 % on published runs (README, peak memory), and may all be off the same way."""
CUDA_PROCESS_BYTES = 2**30
"""What a process takes of a GPU beside its tensors: its context and the kernels that it loads. 300 to 430 MiB when the
context is made (github.com/pytorch/pytorch/issues/107667; github.com/unslothai/unsloth-zoo/pull/1053, torch 2.10), and
over 1000 MB with every kernel loaded (the same issue). Not measured here."""

QUERY = "index,uuid,memory.total,memory.free,compute_mode,mig.mode.current"


# --- what is there -------------------------------------------------------------------------------------


def visible_gpus() -> tuple[Gpu, ...]:
    """NVIDIA's GPUs that a process begun here sees; none where nvidia-smi is missing or does not tell their memory."""
    ask = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=30).stdout
        return listed_gpus(listed, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return ()


def listed_gpus(listed: str, visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs of a listing of `QUERY` (memory in MiB) that CUDA_VISIBLE_DEVICES leaves, in its order.

    Numbers in it count as nvidia-smi does, a UUID may be shortened, and the first name that is none of these ends it
    (CUDA programming guide, Environment Variables). None at all where a GPU's memory is not told, or it is split into
    instances (MIG), whose memory is another.
    """
    gpus: dict[str, Gpu] = {}
    numbers: dict[str, str] = {}
    for line in listed.strip().splitlines():
        number, uuid, total_mib, free_mib, mode, instances = (word.strip() for word in line.split(","))
        if instances == "Enabled" or not (total_mib.isdecimal() and free_mib.isdecimal()):
            return ()
        room_bytes = min(int(GPU_MEMORY_SHARE * int(total_mib) * 2**20), int(free_mib) * 2**20)
        gpus[uuid] = Gpu(name=uuid, room_bytes=room_bytes, shareable=mode == "Default")
        numbers[number] = uuid
    if visible is None:
        return tuple(gpus.values())
    chosen: list[Gpu] = []
    for name in (name.strip() for name in visible.split(",")):
        uuid = numbers.get(name) or next((u for u in gpus if name and u.startswith(name)), "")
        if not uuid:
            break
        chosen.append(gpus[uuid])
    return tuple(chosen)


def torch_device(accelerator: str) -> str:
    """PyTorch's name of an accelerator that is not `auto`: cpu, cuda or mps."""
    return "cuda" if accelerator == "gpu" else accelerator


def gpus_for(accelerator: str) -> tuple[Gpu, ...]:
    """The GPUs that jobs of an accelerator may share (never `auto`); none on a processor, or of unknown memory."""
    return visible_gpus() if accelerator in ("gpu", "cuda") else ()


# --- what a job takes ----------------------------------------------------------------------------------


def gpu_bytes(job: Job, run: int) -> int:
    """Most bytes that a job's process takes on each of its GPUs for one of its runs: in training or evaluation."""
    return CUDA_PROCESS_BYTES + max(reserved_memory(job, run), evaluation_memory(job, run))


def demand(job: Job, gpus: Sequence[Gpu]) -> Demand:
    """What a job takes of these GPUs, its longest run's batch being the largest.

    One on several GPUs has them to itself: its ranks wait for one another at every step, and what NCCL takes is not
    predicted.
    """
    devices = job.config.trainer.devices
    return Demand(
        gpus=devices,
        bytes_each=gpu_bytes(job, len(job.tokens) - 1),
        alone=devices > 1 or not all(gpu.shareable for gpu in gpus),
    )


def admission(jobs: Sequence[TrainConfig], gpus: Sequence[Gpu]) -> Admission:
    """How jobs are admitted to these GPUs; without any, all of them are.

    A config that makes no job is admitted anywhere: it fails in its worker, which keeps the reason.
    """
    if not gpus:
        return Admission(demands=(Demand(),) * len(jobs))
    corpora: dict[str, TokenCorpus] = {}
    demands = []
    for config in jobs:
        source = repr((config.corpus, config.tokenizer, config.cache))
        try:
            if source not in corpora:
                corpora[source] = prepare(config.corpus, config.tokenizer, Path(config.cache))
            demands.append(demand(plan_job(as_first_planned(config), corpora[source]), gpus))
        except (UserError, OSError):
            demands.append(Demand())
    return Admission(demands=tuple(demands), gpus=tuple(gpus))
