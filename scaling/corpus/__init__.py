"""Tokens to train on: `prepare` turns the configs of a corpus and of a tokenizer into windows of tokens."""

from dataclasses import dataclass
from pathlib import Path

from scaling.config.corpus import (
    BytesTokenizer,
    CorpusConfig,
    HubCorpus,
    LexiconCorpus,
    StdlibCorpus,
    TextCorpus,
    TokenizerConfig,
)
from scaling.corpus import hub, lexicon, stdlib, text
from scaling.corpus.cache import token_files
from scaling.corpus.tokenizer import ByteEncoder
from scaling.corpus.tokens import TokenSource
from scaling.errors import UserError

__all__ = ["TokenCorpus", "TokenSource", "prepare"]


@dataclass(frozen=True)
class TokenCorpus:
    """A corpus cut into tokens, ready to train on."""

    name: str
    """Its name in records."""
    train: TokenSource
    """Windows to train on; endless for the lexicon."""
    validation: TokenSource
    """Held-out windows; always finite."""
    vocab_size: int
    """Number of distinct tokens."""
    tokenizer: str
    """The tokenizer's definition, from which `tokenizer.from_definition` makes it again."""
    fingerprint: str
    """SHA-256, hex, of the tokens on both sides and the tokenizer: equal means the same experiment."""
    bytes_per_token: float
    """Bytes of validation text over its tokens: bits/byte = loss_nats / ln 2 / bytes_per_token."""
    train_tokens: int | None
    """Distinct tokens to train on; None when endless."""
    entropy_nats_per_token: float | None = None
    """The least loss that a model can reach; None where it is not known."""


def prepare(corpus: CorpusConfig, tokenizer: TokenizerConfig, cache_dir: Path) -> TokenCorpus:
    """The corpus that a config describes, in tokens; files of tokens are made under `cache_dir` at first use.

    Raises UserError for whatever is wrong with the source, the config or the cache.
    """
    match corpus:
        case LexiconCorpus():
            return _prepare_lexicon(corpus, tokenizer)
        case StdlibCorpus():
            name, documents, files = "stdlib", stdlib.documents(), stdlib.files()
        case TextCorpus():
            name, documents, files = "text", text.documents(corpus), text.files(corpus)
        case HubCorpus():
            name, documents, files = corpus.name, hub.documents(corpus), hub.files(corpus)
        case _:
            raise UserError(f"unknown corpus {type(corpus).__name__}: use stdlib, text, hub or lexicon")
    entry, definition, train, validation = token_files(documents, files, corpus, tokenizer, cache_dir)
    return TokenCorpus(
        name=name,
        train=train,
        validation=validation,
        vocab_size=entry.vocab_size,
        tokenizer=definition,
        fingerprint=entry.fingerprint,
        bytes_per_token=entry.bytes_per_token,
        train_tokens=entry.train.tokens,
    )


def _prepare_lexicon(corpus: LexiconCorpus, tokenizer: TokenizerConfig) -> TokenCorpus:
    if not isinstance(tokenizer, BytesTokenizer):
        raise UserError("corpus=lexicon is endless and its entropy is known by the byte: set tokenizer=bytes")
    return TokenCorpus(
        name="lexicon",
        train=lexicon.train_source(corpus),
        validation=lexicon.validation_source(corpus),
        vocab_size=ByteEncoder().vocab_size,
        tokenizer=ByteEncoder().definition(),
        fingerprint=lexicon.fingerprint(corpus),
        bytes_per_token=1.0,
        train_tokens=None,
        entropy_nats_per_token=lexicon.make_lexicon(corpus).entropy_nats_per_character,
    )
