"""Whether a sweep fits: the memory and the disk that its runs take, beside what there is."""

import shutil
from dataclasses import replace

from analysis.formats import short_count
from scaling.errors import UserError
from scaling.sweep.gpus import gpu_bytes, torch_device, visible_gpus
from scaling.sweep.placement import Placement
from scaling.sweep.plan import PlannedJob
from scaling.training.job import Job
from scaling.training.machine import available_memory_bytes
from scaling.training.planned import predicted_memory

STATE_BYTES_PER_PARAM = 12
"""A checkpoint's float32 weight and two moments; Muon keeps one less."""


def memory_bytes(device: str) -> int | None:
    """Memory that runs can have: the roomiest GPU's; what the machine has available. None: not known."""
    if device == "cuda":
        return max((gpu.room_bytes for gpu in visible_gpus()), default=None)
    return available_memory_bytes()


def memory_there(where: Placement, device: str) -> int | None:
    """Memory for the jobs of this sweep: this machine's, or what each job asks for elsewhere. None: not known."""
    if where.here:
        return memory_bytes(device)
    return where.memory_bytes if device == "cpu" else None


def refuse_what_does_not_fit(
    jobs: list[PlannedJob], device: str, where: Placement, memory: int | None, free_disk: int
) -> None:
    """Refuse a plan whose runs do not fit in memory, or whose files do not fit on the disk.

    Args:
        jobs: those still to be trained.
        device: cpu, cuda or mps.
        where: the jobs run; on this machine's CPU they share the memory.
        memory: bytes there are; None: not known, and not checked.
        free_disk: bytes free where the study is written.

    Raises:
        UserError: one line with what does not fit, how much there is, and the remedy.
    """
    if where.gpus and jobs:
        memory = _room_of_the_last_gpu(jobs[0].job.config.trainer.devices, where)
    if memory is not None and jobs:
        _refuse_too_little_memory(jobs, device, where, memory)
    if (disk := sum(disk_bytes(job.job) for job in jobs)) > free_disk:
        raise UserError(
            f"the study writes up to {disk / 2**20:,.0f} MiB, and {free_disk / 2**20:,.0f} MiB are free; "
            "choose another disk with out=, or set trainer.save_model=false"
        )


def refuse_a_job_that_does_not_fit(job: Job) -> None:
    """Refuse a job, trained by itself on this machine, that does not fit in memory or on the disk.

    Raises:
        UserError: one line with what does not fit, how much there is, and the remedy.
    """
    if all(job.recorded()):
        return
    device = torch_device(job.config.trainer.accelerator)
    ranks = job.config.trainer.devices if device == "cpu" else 1
    needed, memory = ranks * peak_bytes(job, device), memory_bytes(device)
    if memory is not None and needed > memory:
        smaller = _micro_batch_that_fits(job, device, memory // ranks)
        remedy = (
            f"trainer.micro_batch_tokens={smaller} fits"
            if smaller
            else "lower model.target_params (or model.width and model.depth), model.context or the vocabulary"
        )
        raise UserError(
            f"a model of {short_count(job.params_total)} parameters needs {needed / 2**20:,.0f} MiB to train, and "
            f"{memory / 2**20:,.0f} MiB are there; {remedy}"
        )
    there = next(path for path in (job.folder, *job.folder.resolve().parents) if path.exists())
    if (disk := disk_bytes(job)) > (free := shutil.disk_usage(there).free):
        raise UserError(
            f"{job.folder}: the run writes up to {disk / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free; "
            "choose another disk with out=, or set trainer.save_model=false"
        )


def _room_of_the_last_gpu(devices: int, where: Placement) -> int:
    """Memory of the smallest GPU that a job gets, which gets the roomiest ones."""
    if devices > len(where.gpus):
        raise UserError(
            f"trainer.devices={devices}: GPUs here: {len(where.gpus)}; set trainer.devices={len(where.gpus)} or less"
        )
    return sorted((gpu.room_bytes for gpu in where.gpus), reverse=True)[devices - 1]


def jobs_at_once(jobs: list[PlannedJob], device: str, where: Placement) -> int:
    """How many jobs share a memory: those that run at once on this machine's CPU; a GPU's are admitted one by one."""
    return min(where.at_once, len(jobs)) if device == "cpu" and where.here else 1


def needed_bytes(jobs: list[PlannedJob], device: str, where: Placement) -> int:
    """Most memory that the jobs take which share one, as predicted."""
    ranks = jobs[0].job.config.trainer.devices if device == "cpu" else 1
    each = sorted((ranks * peak_bytes(job.job, device) for job in jobs), reverse=True)
    return sum(each[: jobs_at_once(jobs, device, where)])


def _refuse_too_little_memory(jobs: list[PlannedJob], device: str, where: Placement, memory: int) -> None:
    ranks = (
        jobs[0].job.config.trainer.devices if device == "cpu" else 1
    )  # All ranks of a job share a CPU's memory.
    needed = sorted(((ranks * peak_bytes(job.job, device), job) for job in jobs), key=lambda pair: -pair[0])
    at_once = jobs_at_once(jobs, device, where)
    together = needed_bytes(jobs, device, where)
    if together <= memory:
        return
    largest_bytes, largest = needed[0]
    smaller = _micro_batch_that_fits(largest.job, device, memory // at_once // ranks)
    remedies = [
        f"trainer.micro_batch_tokens={smaller} fits"
        if smaller
        else "lower design.max_flops, design.sizes or model.context",
        where.remedy,
    ]
    beside = f" (with the {at_once - 1} beside it {together / 2**20:,.0f})" if at_once > 1 else ""
    raise UserError(
        f"{largest.name}: needs {largest_bytes / 2**20:,.0f} MiB{beside}, and {memory / 2**20:,.0f} MiB are there; "
        + ", or ".join(filter(None, remedies))
    )


def peak_bytes(job: Job, device: str) -> int:
    """Most memory that a job takes, as predicted: that of its longest run, whose batch is the largest."""
    return run_bytes(job, len(job.tokens) - 1, device)


def run_bytes(job: Job, run: int, device: str) -> int:
    """On a GPU all that a run's process takes of it; elsewhere what training takes."""
    return gpu_bytes(job, run) if device == "cuda" else predicted_memory(job, run, device)


def _micro_batch_that_fits(job: Job, device: str, memory: int) -> int | None:
    micro = job.recipe.micro_batch_sequences
    while micro := micro // 2:
        if (
            peak_bytes(replace(job, recipe=replace(job.recipe, micro_batch_sequences=micro)), device)
            <= memory
        ):
            return micro * job.recipe.context
    return None


def disk_bytes(job: Job) -> int:
    """Most that a job has on the disk at once: a checkpoint being replaced, the trunk's, and its runs' weights."""
    checkpoints = 3 * STATE_BYTES_PER_PARAM * job.params_total
    return checkpoints + (4 * job.params_total * len(job.tokens) if job.config.trainer.save_model else 0)
