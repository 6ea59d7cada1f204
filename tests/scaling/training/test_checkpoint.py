"""A job that was killed continues from its last checkpoint; damaged ones are set aside."""

from dataclasses import replace

import pytest
from training_jobs import RAMP, Make, curves, outcome, stop_at

from scaling.config.schema import MuonConfig, TrainConfig
from scaling.records.folder import CHECKPOINT, RECORD
from scaling.training.pretrain import pretrain


@pytest.mark.parametrize(
    ("stop", "optim"),
    [*((stop, MuonConfig(lr=5e-3, batch_tokens=128)) for stop in (5, 20, 23, 40, 47)), (30, RAMP)],
)
def test_a_job_killed_anywhere_ends_with_the_same_records(
    tiny_job: Make, stop: int, optim: MuonConfig
) -> None:
    """Stopped in the trunk, at a boundary, in a branch; checkpoints at every look."""
    whole = tiny_job([3072, 6144], name="whole", optim=optim)
    expected = pretrain(whole)
    config = stop_at(tiny_job([3072, 6144], name="killed", optim=optim), stop)
    assert not all((config.folder / record.run_id / RECORD).is_file() for record in expected)
    resumed = pretrain(config)
    assert [outcome(r) for r in resumed] == [outcome(r) for r in expected]
    assert curves(config, resumed) == curves(whole, expected)
    assert not (config.folder / CHECKPOINT).exists()


@pytest.mark.parametrize("name", ["last.ckpt", "trunk.ckpt"])
@pytest.mark.parametrize("damage", ["cut", "flip", "foreign"])
def test_a_damaged_checkpoint_is_set_aside_and_said(
    tiny_job: Make, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = pretrain(tiny_job([3072, 6144], name="whole"))
    config = stop_at(tiny_job([3072, 6144], name="killed"), 23)  # in the first branch
    path = config.folder / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 3] ^= 16
    else:
        data = bytearray(b"something else")
    path.write_bytes(data)
    records = pretrain(config)
    assert [outcome(r) for r in records] == [outcome(r) for r in expected]
    assert (config.folder / f"{name}.damaged-1").read_bytes() == data
    assert f"{path}: " in caplog.text
    assert f"set aside as {name}.damaged-1, going on from" in caplog.text


def test_float32_masters_branch_and_resume_bit_for_bit(tiny_job: Make) -> None:
    def of(name: str, tokens: list[int]) -> TrainConfig:
        config: TrainConfig = tiny_job(tokens, name=name)
        return replace(config, trainer=replace(config.trainer, precision="bf16-master"))

    expected = pretrain(of("whole", [3072, 6144]))
    resumed = pretrain(stop_at(of("killed", [3072, 6144]), 23))
    assert [outcome(r) for r in resumed] == [outcome(r) for r in expected]
    assert outcome(pretrain(of("alone", [6144]))[0]) == outcome(expected[1])
