"""A job's facts: what identifies its runs."""

from pathlib import Path

import pytest

from scaling.config.corpus import BytesTokenizer, LexiconCorpus
from scaling.config.schema import (
    AdamWConfig,
    CosineConfig,
    ModelConfig,
    MuonConfig,
    OptimConfig,
    ScheduleConfig,
    TrainConfig,
    TrainerConfig,
    WSDConfig,
)
from scaling.training.job import job_of


@pytest.mark.parametrize(
    ("optim", "schedule", "identity"),
    [
        (MuonConfig(batch_tokens=128), WSDConfig(), "5a2898ce89adf735"),
        (AdamWConfig(), CosineConfig(), "c378670f0f874b52"),
    ],
)
def test_the_identity_of_a_run_outlives_a_refactor(
    optim: OptimConfig, schedule: ScheduleConfig, identity: str, cache: Path
) -> None:
    """As computed at commit f27a008: another value means that no study under way can go on with this code."""
    config = TrainConfig(
        model=ModelConfig(width=16, depth=2, context=16),
        corpus=LexiconCorpus(words=50, validation_bytes=2048),
        tokenizer=BytesTokenizer(),
        optim=optim,
        schedule=schedule,
        trainer=TrainerConfig(accelerator="cpu", precision="32-true"),
        tokens=65536.0,
        cache=str(cache),
    )
    assert job_of(config).identities == [identity]
