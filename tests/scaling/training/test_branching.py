"""Branches of a trunk: each is the run that it stands for, and is recorded once."""

from dataclasses import replace

import pytest
from training_jobs import RAMP, Make, outcome, steps_of

from scaling.config.schema import AdamWConfig, MuonConfig
from scaling.records.folder import CURVE, RECORD
from scaling.records.records import load_sweep
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress


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


def test_divergence_ends_the_run_and_is_recorded(tiny_job: Make) -> None:
    config = tiny_job([2048, 8192], optim=MuonConfig(lr=1e4, batch_tokens=128, grad_clip=None))
    records = pretrain(config)
    assert [record.status for record in records] == ["diverged", "diverged"]
    assert all(record.loss_nats is None and record.reason for record in records)
    table = load_sweep(config.folder)
    assert table["loss_nats"].isna().all()
