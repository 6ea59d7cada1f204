"""One training job: a trunk and its branches, giving a record for each run.

Everything in the job's folder is written whole or not at all; a job started again skips the runs that are
recorded, goes on from its last checkpoint, and ends with the same records.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from scaling.config.schema import TrainConfig
from scaling.records.claims import Claim, claim
from scaling.records.files import remove_parts
from scaling.records.records import RunRecord
from scaling.training import checkpoint, ranks
from scaling.training.continuing import continue_finished
from scaling.training.fit import build_module, fit
from scaling.training.job import Job, job_of, write_plan
from scaling.training.machine import refuse_what_is_missing
from scaling.training.progress import Progress
from scaling.training.signals import HeldSignals


def pretrain(
    config: TrainConfig,
    report: Callable[[Progress], None] | None = None,
    retried: str | None = None,
    *,
    jobs_at_once: int = 1,
) -> list[RunRecord]:
    """Train a job to its end and return the records of its runs, by rising token budget.

    Args:
        config: the job.
        report: called about once in `trainer.log_every_seconds` with where the job stands.
        retried: what an earlier attempt failed of and what was changed since, for the records.
        jobs_at_once: most jobs that share the cores of this machine; it bounds the threads where the config leaves
            them open.

    Raises:
        UserError: for a config that cannot train, before anything is written; or a folder that holds other runs.
        Claimed: while another process trains the job.
        Preempted: when a signal asked it to end; it goes on from its checkpoint when it is started again.
    """
    return pretrain_job(job_of(config, jobs_at_once=jobs_at_once), report, retried)


def pretrain_job(
    job: Job, report: Callable[[Progress], None] | None = None, retried: str | None = None
) -> list[RunRecord]:
    """`pretrain` for a job that is planned already; the same arguments, result and errors."""
    if job.config.trainer.threads is not None:
        torch.set_num_threads(job.config.trainer.threads)
    if not (records := _all(job.recorded())):
        refuse_what_is_missing(job.config.trainer)
        job.folder.mkdir(parents=True, exist_ok=True)
        with HeldSignals() as signals, claim(job.folder) as held:
            write_plan(job.config)
            # Looked at again now that nobody else can be at it.
            records = _all(job.recorded()) or _train(job, report, retried, held, signals)
    job.tidy()
    return records


def _all(records: list[RunRecord | None]) -> list[RunRecord]:
    """The records of a job that has them all; none of them where one is missing."""
    whole = [record for record in records if record is not None]
    return whole if len(whole) == len(records) else []


def _train(
    job: Job,
    report: Callable[[Progress], None] | None,
    retried: str | None,
    held: Claim,
    signals: HeldSignals,
) -> list[RunRecord]:
    """Train what has no record yet, in this process or in one for each device."""
    recorded = [run for run, record in enumerate(job.recorded()) if record is not None]
    remove_parts(job.folder)
    with torch.device("meta"):  # the plan of the job, without the weights
        resume_from = checkpoint.find(job, build_module(job, recorded))
    if resume_from is None and not recorded:
        resume_from = continue_finished(job)
    if job.config.trainer.devices == 1:
        signals.end_at_once()
        fit(job, recorded, resume_from, report, retried, held.check, signals)
    else:
        facts: dict[str, Any] = {"recorded": recorded, "resume_from": resume_from, "retried": retried}
        facts |= {"claim": held.path, "claim_content": held.content}
        try:
            with tempfile.TemporaryDirectory() as folder:
                ranks.train(ranks.tasks_for(job.config, Path(folder), **facts), report, signals)
        finally:
            held.check()  # the reason for all else, where the job is another process's by now
    records = _all(job.recorded())
    assert records, "a job ends with every run recorded"
    return records
