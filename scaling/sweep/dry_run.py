"""`scaling sweep … --dry-run`: what each run of a study is, needs and takes, and what will not fit. Trains nothing."""

import shutil
from dataclasses import dataclass, replace
from functools import cached_property

from rich.console import Console
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.accounting.hardware import get_device
from scaling.config.schema import SweepConfig
from scaling.records.records import RunRecord
from scaling.sweep.capacity import (
    disk_bytes,
    jobs_at_once,
    memory_there,
    needed_bytes,
    refuse_what_does_not_fit,
    run_bytes,
)
from scaling.sweep.forecast import job_seconds, seconds_per_token, time_at_once
from scaling.sweep.gpus import GPU_MEMORY_SHARE, demand, torch_device
from scaling.sweep.placement import Placement
from scaling.sweep.plan import PlannedJob
from scaling.training.machine import described_by
from scaling.training.planned import predicted_memory


@dataclass(frozen=True)
class DryRun:
    """A study as planned, beside what is recorded of it and what the machine has."""

    config: SweepConfig
    planned: list[PlannedJob]
    where: Placement
    device: str
    """cpu, cuda or mps."""
    memory_bytes: int | None
    """What there is for all runs at once on a CPU, for each run elsewhere; None: not known."""
    free_disk_bytes: int

    @cached_property
    def records(self) -> dict[str, list[RunRecord | None]]:
        """For each job, its runs' records; None for a run that is to be trained."""
        return {job.name: job.job.recorded() for job in self.planned}

    @cached_property
    def recorded(self) -> list[RunRecord]:
        """The records that are there."""
        return [record for records in self.records.values() for record in records if record is not None]

    @cached_property
    def waiting(self) -> list[PlannedJob]:
        """The jobs with a run that is to be trained."""
        return [job for job in self.planned if not all(self.records[job.name])]

    @cached_property
    def speed(self) -> tuple[dict[str, float], str]:
        """Seconds a token of each waiting job, and where they come from."""
        return seconds_per_token(self.config, self.waiting, self.recorded) if self.waiting else ({}, "")

    def seconds_left(self, job: PlannedJob) -> list[float]:
        """Time that each run of a job still takes; 0 where it is recorded."""
        rates, _ = self.speed
        times = job_seconds(job.job, rates[job.name]) if job.name in rates else [0.0] * len(job.job.tokens)
        return [0.0 if record else t for record, t in zip(self.records[job.name], times, strict=True)]


def dry_run(config: SweepConfig, planned: list[PlannedJob], where: Placement) -> DryRun:
    """A study beside the machine where it will be trained: the catalogue's device, where `hardware.name` names one."""
    device = torch_device(planned[0].job.config.trainer.accelerator)
    memory = memory_there(where, device)
    if config.hardware.name != "auto":
        named = get_device(config.hardware.name)
        device = torch_device(described_by(named).accelerator)
        memory = round(GPU_MEMORY_SHARE * named.memory_bytes)
        where = replace(where, gpus=())  # Those of this machine do not count.
    there = next(path for path in (config.folder, *config.folder.resolve().parents) if path.exists())
    return DryRun(config, planned, where, device, memory, shutil.disk_usage(there).free)


def print_dry_run(config: SweepConfig, planned: list[PlannedJob], where: Placement) -> None:
    """Print each run with its shape, tokens, FLOPs, memory and time, and the whole.

    Raises:
        UserError: one line, after all is printed, where the study does not fit in memory or on the disk.
    """
    plan, console = dry_run(config, planned, where), Console()
    console.print(_runs(plan))
    console.print(
        "FLOPs and time: beyond the runs before it on the same trunk, exact count; MiB: predicted peak of a step.",
        style="dim",
        highlight=False,
    )
    flops = sum(
        flops
        for job in planned
        for flops, record in zip(job.job.flops_spent, plan.records[job.name], strict=True)
        if record is None
    )
    console.print(
        f"[bold]{config.name}[/]: {sum(map(len, plan.records.values()))} runs in {len(planned)} jobs, "
        f"{len(plan.recorded)} recorded already; to train: {flops:.3g} FLOPs",
        highlight=False,
    )
    if plan.waiting:
        console.print(_time(plan), highlight=False)
        console.print(_space(plan), highlight=False)
        refuse_what_does_not_fit(
            plan.waiting, plan.device, plan.where, plan.memory_bytes, plan.free_disk_bytes
        )
    console.print("nothing was started (--dry-run)", highlight=False)


def _runs(plan: DryRun) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for column in ("budget", "params", "shape", "tokens", "FLOPs", "MiB", "time", ""):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for job in plan.planned:
        seconds = plan.seconds_left(job)
        for run, record in enumerate(plan.records[job.name]):
            budget = job.job.config.runs[run].budget_flops
            table.add_row(
                "–" if budget is None else f"{budget:.2g}",
                short_count(job.job.params_total),
                f"{job.job.shape.width}×{job.job.shape.depth}",
                short_count(job.job.tokens[run]),
                f"{job.job.flops_spent[run]:.2g}",
                f"{predicted_memory(job.job, run, plan.device) / 2**20:.0f}",
                "–" if record else duration(seconds[run]),
                _state(plan, job, run, record),
            )
    return table


def _state(plan: DryRun, job: PlannedJob, run: int, record: RunRecord | None) -> str:
    if record is not None:
        return f"{record.status} already"
    if plan.memory_bytes is not None and run_bytes(job.job, run, plan.device) > plan.memory_bytes:
        return "[red]does not fit[/]"
    return "to train"


def _time(plan: DryRun) -> str:
    seconds = [sum(plan.seconds_left(job)) for job in plan.waiting]
    demands = tuple(demand(job.job, plan.where.gpus) for job in plan.waiting) if plan.where.gpus else ()
    how_long = time_at_once(seconds, plan.where, demands)
    return f"time: {duration(sum(seconds))} of job time, {how_long} (speed: {plan.speed[1]})"


def _space(plan: DryRun) -> str:
    there = (
        "how many MiB, is not known,"
        if plan.memory_bytes is None
        else f"{plan.memory_bytes / 2**20:,.0f} MiB"
    )
    at_once = jobs_at_once(plan.waiting, plan.device, plan.where)
    whose = "a run" if at_once == 1 else f"the {at_once} runs at once"
    if plan.where.gpus:
        there = " and ".join(f"{gpu.room_bytes / 2**20:,.0f} MiB" for gpu in plan.where.gpus)
    disk = sum(disk_bytes(job.job) for job in plan.waiting)
    needed = needed_bytes(plan.waiting, plan.device, plan.where) / 2**20
    return (
        f"memory: needs up to {needed:,.0f} MiB for {whose}, and {there} are there; "
        f"disk: needs up to {disk / 2**20:,.1f} MiB, and {plan.free_disk_bytes / 2**20:,.0f} MiB are free"
    )
