"""How long a sweep will take: the time of each run, measured on a few steps or taken from the hardware catalogue."""

import math
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.formats import duration
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.timing import step_time
from scaling.config.schema import SweepConfig
from scaling.records.records import RunRecord
from scaling.sweep.admission import Admission, Demand, run_through
from scaling.sweep.placement import Placement
from scaling.sweep.plan import PlannedJob
from scaling.training.job import Job

PROBED_SIZES = 5
"""Sizes that are tried out for their speed; the others lie between them."""
PROBE_SECONDS, PROBE_STEPS = 1.0, 8
"""A size is tried for at least this long and this many steps, the first few left out."""


def seconds_per_token(
    config: SweepConfig, jobs: list[PlannedJob], records: list[RunRecord]
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
    from scaling.training.pretrain import (
        pretrain,  # Imports torch and Lightning, which only a measurement needs.
    )

    class Enough(BaseException):
        pass

    recipe = job.recipe
    steps = [step for segment in recipe.segments for step in range(segment.start, segment.stop)]
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
    plan = job.recipe.segments
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
