"""Configs of corpora and tokenizers: the dataclasses behind conf/corpus/ and conf/tokenizer/.

One class a kind, chosen by Hydra (`corpus=lexicon`, `tokenizer=bpe`). The defaults stand here and nowhere else. A value
that cannot work raises UserError when the object is made. The docstring of a field is its help.
"""

from dataclasses import dataclass, field
from typing import Annotated

from scaling.config.checks import require
from scaling.config.ranges import COUNT, LARGEST_COUNT, Range, check_ranges


@dataclass(kw_only=True)
class CorpusConfig:
    """What every corpus has: a held-out part that no training run ever sees."""

    validation_bytes: Annotated[int, Range(at_least=64, at_most=LARGEST_COUNT)] = 262144
    """Text held out for validation, bytes. Whole documents are held out; the validation stream is their
    first `validation_bytes` bytes, the same text whatever the tokenizer, so that bits/byte compare."""

    validation_fraction: Annotated[float, Range(above=0, at_most=0.5)] = 0.1
    """Most of the corpus that may be held out, share of its bytes; the smaller of the two limits holds."""

    seed: Annotated[int, Range(at_least=0, below=2**63)] = 0
    """Chooses which documents are held out (for `lexicon`: the words and the text as well)."""

    def __post_init__(self) -> None:
        check_ranges(self, "corpus.")


@dataclass(kw_only=True)
class StdlibCorpus(CorpusConfig):
    """The source of Python's own standard library, as found on this machine. Nothing is downloaded."""


@dataclass(kw_only=True)
class TextCorpus(CorpusConfig):
    """The user's own text: plain files, JSONL with a named field, either of them gzipped."""

    paths: list[str] = field(default_factory=list)
    """Files, folders (read recursively, hidden files left out) and globs (`**` crosses folders)."""

    text_field: str | None = None
    """Name of the text field; given, every file is read as JSONL, one document a line."""

    document_bytes: Annotated[int, Range(at_least=16, at_most=LARGEST_COUNT)] = 16384
    """A plain file longer than this (bytes) is cut at line ends into documents of at most this length,
    so that one long file can still be divided into training and validation text."""


@dataclass(kw_only=True)
class HubCorpus(CorpusConfig):
    """A Hugging Face data set, streamed up to a limit; needs `pip install 'scaling-simulator[hub]'`."""

    name: str = ""
    """Name on the hub (`roneneldan/TinyStories`) or a local folder that `datasets.load_dataset` reads."""

    subset: str | None = None
    """Configuration of the data set, where it has several."""

    split: str = "train"
    """Split to stream; the held-out text is taken from it as well."""

    revision: str | None = None
    """Commit or tag of the data set, so that a study can be repeated; null takes the newest at first use."""

    text_field: str = "text"
    """Column that holds the text, one document a row."""

    limit_bytes: Annotated[int, COUNT] = 100_000_000
    """Streaming stops at the row that reaches this many bytes of text."""


@dataclass(kw_only=True)
class LexiconCorpus(CorpusConfig):
    """An endless synthetic language whose entropy is known exactly (see scaling/corpus/lexicon.py)."""

    words: Annotated[int, Range(at_least=2, at_most=10**6)] = 20_000
    """Number of distinct words."""

    a: Annotated[float, Range(above=0, at_most=4)] = 0.3
    """Zipf tail: the word of rank k has probability proportional to k^-(1 + a)."""

    shortest_word: Annotated[int, Range(at_least=1, at_most=64)] = 3
    """Fewest letters a word may have; lengths are drawn uniformly from shortest to longest."""

    longest_word: Annotated[int, Range(at_least=1, at_most=64)] = 9
    """Most letters a word may have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.words ** (1 + self.a) <= 2**56,
            f"corpus.words={self.words}, a={self.a}: the rarest word would hardly ever come (less than once "
            "in 2^56 words); lower one of the two",
        )
        require(
            self.shortest_word <= self.longest_word,
            f"corpus.shortest_word={self.shortest_word}, longest_word={self.longest_word}: "
            "the shortest must not be longer than the longest",
        )
        room = sum(26**length for length in range(self.shortest_word, self.longest_word + 1))
        require(
            2 * self.words <= room,
            f"corpus.words={self.words}: {self.shortest_word} to {self.longest_word} letters spell only "
            f"{room} words, and half of them at most may be used; raise corpus.longest_word",
        )


@dataclass(kw_only=True)
class TokenizerConfig:
    """How text becomes tokens."""


@dataclass(kw_only=True)
class BytesTokenizer(TokenizerConfig):
    """One token a byte: vocabulary 256, nothing to train."""


@dataclass(kw_only=True)
class BPETokenizer(TokenizerConfig):
    """Byte-level byte-pair encoding, trained on the corpus' training documents; needs `tokenizers`."""

    vocab_size: Annotated[int, Range(at_least=258, at_most=2**20)] = 4096
    """Number of tokens: 256 bytes, the document separator, and the rest merges; for bytes alone set tokenizer=bytes."""

    def __post_init__(self) -> None:
        check_ranges(self, "tokenizer.")
