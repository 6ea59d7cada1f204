"""The cache of token files: made once, whole or not at all, by however many processes."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest
from numpy.typing import NDArray

from scaling.config.corpus import BytesTokenizer, LexiconCorpus, StdlibCorpus, TextCorpus
from scaling.corpus import TokenCorpus, prepare
from scaling.corpus.cache import token_files
from scaling.corpus.order import window_order

DOCUMENTS = [f"document {n} ".encode() + bytes(range(97, 123)) * (n + 1) for n in range(30)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "text").mkdir()
    for number in range(40):
        words = rng.integers(97, 123, (200, 5)).astype(np.uint8)
        (tmp_path / "text" / f"{number}.txt").write_bytes(b"\n".join(row.tobytes() for row in words))
    return tmp_path


def config(folder: Path, **options: int) -> TextCorpus:
    return TextCorpus(paths=[str(folder / "text")], **options)  # type: ignore[arg-type]


def prepared(folder: Path) -> TokenCorpus:
    return prepare(config(folder), BytesTokenizer(), folder / "cache")


def test_text_is_all_there_and_documents_end_with_a_separator(folder: Path) -> None:
    corpus = prepared(folder)
    assert corpus.train_tokens is not None
    train = corpus.train.gather(np.arange(corpus.train_tokens - 1), context=1)
    tokens = np.append(train[:, 0], train[-1, 1]).astype(np.uint8).tobytes()
    known = {path.read_bytes() for path in (folder / "text").iterdir()}
    documents = tokens.split(b"\xff")
    assert documents.pop() == b""
    assert set(documents) < known
    assert 1 <= len(known) - len(documents) <= 4
    assert corpus.bytes_per_token == 1
    assert corpus.entropy_nats_per_token is None


def test_validation_text_is_cut_to_the_length_asked_for(folder: Path) -> None:
    corpus = prepare(config(folder, validation_bytes=1000), BytesTokenizer(), folder / "cache")
    assert corpus.validation.windows(1) == 999


def test_the_least_and_the_most_that_may_be_held_out_leave_two_usable_sides(folder: Path) -> None:
    least = prepare(config(folder, validation_bytes=64), BytesTokenizer(), folder / "cache")
    assert least.validation.windows(1) == 63
    most = TextCorpus(paths=[str(folder / "text")], validation_bytes=10**9, validation_fraction=0.5)
    halved = prepare(most, BytesTokenizer(), folder / "cache")
    assert halved.train_tokens is not None
    assert halved.train_tokens == pytest.approx(halved.validation.windows(1), rel=0.1)


def test_settings_have_entries_of_their_own(folder: Path) -> None:
    prints = {
        prepare(config(folder, **options), BytesTokenizer(), folder / "cache").fingerprint
        for options in ({}, {"seed": 1}, {"validation_bytes": 2000})
    }
    assert len(prints) == 3
    assert len(list((folder / "cache").iterdir())) == 3


def test_an_edited_file_makes_a_new_entry_though_its_length_is_the_same(folder: Path) -> None:
    before = prepared(folder).fingerprint
    path = folder / "text" / "7.txt"
    path.write_bytes(path.read_bytes().upper())
    assert prepared(folder).fingerprint != before


PREPARE_WITH_OTHERS = """
import os, sys, time
from pathlib import Path
from scaling.config.corpus import BytesTokenizer, TextCorpus
from scaling.corpus import prepare

folder = Path(sys.argv[1])
(folder / f"ready-{os.getpid()}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
print(prepare(TextCorpus(paths=[str(folder / "text")]), BytesTokenizer(), folder / "cache").fingerprint, end="")
"""


def test_processes_that_prepare_at_once_agree_and_leave_one_entry(folder: Path) -> None:
    command = [sys.executable, "-c", PREPARE_WITH_OTHERS, str(folder)]
    processes = [Popen(command, stdout=PIPE, text=True) for _ in range(3)]
    while len(list(folder.glob("ready-*"))) < 3:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    (folder / "go").touch()
    fingerprints = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(fingerprints) == 1
    assert len(list((folder / "cache").iterdir())) == 1
    assert fingerprints == {prepared(folder).fingerprint}


def test_the_second_to_finish_takes_what_the_first_made(tmp_path: Path) -> None:
    """The race, played slowly: while one is at work, another makes the same entry from end to end."""

    def make(documents: Iterator[bytes]) -> str:
        return token_files(documents, [], StdlibCorpus(), BytesTokenizer(), tmp_path)[0].fingerprint

    def overtaken() -> Iterator[bytes]:
        yield from DOCUMENTS[:10]
        others.append(make(iter(DOCUMENTS)))
        (entry,) = tmp_path.glob("stdlib-*")
        times.append((entry / "train.tokens").stat().st_mtime_ns)
        yield from DOCUMENTS[10:]

    others: list[str] = []
    times: list[int] = []
    assert make(overtaken()) == others[0]
    (entry,) = tmp_path.iterdir()
    assert (entry / "train.tokens").stat().st_mtime_ns == times[0]


def test_what_fails_on_the_way_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield from DOCUMENTS[:20]
        raise ValueError("the source gave out")

    def make(documents: Iterator[bytes]) -> object:
        return token_files(documents, [], StdlibCorpus(), BytesTokenizer(), tmp_path)

    with pytest.raises(ValueError, match="the source gave out"):
        make(broken())
    assert list(tmp_path.iterdir()) == []
    make(iter(DOCUMENTS))


@pytest.mark.parametrize("name", ["train.tokens", "validation.tokens", "entry.json"])
def test_a_damaged_entry_is_named_and_made_anew_once_deleted(folder: Path, name: str) -> None:
    before = prepared(folder).fingerprint
    (entry,) = (folder / "cache").iterdir()
    (entry / name).write_bytes((entry / name).read_bytes()[:-7])
    with pytest.raises(ValueError, match=name) as refusal:
        prepared(folder)
    assert f"delete {entry} and run again" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    for path in entry.iterdir():
        path.unlink()
    entry.rmdir()
    assert prepared(folder).fingerprint == before


def test_an_altered_figure_in_an_entry_is_not_believed(folder: Path) -> None:
    prepared(folder)
    (entry,) = (folder / "cache").iterdir()
    text = (entry / "entry.json").read_text()
    altered = text.replace('"bytes_per_token": 1', '"bytes_per_token": 2')
    assert altered != text
    (entry / "entry.json").write_text(altered)
    with pytest.raises(ValueError, match=r"entry.json.*checksum does not match"):
        prepared(folder)


def test_a_cache_that_cannot_be_written_is_told_plainly(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write token files under .*file"):
        prepare(config(folder), BytesTokenizer(), folder / "file" / "cache")


def test_training_resumes_with_the_very_batches_it_would_have_had(folder: Path) -> None:
    def batches(corpus: TokenCorpus, first: int, last: int) -> NDArray[np.int64]:
        count = corpus.train.windows(64)
        return np.stack(
            [corpus.train.gather(window_order(7, 8 * s, 8, count), 64) for s in range(first, last)]
        )

    for corpus in (config(folder), LexiconCorpus(words=100)):
        whole = batches(prepare(corpus, BytesTokenizer(), folder / "cache"), 0, 120)
        again = batches(prepare(corpus, BytesTokenizer(), folder / "cache"), 77, 120)
        np.testing.assert_array_equal(again, whole[77:])
