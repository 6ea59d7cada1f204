"""Corpus `lexicon`: an endless synthetic language whose entropy is known exactly.

Words are distinct random strings of the letters a … z. Text is words drawn independently, the word of rank
k with probability proportional to k^-(1 + a), a space after each. There is nothing to learn but the words
and how often each comes. Spaces show where words end, so that a character's irreducible loss is

    H(word) / mean length,    H = -sum p_k ln p_k,    mean length = sum p_k (letters_k + 1)

nats. Every window is a stretch of the stationary text: it may begin inside a word, which is then drawn by
its share of the characters, and the place within it uniformly. The expected loss of a model on a window can
therefore never be below that rate, whatever the context.

Everything is a pure function of the config and the window's index, in integers alone, the same on any
machine: Philox counters (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) drive
the draws, and the probabilities are multiples of 2^-64 computed in decimal arithmetic.
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
_WORDS, _TRAIN, _VALIDATION = 0, 1, 2  # Philox streams: each is the second word of a key
_ONE = 1 << 64


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of a language and the chances of drawing them."""

    text: NDArray[np.uint8]
    """All words, each with the space that ends it, one after another by rank."""
    lengths: NDArray[np.int64]
    """Characters of each word, its space included, shape (words,)."""
    starts: NDArray[np.int64]
    """Where each word begins in `text`, shape (words,)."""
    word_bounds: NDArray[np.uint64]
    """Upper bounds of the intervals of [0, 2^64) that mean each word but the last, shape (words - 1,)."""
    character_bounds: NDArray[np.uint64]
    """The same for the word that a character of the text, chosen blindly, belongs to."""
    probabilities: NDArray[np.float64]
    """Probability of each word."""

    @property
    def word_entropy_nats(self) -> float:
        """H(word)."""
        return -math.fsum(p * math.log(p) for p in self.probabilities.tolist())

    @property
    def mean_word_characters(self) -> float:
        """Expected characters a word, its space included."""
        return math.fsum((self.probabilities * self.lengths).tolist())

    @property
    def entropy_nats_per_character(self) -> float:
        """The irreducible loss."""
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
    """The language of a config: its words depend on words, lengths and seed only."""
    return _make(config.words, config.a, config.shortest_word, config.longest_word, config.seed)


def zipf_counts(words: int, a: float) -> list[int]:
    """Zipf probabilities p_k ∝ k^-(1 + a), k = 1 … words, as integers that sum to 2^64."""
    with localcontext() as context:
        context.prec = 40
        exponent = -(1 + Decimal(str(a)))
        weights = [Decimal(0), Decimal(1)]
        divisor = _smallest_divisors(words)
        for rank in range(2, words + 1):  # k^s is multiplicative: only primes need a power
            prime = divisor[rank]
            weights.append(
                Decimal(rank) ** exponent if prime == rank else weights[prime] * weights[rank // prime]
            )
        scale = _ONE / sum(weights, start=Decimal(0))
        counts = [int(weight * scale) for weight in weights[1:]]
    counts[0] += _ONE - sum(counts)  # what rounding down left over: less than one part in 2^64 a word
    return counts


def _smallest_divisors(limit: int) -> list[int]:
    divisors = np.arange(limit + 1)
    for candidate in range(2, math.isqrt(limit) + 1):
        if divisors[candidate] == candidate:
            multiples = divisors[candidate * candidate :: candidate]
            np.minimum(multiples, candidate, out=multiples)
    return [int(divisor) for divisor in divisors]


def _bounds(weights: list[int]) -> NDArray[np.uint64]:
    """Interior bounds of intervals of [0, 2^64) in proportion to integer weights."""
    total, reached, bounds = sum(weights), 0, []
    for weight in weights[:-1]:
        reached += weight
        bounds.append(reached * _ONE // total)
    return np.array(bounds, dtype=np.uint64)


def _spell(words: int, shortest: int, longest: int, seed: int) -> list[bytes]:
    """Distinct random letter-strings, each ended by a space."""
    stream = np.random.Philox(key=np.array([seed, _WORDS], dtype=np.uint64))
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
    """Windows of a lexicon's text. Each window is drawn by itself: window i never depends on another."""

    lexicon: Lexicon
    key: tuple[int, int]
    """Philox key: (seed, stream)."""
    characters: int | None = None
    """Length of the source; None when endless."""

    def windows(self, context: int) -> int | None:
        return None if self.characters is None else self.characters // context

    def gather(self, window_indices: ArrayLike, context: int) -> NDArray[np.int64]:
        indices = np.asarray(window_indices)
        check_indices(indices, self.windows(context))
        lexicon, width = self.lexicon, context + 1
        words_enough = 1 + -(-context // int(lexicon.lengths.min()))
        raw = self._raw(indices, words_enough + 1)
        words = np.searchsorted(lexicon.word_bounds, raw[:, 1:], side="right")
        words[:, 0] = np.searchsorted(lexicon.character_bounds, raw[:, 1], side="right")
        lengths = lexicon.lengths[words]
        within = (raw[:, 0] % lengths[:, 0].astype(np.uint64)).astype(np.int64)
        # Where in lexicon.text each character stands: consecutive in a word, and a jump at its end.
        row_ends = np.cumsum(lengths, axis=1)
        ends = row_ends + np.concatenate(([0], np.cumsum(row_ends[:-1, -1])))[:, None]
        jump = lexicon.starts[words] - (ends - lengths)
        place = np.repeat(jump.ravel(), lengths.ravel())
        place += np.arange(len(place))
        begins = (ends[:, 0] - lengths[:, 0] + within)[:, None] + np.arange(width)
        return lexicon.text[place[begins]].astype(np.int64)

    def _raw(self, indices: NDArray[np.int64], count: int) -> NDArray[np.uint64]:
        """Random 64-bit integers, shape (windows, count); window i owns the counters (·, i, 0, 0)."""
        key = np.array(self.key, dtype=np.uint64)
        counter = np.zeros(4, dtype=np.uint64)
        raw = np.empty((len(indices), count), dtype=np.uint64)
        for row, index in enumerate(indices):
            counter[1] = index
            raw[row] = np.random.Philox(key=key, counter=counter).random_raw(count)
        return raw


def train_source(config: LexiconCorpus) -> LexiconSource:
    """The endless text to train on."""
    return LexiconSource(make_lexicon(config), (config.seed, _TRAIN))


def validation_source(config: LexiconCorpus) -> LexiconSource:
    """A fixed text of `validation_bytes` characters, from counters that training never uses."""
    return LexiconSource(make_lexicon(config), (config.seed, _VALIDATION), config.validation_bytes)


def fingerprint(config: LexiconCorpus) -> str:
    """SHA-256, hex, of the language and of what is held out."""
    lexicon = make_lexicon(config)
    return sha256(
        lexicon.text.tobytes() + lexicon.word_bounds.astype("<u8").tobytes() + repr(asdict(config)).encode()
    ).hexdigest()
