"""Records are whole or absent, and a sweep reads back as a table."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from scaling.config import TrainConfig
from scaling.pretrain import pretrain
from scaling.records import RECORD, load_sweep, read_record, write_atomically, write_table


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
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "not a run record"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 99'), "schema 99"),
        (lambda text: text.replace('"tokens":', '"tokenz":'), "without tokens"),
        (lambda text: "[1, 2]", "schema list"),
    ],
)
def test_a_damaged_record_is_named(
    tiny_job: Callable[..., TrainConfig], damage: Callable[[str], str], message: str
) -> None:
    config = tiny_job([2048])
    pretrain(config)
    path = next(config.folder.glob(f"*/{RECORD}"))
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message):
        read_record(path)
    with pytest.raises(ValueError, match=message):
        pretrain(config)


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, json.dumps({"old": 1}).encode())

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no run records"):
        load_sweep(tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        load_sweep(tmp_path / "missing")
