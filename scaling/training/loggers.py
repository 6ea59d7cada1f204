"""Where the training curve of a job is logged: the logger of each kind, what is told to it, and how it is closed.

One process may train many jobs. Each logger is therefore closed at its job's end, so that the next job's begins anew.
"""

import csv
import fcntl
import io
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from scaling.errors import UserError
from scaling.records.files import write_atomically
from scaling.records.folder import CSV_LOG, HYPERPARAMETERS, METRICS, MLFLOW_LOG, TENSORBOARD_LOG
from scaling.records.records import RunRecord
from scaling.training.job import Job
from scaling.training.planned import planned_facts

STEP, JOB = "step", "job"
"""Columns of `metrics.csv`: the optimizer steps that the job had taken, and the job, by its longest run."""
LOGGED_OUTCOMES = (
    "loss_se_nats", "bits_per_byte", "tokens_per_second", "wall_seconds", "seconds_spent",
    "peak_memory_bytes_predicted", "peak_memory_bytes_measured", "peak_memory_bytes_reserved",
)  # fmt: skip
"""Fields of a run's record that loggers get at its end, beside the validation loss."""


@contextmanager
def job_logger(job: Job) -> Iterator[Logger | None]:
    """The logger of a job, closed when the context ends, whether the job succeeded or not; None for `logger=none`.

    Raises:
        UserError: one line, when the logger's package is not installed.
    """
    logger = build_logger(job)
    try:
        yield logger
    except BaseException:
        close(logger, exit_code=1)
        raise
    close(logger)


def build_logger(job: Job) -> Logger | None:
    """Lightning's logger of the configured kind; None for `logger=none`.

    Raises:
        UserError: one line, when the logger's package is not installed.
    """
    config, folder, name = job.config.logger, job.folder, job.config.name
    try:
        match config.kind:
            case "csv":
                return MetricsCSV(folder, job.run_folders[-1].name)
            case "tensorboard":
                return TensorBoardLogger(folder, name="", version=TENSORBOARD_LOG)
            case "wandb":
                return WandbLogger(name=name, project=config.project, save_dir=folder, offline=config.offline)
            case "mlflow":
                if config.uri is not None:
                    return MLFlowLogger(config.project, run_name=name, tracking_uri=config.uri)
                # MLflow asks for a database, which takes its full package; plain files do for one machine.
                os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
                store = mlflow_store(job)
                logger = MLFlowLogger(config.project, run_name=name, tracking_uri=f"file:{store}")
                _begin_one_at_a_time(logger, store)
                return logger
            case _:
                return None
    except ModuleNotFoundError as error:
        raise UserError(
            f"logger={config.kind}: its package is not installed; "
            f"pip install 'scaling-simulator[{config.kind}]', or logger=csv"
        ) from error


def mlflow_store(job: Job) -> Path:
    """MLflow's folder for all jobs of a study, or for a job that belongs to none."""
    return (Path(job.config.out) / Path(job.config.name).parts[0] / MLFLOW_LOG).resolve()


@rank_zero_only
def _begin_one_at_a_time(logger: MLFlowLogger, store: Path) -> None:
    """Begin the run in MLflow. Two jobs that begin at once would otherwise each create the experiment they share."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _ = logger.run_id


def log_plan(logger: Logger | None, job: Job) -> None:
    """Tell the logger the facts of the job's longest run: shape, data, hyperparameters and FLOPs."""
    if logger is not None:
        logger.log_hyperparams(asdict(planned_facts(job, len(job.tokens) - 1)))


def log_outcome(logger: Logger | None, record: RunRecord, run: int, step: int) -> None:
    """Tell the logger what came of a run, at its end. `step`: the optimizer steps that the job has taken."""
    if logger is None:
        return
    metrics = {"run": run, "tokens": record.tokens, "validation_loss_nats": record.loss_nats}
    metrics |= {name: getattr(record, name) for name in LOGGED_OUTCOMES}
    logger.log_metrics({name: value for name, value in metrics.items() if value is not None}, step=step)


def close(logger: Logger | None, exit_code: int = 0) -> None:
    """End what outlives Lightning's own closing: a W&B run, to which the process would log its next job as well."""
    # W&B's logger has no version before its run has begun, and asking for the run would begin it.
    if isinstance(logger, WandbLogger) and logger.version is not None:
        logger.experiment.finish(exit_code=exit_code)


class MetricsCSV(CSVLogger):
    """The log as `log/metrics.csv`, which outlives interruptions and other jobs of the same folder.

    Lightning's own logger begins the file anew every time. This one keeps its rows, except those of steps that the same
    job trains again.
    """

    def __init__(self, folder: Path, job: str) -> None:
        """Log a job.

        Args:
            folder: the job's.
            job: tells its rows from those of other jobs of the folder.
        """
        super().__init__(folder, name="", version=CSV_LOG)
        self._file = MetricsFile(folder / CSV_LOG, job)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        return self._file

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self._file.log_metrics(metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace | None = None) -> None:
        values = vars(params) if isinstance(params, Namespace) else params or {}
        self._file.log_hparams(values)

    @rank_zero_only
    def forget(self, trained_again: Callable[[int], bool]) -> None:
        """Remove this job's rows of the steps that are trained again."""
        self._file.forget(trained_again)

    def save(self) -> None:
        """Do nothing: each row is written at once."""

    def finalize(self, status: str) -> None:
        """Do nothing: each row is written at once."""


class MetricsFile:
    """A CSV file of metrics; a row is added at a time, and a column where a metric is new."""

    def __init__(self, folder: Path, job: str) -> None:
        """Write to a folder's `metrics.csv`. `job`: what the column `job` holds in the rows written from here."""
        self.folder, self.path, self.job = folder, folder / METRICS, job
        self._columns: list[str] = []

    def forget(self, trained_again: Callable[[int], bool]) -> None:
        """Remove this job's rows of the steps that are trained again, and what a killed writer left of a row."""
        columns, rows = self._read()
        kept = [
            row
            for row in rows
            # Files of older versions have no column `job`.
            if row.get(JOB, self.job) != self.job or not trained_again(int(row[STEP]))
        ]
        if columns:
            self._write(columns, kept)

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:
        """Add a row."""
        row = {STEP: step, JOB: self.job, **{name: _number(value) for name, value in metrics.items()}}
        if not self._columns:
            self._columns = self._read()[0]
        if not set(row) <= set(self._columns):
            columns, rows = self._read()
            new = [name for name in row if name not in columns]
            self._write([*columns, *new], rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Write the hyperparameters beside the metrics; those of another job of the folder are replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_hparams_to_yaml(str(self.folder / HYPERPARAMETERS), params)

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        """The columns and the whole rows."""
        if not self.path.is_file():
            return [], []
        with self.path.open(newline="", errors="replace") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if None not in row and None not in row.values()]
            columns = list(reader.fieldnames or [])
        return columns, [row for row in rows if row.get(STEP, "").isdecimal()]

    def _write(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path, buffer.getvalue().encode())
        self._columns = columns


def _number(value: Any) -> Any:
    """A metric's value; Lightning's callbacks may log a tensor."""
    return value.item() if hasattr(value, "item") else value
