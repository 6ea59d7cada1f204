"""What `hydra/launcher=local` does with the jobs that Hydra hands it: their configs, their order and their results."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, open_dict

from scaling.config.schema import SweepConfig, TrainConfig, load
from scaling.sweep.gpus import admission, gpus_for
from scaling.sweep.placement import default_workers
from scaling.sweep.workers import run_in_workers
from scaling.training.job import as_first_planned, read_plan
from scaling.training.machine import probe


def launch(
    config: DictConfig, loader: ConfigLoader, job_overrides: Sequence[Sequence[str]], workers: int | None
) -> list[JobReturn]:
    """Train jobs in worker processes; one that fails or dies is reported and stops none of the others.

    Args:
        config: the multirun's, Hydra's own part included.
        loader: composes a job's config as every launcher's does.
        job_overrides: for each job, the words that tell it apart.
        workers: most jobs at once; None: the machine's cores over the threads of a job.
    """
    if not job_overrides:
        return []
    composed = [loader.load_sweep_config(config, list(words)) for words in job_overrides]
    jobs = [as_first_planned(job_config(each)) for each in composed]
    trainer = jobs[0].trainer
    gpus = gpus_for(probe().accelerator if trainer.accelerator == "auto" else trainer.accelerator)
    count = min(workers or default_workers(trainer, gpus), len(jobs))
    reasons = run_in_workers(jobs, count, admission=admission(jobs, gpus))
    returns = []
    for each, words, reason in zip(composed, job_overrides, reasons, strict=True):
        result = JobReturn()
        result.cfg, result.overrides = each, list(words)
        result.status = JobStatus.COMPLETED if reason is None else JobStatus.FAILED
        result.return_value = reason if reason is None else RuntimeError(reason)
        returns.append(result)
    return returns


def job_config(composed: DictConfig) -> TrainConfig:
    """The job that a composed config stands for: in a sweep, the one that was planned in the folder that it names."""
    bare = composed.copy()
    with open_dict(bare):
        del bare["hydra"]
    asked = load(bare)
    return read_plan(asked.folder) if isinstance(asked, SweepConfig) else asked
