"""The names of files: what is written bears them, and studies on users' disks are still found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from analysis.reading.files import read
from scaling.config.schema import LoggerConfig, TrainConfig
from scaling.records.folder import (
    CSV_LOG,
    CURVE,
    FIGURES,
    FIT,
    FITTED_STUDY,
    JOB_PLAN,
    MODEL,
    RECORD,
    RECORDS_TABLE,
    STUDY_CONFIG,
    TRUNK,
    VALIDATION_LOSSES,
)
from scaling.training.pretrain import pretrain

REFERENCE = Path(__file__).parents[3] / "runs" / "reference" / "quickstart"


def test_a_job_leaves_nothing_in_its_folder_that_is_not_named(tiny_job: Callable[..., TrainConfig]) -> None:
    config = tiny_job([2048], logger=LoggerConfig(kind="csv"))
    config = replace(config, trainer=replace(config.trainer, save_model=True, checkpoint_every_seconds=0.0))
    (record,) = pretrain(config)
    assert {path.name for path in config.folder.iterdir()} == {record.run_id, CSV_LOG, JOB_PLAN}
    left = {path.name for path in (config.folder / record.run_id).iterdir()}
    assert left == {RECORD, CURVE, VALIDATION_LOSSES, MODEL, TRUNK}


def test_the_reference_study_bears_the_names() -> None:
    assert {STUDY_CONFIG, RECORDS_TABLE, FIT} <= {path.name for path in REFERENCE.iterdir()}
    assert {FITTED_STUDY, FIGURES} <= {path.name for path in (REFERENCE / FIT).iterdir()}


def test_the_analysis_finds_the_table_of_a_study(tmp_path: Path) -> None:
    """`analysis` imports nothing of `scaling`, so that it spells the name of the table by itself."""
    (tmp_path / RECORDS_TABLE).write_text("params,tokens,loss\n1000,2000,3.5\n")
    assert read(tmp_path)["loss"].tolist() == [3.5]
