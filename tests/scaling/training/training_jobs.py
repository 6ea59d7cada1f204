"""What tests of training jobs share."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scaling.config.schema import MuonConfig, TrainConfig
from scaling.records.folder import CURVE
from scaling.records.records import RunRecord
from scaling.training.pretrain import pretrain
from scaling.training.progress import Progress

Make = Callable[..., TrainConfig]


# Doublings of the batch within the first few thousand tokens.
RAMP = MuonConfig(lr=5e-3, batch_smallest=64, batch_reference=4096)


def curves(config: TrainConfig, records: list[RunRecord]) -> list[str]:
    return [(config.folder / record.run_id / CURVE).read_text() for record in records]


def outcome(record: RunRecord) -> tuple[object, ...]:
    return record.identity, record.tokens, record.loss_nats, record.loss_se_nats, record.train_flops_exact


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
