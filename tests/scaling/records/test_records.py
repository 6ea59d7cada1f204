"""Records are whole or absent, and a sweep reads back as a table."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.refusals import MixedTable
from analysis.table import load
from scaling.config.schema import AdamWConfig, CosineConfig, TrainConfig
from scaling.records.files import Damaged, read_json, write_json
from scaling.records.folder import CURVE, FAILED, MODEL, OLD_MODEL, RECORD, RECORDS_TABLE, VALIDATION_LOSSES
from scaling.records.records import KEYS, RunRecord, load_sweep, read_record, write_record, write_table
from scaling.training.job import job_of
from scaling.training.pretrain import pretrain
from scaling.training.retry import record_failure

DATA = Path(__file__).parent / "data"
"""A record and a failed record as schema 2 was first written, both of jobs that `tiny_job` makes."""
REFERENCE = Path(__file__).parents[3] / "runs" / "reference" / "quickstart"
MEASURED = {
    "code_version", "device", "versions", "matmul_peak_flops_per_second", "wall_seconds", "seconds_spent",
    "tokens_per_second", "achieved_flops_per_second", "peak_memory_bytes_measured", "checksum", "files",
}  # fmt: skip
"""Keys of a record whose values depend on the machine, the clock or the code's version."""
LOSSES = {"loss_nats", "loss_se_nats", "bits_per_byte"}


def test_a_record_has_the_keys_order_and_values_that_it_had_when_its_schema_was_made(
    tiny_job: Callable[..., TrainConfig],
) -> None:
    config = tiny_job([2048])
    pretrain(config)
    told = json.loads(next(config.folder.glob(f"*/{RECORD}")).read_text())
    first = json.loads((DATA / RECORD).read_text())
    assert list(told) == list(first) == [*KEYS, "files", "checksum"]
    # What was kept as model.pt is kept as model.safetensors.
    assert [name.replace(MODEL, OLD_MODEL) for name in told["files"]] == list(first["files"])
    exact = first.keys() - MEASURED - LOSSES
    assert {key: told[key] for key in exact} == {key: first[key] for key in exact}
    # Rounding differs between processors.
    assert {key: told[key] for key in LOSSES} == pytest.approx({key: first[key] for key in LOSSES}, rel=1e-4)
    assert [key for key in MEASURED if told[key] is None] == []


def test_a_record_read_and_written_again_is_the_same_file(tmp_path: Path) -> None:
    write_record(read_record(DATA / FAILED), tmp_path, name=FAILED)
    assert (tmp_path / FAILED).read_bytes() == (DATA / FAILED).read_bytes()


def test_a_failed_run_keeps_its_plan_and_no_measurement(tiny_job: Callable[..., TrainConfig]) -> None:
    config = tiny_job([3072], name="failing")
    record_failure(job_of(config), "out of luck")
    now, first = read_record(next(config.folder.glob(f"*/{FAILED}"))), read_record(DATA / FAILED)
    assert replace(now, code_version=first.code_version) == first


def test_the_table_of_the_reference_study_has_the_columns_of_a_record() -> None:
    columns = list(pd.read_csv(REFERENCE / RECORDS_TABLE, nrows=0))
    assert columns == [*KEYS, "loss_se_paired_nats"]
    assert set(KEYS) == {field.name for field in fields(RunRecord)}


def test_a_sweep_reads_back_as_a_table(tiny_job: Callable[..., TrainConfig], tmp_path: Path) -> None:
    config = tiny_job([2048, 4096])
    records = pretrain(config)
    table = load_sweep(config.folder)
    assert list(table["tokens"]) == [record.tokens for record in records]
    assert table["loss_se_paired_nats"].min() == 0  # the best run against itself
    assert (table["loss_se_paired_nats"].drop(table["loss_nats"].idxmin()) > 0).all()
    path = write_table(table, tmp_path)
    back = pd.read_csv(path)
    assert list(back) == list(table)
    known = [column for column in table if table[column].notna().all()]
    assert {"loss_nats", "tokens", "identity"} <= set(known)
    pd.testing.assert_frame_equal(back[known], table[known], check_dtype=False)
    assert back.drop(columns=known).isna().equals(table.drop(columns=known).isna())
    assert load_sweep(tmp_path)["run_id"].tolist() == table["run_id"].tolist()


