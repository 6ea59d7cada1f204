"""One job, tried by stated rules, and what is kept of a failure.

Out of memory: tried again with half the micro-batch and twice the accumulation, the same batch, down to one sequence;
the record says so. Whatever else is raised fails the job at once, with its log; a job whose process dies is tried
once more: by its launcher, or here where it was one of several ranks. A failed run keeps `failed.json`, a record
without an outcome, until it is trained.
"""

import errno
import logging
import traceback
from collections.abc import Callable
from dataclasses import replace

from scaling.config.schema import TrainConfig
from scaling.errors import UserError
from scaling.records.claims import Claimed
from scaling.records.folder import ERROR_LOG, FAILED, RECORD
from scaling.records.records import RunOutcome, RunRecord, write_record
from scaling.training.job import Job, job_of, plan_job
from scaling.training.planned import planned_facts
from scaling.training.progress import Progress, progress_file
from scaling.training.ranks import RankDied
from scaling.training.signals import PREEMPTED, Preempted

log = logging.getLogger(__name__)

NO_MEMORY = ("can't allocate memory", "could not create a primitive", "could not create a memory")
"""What PyTorch on the CPU, which raises a plain RuntimeError, and its library oneDNN say where memory has run out."""


def attempt(
    config: TrainConfig, retried: str | None = None, report: Callable[[Progress], None] | None = None
) -> str | None:
    """Train a job; returns why it failed, or None: it is recorded, or another process trains it.

    Where a signal asked it to end, and whoever sent it leaves the rest to the sweep, that is `PREEMPTED`.

    Args:
        config: the job.
        retried: what an earlier attempt failed of, for the records.
        report: told how far the job is; None: its folder's file of progress is.
    """
    died = False
    while True:
        try:
            config.folder.mkdir(parents=True, exist_ok=True)
            pretrain_within_memory(job_of(config), report or progress_file(config.folder), retried)
            (config.folder / ERROR_LOG).unlink(missing_ok=True)
            return None
        except Claimed:
            return None
        except Preempted:
            log.warning(
                "%s: asked to end; its checkpoint is kept, and it is to be launched again", config.name
            )
            return PREEMPTED
        except RankDied as error:
            if died:
                return _fail(config, error)
            died, retried = True, f"{error}; started again from its last checkpoint"
        except Exception as error:
            return _fail(config, error)
        # Outside the handler, where nothing holds on to the tensors of the failed attempt.
        log.warning("%s: %s", config.name, retried)
        _free_memory()


def pretrain_within_memory(
    job: Job, report: Callable[[Progress], None] | None = None, retried: str | None = None
) -> list[RunRecord]:
    """`pretrain_job`, again with half the micro-batch each time it runs out of memory, down to one sequence.

    Raises:
        What `pretrain_job` does; the error that says there is no memory, once the micro-batch is one sequence.
    """
    from scaling.training.pretrain import pretrain_job

    while True:
        try:
            return pretrain_job(job, report, retried)
        except Exception as error:
            smaller = _with_half_the_micro_batch(job) if is_out_of_memory(error) else None
            if smaller is None:
                raise
        # Outside the handler, where nothing holds on to the tensors of the failed attempt.
        job = smaller
        retried = f"out of memory; micro-batch halved to {job.config.trainer.micro_batch_tokens} tokens"
        log.warning("%s: %s", job.config.name, retried)
        _free_memory()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the machine has no memory left."""
    import torch

    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY))
    )


def _with_half_the_micro_batch(job: Job) -> Job | None:
    half = job.recipe.micro_batch_sequences // 2
    if not half:
        return None
    trainer = replace(job.config.trainer, micro_batch_tokens=half * job.recipe.context)
    return plan_job(replace(job.config, trainer=trainer), job.corpus)


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _fail(config: TrainConfig, error: Exception) -> str:
    message = " ".join(str(error).split())
    reason = message if isinstance(error, UserError) else f"{type(error).__name__}: {message}"
    path = config.folder / ERROR_LOG
    try:
        path.write_text("".join(traceback.format_exception(error)))
        reason += f" (see {path})"
        record_failure(job_of(config), reason)
    except (OSError, UserError) as another:  # a full disk, or a config that makes no job
        log.warning("%s: nothing could be kept of its failure: %s", config.name, another)
    return reason


def record_failure(job: Job, reason: str) -> None:
    """Leave a failed record, without an outcome, for each run of a job that has no record."""
    for run, folder in enumerate(job.run_folders):
        if (folder / RECORD).is_file():
            continue
        record = RunRecord.of(planned_facts(job, run), RunOutcome(status="failed", reason=reason))
        write_record(record, folder, name=FAILED)
