"""Training jobs from a config to records."""

from dataclasses import replace
from pathlib import Path

import pytest
from training_jobs import Make, curves, outcome

from scaling.config.schema import CosineConfig, ModelConfig, TrainConfig
from scaling.model.saved import load
from scaling.training.machine import Machine
from scaling.training.precision import MASTER_LEAST_WIDTH
from scaling.training.pretrain import pretrain


def test_the_same_config_twice_gives_the_identical_curve(tiny_job: Make) -> None:
    first, second = tiny_job([4096], name="first"), tiny_job([4096], name="second")
    one, two = pretrain(first), pretrain(second)
    assert curves(first, one) == curves(second, two)
    assert outcome(one[0]) == outcome(two[0])
    other = pretrain(tiny_job([4096], name="third", seed=1))
    assert other[0].loss_nats != one[0].loss_nats


def test_another_config_under_the_same_name_is_refused(tiny_job: Make) -> None:
    config = tiny_job([4096])
    pretrain(config)
    changed = replace(config, optim=replace(config.optim, lr=1e-3))
    with pytest.raises(ValueError, match="holds a run of another config"):
        pretrain(changed)


def test_training_approaches_the_entropy_from_above(tiny_job: Make) -> None:
    records = pretrain(tiny_job([8192, 131072], model=ModelConfig(width=32, depth=2, context=32)))
    entropy = records[0].entropy_nats
    assert entropy is not None
    assert records[0].loss_nats is not None
    assert records[1].loss_nats is not None
    assert records[1].loss_se_nats is not None
    assert records[1].loss_nats < records[0].loss_nats
    assert records[1].loss_nats > entropy - 3 * records[1].loss_se_nats
    assert records[1].loss_nats < entropy + 1.0


def auto(config: TrainConfig) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, precision="auto"))


def test_auto_is_recorded_as_what_it_stands_for(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    identities = []
    wide, narrow = MASTER_LEAST_WIDTH, MASTER_LEAST_WIDTH // 2
    for has_bf16, width, precision in (
        (True, wide, "bf16-master"), (False, wide, "32-true"), (True, narrow, "32-true")
    ):  # fmt: skip
        machine = Machine(accelerator="cpu", multiplies_bf16=has_bf16)
        monkeypatch.setattr("scaling.training.precision.probe", lambda _, machine=machine: machine)
        job = tiny_job(
            [1024], name=f"{precision}-{width}", model=ModelConfig(width=width, depth=1, context=16)
        )
        record = pretrain(auto(job))[0]
        assert record.precision == precision
        identities.append(record.identity)
    assert len(set(identities)) == 3


def test_master_weights_are_for_one_device(tiny_job: Make) -> None:
    config = tiny_job([1024])
    trainer = replace(config.trainer, precision="bf16-master", devices=2, strategy="ddp")
    with pytest.raises(ValueError, match="take bf16-mixed"):
        pretrain(replace(config, trainer=trainer))


def test_cosine_trains_one_budget(tiny_job: Make) -> None:
    record = pretrain(tiny_job([4096], schedule=CosineConfig(warmup_tokens=512)))[0]
    assert (record.schedule, record.status, record.tokens_spent) == ("cosine", "done", record.tokens)


def test_trained_weights_are_kept(tiny_job: Make) -> None:
    config = tiny_job([4096])
    record = pretrain(config)[0]
    model = load(config.folder / record.run_id).model
    assert sum(p.numel() for p in model.parameters()) == record.params_total
    assert Path(config.folder / record.run_id / "validation.npy").is_file()


def test_the_default_config_trains(tmp_path: Path) -> None:
    config = TrainConfig(out=str(tmp_path), cache=str(tmp_path / "cache"), tokens=2048)
    (record,) = pretrain(config)
    assert (record.status, record.optimizer, record.schedule, record.corpus) == (
        "done",
        "muon",
        "wsd",
        "stdlib",
    )
