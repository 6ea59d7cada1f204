"""Token streams: the windows a model trains on, and the memory-mapped file that holds them.

A source of N tokens has floor((N - 1) / T) windows of context T: window i is tokens iT … iT + T, so that
inputs [:-1] and targets [1:] both have T tokens and one pass predicts each token once.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.errors import UserError

_READ_BYTES = 1 << 20
"""Bytes of a token file that are hashed at a time."""


class TokenSource(Protocol):
    """Anything that yields windows of tokens by index."""

    def windows(self, context: int) -> int | None:
        """Number of windows of `context` tokens; None when the source never ends."""
        ...

    def gather(self, window_indices: ArrayLike, context: int) -> NDArray[np.int64]:
        """Windows as int64, shape (len(window_indices), context + 1); inputs [:, :-1], targets [:, 1:]."""
        ...


@dataclass(frozen=True, eq=False)
class TokenArray:
    """A finite source: a one-dimensional array of tokens, in memory or mapped from a file."""

    tokens: NDArray[Any]  # of the unsigned type that `token_dtype` chose

    def windows(self, context: int) -> int:
        return max(0, (len(self.tokens) - 1) // context)

    def gather(self, window_indices: ArrayLike, context: int) -> NDArray[np.int64]:
        indices = np.asarray(window_indices)
        count = self.windows(context)
        check_indices(indices, count)
        size = self.tokens.itemsize
        # A view of all windows, one a row; rows overlap by a token.
        rows = np.ndarray((count, context + 1), self.tokens.dtype, self.tokens, 0, (context * size, size))
        windows: NDArray[np.int64] = rows[indices].astype(np.int64)
        return windows


def check_indices(indices: NDArray[Any], count: int | None) -> None:
    """Refuse window indices outside 0 … count - 1."""
    if len(indices) and (indices.min() < 0 or (count is not None and indices.max() >= count)):
        raise UserError(
            f"windows {indices.min()} … {indices.max()} asked for, but the source holds "
            + (f"windows 0 … {count - 1}" if count else "not one window of this context")
        )


@dataclass(frozen=True)
class TokenFile:
    """Description of a token file on disk, by which a truncated or altered file is noticed."""

    file: str
    """Name within its folder."""
    dtype: str
    """Little-endian numpy type of a token: u1, <u2 or <u4."""
    tokens: int
    """Number of tokens."""
    sha256: str
    """Digest of the file's bytes."""


def token_dtype(vocab_size: int) -> str:
    """Smallest unsigned type that holds every token of a vocabulary."""
    return "u1" if vocab_size <= 1 << 8 else "<u2" if vocab_size <= 1 << 16 else "<u4"


def write_tokens(path: Path, pieces: Iterable[NDArray[Any]], vocab_size: int) -> TokenFile:
    """Write pieces of tokens one after another, and return the file's description."""
    dtype, count, digest = token_dtype(vocab_size), 0, hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            data = piece.astype(dtype).tobytes()
            file.write(data)
            digest.update(data)
            count += len(piece)
    return TokenFile(path.name, dtype, count, digest.hexdigest())


def open_tokens(folder: Path, known: TokenFile) -> TokenArray:
    """Map a token file into memory after checking its length and digest (reading takes about 1 s a gigabyte).

    Raises UserError naming the file when it is missing, truncated or altered.
    """
    path = folder / known.file
    remedy = f"delete {folder} and run again, and it is made anew"
    expected = known.tokens * np.dtype(known.dtype).itemsize
    if not path.is_file():
        raise UserError(f"token file {path} is missing: {remedy}")
    found = path.stat().st_size
    if found != expected:
        raise UserError(f"token file {path} has {found} bytes instead of {expected}: {remedy}")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != known.sha256:
        raise UserError(f"token file {path} is damaged (its checksum does not match): {remedy}")
    if not known.tokens:
        return TokenArray(np.empty(0, known.dtype))
    # A plain array over the mapped memory: np.memmap itself takes several microseconds more for each batch.
    return TokenArray(np.asarray(np.memmap(path, dtype=known.dtype, mode="r")))
