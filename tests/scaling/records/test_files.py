"""Files are whole or absent, and what is damaged is named."""

import json
from pathlib import Path

import pytest

from scaling.records.files import (
    Damaged,
    read_json,
    remove_parts,
    seal,
    seal_label,
    sealed,
    set_aside,
    write_atomically,
    write_json,
)
from scaling.records.folder import PART


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


def test_json_is_read_back_with_its_types_and_order(tmp_path: Path) -> None:
    values = {"z": 1, "a": 0.1, "text": "é", "none": None, "list": [1, 2.0], "object": {"yes": True}}
    write_json(tmp_path / "file.json", values)
    back = read_json(tmp_path / "file.json")
    assert list(back.items()) == list(values.items())


def test_what_json_does_not_know_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_sealed_file_tells_its_label_and_any_damage(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    seal(path, "of job 5")
    assert path.read_bytes() == sealed(b"content" * 1000, "of job 5")
    assert seal_label(path) == "of job 5"
    whole = path.read_bytes()
    for position in (0, 3500, len(whole) - 80, len(whole) - 70, len(whole) - 2):  # content, label and digest
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(Damaged, match=str(path)):
            seal_label(path)
    for size in (0, 10, 7000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged, match="no seal"):
            seal_label(path)


def test_damaged_files_are_set_aside_one_beside_the_other(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / "record.json"
        path.write_text(str(number))
        aside = set_aside(path)
        assert (aside.name, aside.read_text()) == (f"record.json.damaged-{number}", str(number))
        assert not path.exists()


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    below = tmp_path / "run"
    below.mkdir()
    for folder in (tmp_path, below):
        (folder / f".record.json.x{PART}").touch()
        (folder / "record.json").touch()
    remove_parts(tmp_path, below=False)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == [
        f".record.json.x{PART}",
        "record.json",
        "record.json",
    ]
    remove_parts(tmp_path)
    assert [path.name for path in below.iterdir()] == ["record.json"]
