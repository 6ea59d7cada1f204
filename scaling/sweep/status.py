"""The state of a sweep, read from its folder alone: by anyone who may read it, at any time. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scaling.errors import UserError
from scaling.records.claims import Holder, holder_of
from scaling.records.files import Damaged, JsonObject, read_json
from scaling.records.folder import CHECKPOINT, FAILED, RECORD, STUDY_PLAN, TRUNK
from scaling.sweep.provenance import read_sweep
from scaling.training.progress import Progress, read_progress

State = Literal["done", "training", "interrupted", "waiting", "failed", "damaged"]
"""A job is done once all its runs are recorded, interrupted where it left a checkpoint or records and no process
trains it, and damaged where a record is not what was written."""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """One run of a training job."""

    name: str
    flops: float
    """What the run costs beyond the runs before it in its job, by the exact count."""
    recorded: bool = False
    """Whether it was trained to its end, be it done or diverged."""
    status: str | None = None
    """done, diverged or failed, as its record says; damaged where the record is; None before there is one."""
    reason: str | None = None
    """Why it is not done."""
    loss_nats: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """One training job of a sweep."""

    name: str
    state: State
    runs: tuple[RunStatus, ...]
    holder: Holder | None
    """The process that trains the job."""
    progress: Progress | None
    """What the job last reported, until all its runs are recorded."""

    @property
    def runs_recorded(self) -> int:
        return sum(run.recorded for run in self.runs)

    @property
    def flops(self) -> float:
        """What the job costs, by the exact count."""
        return sum(run.flops for run in self.runs)

    @property
    def flops_done(self) -> float:
        recorded = sum(run.flops for run in self.runs if run.recorded)
        if self.progress is None:
            return recorded
        return max(recorded, self.flops * self.progress.step / max(1, self.progress.steps))

    @property
    def reasons(self) -> str:
        """Why runs of the job are not done."""
        told = (
            f"{run.name} {run.status}: {run.reason}" if run.recorded else run.reason
            for run in self.runs
            if run.reason is not None
        )
        return "; ".join(dict.fromkeys(filter(None, told)))


@dataclass(frozen=True, kw_only=True)
class SweepStatus:
    """A sweep as its folder shows it."""

    name: str
    jobs: tuple[JobStatus, ...]

    def count(self, state: State) -> int:
        return sum(job.state == state for job in self.jobs)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come: no job waits, trains or was interrupted."""
        return all(
            job.state in ("done", "failed") or (job.state == "damaged" and job.holder is None)
            for job in self.jobs
        )

    @property
    def runs(self) -> list[RunStatus]:
        return [run for job in self.jobs for run in job.runs]

    @property
    def tokens_per_second(self) -> float:
        """Of all jobs that train now."""
        return sum(
            job.progress.tokens_per_second for job in self.jobs if job.state == "training" and job.progress
        )

    @property
    def seconds_left(self) -> float | None:
        """At the speed of the jobs that train now; None while none does."""
        rate = sum(
            (job.flops - job.flops_done) / job.progress.seconds_left
            for job in self.jobs
            if job.state == "training" and job.progress and job.progress.seconds_left > 0
        )
        left = sum(job.flops - job.flops_done for job in self.jobs if job.state != "failed")
        return left / rate if rate else None


def read_status(folder: Path, before: SweepStatus | None = None) -> SweepStatus:
    """The state of the sweep in a folder.

    Args:
        folder: the study's.
        before: an earlier state of the same sweep; jobs that were done then are not read again.

    Raises:
        UserError: one line, when no sweep was begun there, it is still being planned, or its plan is damaged.
    """
    if not (folder / STUDY_PLAN).is_file():
        if not folder.is_dir():
            raise UserError(
                f"{folder}: no sweep was begun here (the folder is not there: a sweep makes it once it is planned)"
            )
        if (holder := holder_of(folder)) is not None:
            raise UserError(f"{folder}: its sweep is being planned ({holder}); ask again in a few seconds")
        raise UserError(
            f"{folder}: no sweep was begun here (it has no {STUDY_PLAN}); give the folder of one, runs/NAME"
        )
    plan = read_sweep(folder / STUDY_PLAN)
    done = {job.name: job for job in before.jobs if job.state == "done"} if before else {}
    jobs = []
    for name, runs in plan["jobs"].items():
        known = done.get(name)
        same = known is not None and [run.name for run in known.runs] == list(runs)
        jobs.append(known if known is not None and same else _job(folder / name, runs))
    return SweepStatus(name=plan["name"], jobs=tuple(jobs))


def _job(folder: Path, planned: dict[str, JsonObject]) -> JobStatus:
    if not folder.is_dir():  # Nothing of the job is there yet, so that nothing more is asked of the disk.
        waiting = tuple(RunStatus(name=name, flops=float(facts["flops"])) for name, facts in planned.items())
        return JobStatus(name=folder.name, state="waiting", runs=waiting, holder=None, progress=None)
    runs = tuple(_run(folder / name, float(facts["flops"])) for name, facts in planned.items())
    holder = holder_of(folder)
    begun = any((folder / name).is_file() for name in (CHECKPOINT, TRUNK))
    state = _state(runs, holder is not None, begun)
    progress = None if all(run.recorded for run in runs) else read_progress(folder)
    return JobStatus(name=folder.name, state=state, runs=runs, holder=holder, progress=progress)


def _run(folder: Path, flops: float) -> RunStatus:
    try:
        for name in (RECORD, FAILED):
            if (folder / name).is_file():
                record = read_json(folder / name)
                return RunStatus(
                    name=folder.name,
                    flops=flops,
                    recorded=name == RECORD,
                    status=record["status"],
                    reason=record["reason"],
                    loss_nats=record["loss_nats"],
                )
    except Damaged as error:
        return RunStatus(name=folder.name, flops=flops, status="damaged", reason=str(error))
    return RunStatus(name=folder.name, flops=flops)


def _state(runs: Sequence[RunStatus], held: bool, begun: bool) -> State:
    statuses = {run.status for run in runs}
    if "damaged" in statuses:
        return "damaged"
    if all(run.recorded for run in runs):
        return "done"
    if held:
        return "training"
    if "failed" in statuses:
        return "failed"
    return "interrupted" if begun or any(run.recorded for run in runs) else "waiting"
