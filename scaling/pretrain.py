"""One training job: a trunk and its branches, giving a record for each run.

Everything in the job's folder is written whole or not at all; a job started again skips the runs that are
recorded, goes on from its last checkpoint, and ends with the same records.
"""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from scaling.branching import CHECKPOINT, TRUNK, Branching, Progress
from scaling.config import LoggerConfig, TrainConfig
from scaling.corpus import prepare
from scaling.display import PROGRESS
from scaling.job import Job
from scaling.model import Decoder
from scaling.module import JobBatches, Pretraining, loader
from scaling.records import RunRecord


def pretrain(config: TrainConfig, report: Callable[[Progress], None] | None = None) -> list[RunRecord]:
    """Train a job to its end and return the records of its runs, by rising token budget.

    Args:
        config: the job.
        report: called about once in `trainer.log_every_seconds` with where the job stands.

    Raises:
        ValueError: for a config that cannot train, before anything is written; or a folder that holds other runs.
    """
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    job = Job(config, corpus)
    job.folder.mkdir(parents=True, exist_ok=True)
    if all(record is not None for record in job.recorded()):
        return [record for record in job.recorded() if record is not None]

    L.seed_everything(config.seed, verbose=False)
    module = Pretraining(Decoder(job.shape, config.model.rope_base), job.recipe, config.trainer.compile)
    batches = JobBatches(module, corpus)
    with warnings.catch_warnings():
        _quieten_lightning()
        trainer = L.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=config.trainer.strategy,
            precision=config.trainer.precision,  # type: ignore[arg-type]
            deterministic=config.trainer.deterministic,
            max_steps=module.total_steps,
            max_epochs=1,
            logger=build_logger(config.logger, job.folder, config.name),
            callbacks=[Branching(job, batches, report)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,
            default_root_dir=job.folder,
        )
        checkpoint = job.folder / CHECKPOINT
        trainer.fit(
            module,
            train_dataloaders=loader(batches),
            ckpt_path=checkpoint if checkpoint.is_file() else None,
            weights_only=True,
        )
    if trainer.interrupted:
        raise KeyboardInterrupt
    records = job.recorded()
    assert all(records), "a job ends with every run recorded"
    for leftover in (CHECKPOINT, TRUNK, PROGRESS):
        (job.folder / leftover).unlink(missing_ok=True)
    return [record for record in records if record is not None]


def build_logger(config: LoggerConfig, folder: Path, name: str) -> Logger | bool:
    """Lightning's logger of the configured kind, writing into the job's folder.

    Raises:
        ValueError: one line, when the logger's package is not installed.
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
                uri = config.uri or f"file:{folder.resolve() / 'mlflow'}"
                return MLFlowLogger(experiment_name=config.project, run_name=name, tracking_uri=uri)
            case _:
                return False
    except ModuleNotFoundError as error:
        raise ValueError(
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
    ):
        warnings.filterwarnings("ignore", message=pattern)
