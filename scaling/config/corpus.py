"""Configs of corpora and tokenizers: the dataclasses behind conf/corpus/ and conf/tokenizer/.

One class a kind, chosen by Hydra (`corpus=lexicon`, `tokenizer=bpe`). The defaults stand here and nowhere else. A value
that cannot work raises UserError when the object is made. The docstring of a field is its help.
"""

from dataclasses import dataclass, field

from scaling.errors import UserError


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise UserError(problem)


@dataclass(kw_only=True)
class CorpusConfig:
    """What every corpus has: a held-out part that no training run ever sees."""

    validation_bytes: int = 262144
    """Text held out for validation, bytes. Whole documents are held out; the validation stream is their
    first `validation_bytes` bytes, the same text whatever the tokenizer, so that bits/byte compare."""

    validation_fraction: float = 0.1
    """Most of the corpus that may be held out, share of its bytes; the smaller of the two limits holds."""

    seed: int = 0
    """Chooses which documents are held out (for `lexicon`: the words and the text as well)."""

    def __post_init__(self) -> None:
        _require(
            self.validation_bytes >= 64,
            f"corpus.validation_bytes={self.validation_bytes}: must be at least 64, and as many windows of "
            "the context as make a small standard error",
        )
        _require(
            0 < self.validation_fraction <= 0.5,
            f"corpus.validation_fraction={self.validation_fraction}: must lie in 0 < fraction <= 0.5",
        )
        _require(0 <= self.seed < 2**63, f"corpus.seed={self.seed}: must lie in 0 … 2**63 - 1")


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

    document_bytes: int = 16384
    """A plain file longer than this (bytes) is cut at line ends into documents of at most this length,
    so that one long file can still be divided into training and validation text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(
            self.document_bytes >= 16,
            f"corpus.document_bytes={self.document_bytes}: must be at least 16 bytes",
        )


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

    limit_bytes: int = 100_000_000
    """Streaming stops at the row that reaches this many bytes of text."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.limit_bytes >= 1, f"corpus.limit_bytes={self.limit_bytes}: must be at least 1")


@dataclass(kw_only=True)
class LexiconCorpus(CorpusConfig):
    """An endless synthetic language whose entropy is known exactly (see scaling/corpus/lexicon.py)."""

    words: int = 20_000
    """Number of distinct words."""

    a: float = 0.3
    """Zipf tail: the word of rank k has probability proportional to k^-(1 + a)."""

    shortest_word: int = 3
    """Fewest letters a word may have; lengths are drawn uniformly from shortest to longest."""

    longest_word: int = 9
    """Most letters a word may have."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(2 <= self.words <= 10**6, f"corpus.words={self.words}: must lie in 2 … 1,000,000")
        _require(0 < self.a <= 4, f"corpus.a={self.a}: must lie in 0 < a <= 4")
        _require(
            self.words ** (1 + self.a) <= 2**56,
            f"corpus.words={self.words}, a={self.a}: the rarest word would hardly ever come (less than once "
            "in 2^56 words); lower one of the two",
        )
        _require(
            1 <= self.shortest_word <= self.longest_word <= 64,
            f"corpus.shortest_word={self.shortest_word}, longest_word={self.longest_word}: "
            "must satisfy 1 <= shortest <= longest <= 64",
        )
        room = sum(26**length for length in range(self.shortest_word, self.longest_word + 1))
        _require(
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

    vocab_size: int = 4096
    """Number of tokens: 256 bytes, the document separator, and the rest merges."""

    def __post_init__(self) -> None:
        _require(
            258 <= self.vocab_size <= 2**20,
            f"tokenizer.vocab_size={self.vocab_size}: must lie in 258 … {2**20} "
            "(256 bytes, a separator and at least one merge; for bytes alone set tokenizer=bytes)",
        )
