"""Bytes of a number under each precision, and recipes that are refused."""

import pytest

from scaling.accounting.recipe import TrainingRecipe
from scaling.errors import UserError


def test_bytes_of_a_number_by_precision() -> None:
    assert TrainingRecipe(precision="bf16-mixed").bytes.compute == 2
    assert TrainingRecipe(precision="bf16-mixed").bytes.weight == 4
    assert TrainingRecipe(precision="bf16-master").bytes.gradient == 2
    # Megatron-LM and this project add up gradients in float32.
    assert TrainingRecipe(precision="bf16-master", runtime="megatron").bytes.gradient == 4
    assert TrainingRecipe(precision="bf16-master", runtime="written_out").bytes.gradient == 4


def test_ill_recipes_are_refused() -> None:
    with pytest.raises(UserError, match="optimizer='adam' is unknown: choose one of adamw"):
        TrainingRecipe(optimizer="adam")  # type: ignore[arg-type]  # what a user may write
    with pytest.raises(UserError, match="take runtime=torch_cpu"):
        TrainingRecipe(runtime="written_out", recompute="full")
