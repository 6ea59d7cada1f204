"""Byte-pair encoding: lossless, trained on training text only, comparable with bytes."""

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling.config.corpus import BPETokenizer, BytesTokenizer, LexiconCorpus, TextCorpus
from scaling.corpus import TokenCorpus, prepare, stdlib
from scaling.corpus.tokenizer import BPEEncoder, train_tokenizer
from scaling.corpus.tokens import TokenArray

pytest.importorskip("tokenizers", reason="the extra [bpe] is not installed")


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    return list(stdlib.documents())[:60]


@pytest.fixture(scope="module")
def encoder(documents: list[bytes]) -> BPEEncoder:
    trained = train_tokenizer(BPETokenizer(vocab_size=600), documents)
    assert isinstance(trained, BPEEncoder)
    return trained


def test_text_comes_back_byte_for_byte(encoder: BPEEncoder, documents: list[bytes]) -> None:
    odd = ["naïve € 𝄞\r\n\ttabs  and   spaces \x00 end", " leading", "<|endoftext|>", "\ufeff", "\n"]
    for document in [*documents[:5], *(text.encode() for text in odd)]:
        (tokens,) = encoder.encode([document])
        assert tokens[-1] == encoder.vocab_size - 1
        assert (tokens[:-1] < encoder.vocab_size - 1).all(), "no text spells the separator"
        assert encoder.model.decode(tokens[:-1].tolist()).encode() == document


def test_the_vocabulary_has_the_size_asked_for_and_training_repeats_itself(
    encoder: BPEEncoder, documents: list[bytes]
) -> None:
    assert encoder.vocab_size == 600
    assert encoder.model.get_vocab_size() == 599
    again = train_tokenizer(BPETokenizer(vocab_size=600), documents)
    assert again.definition() == encoder.definition()
    assert len(json.loads(encoder.definition())["model"]["merges"]) == 599 - 256


def test_text_too_poor_for_the_vocabulary_is_refused_with_what_it_has() -> None:
    with pytest.raises(ValueError, match=r"vocab_size=5000: .* set tokenizer\.vocab_size=26\d or less"):
        train_tokenizer(BPETokenizer(vocab_size=5000), [b"abab abab abab cdcd"])


def corpus(folder: Path, tokenizer: BytesTokenizer | BPETokenizer) -> TokenCorpus:
    return prepare(
        TextCorpus(paths=[str(folder / "*.py")], validation_bytes=50_001), tokenizer, folder / "cache"
    )


def tokens_of(source: Any) -> np.ndarray:
    assert isinstance(source, TokenArray)
    return source.tokens


def test_every_tokenizer_is_judged_on_the_same_text(tmp_path: Path, documents: list[bytes]) -> None:
    for number, document in enumerate(documents):
        (tmp_path / f"{number}.py").write_bytes(document)
    by_bytes, by_bpe = corpus(tmp_path, BytesTokenizer()), corpus(tmp_path, BPETokenizer(vocab_size=600))
    assert by_bytes.bytes_per_token == 1
    assert by_bpe.bytes_per_token > 1.5
    tokens, text_bytes = tokens_of(by_bpe.validation), len(tokens_of(by_bytes.validation))
    assert by_bpe.bytes_per_token * len(tokens) == pytest.approx(text_bytes, rel=1e-12)
    assert tokens.dtype == np.uint16
    assert by_bytes.fingerprint != by_bpe.fingerprint
    # The tokenizer on disk, trained on the training documents, spells the very text that bytes hold.
    from tokenizers import Tokenizer

    (definition,) = (path for path in tmp_path.glob("cache/*/tokenizer.txt") if path.stat().st_size > 10)
    model = Tokenizer.from_file(str(definition))
    pieces = np.split(tokens, np.flatnonzero(tokens == 599) + 1)[:-1]
    spelled = b"".join(model.decode(piece[:-1].tolist()).encode() + b"\xff" for piece in pieces)
    assert spelled == tokens_of(by_bytes.validation).tobytes()
    train_text = tokens_of(by_bytes.train).tobytes().rstrip(b"\xff").split(b"\xff")
    again = train_tokenizer(BPETokenizer(vocab_size=600), train_text)
    assert again.definition() == definition.read_text()


def test_the_lexicon_takes_bytes_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set tokenizer=bytes"):
        prepare(LexiconCorpus(words=50), BPETokenizer(), tmp_path)


def test_an_absent_library_is_explained_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'scaling-simulator\[bpe\]', or set tokenizer=bytes"):
        train_tokenizer(BPETokenizer(), [b"text"])
