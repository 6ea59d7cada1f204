"""Divides documents into training and validation text so that no text, nor a near copy of it, is in both.

Near copies (a file and its copy under another licence header, twenty codec stubs that differ in one name) are joined
into clusters first, and whole clusters are held out. Similarity is the Jaccard index of the documents' sets of 32-byte
shingles, estimated by one-permutation MinHash (Li, Owen & Zhang, "One permutation hashing", NIPS 2012): the shingles'
hashes fall into 64 bins, each bin keeps its smallest, and the share of bins on which two documents agree estimates the
index with a standard error of at most sqrt(1/4 / 64) = 0.063.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from scaling.errors import UserError

SHINGLE_BYTES = 32
"""Length of a shingle: a line of code or half a sentence, which two texts rarely share by chance."""
BINS = 64
"""Bins of a signature; a standard error of 0.063 tells copies from other texts."""
NEAR_COPY = 0.5
"""Documents are near copies from this Jaccard index on: half of all shingles found in either are in both."""

FEWEST_CLUSTERS = 8
"""The validation text consists of at least so many clusters, where the corpus has enough small ones."""

_EMPTY = np.uint32(2**32 - 1)
"""Value of a bin into which no shingle fell."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / golden ratio, an odd number (Knuth, The Art of Computer Programming, vol. 3, 6.4: Fibonacci hashing)."""


def digest(document: bytes, seed: int) -> int:
    """64-bit hash of a document's content under a seed; clusters are held out in the order of these hashes."""
    key = seed.to_bytes(8, "little")
    return int.from_bytes(blake2b(document, digest_size=8, key=key).digest(), "little")


def signature(document: bytes) -> NDArray[np.uint32]:
    """MinHash signature, shape (BINS,); a bin that no shingle fell into holds 2^32 - 1."""
    bins = np.full(BINS, _EMPTY)
    hashes = _shingle_hashes(document)
    # Top six bits choose the bin, the next 32 are the value kept.
    np.minimum.at(
        bins, (hashes >> np.uint64(58)).astype(np.intp), (hashes >> np.uint64(26)).astype(np.uint32)
    )
    return bins


def _shingle_hashes(document: bytes) -> NDArray[np.uint64]:
    """Hash of each 32-byte window; windows are built by doubling: 1, 2, 4, … bytes."""
    text = document.ljust(SHINGLE_BYTES, b"\xff")
    hashes = np.frombuffer(text, np.uint8).astype(np.uint64) + np.uint64(1)
    length = 1
    while length < SHINGLE_BYTES:
        hashes = _mix(hashes[:-length] * _MULTIPLIER + hashes[length:])
        length *= 2
    return hashes


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x ^= x >> np.uint64(32)
    x *= _MULTIPLIER
    x ^= x >> np.uint64(29)
    return x


def clusters(signatures: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Cluster number of each document, shape (documents,), from signatures of shape (documents, BINS).

    Documents that agree in a bin stand next to each other when all are sorted by that bin and the next one;
    neighbours whose estimated similarity reaches NEAR_COPY are joined. Near copies agree in half of the 64 bins, so
    that they meet in many of these orders.
    """
    # Imported here because scipy takes as long as the rest of the package, and only a new corpus needs it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(signatures)
    edges_from, edges_to = [np.arange(0)], [np.arange(0)]
    for bin_ in range(BINS):
        order = np.lexsort((signatures[:, (bin_ + 1) % BINS], signatures[:, bin_]))
        left, right = order[:-1], order[1:]
        met = (signatures[left, bin_] == signatures[right, bin_]) & (signatures[left, bin_] != _EMPTY)
        left, right = left[met], right[met]
        similar = _similarity(signatures[left], signatures[right]) >= NEAR_COPY
        edges_from.append(left[similar])
        edges_to.append(right[similar])
    rows, columns = np.concatenate(edges_from), np.concatenate(edges_to)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _similarity(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimated Jaccard index of pairs of documents, from their signatures (pairs, BINS)."""
    filled = (one != _EMPTY) | (other != _EMPTY)
    return np.asarray(((one == other) & filled).sum(axis=1) / filled.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Split:
    """Which documents are trained on and which are held out, as indices into the corpus."""

    train: list[int]
    """In the order of the corpus."""
    validation: list[int]
    """In the order in which they were held out, so that the first documents are a fair sample of all."""


def split(
    signatures: NDArray[np.uint32],
    digests: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    validation_bytes: int,
    validation_fraction: float,
) -> Split:
    """Hold out whole clusters, in the order of their smallest digest, until the target of bytes is reached.

    The target is `validation_bytes`, or `validation_fraction` of the corpus where that is less. Clusters above an
    eighth of the target come after all others, so that the validation text is made of many. A cluster is held out if
    the bytes held out come nearer to the target by it; where none brings them nearer, the smallest cluster is.
    """
    cluster = clusters(signatures)
    count = int(cluster.max()) + 1
    if count < 2:
        raise UserError(
            f"the corpus has {len(sizes)} document(s), all alike: nothing can be held out for validation; "
            "give more text (or, for plain files, lower corpus.document_bytes)"
        )
    key = np.full(count, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(key, cluster, digests)
    cluster_bytes = np.bincount(cluster, weights=sizes, minlength=count)
    target = min(validation_bytes, validation_fraction * float(sizes.sum()))
    rank: dict[int, int] = {}
    held_bytes = 0.0
    for candidate in np.lexsort((key, cluster_bytes > target / FEWEST_CLUSTERS)):
        if held_bytes + cluster_bytes[candidate] / 2 < target:
            rank[int(candidate)] = len(rank)
            held_bytes += cluster_bytes[candidate]
    rank = rank or {int(np.argmin(cluster_bytes)): 0}
    held = [document for document in range(len(sizes)) if int(cluster[document]) in rank]
    return Split(
        train=[document for document in range(len(sizes)) if int(cluster[document]) not in rank],
        validation=sorted(held, key=lambda d: (rank[int(cluster[d])], int(digests[d]), d)),
    )
