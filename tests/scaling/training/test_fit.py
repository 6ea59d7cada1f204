"""Callbacks that the user's config names."""

from dataclasses import replace
from typing import Any

import lightning as L
import pytest
from training_jobs import Make

from scaling.config.schema import TrainConfig
from scaling.config.typed_json import from_json, to_json
from scaling.errors import UserError
from scaling.training.fit import user_callbacks
from scaling.training.job import job_of
from scaling.training.pretrain import pretrain


class Counting(L.Callback):
    """Counts the groups of steps of every job in this process, by a word from the config."""

    seen: dict[str, int] = {}  # noqa: RUF012  # shared on purpose: the test does not hold the object

    def __init__(self, word: str) -> None:
        self.word = word

    def on_train_batch_end(self, *args: Any) -> None:
        self.seen[self.word] = self.seen.get(self.word, 0) + 1


def with_callbacks(config: TrainConfig, *callbacks: dict[str, Any]) -> TrainConfig:
    return replace(config, trainer=replace(config.trainer, callbacks=list(callbacks)))


def test_a_callback_of_the_config_sees_the_training_and_changes_no_identity(tiny_job: Make) -> None:
    plain: TrainConfig = tiny_job([2048])
    config = with_callbacks(plain, {"_target_": f"{__name__}.Counting", "word": "here"})
    pretrain(config)
    assert Counting.seen["here"] >= 1
    assert job_of(config).identities == job_of(plain).identities


def test_callbacks_are_carried_to_other_processes(tiny_job: Make) -> None:
    callback = {"_target_": "a.B", "class": "c", "values": [1, {"x": None}]}
    config = with_callbacks(tiny_job([2048]), callback)
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize(
    ("callback", "line"),
    [
        ({"_target_": "no.such.Thing"}, "trainer.callbacks: no.such.Thing cannot be made"),
        ({"_target_": f"{__name__}.Counting"}, "Counting cannot be made"),
        ({"_target_": "builtins.dict"}, "trainer.callbacks: builtins.dict is no lightning.Callback but dict"),
    ],
)
def test_a_callback_that_cannot_be_made_is_refused_in_one_line(
    tiny_job: Make, callback: dict[str, Any], line: str
) -> None:
    with pytest.raises(UserError, match=line) as refused:
        user_callbacks(with_callbacks(tiny_job([2048]), callback).trainer)
    assert "\n" not in str(refused.value)


def test_what_names_no_class_is_refused(tiny_job: Make) -> None:
    with pytest.raises(UserError, match="must be of the form"):
        with_callbacks(tiny_job([2048]), {"path": "x"})
