"""Where tokens come from: `prepare` turns a corpus and a tokenizer config into windows of tokens."""

from dataclasses import dataclass
from pathlib import Path

from scaling.corpus import stdlib
from scaling.corpus.build import token_files
from scaling.corpus.config import CorpusConfig, StdlibCorpus, TokenizerConfig
from scaling.corpus.tokens import TokenSource

__all__ = ["TokenCorpus", "TokenSource", "prepare"]


@dataclass(frozen=True)
class TokenCorpus:
    """A corpus ready to train on."""

    name: str
    """What it is called in records."""
    tokenizer: str
    """bytes or bpe."""
    train: TokenSource
    """Windows to train on; endless for the lexicon."""
    validation: TokenSource
    """Held-out windows; always finite."""
    vocab_size: int
    """Number of distinct tokens."""
    fingerprint: str
    """SHA-256, hex, of the tokens on both sides and the tokenizer: equal means the same experiment."""
    bytes_per_token: float
    """Text bytes a token of the validation text: bits/byte = loss_nats / ln 2 / bytes_per_token."""
    train_tokens: int | None
    """Distinct tokens to train on; None when endless."""
    entropy_nats_per_token: float | None = None
    """The loss that no model can beat, where it is known."""

    def require(self, context: int, batch_windows: int) -> None:
        """Refuse, in one line, a corpus shorter than one batch or with no validation window."""
        train, validation = self.train.windows(context), self.validation.windows(context)
        if train is not None and train < batch_windows:
            raise ValueError(
                f"corpus {self.name} has {self.train_tokens} training tokens, {train} windows of {context}: "
                f"less than one batch of {batch_windows}; give more text, or lower the batch or the context"
            )
        if not validation:
            raise ValueError(
                f"corpus {self.name} has not one validation window of {context} tokens; "
                "raise corpus.validation_bytes and corpus.validation_fraction, or lower the context"
            )


def prepare(corpus: CorpusConfig, tokenizer: TokenizerConfig, cache_dir: Path) -> TokenCorpus:
    """The token corpus that a config describes; token files are made under `cache_dir` at first use.

    Raises ValueError, in one line, for whatever is wrong with the source, the config or the cache.
    """
    match corpus:
        case StdlibCorpus():
            kind, name, documents, files = "stdlib", "stdlib", stdlib.documents(), stdlib.files()
        case _:
            raise ValueError(f"unknown corpus {type(corpus).__name__}")
    entry, train, validation = token_files(kind, documents, files, corpus, tokenizer, cache_dir)
    return TokenCorpus(
        name=name,
        tokenizer=entry.tokenizer,
        train=train,
        validation=validation,
        vocab_size=entry.vocab_size,
        fingerprint=entry.fingerprint,
        bytes_per_token=entry.bytes_per_token,
        train_tokens=entry.train.tokens,
    )
