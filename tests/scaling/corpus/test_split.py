"""No document, and no near copy of one, on both sides of the split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.corpus.split import FEWEST_CLUSTERS, SHINGLE_BYTES, Split, clusters, digest, signature, split


def prose(seed: int, words: int = 400) -> bytes:
    """Random text that shares no shingle with that of another seed."""
    letters = np.random.default_rng(seed).integers(97, 123, (words, 6)).astype(np.uint8)
    return b" ".join(row.tobytes() for row in letters)


def edited(document: bytes, share: float, seed: int) -> bytes:
    """The document with one byte changed in this share of 100-byte stretches."""
    changed = bytearray(document)
    rng = np.random.default_rng(seed)
    for start in range(0, len(document), 100):
        if rng.random() < share:
            changed[start] = ord("#")
    return bytes(changed)


def divide(
    documents: list[bytes], validation_bytes: int = 10**9, fraction: float = 0.2, seed: int = 0
) -> Split:
    return split(
        np.array([signature(d) for d in documents]),
        np.array([digest(d, seed) for d in documents], dtype=np.uint64),
        np.array([len(d) for d in documents]),
        validation_bytes,
        fraction,
    )


def jaccard(one: bytes, other: bytes) -> float:
    first, second = (
        {d[i : i + SHINGLE_BYTES] for i in range(len(d) - SHINGLE_BYTES + 1)} for d in (one, other)
    )
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_signatures_estimate_the_jaccard_index_of_shingles(share: float) -> None:
    errors = []
    for seed in range(20):
        document = prose(seed)
        copy = edited(document, share, seed)
        agreement = (signature(document) == signature(copy)).mean()
        errors.append(agreement - jaccard(document, copy))
    # The standard error of one estimate is at most 1/16; of the mean of twenty, 0.014.
    assert abs(np.mean(errors)) < 4 * 0.0625 / np.sqrt(20)


def test_near_copies_form_one_cluster_and_strangers_none() -> None:
    families = [[edited(prose(seed), 0.1, 10 * seed + copy) for copy in range(4)] for seed in range(12)]
    documents = [document for family in families for document in family]
    found = clusters(np.array([signature(d) for d in documents])).reshape(12, 4)
    assert (found == found[:, :1]).all()
    assert len(np.unique(found)) == 12


def test_a_shared_licence_header_does_not_make_documents_alike() -> None:
    licence = prose(99, words=60)
    found = clusters(np.array([signature(licence + b"\n" + prose(seed)) for seed in range(10)]))
    assert len(np.unique(found)) == 10


@pytest.mark.parametrize("document", [b"x", b"", b"short", b"a" * 31, b"b" * 32, b"c" * 500])
def test_tiny_documents_match_their_copies_only(document: bytes) -> None:
    documents = [document, prose(1), document, prose(2), b"another"]
    found = clusters(np.array([signature(d) for d in documents]))
    assert found[0] == found[2]
    assert len(np.unique(found)) == 4


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(10, 300), min_size=5, max_size=30),
    copies=st.integers(0, 3),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 2**63 - 1),
)
def test_sides_cover_the_corpus_and_share_no_text(
    sizes: list[int], copies: int, fraction: float, seed: int
) -> None:
    documents = [prose(i, words) for i, words in enumerate(sizes)]
    documents += [edited(document, 0.05, seed=7) for document in documents[:copies]]
    parts = divide(documents, fraction=fraction, seed=seed)
    assert sorted(parts.train + parts.validation) == list(range(len(documents)))
    assert parts.train
    assert parts.validation
    assert parts.train == sorted(parts.train)
    for original in range(copies):
        pair = {original, len(sizes) + original}
        assert pair <= set(parts.train) or pair <= set(parts.validation)


def test_documents_not_their_order_decide_the_split() -> None:
    documents = [prose(i) for i in range(40)]
    held_out = [documents[i] for i in divide(documents).validation]
    assert [documents[::-1][i] for i in divide(documents[::-1]).validation] == held_out
    assert [documents[i] for i in divide(documents, seed=1).validation] != held_out


def test_held_out_bytes_come_near_the_smaller_limit() -> None:
    documents = [prose(i, words=30 + i) for i in range(200)]
    total, largest = sum(map(len, documents)), max(map(len, documents))

    def held(parts: Split) -> int:
        return sum(len(documents[i]) for i in parts.validation)

    assert abs(held(divide(documents, fraction=0.1)) - 0.1 * total) <= largest / 2
    assert abs(held(divide(documents, validation_bytes=5000, fraction=0.5)) - 5000) <= largest / 2


def test_a_huge_document_is_not_held_out_for_the_whole() -> None:
    documents = [prose(0, words=5000), *(prose(i, words=50) for i in range(1, 60))]
    for seed in range(20):
        assert 0 in divide(documents, fraction=0.1, seed=seed).train


def test_many_documents_stand_for_the_corpus_where_there_are_many() -> None:
    documents = [prose(i, words=400 if i % 2 else 40) for i in range(120)]
    for seed in range(20):
        held_out = divide(documents, validation_bytes=3 * 2800, fraction=0.5, seed=seed).validation
        assert len(held_out) >= FEWEST_CLUSTERS
        assert max(len(documents[i]) for i in held_out) < 400


def test_of_two_documents_the_smaller_is_held_out() -> None:
    assert divide([prose(0, 100), prose(1, 90)], fraction=0.01) == Split(train=[0], validation=[1])


@pytest.mark.parametrize("documents", [[prose(0)], [prose(0), prose(0), edited(prose(0), 0.05, 1)]])
def test_a_corpus_of_one_text_is_refused(documents: list[bytes]) -> None:
    with pytest.raises(ValueError, match="nothing can be held out for validation; give more text"):
        divide(documents)
