"""What `hydra/launcher=local` does with the jobs that Hydra hands it: their configs, their order and their results."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict

from scaling.config.schema import SweepConfig, TrainConfig, load
from scaling.errors import UserError
from scaling.records.claims import holder_of
from scaling.sweep.gpus import admission, gpus_for
from scaling.sweep.multirun import MultirunJob, keep_outcome, multirun_job, train_when_free
from scaling.sweep.placement import default_workers
from scaling.sweep.workers import run_in_workers
from scaling.training.job import as_first_planned, read_plan, with_threads
from scaling.training.machine import probe


def launch(
    config: DictConfig,
    loader: ConfigLoader,
    job_overrides: Sequence[Sequence[str]],
    workers: int | None,
    first: int = 0,
) -> list[JobReturn]:
    """Train jobs in worker processes; one that fails or dies is reported and stops none of the others.

    Args:
        config: the sweep's or the multirun's, Hydra's own part included.
        loader: composes a job's config as every launcher's does.
        job_overrides: for each job, the words that tell it apart.
        workers: most jobs at once; None: the machine's cores over the threads of a job.
        first: the number of the first job, as Hydra counts them.

    Raises:
        UserError: before any job starts, where two different ones would write into one folder.
    """
    composed = [loader.load_sweep_config(config, list(words)) for words in job_overrides]
    found = [_job(each, number) for number, each in enumerate(composed, first)]
    multirun = [job for job in found if isinstance(job, MultirunJob)]
    if multirun:
        losses = train_multirun(multirun, workers)
        return [_result(*each, None) for each in zip(composed, job_overrides, losses, strict=True)]
    reasons = train([job for job in found if isinstance(job, TrainConfig)], workers)
    return [
        _result(each, words, None, reason)
        for each, words, reason in zip(composed, job_overrides, reasons, strict=True)
    ]


def train(jobs: Sequence[TrainConfig], workers: int | None) -> list[str | None]:
    """Train jobs in at most `workers` processes at once; returns why each failed, or None."""
    if not jobs:
        return []
    trainer = jobs[0].trainer
    gpus = gpus_for(probe().accelerator if trainer.accelerator == "auto" else trainer.accelerator)
    count = min(workers or default_workers(trainer, gpus), len(jobs))
    shared = [with_threads(job, count) for job in jobs]
    return run_in_workers(shared, count, admission=admission(shared, gpus))


def train_multirun(jobs: Sequence[MultirunJob], workers: int | None) -> list[float]:
    """Train the jobs of a multirun and leave the outcome of each; returns the loss of each, infinite where it failed.

    Raises:
        UserError: before any job starts, where two different ones would write into one folder.
    """
    refuse_shared_folders(jobs)
    # The sampler of a tuning may propose a job twice; it is trained once.
    configs = {job.folder: as_first_planned(job.config) for job in jobs if job.config is not None}
    reasons = dict(zip(configs, train(list(configs.values()), workers), strict=True))
    for folder, config in configs.items():
        if reasons[folder] is None and holder_of(folder) is not None:
            reasons[folder] = train_when_free(config)
    return [keep_outcome(job, job.refusal or reasons.get(job.folder)) for job in jobs]


def refuse_shared_folders(jobs: Sequence[MultirunJob]) -> None:
    """Refuse jobs that would write into one folder, unless they are the same job.

    Raises:
        UserError: one line naming two of them.
    """
    seen: dict[str, MultirunJob] = {}
    for job in jobs:
        other = seen.setdefault(str(job.folder), job)
        if other.config != job.config:
            pair = " and ".join(f"{' '.join(each.words)}" for each in (other, job))
            raise UserError(f"{pair}: these jobs would write into one folder, {job.folder}; leave out name=")


def _result(composed: DictConfig, words: Sequence[str], value: float | None, reason: str | None) -> JobReturn:
    result = JobReturn(overrides=list(words), cfg=composed)
    result.status = JobStatus.COMPLETED if reason is None else JobStatus.FAILED
    result.return_value = value if reason is None else RuntimeError(reason)
    return result


def _job(composed: DictConfig, number: int) -> MultirunJob | TrainConfig:
    """The job that a composed config stands for: in a sweep, the one that was planned in the folder that it names."""
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
    bare = composed.copy()
    with open_dict(bare):
        del bare["hydra"]
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(composed)  # for values such as ${hydra:job.num}
    try:
        if job := multirun_job(bare, composed):
            return job
        asked = load(bare)
    finally:
        HydraConfig.instance().cfg = before
    return as_first_planned(read_plan(asked.folder) if isinstance(asked, SweepConfig) else asked)
