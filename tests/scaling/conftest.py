"""Small training jobs for tests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scaling.config.corpus import BytesTokenizer, LexiconCorpus
from scaling.config.schema import (
    Branch,
    LoggerConfig,
    ModelConfig,
    MuonConfig,
    TrainConfig,
    TrainerConfig,
    WSDConfig,
)


@pytest.fixture
def tiny_job(tmp_path: Path, cache: Path) -> Callable[..., TrainConfig]:
    """A job of a second: `tiny_job(tokens=[…], **changes)` trains a 16 × 2 model on the lexicon."""

    def make(tokens: list[int], **changes: Any) -> TrainConfig:
        base = TrainConfig(
            name="job",
            out=str(tmp_path / "runs"),
            cache=str(cache),
            model=ModelConfig(width=16, depth=2, context=16),
            corpus=LexiconCorpus(words=50, validation_bytes=2048),
            tokenizer=BytesTokenizer(),
            optim=MuonConfig(lr=5e-3, batch_tokens=128),
            schedule=WSDConfig(warmup_tokens=512),
            trainer=TrainerConfig(
                accelerator="cpu", precision="32-true", threads=1, checkpoint_every_seconds=None
            ),
            logger=LoggerConfig(kind="none"),
            branches=[Branch(tokens=float(t)) for t in tokens],
        )
        return replace(base, **changes)

    return make
