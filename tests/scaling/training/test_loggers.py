"""What loggers are told of a job, and that what they hold outlives interruptions and other jobs."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger
from training_jobs import Make, stop_at

from scaling.config.schema import LoggerConfig, ModelConfig, TrainConfig
from scaling.records.folder import CSV_LOG, METRICS
from scaling.training import loggers
from scaling.training.job import Job, job_of
from scaling.training.pretrain import pretrain


class Told(DummyLogger):
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []

    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]  # its base takes anything
        self.facts |= params

    def log_metrics(self, metrics: dict[str, Any], step: int) -> None:  # type: ignore[override]  # its base too
        self.rows.append({**metrics, "step": step})


def csv_job(make: Make, tokens: list[int], **changes: Any) -> TrainConfig:
    config: TrainConfig = make(tokens, logger=LoggerConfig(kind="csv"), **changes)
    return replace(config, trainer=replace(config.trainer, log_every_seconds=0.0))


def rows_of(config: TrainConfig) -> list[dict[str, str]]:
    with (config.folder / CSV_LOG / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def curve_of(config: TrainConfig) -> list[tuple[str, str, str]]:
    return [
        (row["step"], row["run"], row["train_loss_nats"]) for row in rows_of(config) if row["train_loss_nats"]
    ]


def test_a_logger_is_told_facts_and_validation_losses(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    monkeypatch.setattr(loggers, "build_logger", lambda job: told)
    config = tiny_job([2048, 4096])
    records = pretrain(config)
    assert told.facts["width"] == 16
    assert told.facts["lr"] == 5e-3
    assert told.facts["run_id"] == records[-1].run_id
    ends = [row for row in told.rows if "validation_loss_nats" in row]
    assert [row["validation_loss_nats"] for row in ends] == [record.loss_nats for record in records]
    assert [row["run"] for row in ends] == [0, 1]
    assert [row["bits_per_byte"] for row in ends] == [record.bits_per_byte for record in records]
    assert any("train_loss_nats" in row for row in told.rows)


@pytest.mark.parametrize("fails", [False, True])
def test_the_logger_is_closed_whether_the_job_succeeds_or_not(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(loggers, "build_logger", lambda job: Told())
    monkeypatch.setattr(loggers, "close", lambda logger, exit_code=0: closed.append(exit_code))

    def fail(progress: object) -> None:
        raise RuntimeError("planted")

    if fails:
        with pytest.raises(RuntimeError, match="planted"):
            pretrain(tiny_job([2048]), fail)
    else:
        pretrain(tiny_job([2048]))
    assert closed == [int(fails)]


def test_resuming_keeps_the_rows_and_replaces_those_of_steps_trained_again(tiny_job: Make) -> None:
    whole = csv_job(tiny_job, [2048, 4096], name="whole")
    pretrain(whole)
    broken = stop_at(csv_job(tiny_job, [2048, 4096], name="broken"), 7)
    assert len(curve_of(broken)) == 7
    before = rows_of(broken)[:6]
    pretrain(broken)
    assert curve_of(broken) == curve_of(whole)
    after = rows_of(broken)
    assert [{key: row[key] for key in before[0]} for row in after[:6]] == before  # not written anew


def test_training_from_the_start_again_replaces_the_rows(tiny_job: Make) -> None:
    whole = csv_job(tiny_job, [2048], name="whole")
    pretrain(whole)
    broken = csv_job(tiny_job, [2048], name="broken")
    with pytest.raises(RuntimeError, match="planted"):
        pretrain(broken, fail_at(5))
    pretrain(broken)
    assert curve_of(broken) == curve_of(whole)


def fail_at(step: int) -> Callable[[Any], None]:
    def report(progress: Any) -> None:
        if progress.step == step:
            raise RuntimeError("planted")

    return report


def test_another_job_of_the_folder_keeps_the_rows_of_the_first(tiny_job: Make) -> None:
    first = csv_job(tiny_job, [2048])
    pretrain(first)
    before = rows_of(first)
    pretrain(csv_job(tiny_job, [2048], model=ModelConfig(width=32, depth=1, context=16)))
    after = rows_of(first)
    assert after[: len(before)] == before
    assert len(after) == 2 * len(before)
    assert len({row["job"] for row in after}) == 2


def test_a_row_that_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    file = loggers.MetricsFile(tmp_path, "mine")
    file.log_metrics({"loss": 1.5}, 1)
    file.log_metrics({"loss": 1.25, "rate": 3.0}, 2)
    with file.path.open("a") as handle:
        handle.write("3,mi")
    again = loggers.MetricsFile(tmp_path, "mine")
    again.forget(lambda step: step > 1)
    again.log_metrics({"loss": 1.0}, 2)
    assert file.path.read_text().splitlines() == ["step,job,loss,rate", "1,mine,1.5,", "2,mine,1.0,"]


def test_the_run_of_weights_and_biases_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for W&B, which has one run a process: a run that is not finished gets the next job's losses."""
    finished: list[int] = []

    class Run:
        def finish(self, exit_code: int) -> None:
            finished.append(exit_code)

    class Stand(WandbLogger):
        def __init__(self, begun: bool) -> None:
            self.begun = begun

        @property
        def version(self) -> str | None:
            return "id" if self.begun else None

        @property
        def experiment(self) -> Any:
            assert self.begun, "asking for the run begins it"
            return Run()

    loggers.close(Stand(begun=True), exit_code=1)
    loggers.close(Stand(begun=False))
    assert finished == [1]


def planned(make: Make, kind: str, name: str) -> Job:
    return job_of(make([2048], name=name, logger=LoggerConfig(kind=kind)))


def test_the_jobs_of_a_study_share_one_mlflow_store(tiny_job: Make) -> None:
    first, second = planned(tiny_job, "mlflow", "study/a"), planned(tiny_job, "mlflow", "study/b")
    alone = planned(tiny_job, "mlflow", "alone")
    assert (
        loggers.mlflow_store(first)
        == loggers.mlflow_store(second)
        == first.folder.parent.resolve() / "mlflow"
    )
    assert loggers.mlflow_store(alone) == alone.folder.resolve() / "mlflow"


def test_mlflow_holds_a_run_for_each_job(tiny_job: Make) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra [mlflow] is not installed")
    losses = {}
    for name in ("study/a", "study/b"):
        (record,) = pretrain(tiny_job([2048], name=name, logger=LoggerConfig(kind="mlflow")))
        losses[name] = record.loss_nats
    store = loggers.mlflow_store(planned(tiny_job, "mlflow", "study/a"))
    client = mlflow.tracking.MlflowClient(f"file:{store}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "scaling"]
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name: run.data.metrics["validation_loss_nats"] for run in runs} == losses
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.data.params["width"] == "16" for run in runs)


def test_wandb_holds_a_run_for_each_job(tiny_job: Make) -> None:
    wandb = pytest.importorskip("wandb", reason="the extra [wandb] is not installed")
    for name in ("study/a", "study/b"):
        config = tiny_job([2048], name=name, logger=LoggerConfig(kind="wandb"))
        pretrain(config)
        assert wandb.run is None
        assert len(list((config.folder / "wandb").glob("offline-run-*"))) == 1
