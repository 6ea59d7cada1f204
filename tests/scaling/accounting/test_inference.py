"""Memory of a served model against published figures."""

from dataclasses import replace

import pytest

from scaling.accounting.inference import (
    WeightFormat,
    inference_memory,
    kv_cache_bytes,
    weight_bytes,
)
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED


def test_weights_by_format() -> None:
    shape = PUBLISHED["llama-2-7b"]
    params = count_params(shape).total
    assert weight_bytes(shape, "fp32") == pytest.approx(4 * params)
    assert weight_bytes(shape, "bf16") == pytest.approx(2 * params)
    narrower: list[WeightFormat] = ["fp32", "bf16", "int8", "int4"]
    sizes = [weight_bytes(shape, name) for name in narrower]
    assert sizes == sorted(sizes, reverse=True)
    # Hugging Face, accelerate's model size estimator: bert-base-cased in float32 loads as 413.68 MiB.
    cased = replace(PUBLISHED["bert-base"], vocab_size=28_996)
    assert weight_bytes(cased, "fp32") / 2**20 == pytest.approx(413.68, rel=0.005)


def test_cache_a_token() -> None:
    # Llama 3 8B: 2 · 8 heads · 128 · 32 blocks · 2 bytes
    assert kv_cache_bytes(PUBLISHED["llama-3-8b"], 1) == 131_072
    # 70.272 KB a token in bfloat16 (DeepSeek-AI 2025, arXiv:2505.09343, table 1); 516.096 KB for Llama 3.1 405B
    assert kv_cache_bytes(PUBLISHED["deepseek-v3"], 1) == 70_272
    assert kv_cache_bytes(PUBLISHED["llama-3.1-405b"], 1) == 516_096


def test_serving_grows_with_sequences_and_shrinks_with_tensor_parallelism() -> None:
    shape = PUBLISHED["llama-2-70b"]
    one = inference_memory(shape, tokens=4096)
    many = inference_memory(shape, tokens=4096, sequences=16)
    assert many.kv_cache == 16 * one.kv_cache
    spread = inference_memory(shape, tokens=4096, sequences=16, tensor=8)
    assert spread.kv_cache == many.kv_cache / 8
    assert spread.peak_memory_bytes < many.peak_memory_bytes / 6
    with pytest.raises(ValueError, match="sequences=0"):
        inference_memory(shape, sequences=0)
    with pytest.raises(ValueError, match="weights='int3'"):
        inference_memory(shape, weights="int3")  # type: ignore[arg-type]
