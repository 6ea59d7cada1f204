"""Hugging Face data sets, through the library's own loader on a data set that lies on this disk."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from scaling.config.corpus import BytesTokenizer, HubCorpus
from scaling.corpus import prepare
from scaling.corpus.hub import documents


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("datasets", reason="the extra [hub] is not installed")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [{"text": f"document {n}: " + f"word{n * n} " * 30, "id": n} for n in range(40)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "test.jsonl").write_text(json.dumps({"text": "kept for the end", "id": 99}) + "\n")
    return folder


def test_rows_become_documents_up_to_the_limit(data_set: Path) -> None:
    everything = list(documents(HubCorpus(name=str(data_set))))
    assert len(everything) == 40
    assert everything[3].startswith(b"document 3: word9 ")
    limited = list(documents(HubCorpus(name=str(data_set), limit_bytes=1000)))
    assert limited == everything[: len(limited)]
    assert sum(map(len, limited[:-1])) < 1000 <= sum(map(len, limited))
    assert list(documents(HubCorpus(name=str(data_set), split="test"))) == [b"kept for the end"]


def test_it_is_prepared_like_any_corpus(data_set: Path, tmp_path: Path) -> None:
    corpus = prepare(HubCorpus(name=str(data_set)), BytesTokenizer(), tmp_path / "cache")
    assert corpus.name == str(data_set)
    assert corpus.train_tokens is not None
    assert corpus.train_tokens > 5000
    assert (corpus.validation.windows(16) or 0) > 10
    again = prepare(HubCorpus(name=str(data_set)), BytesTokenizer(), tmp_path / "cache")
    assert again.fingerprint == corpus.fingerprint


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"text_field": "body"}, "has no column 'body'; it has text, id: set corpus.text_field"),
        ({"text_field": "id"}, "row 0, column 'id', is a int, not text"),
        ({"split": "dev"}, "split dev: .*[Aa]vailable"),
        ({"subset": "french"}, "cannot stream data set .*french"),
    ],
)
def test_what_is_not_there_is_named(
    data_set: Path, tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=told) as refusal:
        prepare(HubCorpus(name=str(data_set), **options), BytesTokenizer(), tmp_path / "cache")  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)


def test_an_absent_library_is_explained_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "datasets":
            raise ImportError(name)
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'scaling-simulator\[hub\]'"):
        list(documents(HubCorpus(name="somebody/something")))


def test_a_data_set_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.name is empty"):
        prepare(HubCorpus(), BytesTokenizer(), tmp_path)
