"""Seconds of a block's work: bound by FLOPs or by memory, at the rates of a device."""

from dataclasses import replace
from typing import get_args

import pytest

from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Precision, TrainingRecipe
from scaling.accounting.roofline import (
    BACKWARD_OVER_FORWARD,
    KERNEL_SECONDS,
    MATMUL_PRECISION,
    MEMORY_FRACTION,
    block_seconds,
    head_seconds,
    product_seconds,
    sustained_rates,
)
from scaling.shape.flops import forward_flops_per_token
from scaling.shape.published_models import PUBLISHED

H100 = get_device("h100-sxm")
MIXED = TrainingRecipe(precision="bf16-mixed")
RATES = sustained_rates(H100, MIXED)
LLAMA = PUBLISHED["llama-2-7b"]


def test_rates_are_the_measured_shares_of_the_data_sheets_peaks() -> None:
    sustained = H100.peak("bf16") * H100.matmul_fraction * H100.sustained_fraction
    assert RATES.linear_flops_per_second == RATES.wide_flops_per_second == sustained
    assert RATES.memory_bytes_per_second == MEMORY_FRACTION * H100.memory_bytes_per_second
    fp8 = sustained_rates(H100, TrainingRecipe(precision="fp8-mixed"))
    assert fp8.linear_flops_per_second == pytest.approx(2 * fp8.wide_flops_per_second, rel=0.001)
    assert set(MATMUL_PRECISION) == set(get_args(Precision))


def test_a_large_product_is_bound_by_flops_and_a_narrow_one_by_memory() -> None:
    rate = RATES.linear_flops_per_second
    large = product_seconds(8192, 8192, 8192, rate, RATES)
    assert large == pytest.approx(2 * 8192**3 / rate + KERNEL_SECONDS)
    narrow = product_seconds(1, 8192, 8192, rate, RATES)
    assert narrow == pytest.approx(2 * 8192**2 / RATES.memory_bytes_per_second + KERNEL_SECONDS, rel=1e-3)


def test_a_block_takes_at_least_its_flops_at_the_sustained_rate() -> None:
    block = block_seconds(LLAMA, Layout(), H100, MIXED, "fused")
    flops = forward_flops_per_token(LLAMA)
    products = LLAMA.context * (flops.attention_projections + flops.ffn) / LLAMA.depth
    assert block.matmul == pytest.approx(products / RATES.linear_flops_per_second, rel=0.03)
    assert block.attention_backward == BACKWARD_OVER_FORWARD["flash"] * block.attention
    assert block.collectives == 0
    assert block_seconds(LLAMA, Layout(tensor=2), H100, MIXED, "fused").tensor > 0
    assert block_seconds(LLAMA, Layout(), H100, MIXED, "eager").elementwise > block.elementwise


def test_a_fused_kernel_of_a_causal_model_skips_what_the_mask_discards() -> None:
    layout = Layout(micro_batch=4)
    causal = block_seconds(LLAMA, layout, H100, MIXED, "fused").attention - KERNEL_SECONDS
    whole = (
        block_seconds(replace(LLAMA, causal=False), layout, H100, MIXED, "fused").attention - KERNEL_SECONDS
    )
    tokens = LLAMA.context  # (T + 1)/2 of T
    assert whole == pytest.approx(2 * causal * tokens / (tokens + 1))


def test_the_head_runs_three_products_of_the_vocabulary() -> None:
    product = product_seconds(
        LLAMA.context, LLAMA.width, LLAMA.vocab_size, RATES.wide_flops_per_second, RATES
    )
    assert head_seconds(LLAMA, Layout(), RATES, "fused").matmul == 3 * product
