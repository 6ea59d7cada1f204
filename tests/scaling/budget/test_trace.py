"""Closed-form memory beside torch's tracker on the real model; more of these in benchmarks/budget_memory.py."""

from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.trace import traced_memory, traced_params
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape

SHAPE = decoder_shape(width=64, depth=2, heads=4, kv_heads=2, vocab_size=256, context=64, tied_head=True)
PLAIN = TrainingRecipe(runtime="torch_cpu")
OURS = TrainingRecipe(runtime="written_out")

JOBS = [
    (SHAPE, PLAIN, Layout(micro_batch=8)),
    (SHAPE, replace(PLAIN, optimizer="muon"), Layout()),
    (SHAPE, replace(PLAIN, precision="bf16-mixed"), Layout(micro_batch=4, accumulation=2)),
    (SHAPE, replace(PLAIN, precision="bf16-true", recompute="full"), Layout(micro_batch=8)),
    (SHAPE, replace(PLAIN, recompute="selective_ops", optimizer="sgd_momentum"), Layout(micro_batch=8)),
    (
        replace(SHAPE, tied_head=False, qk_norm=True, ffn="gelu"),
        replace(PLAIN, recompute="full"),
        Layout(micro_batch=2),
    ),
    (replace(SHAPE, vocab_size=8192, depth=1), replace(PLAIN, optimizer="sgd"), Layout(accumulation=2)),
    (replace(SHAPE, heads=1, kv_heads=1, head_width=64), PLAIN, Layout(micro_batch=4)),
]
WRITTEN_OUT = [
    (SHAPE, OURS, Layout(micro_batch=8)),
    (replace(SHAPE, qk_norm=True, context=256), replace(OURS, optimizer="muon"), Layout(micro_batch=4)),
    (replace(SHAPE, kv_heads=4, qk_norm=True, context=100), OURS, Layout(micro_batch=4, accumulation=2)),
    (replace(SHAPE, width=32, heads=4, kv_heads=4, head_width=8), OURS, Layout(micro_batch=8)),
    (replace(SHAPE, kv_heads=1, ffn="gelu", vocab_size=4096), OURS, Layout(micro_batch=8)),
    (replace(SHAPE, tied_head=False, vocab_size=4096), OURS, Layout(micro_batch=2)),
    (replace(SHAPE, heads=1, kv_heads=1, head_width=64), OURS, Layout(micro_batch=4)),
]


def test_peak_memory_within_three_percent_of_torchs_tracker() -> None:
    errors = []
    for shape, recipe, layout in JOBS:
        traced = traced_memory(shape, recipe, layout)["Total"]
        errors.append(abs(training_memory(shape, recipe, layout).peak_allocated_bytes / traced - 1))
    assert median(errors) <= 0.01
    assert max(errors) <= 0.03


@pytest.mark.parametrize(("shape", "recipe", "layout"), WRITTEN_OUT)
def test_memory_of_what_is_written_out(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> None:
    traced = traced_memory(shape, recipe, layout)["Total"]
    assert training_memory(shape, recipe, layout).peak_allocated_bytes == pytest.approx(traced, rel=0.005)


@pytest.mark.parametrize(
    ("shape", "recipe", "layout"),
    [
        (PUBLISHED["gpt2"], OURS, Layout()),
        (SHAPE, OURS, Layout(data=2)),
    ],
)
def test_only_this_projects_decoder_on_one_device_is_written_out(
    shape: ModelShape, recipe: TrainingRecipe, layout: Layout
) -> None:
    with pytest.raises(UserError, match="take runtime=torch_cpu"):
        training_memory(shape, recipe, layout)


@pytest.mark.parametrize("changes", [{"precision": "bf16-mixed"}, {"recompute": "full"}, {"dropout": True}])
def test_what_is_not_written_out_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="take runtime=torch_cpu"):
        replace(OURS, **changes)


def test_the_real_model_has_the_parameters_that_are_counted() -> None:
    assert traced_params(SHAPE) == count_params(SHAPE).total
