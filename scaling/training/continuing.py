"""More tokens on a finished run: its trunk goes on where the schedule allows it, else the user is told why not.

A run of schedule=wsd leaves the trunk when its learning rate begins to decay. A run of more tokens takes the same steps
up to there, if its warmup and its batches are the same, and can begin with that state. `Job.tidy` keeps the state in
the run's folder, as `trunk.ckpt`.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from scaling.config.schema import WSDConfig
from scaling.errors import UserError
from scaling.records.files import Damaged, move_into_place, seal, seal_label
from scaling.records.folder import CHECKPOINT, PART, RECORD, TRUNK
from scaling.records.records import RunRecord, read_or_set_aside
from scaling.training.job import Job, plan_job

log = logging.getLogger(__name__)


def continue_finished(job: Job) -> Path | None:
    """The checkpoint made from a finished run's trunk, to start this job with; None where the job starts from scratch.

    Where the job's folder holds a finished run of the same model and seed, a warning says what was found.
    """
    shorter = _shorter_run(job)
    if shorter is None:
        return None
    run = f"{job.config.name}: the finished run of {shorter.tokens:,} tokens"
    more = f"{job.tokens[0]:,} tokens"
    reason = _why_not(job, shorter)
    if reason is not None:
        log.warning("%s cannot go on to %s, and training starts from scratch: %s", run, more, reason)
        return None
    steps = job_of_record(job, shorter).recipe.segments[0].stop
    log.warning("%s goes on to %s from step %d, where its learning rate began to decay", run, more, steps)
    return _write_checkpoint(job, job.folder / shorter.run_id / TRUNK, steps)


def job_of_record(job: Job, record: RunRecord) -> Job:
    """The job that trains the same config to the tokens of a record."""
    return plan_job(replace(job.config, branches=[], tokens=float(record.tokens)), job.corpus)


def _shorter_run(job: Job) -> RunRecord | None:
    """The longest finished run of this model and seed in the job's folder that has fewer tokens than the job."""
    records = [read_or_set_aside(path) for path in job.folder.glob(f"*/{RECORD}")]
    found = [
        record
        for record in records
        if record is not None
        and record.status == "done"
        and (record.params_total, record.seed) == (job.params_total, job.config.seed)
        and record.tokens < job.tokens[0]
    ]
    return max(found, key=lambda record: record.tokens, default=None)


def _why_not(job: Job, record: RunRecord) -> str | None:
    """Why a job cannot begin with the trunk of a finished run, or None: it can."""
    if not isinstance(job.recipe.schedule, WSDConfig):
        return (
            f"with schedule={job.config.schedule.kind} the learning rate of each step depends on the run's length; "
            "runs of schedule=wsd go on"
        )
    if len(job.tokens) > 1:
        return "several branches share a trunk of their own"
    try:
        before = job_of_record(job, record)
    except UserError as error:
        return str(error)
    if before.identities != [record.identity]:
        return "it was trained with another config or corpus"
    steps = before.recipe.segments[0].stop
    trunks = [
        replace(each.recipe, run_steps=(), batches=each.recipe.batches.until(steps), micro_batch_sequences=0)
        for each in (before, job)
    ]
    if trunks[0] != trunks[1]:
        return (
            "its warmup was shorter; set schedule.warmup_tokens for both"
            if before.recipe.warmup_tokens != job.recipe.warmup_tokens
            else "its batches were of other sizes"
        )
    trunk = job.folder / record.run_id / TRUNK
    if not trunk.is_file():
        return "the state before its learning rate decayed was not kept; trainer.save_model=true keeps it"
    try:
        if seal_label(trunk) != f"{before.fingerprint} {steps}":
            return f"{trunk} is of another run"
    except Damaged as error:
        return str(error)
    return None


def _write_checkpoint(job: Job, trunk: Path, steps: int) -> Path:
    """Write a finished run's trunk as a checkpoint of this job, whose plan has more steps; returns its path."""
    state: dict[str, Any] = torch.load(trunk, map_location="cpu", weights_only=True)
    losses = torch.full(
        (sum(segment.steps for segment in job.recipe.segments),), float("nan"), dtype=torch.float64
    )
    losses[:steps] = state["losses"][:steps]
    target = job.folder / CHECKPOINT
    temporary = target.with_name(f".{CHECKPOINT}{PART}")
    try:
        with temporary.open("wb") as file:
            torch.save({**state, "losses": losses}, file)
        seal(temporary, f"{job.fingerprint} {steps}")
        move_into_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