@pytest.mark.parametrize(
    ("column", "other", "changes"),
    [
        ("optimizer", "adamw", {"optim": AdamWConfig(lr=5e-3, batch_tokens=128)}),
        ("schedule", "cosine", {"schedule": CosineConfig(warmup_tokens=512)}),
    ],
)
def test_a_folder_of_two_optimizers_or_schedules_is_fitted_only_when_asked_for(
    tiny_job: Callable[..., TrainConfig], column: str, other: str, changes: dict[str, Any]
) -> None:
    pretrain(tiny_job([2048, 4096], name="both/first"))
    pretrain(tiny_job([3072], name="both/second", **changes))
    runs = load_sweep(tiny_job([2048]).folder.with_name("both"))
    with pytest.raises(MixedTable, match=rf"'{column}' .*{other} \(1 rows\).*mixed=\[{column}\]"):
        load(runs)
    plain = {"params": 1.0, "tokens": 1.0}  # as few as these really are
    assert len(load(runs, where={column: other}, units=plain)) == 1
    table = load(runs, mixed=[column], units=plain)
    assert len(table) == 3
    assert any(note.startswith(f"mixed as asked: column '{column}'") for note in table.notes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "truncated or damaged"),
        (lambda text: text.replace('"tokens": 2048', '"tokens": 2049'), "checksum does not match"),
        (lambda text: text.replace('"tokens":', '"tokenz":'), "checksum does not match"),
        (lambda text: re.sub(r'"loss_nats": \d', '"loss_nats": 0', text), "checksum does not match"),
        (lambda text: "[1, 2]", "no checksum"),
        (lambda text: "{}", "no checksum"),
        (lambda text: "[" * 100_000, "damaged"),
        (lambda text: text.replace('"lr": 0.005', '"lr": NaN'), "damaged"),
    ],
)
def test_a_damaged_record_is_named_set_aside_and_its_run_trained_again(
    tiny_job: Callable[..., TrainConfig],
    damage: Callable[[str], str],
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = tiny_job([2048])
    first = pretrain(config)[0]
    path = next(config.folder.glob(f"*/{RECORD}"))
    text = damage(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(Damaged, match=message) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    with pytest.raises(ValueError, match="trains it again"):
        load_sweep(config.folder)
    again = pretrain(config)[0]
    assert f"{RECORD}.damaged-1, and the run is trained again" in caplog.text
    assert path.with_name(f"{RECORD}.damaged-1").read_text() == text
    assert (again.loss_nats, again.identity) == (first.loss_nats, first.identity)


@pytest.mark.parametrize("name", [VALIDATION_LOSSES, CURVE, MODEL])
def test_a_damaged_file_of_a_run_is_found(tiny_job: Callable[..., TrainConfig], name: str) -> None:
    config = tiny_job([2048])
    pretrain(config)
    record = next(config.folder.glob(f"*/{RECORD}"))
    file = record.with_name(name)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(Damaged, match=f"{name}: damaged"):
        read_record(record)
    file.unlink()
    with pytest.raises(Damaged, match=f"{name}: missing"):
        read_record(record)


def test_a_record_of_another_version_is_refused_not_set_aside(tiny_job: Callable[..., TrainConfig]) -> None:
    config = tiny_job([2048])
    pretrain(config)
    path = next(config.folder.glob(f"*/{RECORD}"))
    write_json(path, {**read_json(path), "schema_version": 99})
    for read in (pretrain, lambda _: load_sweep(config.folder)):
        with pytest.raises(ValueError, match="schema 99"):
            read(config)
    assert path.is_file()


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run records"):
        load_sweep(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        load_sweep(tmp_path / "missing")
