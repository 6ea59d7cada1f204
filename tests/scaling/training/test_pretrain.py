"""Training jobs: the same seed gives the same curve, a branch is the run it stands for, a kill is survived."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.accounting.kept_activations import part_passes
from scaling.config.corpus import LexiconCorpus
from scaling.config.schema import AdamWConfig, CosineConfig, ModelConfig, MuonConfig, TrainConfig, WSDConfig
from scaling.records.records import RECORD, RunRecord, load_sweep
from scaling.training.branching import CURVE, Progress
from scaling.training.job import CHECKPOINT
from scaling.training.precision import MASTER_LEAST_WIDTH
from scaling.training.pretrain import pretrain

Make = Callable[..., TrainConfig]


def curves(config: TrainConfig, records: list[RunRecord]) -> list[str]:
    return [(config.folder / record.run_id / CURVE).read_text() for record in records]


def outcome(record: RunRecord) -> tuple[object, ...]:
    return record.identity, record.tokens, record.loss_nats, record.loss_se_nats, record.train_flops_exact


def test_the_same_config_twice_gives_the_identical_curve(tiny_job: Make) -> None:
    first, second = tiny_job([4096], name="first"), tiny_job([4096], name="second")
    one, two = pretrain(first), pretrain(second)
    assert curves(first, one) == curves(second, two)
    assert outcome(one[0]) == outcome(two[0])
    other = pretrain(tiny_job([4096], name="third", seed=1))
    assert other[0].loss_nats != one[0].loss_nats


# Doublings of the batch within the first few thousand tokens.
RAMP = MuonConfig(lr=5e-3, batch_smallest=64, batch_reference=4096)


@pytest.mark.parametrize(
    "optim", [MuonConfig(lr=5e-3, batch_tokens=128), AdamWConfig(lr=5e-3, batch_tokens=128), RAMP]
)
def test_a_branch_is_the_run_it_stands_for(tiny_job: Make, optim: MuonConfig | AdamWConfig) -> None:
    """Bit for bit: a run that left a trunk, and the same run trained alone."""
    together = tiny_job([3072, 6144, 12288], name="together", optim=optim)
    branched = pretrain(together)
    for record in branched:
        alone = tiny_job([record.tokens], name=f"alone{record.tokens}", optim=optim)
        trained = pretrain(alone)
        assert outcome(trained[0]) == outcome(record)
        assert (alone.folder / trained[0].run_id / CURVE).read_text() == (
            together.folder / record.run_id / CURVE
        ).read_text()
    assert sum(r.tokens_spent for r in branched) < sum(r.tokens for r in branched)


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


def stop_at(config: TrainConfig, stop: int) -> TrainConfig:
    """Train until a step, with a checkpoint at every one, and be killed; returns the config to go on with."""
    trainer = replace(config.trainer, checkpoint_every_seconds=0.0, log_every_seconds=0.0)
    config = replace(config, trainer=trainer)

    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == stop:
            raise Killed

    with pytest.raises(Killed):
        pretrain(config, kill)
    return config


def steps_of(config: TrainConfig) -> tuple[list[RunRecord], int]:
    """The job's records and the number of steps that this start of it took."""
    seen: list[Progress] = []
    records = pretrain(config, seen.append)
    return records, len(seen)


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


def test_a_run_whose_record_was_lost_is_trained_again_and_no_other(tiny_job: Make) -> None:
    config = tiny_job([3072, 6144, 12288])
    config = replace(config, trainer=replace(config.trainer, log_every_seconds=0.0))
    expected = pretrain(config)
    paths = [config.folder / record.run_id / RECORD for record in expected]
    for lost, steps in ((0, 24), (1, 39 + 9), (2, 77 + 19)):  # the trunk up to its leave, and its branch
        times = [path.stat().st_mtime_ns for path in paths]
        paths[lost].unlink()
        records, taken = steps_of(config)
        assert [outcome(r) for r in records] == [outcome(r) for r in expected]
        assert taken == steps
        assert [p.stat().st_mtime_ns != t for p, t in zip(paths, times, strict=True)] == [
            run == lost for run in range(3)
        ]


