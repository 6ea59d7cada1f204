"""The training of one process: Lightning's Trainer with all that a job hands it."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy

from scaling.config.schema import TrainerConfig
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.training import checkpoint
from scaling.training.branching import Branching
from scaling.training.fsdp import FullyShardedStrategy
from scaling.training.job import Job
from scaling.training.loggers import job_logger
from scaling.training.malloc import keep_freed_memory
from scaling.training.module import Pretraining
from scaling.training.precision import MASTER
from scaling.training.progress import Progress
from scaling.training.signals import HeldSignals
from scaling.training.step_groups import StepGroups, loader


def build_module(job: Job, recorded: list[int]) -> Pretraining:
    """The LightningModule of a job, which leaves out the runs that are recorded already."""
    config = job.config
    trainer = config.trainer
    decoder = Decoder(job.shape, config.model.rope_base)
    module = Pretraining(decoder, job.recipe, job.corpus, trainer.precision, trainer.compile)
    module.leave_out(recorded)
    return module


def fit(
    job: Job,
    recorded: list[int],
    resume_from: Path | None,
    report: Callable[[Progress], None] | None,
    retried: str | None,
    check: Callable[[], None] | None,
    signals: HeldSignals | None = None,
    callbacks: Sequence[L.Callback] = (),
) -> None:
    """Train a job's runs that are not recorded, in this process: all of the training, or one rank's part of it.

    `check`: called before anything is kept; raises when the job is another process's by now. `callbacks` see each
    step after all that is done here.
    """
    config = job.config
    precision = config.trainer.precision
    keep_freed_memory()
    # Nothing here reads memory that it did not write: no need to fill what `torch.empty` gives (deterministic mode).
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    L.seed_everything(config.seed, verbose=False)
    module = build_module(job, recorded)
    # Only between steps that Lightning knows of can it be looked at or kept.
    one_by_one = 0 in (config.trainer.log_every_seconds, config.trainer.checkpoint_every_seconds)
    with warnings.catch_warnings(), job_logger(job) as logger:
        _quieten_lightning()
        trainer = L.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=_strategy(config.trainer),
            precision="32-true" if precision == MASTER else precision,  # type: ignore[arg-type]
            deterministic=config.trainer.deterministic,
            max_steps=module.total_steps,
            max_epochs=1,
            logger=logger or False,
            # Ranks are started by scaling.training.ranks, under Slurm too.
            plugins=[checkpoint.InPlaceIO(), LightningEnvironment()],
            callbacks=[
                Branching(job, report, retried, check, signals or HeldSignals()),
                *user_callbacks(config.trainer),
                *callbacks,
            ],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,
            default_root_dir=job.folder,
        )
        trainer.fit(
            module,
            train_dataloaders=loader(StepGroups(module, one_by_one)),
            ckpt_path=resume_from,
            weights_only=True,
        )
        if trainer.interrupted:
            raise KeyboardInterrupt


def user_callbacks(config: TrainerConfig) -> list[L.Callback]:
    """The callbacks that `trainer.callbacks` names, made anew.

    Raises:
        UserError: one line, for one that cannot be made or is no Lightning callback.
    """
    callbacks = []
    for each in config.callbacks:
        target = each["_target_"]
        try:
            callback = instantiate(each)
        except InstantiationException as error:
            # Hydra names the place in the config in a second line; the reason stands in what it was raised from.
            reason = " ".join(str(error.__cause__ or error).split())
            raise UserError(f"trainer.callbacks: {target} cannot be made ({reason})") from error
        if not isinstance(callback, L.Callback):
            raise UserError(
                f"trainer.callbacks: {target} is no lightning.Callback but {type(callback).__name__}"
            )
        callbacks.append(callback)
    return callbacks


def _strategy(config: TrainerConfig) -> str | Strategy:
    """How Lightning trains on the configured devices; one is trained on alike whatever the strategy."""
    if config.devices == 1:
        return "auto"
    if config.strategy == "fsdp":
        return FullyShardedStrategy(config.devices)
    return DDPStrategy(broadcast_buffers=False)  # the only ones are tables that never change


def _quieten_lightning() -> None:
    """Leave out what Lightning says about choices made here on purpose; the rest still speaks."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for pattern in (
        ".*does not have many workers.*",
        ".*You defined a `validation_step`.*",
        ".*train_dataloader.*",
        ".*srun.*",
        ".*LeafSpec.*",
        ".*broadcast_buffers.*",  # its successor is younger than the oldest PyTorch that will do
    ):
        warnings.filterwarnings("ignore", message=pattern)
