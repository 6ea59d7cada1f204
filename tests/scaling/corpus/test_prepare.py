"""A corpus and a tokenizer, by their configs, become windows of tokens."""

from pathlib import Path

import numpy as np
import pytest

from scaling.config.corpus import BytesTokenizer, CorpusConfig, LexiconCorpus
from scaling.corpus import prepare


def test_the_lexicon_needs_no_files_and_knows_its_entropy(tmp_path: Path) -> None:
    corpus = prepare(LexiconCorpus(words=100), BytesTokenizer(), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    assert corpus.train_tokens is None
    assert corpus.vocab_size == 256
    assert corpus.entropy_nats_per_token is not None
    assert 0.1 < corpus.entropy_nats_per_token < np.log(27)


def test_an_unknown_kind_of_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use stdlib, text, hub or lexicon"):
        prepare(CorpusConfig(), BytesTokenizer(), tmp_path)
