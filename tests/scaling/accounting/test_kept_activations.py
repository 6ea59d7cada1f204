"""What blocks keep between forward and backward, against published formulas."""

from dataclasses import replace

import pytest

from scaling.accounting.kept_activations import activation_bytes, micro_batches_in_flight
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.shape.shape import ModelShape


def test_korthikantis_formula_follows_from_the_tape() -> None:
    """34·s·b·h + 5·a·s²·b a block (equation 1), 34·s·b·h without the attention core (equation 6)."""
    shape = ModelShape(
        width=1024, depth=1, heads=16, kv_heads=16, head_width=64, ffn_width=4096, ffn="gelu", vocab_size=64,
        context=512, positions="learned", norm="layernorm", biases="all",
    )  # fmt: skip
    recipe = TrainingRecipe(
        precision="bf16-master", runtime="megatron", attention="materialised", dropout=True
    )
    layout = Layout(micro_batch=3)
    sbh = 512 * 3 * 1024
    statistics = 2 * 2 * 4 * 512 * 3  # mean and deviation of two norms, which the paper neglects
    core = 5 * 16 * 512**2 * 3
    assert activation_bytes(shape, recipe, layout) == 34 * sbh + core + statistics
    selective = replace(recipe, recompute="selective")
    assert activation_bytes(shape, selective, layout) == 34 * sbh + statistics
    assert activation_bytes(shape, replace(recipe, recompute="full"), layout) == 2 * sbh


def test_micro_batches_in_flight() -> None:
    plain = Layout(pipeline=8, accumulation=64)
    assert [micro_batches_in_flight(plain, s) for s in range(8)] == [8, 7, 6, 5, 4, 3, 2, 1]
    # L·(1 + (p − 1)/(p·m)) blocks on the first stage, of L/p it has (Korthikanti et al. 2022, 4.2.3)
    chunked = replace(plain, interleave=3)
    assert micro_batches_in_flight(chunked, 0) == pytest.approx(8 * (1 + 7 / 24))
    assert micro_batches_in_flight(replace(plain, accumulation=2), 0) == 2
