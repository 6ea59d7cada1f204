"""A sweep before it starts: what each run is, needs and takes on this device, and what will not fit."""

import math
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.timing import step_time
from scaling.errors import UserError
from scaling.sweep.admission import Admission, Demand, run_through
from scaling.sweep.gpus import GPU_MEMORY_SHARE, demand, gpu_bytes, runtime_device, visible_gpus
from scaling.sweep.placement import Placement
from scaling.training.job import Job
from scaling.training.planned import predicted_memory

if TYPE_CHECKING:
    from scaling.config.schema import SweepConfig
    from scaling.records.records import RunRecord
    from scaling.sweep.run import PlannedJob

PROBED_SIZES = 5
"""Sizes that are tried out for their speed; the others lie between them."""
PROBE_SECONDS, PROBE_STEPS = 1.0, 8
"""A size is tried for at least this long and this many steps, the first few left out."""
STATE_BYTES_PER_PARAM = 12
"""A checkpoint's float32 weight and two moments; Muon keeps one less."""


# --- what fits -----------------------------------------------------------------------------------------


def memory_bytes(device: str) -> int | None:
    """Memory that runs can have: the roomiest GPU's; what the machine has available. None: not known."""
    if device == "cuda":
        return max((gpu.room_bytes for gpu in visible_gpus()), default=None)
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 2**10
    return None


def memory_there(where: Placement, device: str) -> int | None:
    """Memory for the jobs of this sweep: this machine's, or what each job asks for elsewhere. None: not known."""
    if where.here:
        return memory_bytes(device)
    return where.memory_bytes if device == "cpu" else None


