"""Where a sweep stands, read from its folder alone: by anyone who may read it, at any time. Imports no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from analysis.formats import duration, short_count
from scaling.errors import UserError
from scaling.records.claims import holder_of
from scaling.records.files import Damaged, read_json
from scaling.records.records import FAILED, RECORD
from scaling.sweep.provenance import SWEEP, read_sweep
from scaling.training.job import CHECKPOINT, PROGRESS, TRUNK


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One training job of a sweep."""

    name: str
    state: str
    """done, training, interrupted, failed or waiting; damaged where a record is not what was written."""
    runs: int
    runs_recorded: int
    flops: float
    """What the job costs, exact count."""
    flops_done: float
    note: str
    """Who trains it (host and process), or why it failed."""
    progress: dict[str, Any] | None
    """What the job last said of itself, while it is under way."""


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """A sweep as its folder shows it."""

    name: str
    jobs: list[JobStatus]

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self.jobs)

    @property
    def seconds_left(self) -> float | None:
        """At the speed of the jobs that train now; None while none does."""
        rate = sum(
            (job.flops - job.flops_done) / job.progress["seconds_left"]
            for job in self.jobs
            if job.state == "training" and job.progress and (job.progress["seconds_left"] or 0) > 0
        )
        left = sum(job.flops - job.flops_done for job in self.jobs if job.state != "failed")
        return left / rate if rate else None


def read_status(folder: Path) -> SweepStatus:
    """The state of the sweep in a folder.

    Raises:
        UserError: one line, when no sweep was begun there or its description is damaged.
    """
    if not (folder / SWEEP).is_file():
        raise UserError(
            f"{folder}: no sweep was begun here (it has no {SWEEP}); give the folder of one, runs/NAME"
        )
    told = read_sweep(folder / SWEEP)
    return SweepStatus(
        name=told["name"], jobs=[_job(folder / name, runs) for name, runs in told["jobs"].items()]
    )


def _job(folder: Path, runs: dict[str, dict[str, Any]]) -> JobStatus:
    recorded, notes, damaged = [], [], False
    for run in runs:
        try:
            if (folder / run / RECORD).is_file():
                record = read_json(folder / run / RECORD)
                recorded.append(run)
                if record["status"] != "done":
                    notes.append(f"{run} {record['status']}: {record['reason']}")
            elif (folder / run / FAILED).is_file():
                notes.append(str(read_json(folder / run / FAILED)["reason"]))
        except Damaged as error:
            damaged = True
            notes.append(str(error))
    holder = holder_of(folder)
    flops = sum(run["flops"] for run in runs.values())
    done = sum(runs[run]["flops"] for run in recorded)
    progress = None if len(recorded) == len(runs) else _progress(folder)
    if progress:
        done = max(done, flops * progress["step"] / max(1, progress["steps"]))
    failed = any((folder / run / FAILED).is_file() for run in runs if run not in recorded)
    begun = (folder / CHECKPOINT).is_file() or (folder / TRUNK).is_file() or bool(recorded)
    if damaged:
        state = "damaged"
    elif len(recorded) == len(runs):
        state = "done"
    elif holder is not None:
        state = "training"
        notes = [f"{holder.host}:{holder.pid}"]
    else:
        state = "failed" if failed else "interrupted" if begun else "waiting"
    return JobStatus(
        name=folder.name,
        state=state,
        runs=len(runs),
        runs_recorded=len(recorded),
        flops=flops,
        flops_done=done,
        note="; ".join(dict.fromkeys(notes)),
        progress=progress,
    )


def _progress(folder: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((folder / PROGRESS).read_text())
        wanted = ("step", "steps", "loss", "tokens_per_second", "seconds_left")
        return told if all(isinstance(told[key], int | float) for key in wanted) else None
    except (OSError, ValueError, KeyError, TypeError):  # not begun, ended between two looks, or damaged
        return None


STYLES = {"done": "green", "training": "bold", "failed": "red", "damaged": "red", "interrupted": "yellow"}


LIVELIEST = ("failed", "damaged", "training", "interrupted", "waiting", "done")
"""The order in which jobs are shown where there is no room for all."""


def render(status: SweepStatus, most_rows: int | None = None) -> Group:
    """A sweep's state for the terminal: a line for the whole, a row for each job, and below why some are not done.

    `most_rows`: jobs to show, the liveliest; None: all.
    """
    jobs = status.jobs
    if most_rows is not None and len(jobs) > most_rows:
        jobs = sorted(jobs, key=lambda job: LIVELIEST.index(job.state))[:most_rows]
    more = [f"… and {len(status.jobs) - len(jobs)} more jobs"] if len(jobs) < len(status.jobs) else []
    runs = sum(job.runs for job in status.jobs)
    recorded = sum(job.runs_recorded for job in status.jobs)
    flops, done = (sum(getattr(job, name) for job in status.jobs) for name in ("flops", "flops_done"))
    counts = ", ".join(
        f"{status.count(state)} {state}"
        for state in ("done", "training", "interrupted", "waiting", "failed", "damaged")
        if status.count(state)
    )
    left = status.seconds_left
    head = (
        f"[bold]{status.name}[/]: [bold]{recorded}[/]/{runs} runs, [bold]{done / flops:.0%}[/] of {flops:.3g} FLOPs; "
        f"jobs: {counts}" + (f"; about {duration(left)} left" if left is not None else "")
    )
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for column in ("job", "state", "runs", "step", "loss", "tokens/s", "where"):
        table.add_column(
            column, justify="left" if column in ("job", "state", "where") else "right", no_wrap=True
        )
    for job in jobs:
        p = job.progress
        style = STYLES.get(job.state)
        table.add_row(
            job.name,
            f"[{style}]{job.state}[/]" if style else job.state,
            f"{job.runs_recorded}/{job.runs}",
            f"{p['step']}/{p['steps']}" if p else "",
            f"{p['loss']:.4f}" if p else "",
            short_count(p["tokens_per_second"]) if p and job.state == "training" else "",
            job.note if job.state == "training" else "",
        )
    reasons = [
        f"[red]{job.name}[/]: {escape(job.note)}" for job in jobs if job.note and job.state != "training"
    ]
    return Group(head, table, *more, *reasons)
