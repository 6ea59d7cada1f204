"""Corpus `text`: the user's own files, plain or JSONL, gzipped or not.

A file that is not text throughout is refused by name: no file is skipped, and none is read in part.
"""

import glob
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from scaling.config.corpus import TextCorpus
from scaling.errors import UserError

_JSONL = (".jsonl", ".ndjson")
"""Endings of files that hold one JSON object a line."""
_SHOWN_FIELDS = 8
"""Fields of an object that a message names at most."""


def files(config: TextCorpus) -> list[Path]:
    """The files that `corpus.paths` names, sorted, each once."""
    if not config.paths:
        raise UserError(
            "corpus.paths is empty: name files, folders or globs, as corpus.paths=[notes.txt,books/]"
        )
    found = {file.resolve(): file for path in config.paths for file in _expand(path)}
    return sorted(found.values())


def _expand(path: str) -> list[Path]:
    place = Path(path).expanduser()
    if place.is_file():
        return [place]
    if place.is_dir():
        inside = list(_walk(place))
        if not inside:
            raise UserError(f"corpus.paths: folder {path} holds no file (hidden ones are left out)")
        return inside
    if glob.has_magic(path):
        matches = [Path(match) for match in glob.glob(str(place), recursive=True)]
        inside = [match for match in matches if match.is_file()]
        if not inside:
            raise UserError(f"corpus.paths: {path} matches no file")
        return inside
    raise UserError(f"corpus.paths: there is no file or folder {path} (seen from {Path.cwd()})")


def _walk(folder: Path) -> Iterator[Path]:
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def documents(config: TextCorpus) -> Iterator[bytes]:
    """UTF-8 documents: a line of JSONL each, a plain file each, or a piece of a long plain file each.

    Raises UserError naming the file (and line) that is binary, not UTF-8, damaged or without the field.
    """
    for path in files(config):
        try:
            with _open(path) as file:
                yield from _read(path, file, config)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"cannot read {path}: {error}") from error


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read(path: Path, file: BinaryIO, config: TextCorpus) -> Iterator[bytes]:
    if config.text_field is not None:
        return _json_lines(path, file, config.text_field)
    if Path(path.name.removesuffix(".gz")).suffix in _JSONL:
        fields = _shown(_json_object(file.readline(), f"{path} line 1"))
        raise UserError(f"{path} is JSONL: name its text field with corpus.text_field=… (it has {fields})")
    return _pieces(path, file, config.document_bytes)


def _json_lines(path: Path, file: BinaryIO, text_field: str) -> Iterator[bytes]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        row = _json_object(line, where)
        if text_field not in row:
            raise UserError(f"{where} has no field {text_field!r}; it has {_shown(row)}")
        if document := encode(row[text_field], f"{where}, field {text_field!r},"):
            yield document


def _json_object(line: bytes, where: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError(f"{where} is a {type(row).__name__}, not a JSON object with named fields")
    return row


def _shown(row: dict[str, object]) -> str:
    names = list(row)
    more = ["…"] if len(names) > _SHOWN_FIELDS else []
    return ", ".join(names[:_SHOWN_FIELDS] + more) or "no field at all"


def encode(text: object, where: str) -> bytes:
    """A field's text as UTF-8. Raises UserError, naming the place `where`, when it is not text."""
    if not isinstance(text, str):
        raise UserError(f"{where} is a {type(text).__name__}, not text")
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # a lone surrogate, which JSON can spell
        raise UserError(f"{where} cannot be written as UTF-8: {error.reason}") from error


def _pieces(path: Path, file: BinaryIO, document_bytes: int) -> Iterator[bytes]:
    """A plain file in documents of at most `document_bytes`, cut after a line end where there is one."""
    rest, offset = b"", 0
    while True:
        rest += file.read(document_bytes - len(rest))
        if not rest:
            return
        piece = rest if len(rest) < document_bytes else rest[: _cut(rest)]
        _check_text(piece, path, offset)
        yield piece
        rest, offset = rest[len(piece) :], offset + len(piece)


def _cut(block: bytes) -> int:
    """Length of the longest beginning of `block` that ends with a line, or else with a character."""
    end = block.rfind(b"\n") + 1
    if end:
        return end
    # UTF-8 continuation bytes are 10xxxxxx, at most three to a character: step back over the one begun.
    for back in range(1, 4):
        if block[-back] & 0xC0 == 0xC0:
            return len(block) - back
    return len(block)


def _check_text(piece: bytes, path: Path, offset: int) -> None:
    remedy = "leave it out of corpus.paths (a glob such as folder/**/*.txt chooses files)"
    nul = piece.find(b"\0")
    if nul >= 0:
        raise UserError(f"{path} is a binary file (a zero byte at {offset + nul}): {remedy}")
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte 0x{piece[error.start]:02x} at {offset + error.start}): "
            f"convert it to UTF-8, or {remedy}"
        ) from error
