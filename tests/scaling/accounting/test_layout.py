"""Layouts that cannot be, or that do not divide a model, are refused with a remedy."""

from dataclasses import replace

import pytest

from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import device_params, model_states
from scaling.errors import UserError
from scaling.shape.published import published_shape
from scaling.shape.published_models import PUBLISHED


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout(tensor=3), "layout.tensor=3 does not divide heads=32"),
        (Layout(pipeline=64), "at most 32"),
        (Layout(context=3), "layout.context=3"),
    ],
)
def test_layouts_that_do_not_divide_are_refused(layout: Layout, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        training_memory(PUBLISHED["llama-2-7b"], TrainingRecipe(), layout)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"data": 0}, "positive whole number"),
        ({"zero_stage": 4}, "0, 1, 2 or 3"),
        ({"data": 4, "expert": 3}, "divides neither"),
        ({"interleave": 2}, "needs layout.pipeline"),
        ({"data": 4, "zero_stage": 3, "zero_group": 3}, "zero_group=3 does not divide the 4 replicas"),
        ({"data": 4, "zero_stage": 1, "zero_group": 2}, "needs layout.zero_stage=3"),
    ],
)
def test_layouts_that_cannot_be_are_refused(keys: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Layout(**keys)  # type: ignore[arg-type]  # no key here is the one field that is a bool


@pytest.mark.parametrize(("data", "tensor", "expert"), [(16, 2, 8), (16, 2, 32), (4, 8, 32), (8, 1, 8)])
def test_no_expert_is_lost_however_they_are_spread(data: int, tensor: int, expert: int) -> None:
    shape = published_shape("qwen3-235b-a22b")
    layout = Layout(data=data, tensor=tensor, expert=expert)
    whole = device_params(shape, Layout()).experts
    assert layout.expert_tensor == (tensor if data % expert == 0 else 1)
    assert device_params(shape, layout).experts * layout.expert_devices == pytest.approx(whole)
    # ZeRO shards an expert over the devices that hold it, so that all of them together hold its states once.
    recipe = TrainingRecipe(precision="bf16-master")
    experts_only = [
        model_states(shape, recipe, replace(layout, zero_stage=stage)).master_weights for stage in (0, 1)
    ]
    assert experts_only[0] > experts_only[1] > whole * 4 / layout.devices


def test_degrees_multiply_and_the_name_shows_those_in_use() -> None:
    layout = Layout(data=4, zero_stage=1, tensor=8, sequence=True, pipeline=2, micro_batch=3, accumulation=5)
    assert layout.devices == 4 * 8 * 2
    assert layout.sequences_per_step == 4 * 3 * 5
    assert str(layout) == "DP4 ZeRO-1 TP8+SP PP2"
    hybrid = Layout(data=64, zero_stage=3, zero_group=8)
    assert (hybrid.shard_group, hybrid.shard_copies, str(hybrid)) == (8, 8, "DP64 ZeRO-3/8")
