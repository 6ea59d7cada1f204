"""Several processes a run: the losses of one process, checkpoints that know no world size, memory a rank as the
accounting says, a killed rank. The ranks are started once or twice for all these tests."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scaling.config.schema import AdamWConfig, ModelConfig, MuonConfig, TrainConfig, TrainerConfig
from scaling.model.saved import load
from scaling.records.claims import holder_of
from scaling.records.files import seal_label
from scaling.records.folder import CHECKPOINT
from scaling.records.records import RunRecord
from scaling.sweep.capacity import peak_bytes
from scaling.sweep.placement import default_workers
from scaling.training import ranks
from scaling.training.job import plan_job
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress
from scaling.training.retry import attempt
from scaling.training.signals import HeldSignals, Preempted

pytestmark = pytest.mark.slow  # each test starts several processes

Make = Callable[..., TrainConfig]

# After 77 float32 steps; rounding alone tells the runs apart, and grows as training goes on.
SAME = 1e-5


@pytest.fixture(scope="module", autouse=True)
def no_rank_is_left() -> Iterator[None]:
    yield
    ranks.end_idle()


def spread(config: TrainConfig, strategy: str, devices: int = 2, **changes: Any) -> TrainConfig:
    """The same job on several processes, in a folder of its own unless named."""
    trainer = replace(config.trainer, strategy=strategy, devices=devices, **changes)
    return replace(config, name=f"{config.name}-{strategy}{devices}", trainer=trainer)


def losses(records: list[RunRecord]) -> list[float]:
    assert all(record.loss_nats is not None for record in records)
    return [record.loss_nats or 0.0 for record in records]


@pytest.mark.parametrize(
    "optim", [MuonConfig(lr=5e-3, batch_tokens=128), AdamWConfig(lr=5e-3, batch_tokens=128)]
)
def test_two_processes_train_to_the_losses_of_one(tiny_job: Make, optim: MuonConfig | AdamWConfig) -> None:
    """Two branches of a trunk, with a micro-batch of a quarter of the batch; odd shapes leave shares unequal."""
    config = tiny_job([4096, 8192], optim=optim, model=ModelConfig(width=20, depth=2, heads=2, context=16))
    expected = pretrain(config)
    for strategy in ("ddp", "fsdp"):
        whole = spread(config, strategy)
        records = pretrain(spread(config, strategy, micro_batch_tokens=32))
        assert losses(records) == pytest.approx(losses(expected), rel=SAME)
        assert [r.loss_se_nats for r in records] == pytest.approx(
            [r.loss_se_nats for r in expected], rel=SAME
        )
        assert [(r.identity, r.devices, r.micro_batch_tokens) for r in records] == [
            (r.identity, 2, 32) for r in expected
        ]
        trained = load(whole.folder / records[-1].run_id).model
        assert sum(p.numel() for p in trained.parameters()) == records[-1].params_total


@pytest.mark.parametrize(
    ("before", "after"), [(("fsdp", 2), ("auto", 1)), (("ddp", 1), ("fsdp", 2)), (("fsdp", 2), ("ddp", 2))]
)
def test_a_run_that_is_asked_to_end_goes_on_under_another_number_of_ranks(
    tiny_job: Make, before: tuple[str, int], after: tuple[str, int]
) -> None:
    """Asked in the first branch, from where it has yet to go back to the trunk. As in a job of Slurm's, the signal
    comes to the ranks as well."""
    config = tiny_job([4096, 8192])
    expected = pretrain(config)
    asked = replace(spread(config, *before, log_every_seconds=0.0), name="asked")
    steps: list[int] = []

    def ask(progress: Progress) -> None:
        steps.append(progress.step)
        if progress.step == 20:
            for pid in [*ranks_here(), os.getpid()]:
                os.kill(pid, signal.SIGTERM)

    with pytest.raises(Preempted):
        pretrain(asked, ask)
    assert steps[-1] < 70  # of 77
    assert holder_of(asked.folder) is None
    resumed = pretrain(
        replace(spread(config, *after, log_every_seconds=0.0), name="asked"), lambda p: steps.append(p.step)
    )
    assert steps == list(range(1, steps[-1] + 1))  # nothing is trained twice, or left out
    assert losses(resumed) == pytest.approx(losses(expected), rel=SAME)
    assert resumed[0].retried is None


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_ranks_that_were_asked_to_end_before_they_began_end_at_the_first_look(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """And those that wait for another run have forgotten it. On the same ranks a run goes on bit for bit."""
    config = spread(tiny_job([2048]), strategy, log_every_seconds=0.0)
    train = ranks.train

    def asked_while_they_start(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        train(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("scaling.training.ranks.train", asked_while_they_start)
        for step in (1, 2):
            with pytest.raises(Preempted):
                pretrain(config)
            assert seal_label(config.folder / CHECKPOINT).endswith(f" {step}")
    seen: list[Progress] = []
    records = pretrain(config, seen.append)
    assert seen[0].step == 3
    assert losses(records) == losses(pretrain(replace(config, name="undisturbed")))  # bit for bit


def test_memory_a_rank_is_what_the_accounting_says(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where states outweigh activations. For FSDP the accounting counts a block that is fetched ahead, as on a GPU."""
    config = tiny_job(
        [2048], optim=AdamWConfig(lr=1e-3, batch_tokens=256), model=ModelConfig(width=96, depth=4, context=16)
    )
    with (
        monkeypatch.context() as patch
    ):  # several ranks do not use the CPU kernels: nor does the run they compare to
        patch.setattr("scaling.training.module.trains_with_cpu_kernels", lambda precision, devices: False)
        one = pretrain(config)[0]
    for strategy, close in (("ddp", 0.01), ("fsdp", 0.10)):
        record = pretrain(spread(config, strategy))[0]
        predicted, measured = record.peak_memory_bytes_predicted, record.peak_memory_bytes_measured
        assert predicted is not None
        assert measured is not None
        assert predicted == pytest.approx(measured, rel=close)
        assert one.peak_memory_bytes_measured is not None
        assert measured < one.peak_memory_bytes_measured * (0.95 if strategy == "ddp" else 0.65)


