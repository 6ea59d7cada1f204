"""Memory and disk that really run out: limits of the kernel on a process of its own."""

import multiprocessing
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scaling.config.schema import AdamWConfig, ModelConfig, TrainConfig
from scaling.records.folder import CHECKPOINT, RECORD
from scaling.records.records import load_sweep
from scaling.training.pretrain import pretrain
from scaling.training.retry import attempt

Make = Callable[..., TrainConfig]
FORK = multiprocessing.get_context("fork")


def attempt_within(config: TrainConfig, limit: Callable[[], None]) -> str | None:
    """What `attempt` returns in a process under a limit."""

    def run(answer: Any) -> None:
        limit()
        answer.send(attempt(config))
        os._exit(0)

    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=run, args=(theirs,))
    process.start()
    theirs.close()
    result: str | None = ours.recv()
    process.join()
    return result


def test_memory_that_runs_out_halves_the_micro_batch(tiny_job: Make) -> None:
    config = tiny_job(
        [256 * 128],
        model=ModelConfig(width=64, depth=2, context=128),
        optim=AdamWConfig(lr=5e-3, batch_tokens=256 * 128),
    )
    pretrain(
        replace(tiny_job([2048]), name="warm")
    )  # what torch keeps for good is there before the limit is set

    def limit() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 100 * 2**20  # a whole batch takes some 350 MiB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    assert attempt_within(config, limit) is None
    record = pretrain(config)[0]
    assert record.status == "done"
    assert record.batch_tokens == 256 * 128
    assert record.micro_batch_tokens < record.batch_tokens
    assert record.retried == f"out of memory; micro-batch halved to {record.micro_batch_tokens} tokens"


@pytest.mark.parametrize("room", [0, 2_000, 20_000])
def test_a_file_that_cannot_be_written_whole_is_not_there(tiny_job: Make, room: int) -> None:
    """No file may grow past `room` bytes: first not even a claim, then neither checkpoint nor model can be written."""
    config = tiny_job([2048, 4096])
    config = replace(config, trainer=replace(config.trainer, checkpoint_every_seconds=0.0, save_model=True))
    pretrain(replace(config, name="whole"))
    largest = max(
        path.stat().st_size for path in (config.folder.parent / "whole").rglob("*") if path.is_file()
    )
    assert largest > 20_000

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    reason = attempt_within(config, limit)
    assert reason is not None
    assert "File too large" in reason
    left = [path for path in config.folder.rglob("*") if path.is_file()]
    assert not [path.name for path in left if path.name.endswith(".part") or path.name.startswith("claim-")]
    assert not [path for path in left if path.name in (RECORD, CHECKPOINT)]
    assert attempt(config) is None
    ours, whole = load_sweep(config.folder), load_sweep(config.folder.parent / "whole")
    assert list(ours["loss_nats"]) == list(whole["loss_nats"])
