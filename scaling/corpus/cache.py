"""The cache of token files: a corpus is cut into tokens once, and later runs open the files.

An entry of the cache is a folder with train.tokens, validation.tokens, tokenizer.txt and entry.json, which describes
them. It is made in a temporary folder beside its place and then renamed, so that no process sees an unfinished entry;
of two processes that make the same entry at once, the second to finish discards its own. The entry's name is a hash of
the configuration and of the source files' names, sizes and times.
"""

import json
import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from scaling.config.corpus import CorpusConfig, TokenizerConfig
from scaling.corpus.split import digest, signature, split
from scaling.corpus.tokenizer import train_tokenizer
from scaling.corpus.tokens import TokenArray, TokenFile, open_tokens, write_tokens
from scaling.errors import UserError
from scaling.records.files import read_json, write_json

_FORMAT = 3
"""Version of the cache: raised whenever the same source would give other files than before."""


@dataclass(frozen=True)
class Entry:
    """What entry.json says of a corpus in the cache."""

    train: TokenFile
    validation: TokenFile
    vocab_size: int
    fingerprint: str
    train_documents: int
    validation_documents: int
    bytes_per_token: float
    """Bytes of the validation text over its tokens, separators counted as one byte each."""


def token_files(
    documents: Iterable[bytes],
    source_files: list[Path],
    corpus: CorpusConfig,
    tokenizer: TokenizerConfig,
    cache_dir: Path,
) -> tuple[Entry, str, TokenArray, TokenArray]:
    """(the entry of a corpus, its tokenizer's definition, its training tokens, its validation tokens).

    An entry that is not in the cache is made; only then is `documents` read. Raises UserError for a damaged entry, a
    cache that cannot be written, and whatever is wrong with the documents.
    """
    kind = type(corpus).__name__.removesuffix("Corpus").lower()
    folder = cache_dir / f"{kind}-{_config_hash(source_files, corpus, tokenizer)}"
    if not folder.is_dir():
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=".making-", dir=cache_dir) as temporary:
                _make_entry(Path(temporary), documents, corpus, tokenizer)
                _move_into_place(Path(temporary, "entry"), folder)
        except OSError as error:
            raise UserError(f"cannot write token files under {cache_dir}: {error}") from error
    entry = _read_entry(folder)
    train, validation = open_tokens(folder, entry.train), open_tokens(folder, entry.validation)
    return entry, _read_definition(folder, entry), train, validation


def _config_hash(source_files: list[Path], corpus: CorpusConfig, tokenizer: TokenizerConfig) -> str:
    """16 hex digits that change with the config, with any source file, and with the cache's format."""
    files = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in source_files]
    identity = [
        _FORMAT,
        type(corpus).__name__,
        asdict(corpus),
        type(tokenizer).__name__,
        asdict(tokenizer),
        files,
    ]
    return sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _move_into_place(made: Path, folder: Path) -> None:
    try:
        os.rename(made, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first, with the same content
            raise


def _make_entry(
    folder: Path, documents: Iterable[bytes], corpus: CorpusConfig, tokenizer: TokenizerConfig
) -> None:
    """Write the entry into `folder / "entry"`.

    The documents are copied to one file first, so that memory holds one of them at a time, and of each the hashes that
    the split needs.
    """
    copy = folder / "documents"
    sizes, digests, signatures = [], [], []
    with copy.open("wb") as file:
        for document in documents:
            file.write(document)
            sizes.append(len(document))
            digests.append(digest(document, corpus.seed))
            signatures.append(signature(document))
    if not sizes:
        raise UserError("the corpus holds no text")
    parts = split(
        np.array(signatures),
        np.array(digests, dtype=np.uint64),
        np.array(sizes),
        corpus.validation_bytes,
        corpus.validation_fraction,
    )
    ends = np.cumsum(sizes)
    entry = folder / "entry"
    entry.mkdir()
    with copy.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as text:

        def read(indices: list[int]) -> Iterator[bytes]:
            return (text[ends[index] - sizes[index] : ends[index]] for index in indices)

        encoder = train_tokenizer(tokenizer, read(parts.train))
        train = write_tokens(entry / "train.tokens", encoder.encode(read(parts.train)), encoder.vocab_size)
        held_out = list(_first_bytes(read(parts.validation), corpus.validation_bytes))
        pieces = list(encoder.encode(held_out))
        validation = write_tokens(entry / "validation.tokens", pieces, encoder.vocab_size)
    definition = encoder.definition()
    (entry / "tokenizer.txt").write_bytes(definition.encode())
    description = Entry(
        train=train,
        validation=validation,
        vocab_size=encoder.vocab_size,
        fingerprint=_fingerprint(train, validation, definition),
        train_documents=len(parts.train),
        validation_documents=len(held_out),
        bytes_per_token=sum(len(document) + 1 for document in held_out) / validation.tokens,
    )
    write_json(entry / "entry.json", asdict(description))


def _fingerprint(train: TokenFile, validation: TokenFile, definition: str) -> str:
    return sha256("\n".join([train.sha256, validation.sha256, definition]).encode()).hexdigest()


def _first_bytes(documents: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Documents until they and their separators fill `limit` bytes; the last is cut between characters."""
    remaining = limit
    for document in documents:
        piece = document[: max(0, remaining - 1)].decode(errors="ignore").encode()
        if not piece:
            return
        yield piece
        remaining -= len(piece) + 1


def _read_entry(folder: Path) -> Entry:
    try:
        fields = read_json(folder / "entry.json")
        files = {side: TokenFile(**fields[side]) for side in ("train", "validation")}
        return Entry(**{**fields, **files})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder / 'entry.json'} cannot be read ({error}): delete {folder} and run again"
        ) from error


def _read_definition(folder: Path, entry: Entry) -> str:
    """The tokenizer's definition, checked against the entry's fingerprint."""
    try:
        definition = (folder / "tokenizer.txt").read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{folder / 'tokenizer.txt'} cannot be read ({error}): delete {folder} and run again"
        ) from error
    if _fingerprint(entry.train, entry.validation, definition) != entry.fingerprint:
        raise UserError(
            f"{folder / 'tokenizer.txt'} is damaged (its checksum does not match): delete {folder} and run again"
        )
    return definition
