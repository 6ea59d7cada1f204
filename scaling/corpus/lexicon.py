"""Corpus `lexicon`: an endless synthetic language whose entropy is known exactly.

Words are distinct random strings of the letters a … z. The text is a sequence of words drawn independently, the word of
rank k with probability proportional to k^-(1 + a), each with a space after it. A model can learn nothing but the words
and their frequencies. Spaces show where words end, so that the irreducible loss of a character, in nats, is

    H(word) / mean length,    H = -sum p_k ln p_k,    mean length = sum p_k (letters_k + 1)

Every window is a piece of the stationary text. It may begin inside a word: that word is drawn with the probability that
a character of the text belongs to it, and the place inside it uniformly. The expected loss of a model on a window can
therefore never be below that rate, whatever the context.

A window is a pure function of the config and its index, in integers alone, and so the same on every machine: Philox
counters (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) give the random numbers, and
probabilities are multiples of 2^-64 computed in decimal arithmetic.
"""

import math
from dataclasses import asdict, dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling.config.corpus import LexiconCorpus
from scaling.corpus.tokens import check_indices

_FIRST_LETTER, _LETTERS = ord("a"), 26
_WORDS_STREAM, _TRAIN_STREAM, _VALIDATION_STREAM = 0, 1, 2
"""Second word of the Philox key of each use of random numbers; the first is the seed."""
_ONE = 1 << 64
"""Probability 1, in units of 2^-64."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of a language and their probabilities."""

    text: NDArray[np.uint8]
    """All words by rank, each with the space that ends it, one after another."""
    lengths: NDArray[np.int64]
    """Characters of each word, its space included, shape (words,)."""
    starts: NDArray[np.int64]
    """Index in `text` at which each word begins, shape (words,)."""
    word_bounds: NDArray[np.uint64]
    """Upper bounds of the intervals of [0, 2^64) by which words are drawn, but for the last: shape (words - 1,)."""
    character_bounds: NDArray[np.uint64]
    """The same for drawing the word to which a random character of the text belongs."""
    probabilities: NDArray[np.float64]
    """Probability of each word."""

    @property
    def word_entropy_nats(self) -> float:
        """Entropy of a word, in nats."""
        return -math.fsum(p * math.log(p) for p in self.probabilities.tolist())

    @property
    def mean_word_characters(self) -> float:
        """Expected characters a word, its space included."""
        return math.fsum((self.probabilities * self.lengths).tolist())

    @property
    def entropy_nats_per_character(self) -> float:
        """The irreducible loss, nats a character."""
        return self.word_entropy_nats / self.mean_word_characters


@lru_cache(maxsize=4)
def _make(words: int, a: float, shortest: int, longest: int, seed: int) -> Lexicon:
    spelled = _spell(words, shortest, longest, seed)
    lengths = np.array([len(word) for word in spelled])
    counts = zipf_counts(words, a)
    return Lexicon(
        text=np.frombuffer(b"".join(spelled), np.uint8),
        lengths=lengths,
        starts=np.cumsum(lengths) - lengths,
        word_bounds=_bounds(counts),
        character_bounds=_bounds(
            [count * length for count, length in zip(counts, lengths.tolist(), strict=True)]
        ),
        probabilities=np.array(counts, dtype=np.float64) / _ONE,
    )


def make_lexicon(config: LexiconCorpus) -> Lexicon:
    """The language of a config; its words depend only on their number, their lengths and the seed."""
    return _make(config.words, config.a, config.shortest_word, config.longest_word, config.seed)


