"""A multirun (`scaling train -m`): what each of its jobs does, whichever launcher carries it, and what they came to.

A job leaves an `Outcome` in the multirun's folder, so that one process can tell of all of them at the end. No failure
of a job ends the others.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from analysis.refusals import Refusal
from scaling.config.schema import TrainConfig, load
from scaling.records.claims import holder_of
from scaling.records.files import Damaged, read_json, write_json
from scaling.records.folder import FAILED, MULTIRUN, RECORD
from scaling.sweep.placement import placement
from scaling.training.job import job_of, with_threads
from scaling.training.progress import Progress
from scaling.training.retry import attempt
from scaling.training.signals import PREEMPTED, Preempted

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
"""Time between two looks at a job that another process trains."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job of a multirun came to."""

    overrides: list[str]
    """The words of the keys that not all jobs share."""
    folder: str
    """Where the job wrote."""
    records: list[str]
    """Files of the records of its runs, those of runs that failed included."""
    reason: str | None
    """Why the job failed; None: each of its runs has a record."""
    began: str
    """The multirun that it belongs to: when that began."""


@dataclass(frozen=True, kw_only=True)
class MultirunJob:
    """A job as a multirun composed it."""

    study: Path
    """The multirun's folder."""
    began: str
    name: str
    folder: Path
    words: list[str]
    """All that was composed into its config."""
    overrides: list[str]
    """Those of the words whose keys not all jobs share."""
    config: TrainConfig | None
    """None: it cannot be loaded."""
    refusal: str | None
    """Why it cannot."""
    alone: bool
    """Whether its launcher runs one job at a time, in the user's terminal."""


def multirun_job(config: DictConfig, composed: DictConfig) -> MultirunJob | None:
    """The job that a multirun composed; None: a config that no multirun composed.

    Args:
        config: the job's keys.
        composed: a config that holds Hydra's own part.
    """
    hydra = composed.hydra
    multirun = OmegaConf.select(hydra, "callbacks.multirun")
    if multirun is None or multirun.folder is None:
        return None
    below = str(hydra.sweep.subdir)
    name = str(config.name) if below == "." else f"{config.name}/{below}"
    loaded, refusal, where = None, None, placement(composed)
    try:
        loaded = replace(load(config), name=name)
        if where.here:
            loaded = with_threads(loaded, where.at_once)
    except Exception as error:  # such as a value out of its key's range, wrapped by OmegaConf or not
        refusal = reason_of(error)
    words = [str(word) for word in hydra.overrides.task]
    return MultirunJob(
        study=Path(multirun.folder),
        began=str(multirun.began),
        name=name,
        folder=Path(config.out) / name,
        words=words,
        overrides=[word for word in words if word.partition("=")[0].lstrip("+~") not in multirun.shared],
        config=loaded,
        refusal=refusal,
        alone=where.here and where.at_once == 1,
    )


def reason_of(error: Exception) -> str:
    """One line that says why a job failed."""
    message = " ".join(str(error).split())
    return message if isinstance(error, Refusal) else f"{type(error).__name__}: {message}"


def train_job(job: MultirunJob, report: Callable[[Progress], None] | None = None) -> float:
    """Train a job of a multirun and leave its outcome; returns the validation loss of its last run, for sweepers.

    The loss is infinite where the job failed or its last run diverged: sweepers take a number only.

    Raises:
        Preempted: when a signal asked the job to end.
    """
    reason = job.refusal
    if job.config is not None:
        reason = train_when_free(job.config, report)
        if reason == PREEMPTED:
            raise Preempted(job.name)
    return keep_outcome(job, reason)


def train_when_free(config: TrainConfig, report: Callable[[Progress], None] | None = None) -> str | None:
    """Train a job, here or, where another process is at it, by waiting for that; returns why it failed, or None."""
    while True:
        reason = attempt(config, report=report)
        if reason is not None or holder_of(config.folder) is None:
            return reason
        time.sleep(WAIT_SECONDS)


def keep_outcome(job: MultirunJob, reason: str | None) -> float:
    """Leave the outcome of a job that has ended; returns the validation loss of its last run, as `train_job` does."""
    loss = inf
    files: list[Path] = []
    if job.config is not None:
        try:
            planned = job_of(job.config)
            kept = [folder / name for folder in planned.run_folders for name in (RECORD, FAILED)]
            files = [file for file in kept if file.is_file()]
            if reason is None:
                last = planned.recorded()[-1]
                reason = "ended without a record or a reason" if last is None else None
                loss = inf if last is None or last.loss_nats is None else last.loss_nats
        except Exception as error:  # what `attempt` met is the better reason
            reason = reason or reason_of(error)
    outcome = Outcome(
        overrides=job.overrides,
        folder=str(job.folder),
        records=[str(file) for file in files],
        reason=reason,
        began=job.began,
    )
    key = hashlib.sha256(str(job.folder).encode()).hexdigest()[:16]
    write_json(job.study / MULTIRUN / f"{key}.json", asdict(outcome))
    if reason is not None:
        log.error("%s failed: %s", job.name, reason)
    else:
        told = f"validation loss {loss:.4f} nats/token" if isfinite(loss) else "diverged"
        log.info("%s: %s", job.name, told)
    return loss


def read_outcomes(study: Path) -> list[Outcome]:
    """The outcomes in a multirun's folder, those of earlier multiruns of that name included; a damaged one is none."""
    outcomes = []
    for path in sorted((study / MULTIRUN).glob("*.json")):
        try:
            values: dict[str, Any] = read_json(path)
            outcomes.append(Outcome(**values))
        except (Damaged, TypeError) as error:
            log.warning("%s: cannot be read (%s); the same command writes it again", path, error)
    return outcomes
