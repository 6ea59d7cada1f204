"""The order in which training reads the windows of a corpus: a function of seed and position, with no state to save.

Training reads the corpus in epochs, and every epoch visits each window exactly once in an order of its own. The order
is never stored. Position p of an epoch is mapped to a window by a balanced Feistel network on Z_a x Z_a with
a = ceil(sqrt(n)): (L, R) -> (R, L + F(R) mod a) is a bijection whatever F is, and with independent random tables F a
few rounds of it are a pseudo-random permutation (Luby & Rackoff, "How to construct pseudorandom permutations from
pseudorandom functions", 1988). An image among the a*a - n surplus points is mapped again until it lies below n (Black
& Rogaway, "Ciphers with arbitrary finite domains", 2002).
"""

from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from scaling.errors import UserError

_ROUNDS = 6
"""Rounds of the Feistel network; four suffice in Luby and Rackoff's proof."""
_STREAM = 1 << 62
"""Added to the epoch in Philox keys, so that they differ from the keys of the lexicon."""
_WINDOWS_OF_A_SEED = 1 << 40
"""Windows of an endless corpus that one seed may read; the next seed's windows follow."""


def window_order(seed: int, first: int, count: int, n_windows: int | None) -> NDArray[np.int64]:
    """Indices, shape (count,), of the windows that training reads after its first `first` windows.

    A batch may end one epoch and begin the next. With `n_windows` None the corpus is endless and each seed reads
    windows of its own, each once.
    """
    _check(seed, first, count)
    if n_windows is None:
        return (seed % 2**22) * _WINDOWS_OF_A_SEED + np.arange(first, first + count)
    if n_windows < 1:
        raise UserError(f"the corpus holds {n_windows} windows: it is shorter than one context")
    first_epoch, offset = divmod(first, n_windows)
    if offset + count <= n_windows:
        return _permute(np.arange(offset, offset + count), seed, first_epoch, n_windows)
    parts = []
    wanted, epoch = count, first_epoch
    while wanted:
        positions = np.arange(offset, min(n_windows, offset + wanted))
        parts.append(_permute(positions, seed, epoch, n_windows))
        wanted, epoch, offset = wanted - len(positions), epoch + 1, 0
    return np.concatenate(parts)


def _check(seed: int, first: int, count: int) -> None:
    if seed < 0 or first < 0 or count < 1:
        raise UserError(
            f"window_order needs seed >= 0, first >= 0 and count >= 1, not seed={seed}, first={first}, count={count}"
        )


def _permute(positions: NDArray[np.int64], seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """Where a seeded permutation of range(n) sends each of `positions`."""
    side, tables = _round_tables(seed, epoch, n)
    image = _feistel(positions, side, tables)
    outside = image >= n
    while outside.any():
        image[outside] = _feistel(image[outside], side, tables)
        outside = image >= n
    return image


def _feistel(x: NDArray[np.int64], side: int, tables: NDArray[np.int64]) -> NDArray[np.int64]:
    left, right = np.divmod(x, side)
    for table in tables:
        left, right = right, (left + table[right]) % side
    return left * side + right


@lru_cache(maxsize=8)
def _round_tables(seed: int, epoch: int, n: int) -> tuple[int, NDArray[np.int64]]:
    """(the side a of the network, its round functions of shape (rounds, a)), which callers must not change."""
    side = isqrt(n - 1) + 1
    key = np.array([seed % 2**64, _STREAM + epoch], dtype=np.uint64)
    raw = np.random.Philox(key=key).random_raw(_ROUNDS * side)
    return side, (raw % np.uint64(side)).astype(np.int64).reshape(_ROUNDS, side)
