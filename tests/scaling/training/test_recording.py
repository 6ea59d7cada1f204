"""What a record says of a run that was trained: its costs, measured and predicted."""

from dataclasses import replace

import numpy as np
import pytest
from training_jobs import RAMP, Make

from scaling.accounting.kept_activations import part_passes
from scaling.config.schema import AdamWConfig, ModelConfig, MuonConfig
from scaling.training.pretrain import pretrain


def test_a_record_says_what_was_spent(tiny_job: Make) -> None:
    record = pretrain(tiny_job([4096]))[0]
    assert record.train_flops_6nd == 6 * record.params_total * record.tokens
    assert record.tokens == record.steps * record.batch_tokens
    assert record.peak_memory_bytes_measured is not None
    assert record.peak_memory_bytes_predicted is not None
    assert record.peak_memory_bytes_predicted == pytest.approx(record.peak_memory_bytes_measured, rel=0.05)
    assert record.bits_per_byte == pytest.approx(record.loss_nats / np.log(2))


@pytest.mark.parametrize(
    "changes",
    [
        {"optim": AdamWConfig(lr=1e-3, batch_tokens=256)},
        {"optim": RAMP, "model": ModelConfig(width=64, depth=3, context=16)},
        {"model": ModelConfig(width=64, depth=3, context=64, ffn="gelu", tied_head=False, qk_norm=False)},
        {"model": ModelConfig(width=48, depth=2, heads=6, kv_heads=2, context=32)},
    ],
)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-master"])
def test_predicted_memory_is_the_measured(tiny_job: Make, precision: str, changes: dict[str, object]) -> None:
    config = tiny_job([4096], **{"optim": MuonConfig(lr=1e-3, batch_tokens=512), **changes})
    config = replace(config, trainer=replace(config.trainer, precision=precision))
    record = pretrain(config)[0]
    assert record.peak_memory_bytes_predicted == pytest.approx(record.peak_memory_bytes_measured, rel=0.05)


@pytest.mark.parametrize("precision", ["32-true", "bf16-master"])
@pytest.mark.parametrize("rows", [512, 2048])
def test_memory_of_a_loss_taken_in_pieces_is_that_of_one_piece(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, rows: int, precision: str
) -> None:
    for module in ("scaling.model.cpu_ops", "scaling.accounting.cpu_activations"):
        monkeypatch.setattr(f"{module}.loss_rows", lambda vocab_size: rows)
    part_passes.cache_clear()
    request.addfinalizer(part_passes.cache_clear)
    shape = ModelConfig(width=16, depth=1, context=16)
    config = tiny_job([4096], model=shape, optim=AdamWConfig(lr=1e-3, batch_tokens=2048))
    record = pretrain(replace(config, trainer=replace(config.trainer, precision=precision)))[0]
    assert record.peak_memory_bytes_predicted == pytest.approx(record.peak_memory_bytes_measured, rel=0.03)
