"""More tokens on a finished run: the same result as from scratch for fewer steps, or a line that says why not."""

import logging
from dataclasses import replace

import pytest
from training_jobs import Make, curves, outcome, steps_of, stop_at

from scaling.config.schema import CosineConfig, MuonConfig, ScheduleConfig, TrainConfig, WSDConfig
from scaling.records.folder import CHECKPOINT, TRUNK
from scaling.training.pretrain import pretrain


def each_step(config: TrainConfig) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, log_every_seconds=0.0))


def test_a_longer_run_goes_on_from_the_trunk_and_ends_as_from_scratch(
    tiny_job: Make, caplog: pytest.LogCaptureFixture
) -> None:
    short, long = each_step(tiny_job([4096])), each_step(tiny_job([8192]))
    (first,) = pretrain(short)
    assert (short.folder / first.run_id / TRUNK).is_file()
    with caplog.at_level(logging.WARNING):
        records, steps = steps_of(long)
    scratch = each_step(tiny_job([8192], name="scratch"))
    expected, all_steps = steps_of(scratch)
    assert [outcome(record) for record in records] == [outcome(record) for record in expected]
    assert curves(long, records) == curves(scratch, expected)
    assert steps < all_steps
    assert all_steps - steps == round(0.8 * 4096 / 128)
    assert "the finished run of 4,096 tokens goes on to 8,192 tokens from step 26" in caplog.text
    # Once more, from the longer run.
    longest, again = steps_of(each_step(tiny_job([16384])))
    assert again < 128 - 50
    assert outcome(longest[0]) == outcome(pretrain(tiny_job([16384], name="scratch"))[0])


@pytest.mark.parametrize(
    ("schedule", "optim", "reason"),
    [
        (
            CosineConfig(warmup_tokens=512),
            MuonConfig(lr=5e-3, batch_tokens=128),
            "with schedule=cosine the learning",
        ),
        (WSDConfig(warmup_tokens=2048), MuonConfig(lr=5e-3, batch_tokens=128), "its warmup was shorter"),
        (WSDConfig(warmup_tokens=512), MuonConfig(lr=4e-3, batch_tokens=128), "another config or corpus"),
        (WSDConfig(warmup_tokens=512), MuonConfig(lr=5e-3, batch_tokens=128), "was not kept"),
    ],
)
def test_a_run_that_cannot_go_on_says_why(
    tiny_job: Make, caplog: pytest.LogCaptureFixture, schedule: ScheduleConfig, optim: MuonConfig, reason: str
) -> None:
    short: TrainConfig = tiny_job([4096], schedule=schedule)
    pretrain(replace(short, trainer=replace(short.trainer, save_model="was not kept" not in reason)))
    with caplog.at_level(logging.WARNING):
        pretrain(tiny_job([8192], schedule=schedule, optim=optim))
    (line,) = [message for message in caplog.messages if "starts from scratch" in message]
    assert reason in line
    assert "\n" not in line


def test_a_first_run_and_a_shorter_one_say_nothing(tiny_job: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pretrain(tiny_job([4096]))
        pretrain(tiny_job([2048]))
    assert "finished run" not in caplog.text


def test_several_branches_keep_no_trunk(tiny_job: Make) -> None:
    config = tiny_job([2048, 4096])
    pretrain(config)
    assert not list(config.folder.rglob(TRUNK))


def test_a_finished_run_leaves_the_checkpoint_of_a_longer_one_that_was_interrupted(tiny_job: Make) -> None:
    short, long = each_step(tiny_job([4096])), each_step(tiny_job([8192]))
    pretrain(short)
    long = stop_at(long, 40)
    kept = (long.folder / CHECKPOINT).read_bytes()
    pretrain(short)  # recorded already: only tidied up
    assert (long.folder / CHECKPOINT).read_bytes() == kept
    _, steps = steps_of(long)
    assert steps == 8192 // 128 - 39  # it was killed before the checkpoint of step 40
    pretrain(short)
    assert not (long.folder / CHECKPOINT).exists()
