"""Corpus `hub`: a Hugging Face data set, streamed row by row up to a limit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scaling.config.corpus import HubCorpus
from scaling.corpus.text import encode
from scaling.errors import UserError


def files(config: HubCorpus) -> list[Path]:
    """Files of a data set in a local folder; none for a data set on the hub."""
    if not config.name:
        raise UserError("corpus.name is empty: name a data set, as corpus.name=roneneldan/TinyStories")
    folder = Path(config.name)
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def documents(config: HubCorpus) -> Iterator[bytes]:
    """One document a row, until `limit_bytes` of text have been read; rows with an empty text are skipped.

    Raises UserError when the `datasets` library is not installed, or the data set, split or column does not exist.
    """
    remaining = config.limit_bytes
    for number, row in enumerate(_rows(config)):
        if config.text_field not in row:
            raise UserError(
                f"data set {config.name} has no column {config.text_field!r}; it has {', '.join(row)}: "
                "set corpus.text_field"
            )
        where = f"data set {config.name}, row {number}, column {config.text_field!r},"
        if document := encode(row[config.text_field], where):
            yield document
            remaining -= len(document)
        if remaining <= 0:
            return


def _rows(config: HubCorpus) -> Iterator[dict[str, Any]]:  # a column may hold anything
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "corpus=hub needs the datasets library: pip install 'scaling-simulator[hub]'"
        ) from error
    try:
        yield from datasets.load_dataset(
            config.name, config.subset, split=config.split, revision=config.revision, streaming=True
        )
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot stream data set {config.name}, split {config.split}: {reason}") from error
