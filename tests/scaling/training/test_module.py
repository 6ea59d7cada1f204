"""The steps of a job, in every precision and through both kinds of operation."""

from dataclasses import replace

import numpy as np
import pytest
from training_jobs import Make

from scaling.config.corpus import LexiconCorpus
from scaling.config.schema import ModelConfig, MuonConfig, WSDConfig
from scaling.training.pretrain import pretrain


def test_accumulation_changes_nothing_but_rounding(tiny_job: Make) -> None:
    config = tiny_job([4096], name="whole")
    parts = tiny_job([4096], name="parts", trainer=replace(config.trainer, micro_batch_tokens=32))
    assert pretrain(parts)[0].loss_nats == pytest.approx(pretrain(config)[0].loss_nats, abs=1e-3)


def test_cpu_kernels_train_to_the_losses_of_pytorchs_operations(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_job([4096], name="kernels")
    with_kernels = pretrain(config)[0]
    monkeypatch.setattr("scaling.training.module.trains_with_cpu_kernels", lambda precision, devices: False)
    composed = pretrain(replace(config, name="composed"))[0]
    assert with_kernels.loss_nats == pytest.approx(composed.loss_nats, abs=1e-4)
    assert with_kernels.peak_memory_bytes_measured is not None
    assert composed.peak_memory_bytes_measured is not None
    assert with_kernels.peak_memory_bytes_measured < composed.peak_memory_bytes_measured


def test_bf16_master_ends_where_float32_does(tiny_job: Make) -> None:
    """Within 0.002 nats on average over seeds. The runs are short: later, rounding makes a single seed's losses differ
    by more, in either direction."""
    differences = []
    for seed in range(3):
        losses = []
        for precision in ("32-true", "bf16-master"):
            config = tiny_job(
                [32768],
                name=f"{precision}{seed}",
                seed=seed,
                model=ModelConfig(width=32, depth=2, context=32),
                corpus=LexiconCorpus(words=50, validation_bytes=16384),
                optim=MuonConfig(lr=1.5e-3, batch_tokens=512),
                schedule=WSDConfig(warmup_tokens=2048),
            )
            config = replace(config, trainer=replace(config.trainer, precision=precision))
            loss = pretrain(config)[0].loss_nats
            assert loss is not None
            losses.append(loss)
        differences.append(losses[1] - losses[0])
    assert abs(np.mean(differences)) <= 0.002, differences


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_other_16_bit_precisions_train(tiny_job: Make, precision: str) -> None:
    config = tiny_job([8192], name="float32")
    other = tiny_job([8192], name="other", trainer=replace(config.trainer, precision=precision))
    assert pretrain(other)[0].loss_nats == pytest.approx(pretrain(config)[0].loss_nats, abs=0.05)