def test_a_run_recorded_just_before_a_kill_is_not_trained_again(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the record and whatever is written after it."""
    expected = pretrain(tiny_job([3072, 6144], name="whole"))
    config = tiny_job([3072, 6144], name="killed")
    config = replace(
        config, trainer=replace(config.trainer, checkpoint_every_seconds=0.0, log_every_seconds=0.0)
    )

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("scaling.training.branching.Branching._return_to_trunk", kill)
        with pytest.raises(Killed):
            pretrain(config)
    first = config.folder / expected[0].run_id / RECORD
    before = first.stat().st_mtime_ns
    records, taken = steps_of(config)
    assert [outcome(r) for r in records] == [outcome(r) for r in expected]
    assert first.stat().st_mtime_ns == before
    assert taken == 48 - 19  # the rest of the trunk and the second branch


def test_a_recorded_run_is_not_trained_again(tiny_job: Make) -> None:
    config = tiny_job([4096])
    pretrain(config)
    path = next(config.folder.glob(f"*/{RECORD}"))
    before = path.stat().st_mtime_ns
    calls: list[Progress] = []
    assert pretrain(config, calls.append)[0].status == "done"
    assert path.stat().st_mtime_ns == before
    assert not calls


def test_another_config_under_the_same_name_is_refused(tiny_job: Make) -> None:
    config = tiny_job([4096])
    pretrain(config)
    changed = replace(config, optim=replace(config.optim, lr=1e-3))
    with pytest.raises(ValueError, match="holds a run of another config"):
        pretrain(changed)


def test_accumulation_changes_nothing_but_rounding(tiny_job: Make) -> None:
    config = tiny_job([4096], name="whole")
    parts = tiny_job([4096], name="parts", trainer=replace(config.trainer, micro_batch_tokens=32))
    assert pretrain(parts)[0].loss_nats == pytest.approx(pretrain(config)[0].loss_nats, abs=1e-3)


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


def test_divergence_ends_the_run_and_is_recorded(tiny_job: Make) -> None:
    config = tiny_job([2048, 8192], optim=MuonConfig(lr=1e4, batch_tokens=128, grad_clip=None))
    records = pretrain(config)
    assert [record.status for record in records] == ["diverged", "diverged"]
    assert all(record.loss_nats is None and record.reason for record in records)
    table = load_sweep(config.folder)
    assert table["loss_nats"].isna().all()


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


def test_written_out_and_composed_train_to_the_same_losses(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_job([4096], name="written out")
    written_out = pretrain(config)[0]
    monkeypatch.setattr("scaling.model.decoder.Decoder.write_out", lambda model: None)
    composed = pretrain(replace(config, name="composed"))[0]
    assert written_out.loss_nats == pytest.approx(composed.loss_nats, abs=1e-4)
    assert written_out.peak_memory_bytes_measured < composed.peak_memory_bytes_measured


def test_bf16_master_ends_where_float32_does(tiny_job: Make) -> None:
    """Within .002 nats on average over seeds, before chance takes the two apart: later a single seed's difference is
    larger either way."""
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
            losses.append(pretrain(config)[0].loss_nats)
        differences.append(losses[1] - losses[0])
    assert abs(np.mean(differences)) <= 0.002, differences


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_other_16_bit_precisions_train(tiny_job: Make, precision: str) -> None:
    config = tiny_job([8192], name="float32")
    other = tiny_job([8192], name="other", trainer=replace(config.trainer, precision=precision))
    assert pretrain(other)[0].loss_nats == pytest.approx(pretrain(config)[0].loss_nats, abs=0.05)


def auto(config: TrainConfig) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, precision="auto"))


def test_float32_masters_branch_and_resume_bit_for_bit(tiny_job: Make) -> None:
    def of(name: str, tokens: list[int]) -> TrainConfig:
        config = tiny_job(tokens, name=name)
        return replace(config, trainer=replace(config.trainer, precision="bf16-master"))

    expected = pretrain(of("whole", [3072, 6144]))
    resumed = pretrain(stop_at(of("killed", [3072, 6144]), 23))
    assert [outcome(r) for r in resumed] == [outcome(r) for r in expected]
    assert outcome(pretrain(of("alone", [6144]))[0]) == outcome(expected[1])


def test_auto_is_recorded_as_what_it_stands_for(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    identities = []
    wide, narrow = MASTER_LEAST_WIDTH, MASTER_LEAST_WIDTH // 2
    for has_bf16, width, precision in (
        (True, wide, "bf16-master"), (False, wide, "32-true"), (True, narrow, "32-true")
    ):  # fmt: skip
        monkeypatch.setattr(
            "scaling.training.precision.processor_multiplies_bf16", lambda answer=has_bf16: answer
        )
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
    saved = torch.load(config.folder / record.run_id / "model.pt", weights_only=True)
    assert (
        sum(p.numel() for name, p in saved["model"].items() if name != "head.weight") == record.params_total
    )
    assert Path(config.folder / record.run_id / "validation.npy").is_file()
