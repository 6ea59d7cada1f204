"""A budget's parts agree with one another, and its JSON with them."""

import json

import pytest

from scaling.accounting.budget import CONVENTIONS, Prices, estimate
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.errors import UserError
from scaling.shape.published_models import PUBLISHED

LLAMA, H100 = PUBLISHED["llama-2-7b"], get_device("h100-sxm")
MIXED = TrainingRecipe(precision="bf16-mixed")


def test_parts_agree_with_one_another() -> None:
    budget = estimate(
        LLAMA, 1e9, Layout(data=8, zero_stage=3), H100, MIXED, prices=Prices(goodput=0.5, realised=1.0)
    )
    assert budget.train_flops == 6 * budget.params.total * 1e9
    assert budget.cost.seconds == pytest.approx(1e9 / budget.step.tokens_per_second / 0.5)
    assert budget.steps == -(-1e9 // (8 * LLAMA.context))
    assert budget.fits == (budget.memory.peak_memory_bytes <= H100.memory_bytes)
    told = json.loads(json.dumps(budget.to_json()))
    assert set(told["train_flops_by_convention"]) == set(CONVENTIONS)
    assert told["peak_memory_bytes"] == budget.memory.peak_memory_bytes
    assert sum(told["params_by_component"].values()) == told["params_total"]


def test_ill_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="tokens=0 must be positive"):
        estimate(LLAMA, 0, Layout(), H100, MIXED)
    with pytest.raises(UserError, match="realised=2 must lie in"):
        Prices(realised=2)