def refuse_what_does_not_fit(
    jobs: "list[PlannedJob]", device: str, where: Placement, memory: int | None, free_disk: int
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
        devices = jobs[0].job.config.trainer.devices
        if devices > len(where.gpus):
            raise UserError(
                f"trainer.devices={devices}: GPUs here: {len(where.gpus)}; "
                f"set trainer.devices={len(where.gpus)} or less"
            )
        memory = sorted((gpu.room_bytes for gpu in where.gpus), reverse=True)[devices - 1]
    if memory is not None:
        sharing = min(where.at_once, len(jobs)) if device == "cpu" and where.here else 1
        # On the CPU all ranks of a run share the memory.
        needed = sorted(
            (
                (
                    peak_bytes(job.job, device) * (job.job.config.trainer.devices if device == "cpu" else 1),
                    job,
                )
                for job in jobs
            ),
            key=lambda pair: -pair[0],
        )
        together = sum(bytes_ for bytes_, _ in needed[:sharing])
        if together > memory:
            bytes_, worst = needed[0]
            small = _micro_batch_that_fits(
                worst.job,
                device,
                memory // sharing // (worst.job.config.trainer.devices if device == "cpu" else 1),
            )
            remedy = (
                f"trainer.micro_batch_tokens={small} fits"
                if small
                else "lower design.max_flops, design.sizes or model.context"
            )
            if where.remedy:
                remedy += f", or {where.remedy}"
            raise UserError(
                f"{worst.name}: needs {bytes_ / 2**20:,.0f} MiB"
                + (f" (with the {sharing - 1} beside it {together / 2**20:,.0f})" if sharing > 1 else "")
                + f", and {memory / 2**20:,.0f} MiB are there; {remedy}"
            )
    if (disk := sum(disk_bytes(job.job) for job in jobs)) > free_disk:
        raise UserError(
            f"the study writes up to {disk / 2**20:,.0f} MiB, and {free_disk / 2**20:,.0f} MiB are free; "
            "choose another disk with out=, or set trainer.save_model=false"
        )


def peak_bytes(job: Job, device: str) -> int:
    """Most memory that a job takes, as predicted: that of its longest run, whose batch is the largest."""
    return _run_bytes(job, len(job.tokens) - 1, device)


def _run_bytes(job: Job, run: int, device: str) -> int:
    """On a GPU all that a run's process takes of it; elsewhere what training takes."""
    return gpu_bytes(job, run) if device == "cuda" else predicted_memory(job, run, device)


def _micro_batch_that_fits(job: Job, device: str, memory: int) -> int | None:
    micro = job.recipe.micro_batch_sequences
    while micro := micro // 2:
        job.recipe = replace(job.recipe, micro_batch_sequences=micro)
        if peak_bytes(job, device) <= memory:
            return micro * job.recipe.context
    return None


def disk_bytes(job: Job) -> int:
    """Most that a job has on the disk at once: a checkpoint being replaced, the trunk's, and its runs' weights."""
    checkpoints = 3 * STATE_BYTES_PER_PARAM * job.params_total
    return checkpoints + (4 * job.params_total * len(job.tokens) if job.config.trainer.save_model else 0)


# --- how long it takes ---------------------------------------------------------------------------------


def seconds_per_token(
    config: "SweepConfig", jobs: "list[PlannedJob]", records: "list[RunRecord]"
) -> tuple[dict[str, float], str]:
    """Training time a token of each job, and where it comes from.

    From the hardware catalogue where `hardware.name` names a device; else from the runs of this study that are
    recorded on it; else measured now, by training a few steps of up to `PROBED_SIZES` sizes.
    """
    if config.hardware.name != "auto":
        device = get_device(config.hardware.name)
        return {job.name: _catalogue(job.job, device) for job in jobs}, f"the catalogue's {device.title}"
    sizes = sorted({job.job.params_total: job.job for job in jobs}.items())
    recorded = {
        record.params_total: record.wall_seconds / record.tokens for record in records if record.wall_seconds
    }
    if recorded and min(recorded) <= sizes[0][0] and max(recorded) >= sizes[-1][0]:
        known, source = recorded, "the runs of this study that are done"
    else:
        chosen = {round(i) for i in np.linspace(0, len(sizes) - 1, min(PROBED_SIZES, len(sizes)))}
        known = {sizes[i][0]: probe(sizes[i][1]) for i in sorted(chosen)}
        source = f"measured now, on a few steps of {len(known)} sizes, one at a time"
    x, y = zip(*sorted((math.log(n), math.log(t)) for n, t in known.items()), strict=True)
    return {job.name: math.exp(np.interp(math.log(job.job.params_total), x, y)) for job in jobs}, source


def _catalogue(job: Job, device: Any) -> float:
    recipe = TrainingRecipe(
        optimizer=job.config.optim.kind,  # type: ignore[arg-type]
        precision=job.config.trainer.precision,  # type: ignore[arg-type]
    )
    micro, devices = job.recipe.micro_batch_sequences, job.config.trainer.devices
    largest = job.recipe.batches.stages[-1].sequences
    sharded = devices > 1 and job.config.trainer.strategy == "fsdp"
    layout = Layout(
        data=devices,
        zero_stage=3 if sharded else 0,
        micro_batch=micro,
        accumulation=-(-largest // (micro * devices)),
    )
    kernels: Kernels = "fused" if job.config.trainer.compile else "eager"
    return 1 / step_time(job.shape, layout, device, recipe, kernels=kernels).tokens_per_second


def probe(job: Job) -> float:
    """Seconds a token, measured by training the job's first steps in a folder that is thrown away."""
    from scaling.training.pretrain import pretrain

    class Enough(BaseException):
        pass

    recipe = job.recipe
    steps = [step for segment in recipe.plan for step in range(segment.start, segment.stop)]
    began = last = time.perf_counter()
    trained = 0
    per_token: list[float] = []

    def look(progress: Any) -> None:
        nonlocal last, trained
        now = time.perf_counter()
        sequences = sum(recipe.batches.sequences(step) for step in steps[trained : progress.step])
        per_token.append((now - last) / (sequences * recipe.context))
        last, trained = now, progress.step
        if len(per_token) > 2 * PROBE_STEPS and now - began > PROBE_SECONDS:
            raise Enough

    with tempfile.TemporaryDirectory() as folder, suppress(Enough):
        config = replace(
            job.config,
            out=folder,
            trainer=replace(
                job.config.trainer, log_every_seconds=1e-9, checkpoint_every_seconds=None, save_model=False
            ),
            logger=replace(job.config.logger, kind="none"),
        )
        pretrain(config, look)
    # The first steps wait for everything to be built, and carry the memory meter.
    return statistics.median(per_token[1:] or per_token)


def job_seconds(job: Job, per_token: float) -> list[float]:
    """Time of each run of a job beyond the runs before it: its steps, and a forward pass over the held-out text.

    A forward pass is taken as a third of a training step's time.
    """
    plan = job.recipe.plan
    ends = [1 + next(i for i, s in enumerate(plan) if s.run == run) for run in range(len(job.tokens))]
    held_out = (job.corpus.validation.windows(job.shape.context) or 0) * job.shape.context
    return [
        per_token * (job.recipe.tokens_in(plan[begin:end]) + held_out / 3)
        for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def makespan(seconds: list[float], workers: int) -> float:
    """When the last of these jobs ends, if each goes to the first free worker, in this order."""
    return run_through(Admission(demands=(Demand(),) * len(seconds)), seconds, workers)[0]


def time_at_once(seconds: list[float], where: Placement, demands: tuple[Demand, ...]) -> str:
    """How long jobs take, each started when it may be, in words.

    How much jobs that share a GPU slow each other is not predicted: the time lies between not at all, and as much as
    if they took turns. `demands`: what each takes of the launcher's GPUs; none: it starts them whatever they take.
    """
    at_once = min(where.at_once, len(seconds))
    if not demands:
        return f"{duration(makespan(seconds, at_once))} with {at_once} at once"
    sharing = Admission(demands=demands, gpus=where.gpus)
    if any(sharing.refusal(job) for job in range(len(seconds))):
        return "and not all fit"
    turns = replace(sharing, demands=tuple(replace(each, alone=True) for each in demands))
    shortest, most = run_through(sharing, seconds, at_once)
    longest, _ = run_through(turns, seconds, at_once)
    if most == 1 or shortest == longest:
        return f"{duration(shortest)} with {most} at once"
    return (
        f"{duration(shortest)} to {duration(longest)} with up to {most} at once, by how much those that "
        "share a GPU slow each other"
    )


# --- what is printed -----------------------------------------------------------------------------------


def print_dry_run(config: "SweepConfig", planned: "list[PlannedJob]", where: Placement) -> None:
    """Print each run with its shape, tokens, FLOPs, memory and time, and the whole; refuses what will not fit."""
    console = Console()
    device = runtime_device(config.trainer.accelerator)
    records = {job.name: job.job.recorded() for job in planned}
    waiting = [job for job in planned if not all(records[job.name])]
    memory = memory_there(where, device)
    if config.hardware.name != "auto":
        device, memory = "cuda", round(GPU_MEMORY_SHARE * get_device(config.hardware.name).memory_bytes)
        where = replace(where, gpus=())  # those of this machine
    free = shutil.disk_usage(
        next(p for p in (config.folder, *config.folder.resolve().parents) if p.exists())
    ).free
    there_already = [record for found in records.values() for record in found if record is not None]
    rates, source = seconds_per_token(config, waiting, there_already) if waiting else ({}, "")
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for column in ("budget", "params", "shape", "tokens", "FLOPs", "MiB", "time", ""):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    jobs_seconds: list[float] = []
    left_flops = 0.0
    for job in planned:
        times = job_seconds(job.job, rates[job.name]) if job.name in rates else [0.0] * len(job.job.tokens)
        left = 0.0
        for run, record in enumerate(records[job.name]):
            budget = job.job.config.runs[run].budget_flops
            if record is None:
                left += times[run]
                left_flops += job.job.flops_spent[run]
            bytes_ = predicted_memory(job.job, run, device)
            too_large = memory is not None and _run_bytes(job.job, run, device) > memory
            table.add_row(
                "–" if budget is None else f"{budget:.2g}",
                short_count(job.job.params_total),
                f"{job.job.shape.width}×{job.job.shape.depth}",
                short_count(job.job.tokens[run]),
                f"{job.job.flops_spent[run]:.2g}",
                f"{bytes_ / 2**20:.0f}",
                duration(times[run]) if record is None else "–",
                f"{record.status} already" if record else "[red]does not fit[/]" if too_large else "to train",
            )
        if left:
            jobs_seconds.append(left)
    runs = sum(map(len, records.values()))
    console.print(table)
    console.print(
        "FLOPs and time: beyond the runs before it on the same trunk, exact count; MiB: predicted peak of a step.",
        style="dim",
        highlight=False,
    )
    console.print(
        f"[bold]{config.name}[/]: {runs} runs in {len(planned)} jobs, {len(there_already)} recorded already; to train: "
        f"{left_flops:.3g} FLOPs",
        highlight=False,
    )
    if waiting:
        disk = sum(disk_bytes(job.job) for job in waiting)
        demands = tuple(demand(job.job, where.gpus) for job in waiting) if where.gpus else ()
        how_long = time_at_once(jobs_seconds, where, demands)
        console.print(
            f"time: {duration(sum(jobs_seconds))} of job time, {how_long} (speed: {source})",
            highlight=False,
        )
        there = "not known" if memory is None else f"{memory / 2**20:,.0f} MiB"
        whose = "all runs at once" if device == "cpu" and where.here else "each run"
        if where.gpus:
            there = " and ".join(f"{gpu.room_bytes / 2**20:,.0f} MiB" for gpu in where.gpus)
            whose = "the runs on a GPU together"
        console.print(
            f"memory: {there} for {whose}; disk: up to {disk / 2**20:,.1f} MiB of {free / 2**20:,.0f} free",
            highlight=False,
        )
        refuse_what_does_not_fit(waiting, device, where, memory, free)
    console.print("nothing was started (--dry-run)", highlight=False)
