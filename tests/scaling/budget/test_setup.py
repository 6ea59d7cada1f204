"""From keys to a shape and to how it is trained."""

import pytest

from scaling.accounting.layout import Layout
from scaling.budget.keys import BudgetKeys, ModelKeys
from scaling.budget.setup import build_setup, build_shape, default_batch_tokens, training_tokens
from scaling.errors import UserError
from scaling.shape.params import count_params


def test_a_published_model_by_name_and_with_changes() -> None:
    llama = build_shape(ModelKeys(name="llama-2-7b"))
    assert count_params(llama).total == 6_738_415_616
    longer = build_shape(ModelKeys(name="llama-2-7b", context=2048))
    assert (longer.context, count_params(longer).total) == (2048, 6_738_415_616)
    wider = build_shape(ModelKeys(name="gpt2", width=1024, heads=16))
    assert (wider.head_width, wider.kv_heads) == (64, 16)


def test_a_model_by_width_and_depth_or_by_size() -> None:
    small = build_shape(ModelKeys(width=256, depth=6))
    assert (small.vocab_size, small.context, small.ffn) == (50_257, 1024, "swiglu")
    assert small.heads * small.head_width == 256
    mixture = build_shape(ModelKeys(width=256, depth=2, experts=8, experts_active=2, expert_width=512))
    assert (mixture.experts, mixture.experts_active) == (8, 2)
    assert count_params(build_shape(ModelKeys(params=1e9))).total == pytest.approx(1e9, rel=0.01)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (ModelKeys(), "which model?"),
        (ModelKeys(width=64), "missing model.depth"),
        (ModelKeys(width=0, depth=2), "model.width=0"),
        (ModelKeys(name="llama-2-7c"), "did you mean llama-2-7b"),
        (ModelKeys(name="gpt2", heads=7), "does not divide model.width=768"),
        (ModelKeys(name="gpt2", params=1e9), "exclude each other"),
        (ModelKeys(params=-1.0), "must be positive"),
        (ModelKeys(params=1e9, width=64), "leave out model.width"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(keys: ModelKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_shape(keys)


def test_the_recipe_follows_the_device_and_the_layout() -> None:
    cut = Layout(tensor=8)
    left_open = build_setup(BudgetKeys())
    assert (left_open.recipe.precision, left_open.recipe.runtime) == ("bf16-mixed", "torch")
    assert left_open.recipe_for(Layout(data=8, zero_stage=3)) == left_open.recipe
    # Megatron-LM keeps 16-bit weights where it cuts the model, unless the user says otherwise.
    assert left_open.recipe_for(cut).precision == "bf16-master"
    assert left_open.recipe_for(cut).runtime == "megatron"
    said = build_setup(BudgetKeys(precision="bf16-mixed"))
    assert said.recipe_for(cut) == said.recipe
    assert build_setup(BudgetKeys(hardware="v100")).recipe.precision == "16-mixed"
    assert build_setup(BudgetKeys(hardware="cpu")).recipe.precision == "32-true"
    assert build_setup(BudgetKeys(hardware="cpu")).recipe.runtime == "torch_cpu"
    assert build_setup(BudgetKeys(recompute="full")).recomputes == ("full",)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (BudgetKeys(hardware="a101"), "did you mean a10g or a100"),
        (BudgetKeys(recompute="sometimes"), "recompute=sometimes is unknown"),
        (BudgetKeys(kernels="slow"), "kernels=slow is unknown"),
        (BudgetKeys(precision="bf17"), "precision='bf17' is unknown"),
        (BudgetKeys(batch_tokens=0.0), "batch_tokens=0 must be positive"),
        (BudgetKeys(realised=2.0), "realised=2 must lie in"),
    ],
)
def test_a_setup_that_cannot_be_is_refused(keys: BudgetKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_setup(keys)


def test_what_is_left_open_follows_published_rules() -> None:
    gpt2 = build_shape(ModelKeys(name="gpt2"))
    assert training_tokens(BudgetKeys(), gpt2) == 20 * count_params(gpt2).total
    assert training_tokens(BudgetKeys(tokens=5.0), gpt2) == 5
    with pytest.raises(UserError, match="how many tokens"):
        training_tokens(BudgetKeys(tokens=-1.0), gpt2)
    # DeepSeek LLM 7B (arXiv:2401.02954): 2T tokens, a batch of 2304 sequences of 4096 tokens by the same formula.
    assert default_batch_tokens(6 * 6.9e9 * 2e12, 4096) == pytest.approx(2304 * 4096, rel=0.15)
    assert default_batch_tokens(1.0, 1024) == 1024
