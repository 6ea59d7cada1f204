"""The user's own files: every way to name them, and every way they can be wrong."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling.config.corpus import BytesTokenizer, TextCorpus
from scaling.corpus import prepare
from scaling.corpus.text import documents, files


def read(*paths: Path | str, **options: object) -> list[bytes]:
    return list(documents(TextCorpus(paths=[str(path) for path in paths], **options)))  # type: ignore[arg-type]


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha\n")
    (folder / "deep" / "b.txt").write_text("beta\n")
    (folder / "deep" / "er" / "c.md").write_text("gämma\n")
    (folder / ".hidden").write_text("secret\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("secret\n")
    return folder


def test_files_folders_and_globs_name_each_file_once(books: Path) -> None:
    assert read(books) == [b"alpha\n", b"beta\n", "gämma\n".encode()]
    assert read(books / "**" / "*.txt") == [b"alpha\n", b"beta\n"]
    assert read(books / "deep" / "b.txt", books / "*.txt", books / "deep") == read(books)


def test_home_and_odd_names_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odd [1].txt").write_text("odd\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("~/odd [1].txt") == [b"odd\n"]


def test_gzip_and_jsonl_are_read_as_what_they_are(tmp_path: Path) -> None:
    rows = [{"text": "one\x00", "id": 1}, {"text": "zwei ü", "id": 2}, {"text": "", "id": 3}]
    lines = "\n\n".join(json.dumps(row) for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"plain\n"))
    expected = [b"one\x00", "zwei ü".encode()]
    assert read(tmp_path / "*.jsonl*", text_field="text") == expected + expected
    assert read(tmp_path / "c.txt.gz") == [b"plain\n"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.lists(st.sampled_from(["a", "ü", "€", "𝄞", "\n", "word ", "\r\n", "\ufeff"]), max_size=200),
    document_bytes=st.integers(16, 80),
)
def test_a_long_file_is_cut_without_loss_into_documents(
    tmp_path: Path, text: list[str], document_bytes: int
) -> None:
    content = "".join(text).encode()
    (tmp_path / "long.txt").write_bytes(content)
    pieces = read(tmp_path / "long.txt", document_bytes=document_bytes)
    assert b"".join(pieces) == content
    for piece in pieces:
        piece.decode()
        assert 1 <= len(piece) <= document_bytes
    for piece in pieces[:-1]:
        assert piece.endswith(b"\n") or b"\n" not in piece


def refuse(tmp_path: Path, *paths: Path | str, **options: object) -> str:
    """The one line with which `prepare` refuses a corpus; nothing may be left behind."""
    config = TextCorpus(paths=[str(path) for path in paths], **options)  # type: ignore[arg-type]
    cache = tmp_path / "cache"
    with pytest.raises(ValueError) as refusal:
        prepare(config, BytesTokenizer(), cache)
    assert not cache.exists() or not list(cache.iterdir())
    told = str(refusal.value)
    assert "\n" not in told
    return told


def test_no_path_a_missing_one_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    assert "corpus.paths is empty: name files, folders or globs" in refuse(tmp_path)
    assert f"no file or folder {tmp_path / 'gone'}" in refuse(tmp_path, tmp_path / "gone")
    assert "matches no file" in refuse(tmp_path, tmp_path / "*.nothing")
    (tmp_path / "empty").mkdir()
    assert f"folder {tmp_path / 'empty'} holds no file" in refuse(tmp_path, tmp_path / "empty")
    (tmp_path / "empty" / "nothing.txt").touch()
    assert "holds no text" in refuse(tmp_path, tmp_path / "empty")


def test_one_wrong_path_among_right_ones_is_refused(tmp_path: Path, books: Path) -> None:
    assert "gone" in refuse(tmp_path, books, tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0", "picture.png is a binary file (a zero byte at 8)"),
        ("data.bin", b"looks like text\n\0then not", "data.bin is a binary file (a zero byte at 16)"),
        ("photo.jpg", b"\xff\xd8\xff\xe0", "photo.jpg is not UTF-8 text (byte 0xff at 0)"),
        ("late.txt", b"good line\n" * 5000 + b"\0", "late.txt is a binary file (a zero byte at 50000)"),
        (
            "latin.txt",
            "na\u00efve".encode("latin-1"),
            "latin.txt is not UTF-8 text (byte 0xef at 2): convert it",
        ),
        ("cut.txt", "€".encode()[:2], "cut.txt is not UTF-8 text"),
        ("fake.txt.gz", b"not gzip", "cannot read"),
        ("cut.txt.gz", gzip.compress(b"text " * 1000, mtime=0)[:-12], "cannot read"),
        (
            "flip.txt.gz",
            gzip.compress(b"abc", mtime=0)[:12] + b"\xff\xff\xff" + gzip.compress(b"abc", mtime=0)[15:],
            "cannot read",
        ),
    ],
)
def test_what_is_not_text_is_named_and_not_half_read(
    tmp_path: Path, books: Path, name: str, content: bytes, told: str
) -> None:
    (books / name).write_bytes(content)
    message = refuse(tmp_path, books)
    assert told in message
    assert name in message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"body": "x", "id": 1}', "rows.jsonl line 2 has no field 'text'; it has body, id"),
        ("{}", "no field at all"),
        ('{"text": 5}', "rows.jsonl line 2, field 'text', is a int, not text"),
        ('{"text": null}', "is a NoneType, not text"),
        ('["text"]', "rows.jsonl line 2 is a list, not a JSON object"),
        ('{"text": "open', "rows.jsonl line 2 is not JSON"),
        ('{"text": "\\ud800"}', "rows.jsonl line 2, field 'text', cannot be written as UTF-8"),
    ],
)
def test_a_wrong_line_of_jsonl_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    assert told in refuse(tmp_path, path, text_field="text")


def test_jsonl_without_a_field_named_says_which_there_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"body": "x", "id": 1}\n'))
    assert "name its text field with corpus.text_field=… (it has body, id)" in refuse(tmp_path, path)


def test_files_are_listed_in_a_fixed_order(books: Path) -> None:
    listed = files(TextCorpus(paths=[str(books / "deep"), str(books)]))
    assert listed == sorted(listed)


def test_one_long_file_is_divided(tmp_path: Path) -> None:
    path = tmp_path / "input.txt"
    path.write_text("".join(f"line {number} of a single file\n" for number in range(10_000)))
    corpus = prepare(TextCorpus(paths=[str(path)]), BytesTokenizer(), tmp_path / "cache")
    assert corpus.train_tokens is not None
    held_out = corpus.validation.windows(1)
    assert held_out is not None
    total = path.stat().st_size
    assert 0.05 * total < held_out < 0.16 * total
    assert total <= corpus.train_tokens + held_out + 1 <= total + 100
