"""`scaling train`: pre-train one model, or many as a plain Hydra multirun (-m)."""

from contextlib import ExitStack, nullcontext
from typing import cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from scaling.cli import hydra_app, next_steps

COMPILING = "compiling kernels for this processor, once"


@hydra.main(version_base="1.3", config_path="pkg://scaling.conf", config_name="train")
@hydra_app.job
def train(config: DictConfig) -> float | None:
    """Train the configured job; returns the last run's validation loss, for sweepers that optimise it.

    In a multirun, returns an infinite loss for a job that failed or diverged: no failure ends the other jobs.
    """
    from scaling.config.schema import load, register
    from scaling.model.cpu_support import told_of_compilation, trains_with_cpu_kernels
    from scaling.sweep.capacity import refuse_a_job_that_does_not_fit
    from scaling.sweep.multirun import multirun_job, train_job
    from scaling.training.job import job_of
    from scaling.training.progress import print_records, report_job
    from scaling.training.retry import pretrain_within_memory

    register()
    composed = cast("DictConfig", HydraConfig.instance().cfg)  # Hydra's hint names the schema that it holds
    if multirun := multirun_job(config, composed):
        with report_job(multirun.name) if multirun.alone else nullcontext() as report:
            return train_job(multirun, report)
    asked = load(config)
    next_steps.say("preparing the corpus")
    job = job_of(asked)
    refuse_a_job_that_does_not_fit(job)
    trainer = job.config.trainer
    with report_job(asked.name) as report, ExitStack() as told:
        if trainer.accelerator == "cpu" and trains_with_cpu_kernels(trainer.precision, trainer.devices):
            told.enter_context(told_of_compilation(lambda: next_steps.say(COMPILING)))
        records = pretrain_within_memory(job, report)
    print_records(records, job.folder)
    if not hydra_app.is_multirun():  # a job of several leaves the others to go on
        hydra_app.end_if_diverged(records)
        next_steps.after_train(job.folder, records)
    return records[-1].loss_nats


if __name__ == "__main__":
    hydra_app.run(train)
