"""One training job: a trunk and its branches, giving a record for each run.

Everything in the job's folder is written whole or not at all; a job started again skips the runs that are
recorded, goes on from its last checkpoint, and ends with the same records.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy

from scaling.config.schema import LoggerConfig, TrainConfig, TrainerConfig
from scaling.corpus import prepare
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.records.claims import Claim, claim
from scaling.records.files import remove_parts
from scaling.records.records import RunRecord
from scaling.training import checkpoint, ranks
from scaling.training.branching import Branching, Progress
from scaling.training.fsdp import FullyShardedStrategy
from scaling.training.job import Job
from scaling.training.malloc import keep_freed_memory
from scaling.training.module import Pretraining
from scaling.training.precision import MASTER
from scaling.training.signals import HeldSignals
from scaling.training.step_groups import StepGroups, loader


def pretrain(
    config: TrainConfig, report: Callable[[Progress], None] | None = None, retried: str | None = None
) -> list[RunRecord]:
    """Train a job to its end and return the records of its runs, by rising token budget.

    Args:
        config: the job.
        report: called about once in `trainer.log_every_seconds` with where the job stands.
        retried: what an earlier attempt failed of and what was changed since, for the records.

    Raises:
        UserError: for a config that cannot train, before anything is written; or a folder that holds other runs.
        Claimed: while another process trains the job.
        Preempted: when a signal asked it to end; it goes on from its checkpoint when it is started again.
    """
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    job = Job(config, corpus)
    job.folder.mkdir(parents=True, exist_ok=True)
    if not (records := _all(job.recorded())):
        with HeldSignals() as signals, claim(job.folder) as held:
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
        resume_from = checkpoint.find(job, _module(job, recorded))
    if job.config.trainer.devices == 1:
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


def _module(job: Job, recorded: list[int]) -> Pretraining:
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
    module = _module(job, recorded)
    # Only between steps that Lightning knows of can it be looked at or kept.
    one_by_one = 0 in (config.trainer.log_every_seconds, config.trainer.checkpoint_every_seconds)
    with warnings.catch_warnings():
        _quieten_lightning()
        trainer = L.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=_strategy(config.trainer),
            precision="32-true" if precision == MASTER else precision,  # type: ignore[arg-type]
            deterministic=config.trainer.deterministic,
            max_steps=module.total_steps,
            max_epochs=1,
            logger=build_logger(config.logger, job.folder, config.name),
            # Ranks are started by scaling.training.ranks, under Slurm too.
            plugins=[checkpoint.InPlaceIO(), LightningEnvironment()],
            callbacks=[Branching(job, report, retried, check, signals or HeldSignals()), *callbacks],
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


def _strategy(config: TrainerConfig) -> str | Strategy:
    """How Lightning trains on the configured devices; one is trained on alike whatever the strategy."""
    if config.devices == 1:
        return "auto"
    if config.strategy == "fsdp":
        return FullyShardedStrategy(config.devices)
    return DDPStrategy(broadcast_buffers=False)  # the only ones are tables that never change


def build_logger(config: LoggerConfig, folder: Path, name: str) -> Logger | bool:
    """Lightning's logger of the configured kind, writing into the job's folder.

    Raises:
        UserError: one line, when the logger's package is not installed.
    """
    try:
        match config.kind:
            case "csv":
                return CSVLogger(folder, name="", version="log", flush_logs_every_n_steps=1)
            case "tensorboard":
                return TensorBoardLogger(folder, name="", version="tensorboard")
            case "wandb":
                return WandbLogger(name=name, project=config.project, save_dir=folder, offline=config.offline)
            case "mlflow":
                # MLflow asks for a database, which takes its full package; plain files do for one machine.
                os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
                uri = config.uri or f"file:{folder.resolve() / 'mlflow'}"
                return MLFlowLogger(experiment_name=config.project, run_name=name, tracking_uri=uri)
            case _:
                return False
    except ModuleNotFoundError as error:
        raise UserError(
            f"logger={config.kind}: its package is not installed; "
            f"pip install 'scaling-simulator[{config.kind}]', or logger=csv"
        ) from error


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