def zipf_counts(words: int, a: float) -> list[int]:
    """Zipf probabilities p_k ∝ k^-(1 + a), k = 1 … words, as integers that sum to 2^64."""
    with localcontext() as context:
        context.prec = 40
        exponent = -(1 + Decimal(str(a)))
        weights = [Decimal(0), Decimal(1)]
        divisor = _smallest_divisors(words)
        for rank in range(2, words + 1):  # (m n)^s = m^s n^s: only primes need a power
            prime = divisor[rank]
            weights.append(
                Decimal(rank) ** exponent if prime == rank else weights[prime] * weights[rank // prime]
            )
        scale = _ONE / sum(weights, start=Decimal(0))
        counts = [int(weight * scale) for weight in weights[1:]]
    counts[0] += _ONE - sum(counts)  # the rest from rounding down, less than one part in 2^64 a word
    return counts


def _smallest_divisors(limit: int) -> list[int]:
    divisors = np.arange(limit + 1)
    for candidate in range(2, math.isqrt(limit) + 1):
        if divisors[candidate] == candidate:
            multiples = divisors[candidate * candidate :: candidate]
            np.minimum(multiples, candidate, out=multiples)
    return [int(divisor) for divisor in divisors]


def _bounds(weights: list[int]) -> NDArray[np.uint64]:
    """Upper bounds, but for the last, of intervals of [0, 2^64) in proportion to integer weights."""
    total, cumulative, bounds = sum(weights), 0, []
    for weight in weights[:-1]:
        cumulative += weight
        bounds.append(cumulative * _ONE // total)
    return np.array(bounds, dtype=np.uint64)


def _spell(words: int, shortest: int, longest: int, seed: int) -> list[bytes]:
    """Distinct random strings of letters, each with a space at its end."""
    stream = np.random.Philox(key=np.array([seed, _WORDS_STREAM], dtype=np.uint64))
    spelled: dict[bytes, None] = {}
    while len(spelled) < words:
        raw = stream.random_raw(words * (longest + 1)).reshape(words, longest + 1)
        lengths = (shortest + raw[:, 0] % np.uint64(longest - shortest + 1)).tolist()
        letters = (_FIRST_LETTER + raw[:, 1:] % np.uint64(_LETTERS)).astype(np.uint8)
        for row, length in zip(letters, lengths, strict=True):
            spelled[row[:length].tobytes() + b" "] = None
    return list(spelled)[:words]


@dataclass(frozen=True, eq=False)
class LexiconSource:
    """Windows of a lexicon's text, each drawn independently of the others."""

    lexicon: Lexicon
    key: tuple[int, int]
    """Philox key: (seed, stream)."""
    characters: int | None = None
    """Length of the source in characters; None when endless."""

    def windows(self, context: int) -> int | None:
        return None if self.characters is None else self.characters // context

    def gather(self, window_indices: ArrayLike, context: int) -> NDArray[np.int64]:
        indices = np.asarray(window_indices)
        check_indices(indices, self.windows(context))
        lexicon = self.lexicon
        most_words = 1 + -(-context // int(lexicon.lengths.min()))
        raw = self._random_integers(indices, most_words + 1)
        words = np.searchsorted(lexicon.word_bounds, raw[:, 1:], side="right")
        words[:, 0] = np.searchsorted(lexicon.character_bounds, raw[:, 1], side="right")
        lengths = lexicon.lengths[words]
        offset_in_first_word = (raw[:, 0] % lengths[:, 0].astype(np.uint64)).astype(np.int64)
        # The words of all windows form one sequence of characters. A character's index in lexicon.text is its index in
        # that sequence plus a shift that its word has.
        row_ends = np.cumsum(lengths, axis=1)
        word_ends = row_ends + np.concatenate(([0], np.cumsum(row_ends[:-1, -1])))[:, None]
        word_starts = word_ends - lengths
        index_in_text = np.repeat((lexicon.starts[words] - word_starts).ravel(), lengths.ravel())
        index_in_text += np.arange(len(index_in_text))
        taken = (word_starts[:, 0] + offset_in_first_word)[:, None] + np.arange(context + 1)
        characters: NDArray[np.int64] = lexicon.text[index_in_text[taken]].astype(np.int64)
        return characters

    def _random_integers(self, indices: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
        """Random 64-bit integers, shape (windows, count); window i uses the counters (·, i, 0, 0)."""
        key = np.array(self.key, dtype=np.uint64)
        counter = np.zeros(4, dtype=np.uint64)
        raw = np.empty((len(indices), count), dtype=np.uint64)
        for row, index in enumerate(indices):
            counter[1] = index
            raw[row] = np.random.Philox(key=key, counter=counter).random_raw(count)
        return raw


def train_source(config: LexiconCorpus) -> LexiconSource:
    """The endless text to train on."""
    return LexiconSource(make_lexicon(config), (config.seed, _TRAIN_STREAM))


def validation_source(config: LexiconCorpus) -> LexiconSource:
    """A fixed text of `validation_bytes` characters, from random numbers that training never uses."""
    return LexiconSource(make_lexicon(config), (config.seed, _VALIDATION_STREAM), config.validation_bytes)


def fingerprint(config: LexiconCorpus) -> str:
    """SHA-256, hex, of the language and of the config, which determines the text held out."""
    lexicon = make_lexicon(config)
    return sha256(
        lexicon.text.tobytes() + lexicon.word_bounds.astype("<u8").tobytes() + repr(asdict(config)).encode()
    ).hexdigest()
