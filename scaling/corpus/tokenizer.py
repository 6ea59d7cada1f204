"""From text to tokens: bytes, or byte-pair encoding trained on the corpus.

A separator follows every document. For bytes it is 0xFF, which never occurs in UTF-8; for BPE it is the last token of
the vocabulary, which no text is encoded to. A separator counts as one byte of text, so that with bytes a token is
exactly one byte.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling.config.corpus import BPETokenizer, BytesTokenizer, TokenizerConfig
from scaling.errors import UserError

SEPARATOR_BYTE = 0xFF
"""The byte after every document (RFC 3629, section 1: it never appears in UTF-8)."""
BYTES_DEFINITION = "bytes"
"""Definition of the tokenizer of bytes, as records store it."""
_BATCH_DOCUMENTS = 256
"""Documents that the `tokenizers` library encodes at once, on all processors."""


@dataclass(frozen=True)
class ByteEncoder:
    """One token a byte."""

    vocab_size: int = 256

    def encode(self, documents: Iterable[bytes]) -> Iterator[NDArray[Any]]:
        """Tokens of each document, its separator at the end."""
        for document in documents:
            yield np.frombuffer(document + bytes([SEPARATOR_BYTE]), np.uint8)

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; bytes that are not UTF-8 become U+FFFD."""
        return bytes(tokens).decode(errors="replace")

    def definition(self) -> str:
        """Text from which `from_definition` makes the tokenizer again."""
        return BYTES_DEFINITION


@dataclass(frozen=True)
class BPEEncoder:
    """Byte-level BPE (Sennrich et al. 2016, over bytes as in GPT-2), held by the `tokenizers` library."""

    model: Any  # a `tokenizers.Tokenizer`; the library has no types
    vocab_size: int

    def encode(self, documents: Iterable[bytes]) -> Iterator[NDArray[Any]]:
        """Tokens of each document, its separator at the end."""
        separator = self.vocab_size - 1
        stream = iter(documents)
        while batch := [document.decode() for document in islice(stream, _BATCH_DOCUMENTS)]:
            for encoding in self.model.encode_batch_fast(batch):
                yield np.array([*encoding.ids, separator], dtype=np.int64)

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens without separators; bytes that are not UTF-8 become U+FFFD."""
        separator = self.vocab_size - 1
        return str(self.model.decode([token for token in tokens if token != separator]))

    def definition(self) -> str:
        """JSON of the `tokenizers` library, from which `from_definition` makes the tokenizer again."""
        return str(self.model.to_str())


Tokenizer = ByteEncoder | BPEEncoder


def train_tokenizer(config: TokenizerConfig, train_documents: Iterable[bytes]) -> Tokenizer:
    """The tokenizer that a config asks for, trained on `train_documents` where it needs training."""
    match config:
        case BytesTokenizer():
            return ByteEncoder()
        case BPETokenizer():
            return _train_bpe(config.vocab_size, train_documents)
        case _:
            raise UserError(f"unknown tokenizer {type(config).__name__}: use bytes or bpe")


def from_definition(definition: str, vocab_size: int) -> Tokenizer:
    """The tokenizer that a definition describes.

    Raises:
        UserError: when the definition is damaged, or its library is not installed.
    """
    if definition == BYTES_DEFINITION:
        return ByteEncoder()
    tokenizers = _library()
    try:
        model = tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"not a tokenizer's definition: {error}") from error
    if model.get_vocab_size() + 1 != vocab_size:
        raise UserError(
            f"the tokenizer has {model.get_vocab_size() + 1} tokens, the model's vocabulary {vocab_size}"
        )
    return BPEEncoder(model, vocab_size)


def _library() -> Any:  # a module of an optional dependency
    try:
        import tokenizers
    except ImportError as error:
        raise UserError(
            "tokenizer=bpe needs the tokenizers library: pip install 'scaling-simulator[bpe]', "
            "or set tokenizer=bytes"
        ) from error
    return tokenizers


def _train_bpe(vocab_size: int, train_documents: Iterable[bytes]) -> BPEEncoder:
    tokenizers = _library()
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = byte_level(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size
        - 1,  # the separator is not in the library's vocabulary: no text is encoded to it
        initial_alphabet=sorted(byte_level.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator((document.decode() for document in train_documents), trainer)
    found = model.get_vocab_size() + 1
    if found < vocab_size:
        raise UserError(
            f"tokenizer.vocab_size={vocab_size}: the training text yields only {found} tokens; "
            f"set tokenizer.vocab_size={found} or less, or give more text"
        )
    return BPEEncoder(model, vocab_size)
