"""The standard library's source as a corpus, on whatever Python runs the tests."""

import json
import sysconfig
from pathlib import Path

import pytest

from scaling.config.corpus import BytesTokenizer, StdlibCorpus
from scaling.corpus import TokenCorpus, prepare, stdlib
from scaling.corpus.tokens import TokenArray

ROOT = Path(sysconfig.get_path("stdlib"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TokenCorpus:
    return prepare(StdlibCorpus(), BytesTokenizer(), tmp_path_factory.mktemp("cache"))


def documents_of(source: object) -> list[bytes]:
    assert isinstance(source, TokenArray)
    return source.tokens.tobytes().rstrip(b"\xff").split(b"\xff")


def test_it_is_large_enough_for_a_study_and_its_validation_text_is_fixed(corpus: TokenCorpus) -> None:
    assert corpus.train_tokens is not None
    assert corpus.train_tokens > 5_000_000
    assert corpus.validation.windows(128) == (262144 - 1) // 128
    assert (corpus.vocab_size, corpus.bytes_per_token) == (256, 1.0)


def test_modules_are_in_and_what_is_installed_tests_and_tables_are_out() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in stdlib.files()}
    assert {"ast.py", "json/decoder.py", "asyncio/events.py"} <= names
    assert not any("site-packages" in name or name.startswith("test/") for name in names)
    text = set(stdlib.documents())
    assert (ROOT / "ast.py").read_bytes() in text
    for table in ("encodings/cp437.py", "html/entities.py"):
        assert (ROOT / table).read_bytes() not in text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b'TABLE = {\n    "a": 1,\n    "b": 2,\n' + b'    "c": 3,\n' * 20 + b"}\n", True),
        (b"decoding_table = (\n" + b"    '\\x00'     #  0x00 -> NULL\n" * 50 + b")\n", True),
        (b"ROWS = [\n" + b"    (1, 2),\n" * 30 + b"]\n", True),
        (b'"""A module."""\n\ndef f(x):\n    """Doc."""\n    return x + 1\n', False),
        (b'def f():\n    return "a"\n' * 20, False),
        (b"", False),
    ],
)
def test_a_table_is_known_by_its_lines(source: bytes, expected: bool) -> None:
    assert stdlib.is_table(source) is expected


def test_no_near_copy_stands_on_both_sides(corpus: TokenCorpus) -> None:
    """By another measure than the split's own: shared lines of code."""

    def lines(document: bytes) -> set[bytes]:
        return {line.strip() for line in document.splitlines() if len(line.strip()) > 20}

    train = [lines(document) for document in documents_of(corpus.train)]
    held_out = [lines(document) for document in documents_of(corpus.validation)]
    assert len(held_out) >= 10
    for mine in filter(lambda found: len(found) >= 40, held_out):
        assert max(len(mine & theirs) / len(mine | theirs) for theirs in train) < 0.6


def test_both_sides_are_whole_documents_of_the_library(corpus: TokenCorpus) -> None:
    known = set(stdlib.documents())
    train, held_out = documents_of(corpus.train), documents_of(corpus.validation)
    assert set(train) | set(held_out[:-1]) <= known
    assert any(document.startswith(held_out[-1]) for document in known), "only the last is cut"
    assert not set(train) & set(held_out)


def test_python_without_its_source_is_told_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ValueError, match="set corpus=text"):
        prepare(StdlibCorpus(), BytesTokenizer(), tmp_path / "cache")


def test_the_second_time_it_is_only_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "lib"
    (library / "sub").mkdir(parents=True)
    for number in range(12):
        (library / "sub" / f"m{number}.py").write_text(f"value_{number} = f({number})\n" * 20)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    first = prepare(StdlibCorpus(), BytesTokenizer(), tmp_path / "cache")
    (entry,) = (tmp_path / "cache").glob("stdlib-*/entry.json")
    assert json.loads(entry.read_text())["fingerprint"] == first.fingerprint
    written = entry.stat().st_mtime_ns
    assert prepare(StdlibCorpus(), BytesTokenizer(), tmp_path / "cache").fingerprint == first.fingerprint
    assert entry.stat().st_mtime_ns == written
    (library / "sub" / "m3.py").write_text("changed = True\n" * 25)
    changed = prepare(StdlibCorpus(), BytesTokenizer(), tmp_path / "cache")
    assert changed.fingerprint != first.fingerprint