def test_a_killed_rank_ends_the_others_and_the_run_goes_on(tiny_job: Make) -> None:
    config = spread(tiny_job([4096]), "ddp", checkpoint_every_seconds=0.0, log_every_seconds=0.0)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.step == 10 and not killed:
            rank = next(pid for pid in ranks_here() if rank_of(pid) == "1")
            killed.append(rank)
            os.kill(rank, signal.SIGKILL)

    with pytest.raises(ranks.RankDied, match=r"rank 1 of 2 died \(exit code -9"):
        pretrain(config, kill)
    assert not ranks_here()
    assert not list(config.folder.glob("claim-*"))
    assert (config.folder / CHECKPOINT).is_file()
    alone = replace(config, trainer=replace(config.trainer, devices=1))
    seen: list[Progress] = []
    assert pretrain(alone, seen.append)[0].status == "done"
    assert seen[0].step > 5


def ranks_here() -> list[int]:
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    return [int(child) for child in children if rank_of(int(child)) is not None]


def rank_of(pid: int) -> str | None:
    for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if word.startswith(b"LOCAL_RANK="):
            return word.partition(b"=")[2].decode()
    return None


def test_a_job_whose_rank_dies_is_tried_once_more(tiny_job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = spread(tiny_job([2048]), "ddp")
    deaths: list[str] = []

    def dies(tasks: list[ranks.Task], report: object, signals: object) -> None:
        deaths.append(str(tasks[0].retried))
        raise ranks.RankDied("rank 1 of 2 died (exit code -9)")

    monkeypatch.setattr("scaling.training.ranks.train", dies)
    reason = attempt(config)
    assert deaths == ["None", "rank 1 of 2 died (exit code -9); started again from its last checkpoint"]
    assert reason is not None
    assert reason.startswith("RankDied: rank 1 of 2 died")


def test_what_a_rank_raises_is_told(tiny_job: Make, tmp_path: Path) -> None:
    config = spread(tiny_job([2048]), "ddp")
    tasks = ranks.tasks_for(
        config,
        tmp_path,
        recorded=[],
        resume_from=tmp_path / "no.ckpt",
        claim=tmp_path / "claim",
        claim_content=b"",
        retried=None,
    )
    with pytest.raises(OSError, match=r"no\.ckpt") as raised:
        ranks.train(tasks, None, HeldSignals())
    assert any("in rank " in note for note in raised.value.__notes__)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"strategy": "deepspeed"}, "trainer.strategy=deepspeed: choose one of auto, ddp, fsdp"),
        ({"devices": 2, "accelerator": "mps"}, "trainer.devices=2: trainer.accelerator=mps is one device"),
        ({"devices": 2, "strategy": "fsdp", "compile": True}, "trainer.compile=true: not with"),
    ],
)
def test_what_cannot_be_spread_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainerConfig(**keys)


def test_a_batch_that_does_not_divide_is_refused(tiny_job: Make) -> None:
    with pytest.raises(ValueError, match="does not divide among them"):
        pretrain(spread(tiny_job([2048]), "ddp", devices=3))


def test_plans_count_the_ranks(tiny_job: Make) -> None:
    from scaling.corpus import prepare

    # AdamW, whose states are shared out: Muon orthogonalises whole matrices on every rank.
    shape = ModelConfig(width=128, depth=4, context=16)
    config = tiny_job([2048], model=shape, optim=AdamWConfig(lr=5e-3, batch_tokens=128))
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    one, ddp, fsdp = (
        peak_bytes(plan_job(c, corpus), "cpu")
        for c in (config, spread(config, "ddp"), spread(config, "fsdp"))
    )
    assert fsdp < 0.8 * one
    assert fsdp < ddp
    cores = len(os.sched_getaffinity(0))
    pair = TrainerConfig(accelerator="cpu", devices=2, threads=1)
    assert default_workers(pair) == max(1, cores // 2)
