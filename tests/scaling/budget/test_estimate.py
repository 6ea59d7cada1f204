"""The forward question: what training takes, on the layout that is given or chosen."""

import pytest

from scaling.accounting.budget import Budget
from scaling.budget.estimate import training_budget
from scaling.budget.keys import BudgetKeys, parse_keys
from scaling.errors import UserError


def budget(*words: str) -> Budget:
    return training_budget(parse_keys(list(words), BudgetKeys))


def test_a_published_model() -> None:
    result = budget("model=llama-2-7b", "tokens=2T", "devices=8", "hardware=a100-80gb").to_json()
    assert result["params_total"] == 6_738_415_616
    assert result["params_non_embedding"] == 6_738_415_616 - 2 * 32_000 * 4096
    assert result["train_flops"] == 6 * 6_738_415_616 * 2e12
    assert result["devices"] == 8
    assert result["fits"] is True
    assert 0 < result["peak_memory_bytes"] <= result["device_memory_bytes"]
    assert sum(result["params_by_component"].values()) == result["params_total"]
    assert sum(result["step_seconds_by_part"].values()) == pytest.approx(result["step_seconds"])
    assert result["price_usd"] == pytest.approx(result["device_hours"] * result["usd_per_device_hour"])
    assert result["steps"] * result["batch_tokens"] >= 2e12


def test_a_wider_model_takes_more() -> None:
    small = budget("model.width=256", "model.depth=6", "tokens=1e9")
    wide = budget("model.width=512", "model.depth=6", "tokens=1e9")
    assert wide.params.total > small.params.total
    assert wide.train_flops > small.train_flops


def test_a_layout_as_given() -> None:
    layout = budget("model=llama-2-70b", "devices=64", "layout.tensor=8", "layout.zero_stage=3").layout
    assert (layout.data, layout.sequence) == (8, True)
    assert budget("model=gpt2", "layout.micro_batch=4", "layout.accumulation=2").layout.accumulation == 2
    alone = budget("model=gpt2", "layout.micro_batch=4")
    more = budget("model=gpt2", "layout.micro_batch=8")
    assert more.memory.peak_memory_bytes > alone.memory.peak_memory_bytes


def test_a_model_cut_over_devices_keeps_16_bit_weights_unless_the_user_says_otherwise() -> None:
    words = ["model=gpt3-175b", "layout.tensor=8", "layout.pipeline=8", "layout.data=8"]
    left_open = budget(*words)
    assert (left_open.recipe.precision, left_open.recipe.runtime) == ("bf16-master", "megatron")
    said = budget(*words, "precision=bf16-mixed")
    assert (said.recipe.precision, said.recipe.runtime) == ("bf16-mixed", "torch")
    assert left_open.memory.peak_allocated_bytes < said.memory.peak_allocated_bytes


def test_a_measured_speed_replaces_the_estimate() -> None:
    words = ["model=gpt2", "tokens=1e9"]
    measured = budget(*words, "measured_tokens_per_second=10000", "goodput=1")
    assert measured.step.tokens_per_second == pytest.approx(10_000)
    assert measured.cost.seconds == pytest.approx(1e9 / 10_000)
    assert budget(*words).step.tokens_per_second > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("devices=8 layout.tensor=3", "not a multiple"),
        ("layout.tensor=5", "does not divide heads=12"),
        ("layout.pipeline=13", "at most 12"),
        ("layout.data=4 devices=8", "leave one of them out"),
        ("layout.data=2 days=3", "days=3 chooses the number of devices"),
        ("price=-1", "price=-1"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        budget("model=gpt2", *words.split())
