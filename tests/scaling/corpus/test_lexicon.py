"""The synthetic language: its entropy, its stationarity, and that it is the same everywhere."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scaling.config.corpus import LexiconCorpus
from scaling.corpus.lexicon import (
    Lexicon,
    fingerprint,
    make_lexicon,
    train_source,
    validation_source,
    zipf_counts,
)

SMALL = LexiconCorpus(words=5, a=0.5, shortest_word=1, longest_word=3, seed=4)
MIDDLE = LexiconCorpus(words=300, a=0.3, seed=1)


def spellings(lexicon: Lexicon) -> list[bytes]:
    """The words, each with its space."""
    ends = np.cumsum(lexicon.lengths)
    return [lexicon.text[end - n : end].tobytes() for end, n in zip(ends, lexicon.lengths, strict=True)]


def zipf(config: LexiconCorpus) -> NDArray[np.float64]:
    """The probabilities as the definition says, in floating point."""
    weights = np.arange(1, config.words + 1, dtype=np.float64) ** -(1 + config.a)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def test_words_are_distinct_letter_strings_of_the_lengths_asked_for() -> None:
    words = spellings(make_lexicon(LexiconCorpus()))
    assert len(set(words)) == len(words) == 20_000
    assert {len(word) - 1 for word in words} == set(range(3, 10))
    assert all(word[:-1].isalpha() and word[:-1].islower() and word.endswith(b" ") for word in words)


@settings(deadline=None)
@given(words=st.integers(2, 400), a=st.floats(0.01, 3))
def test_integer_probabilities_follow_zipf_with_exponent_one_plus_a(words: int, a: float) -> None:
    counts = zipf_counts(words, a)
    assert sum(counts) == 2**64
    exact = zipf(LexiconCorpus(words=words, a=a))
    np.testing.assert_allclose(np.array(counts, float) / 2**64, exact, rtol=1e-11, atol=2**-64)


def block_probabilities(config: LexiconCorpus, length: int) -> dict[bytes, float]:
    """Probability of every string of `length` characters of the stationary text, by enumeration.

    A stretch begins at character o of word w with probability p_w / mean length, for each o < length of w.
    """
    words, chances = spellings(make_lexicon(config)), zipf(config)
    mean = sum(p * len(w) for p, w in zip(chances, words, strict=True))
    finished: dict[bytes, float] = defaultdict(float)
    growing: dict[bytes, float] = defaultdict(float)
    for p, word in zip(chances, words, strict=True):
        for offset in range(len(word)):
            growing[word[offset:]] += p / mean
    while growing:
        grown: dict[bytes, float] = defaultdict(float)
        for text, mass in growing.items():
            if len(text) >= length:
                finished[text[:length]] += mass
            else:
                for p, word in zip(chances, words, strict=True):
                    grown[text + word] += mass * p
        growing = grown
    return finished


def block_entropy_nats(config: LexiconCorpus, length: int) -> float:
    return -sum(p * math.log(p) for p in block_probabilities(config, length).values())


def test_entropy_equals_the_limit_of_exact_conditional_entropies() -> None:
    rate = make_lexicon(SMALL).entropy_nats_per_character
    blocks = [block_entropy_nats(SMALL, length) for length in range(1, 13)]
    conditional = np.diff(blocks)
    assert (np.diff(conditional) <= 1e-12).all(), "more context never hurts"
    assert (conditional >= rate - 1e-12).all(), "no context gets below the rate"
    # Once the context surely holds a space, the phase is known and the rate is reached.
    assert conditional[-1] == pytest.approx(rate, abs=1e-9)


def test_windows_follow_the_stationary_distribution() -> None:
    """Chi-square of the first four characters of many windows against their exact probabilities."""
    drawn = 20_000
    exact = block_probabilities(SMALL, 4)
    windows = train_source(SMALL).gather(np.arange(drawn), context=9)
    for begin in (0, 5):  # stationary: the same law wherever one looks
        seen = Counter(row.astype(np.uint8).tobytes() for row in windows[:, begin : begin + 4])
        assert set(seen) <= set(exact)
        chi_square = sum((seen[text] - drawn * p) ** 2 / (drawn * p) for text, p in exact.items())
        degrees = len(exact) - 1
        assert abs(chi_square - degrees) < 4 * math.sqrt(2 * degrees)


def test_entropy_equals_the_mean_loss_of_the_ideal_predictor() -> None:
    """Monte Carlo: the true chance of each character given the word so far, on sampled text."""
    lexicon = make_lexicon(MIDDLE)
    mass: dict[bytes, float] = defaultdict(float)
    for p, word in zip(zipf(MIDDLE), spellings(lexicon), strict=True):
        for end in range(len(word) + 1):
            mass[word[:end]] += p
    means = []
    for row in train_source(MIDDLE).gather(np.arange(400), context=600):
        _, _, text = row.astype(np.uint8).tobytes().partition(b" ")  # from the first known word start on
        losses, prefix = [], b""
        for character in text:
            longer = prefix + bytes([character])
            losses.append(math.log(mass[prefix] / mass[longer]))
            prefix = b"" if character == ord(" ") else longer
        means.append(np.mean(losses))
    standard_error = np.std(means, ddof=1) / math.sqrt(len(means))
    assert standard_error < 0.005
    assert abs(np.mean(means) - lexicon.entropy_nats_per_character) < 4 * standard_error


def test_entropy_is_word_entropy_over_mean_length() -> None:
    lexicon, p = make_lexicon(MIDDLE), zipf(MIDDLE)
    expected = -(p * np.log(p)).sum() / (p * lexicon.lengths).sum()
    assert lexicon.entropy_nats_per_character == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(
    index=st.integers(0, 2**62),
    others=st.lists(st.integers(0, 2**62), max_size=3),
    context=st.integers(1, 50),
    longer=st.integers(0, 70),
)
def test_a_window_depends_on_nothing_but_its_index(
    index: int, others: list[int], context: int, longer: int
) -> None:
    source = train_source(MIDDLE)
    alone = source.gather([index], context)
    assert alone.shape == (1, context + 1)
    np.testing.assert_array_equal(source.gather([*others, index], context)[-1:], alone)
    np.testing.assert_array_equal(source.gather([index], context + longer)[:, : context + 1], alone)


def test_neighbouring_windows_share_no_draws() -> None:
    rows = train_source(LexiconCorpus()).gather(np.arange(30), context=300).astype(np.uint8)
    stretches = Counter(row.tobytes()[start : start + 60] for row in rows for start in range(241))
    assert max(stretches.values()) == 1


def test_training_and_validation_text_are_different_streams() -> None:
    indices = np.arange(64)
    train, validation = train_source(MIDDLE), validation_source(MIDDLE)
    assert not (train.gather(indices, 64) == validation.gather(indices, 64)).all(axis=1).any()
    assert train.windows(64) is None
    assert validation.windows(64) == MIDDLE.validation_bytes // 64
    with pytest.raises(ValueError, match="windows 0 … 4095"):
        validation.gather([4096], 64)


def test_the_language_is_the_same_on_every_machine() -> None:
    config = LexiconCorpus()
    text = train_source(config).gather([0], 59)[0].astype(np.uint8).tobytes()
    assert text == b"x wmsbweh euneqpyg kykef cgnd qql nmklxqrfz nmklxqrfz pan oz"
    entropy = make_lexicon(config).entropy_nats_per_character
    assert entropy == pytest.approx(0.6953629604402262, rel=1e-13)


def test_each_setting_has_its_own_fingerprint() -> None:
    configs = [
        MIDDLE,
        LexiconCorpus(words=301, seed=1),
        LexiconCorpus(words=300, a=0.4, seed=1),
        LexiconCorpus(words=300, seed=2),
        LexiconCorpus(words=300, seed=1, validation_bytes=1000),
    ]
    assert len({fingerprint(config) for config in configs}) == len(configs)
    assert fingerprint(LexiconCorpus(words=300, a=0.3, seed=1)) == fingerprint(MIDDLE)
