"""Serving and adapters against published figures."""

from dataclasses import replace

import pytest

from scaling.accounting.inference import (
    inference_memory,
    kv_cache_bytes_per_token,
    lora_memory,
    lora_params,
    weight_bytes,
)
from scaling.accounting.recipe import TrainingRecipe
from scaling.shape.params import count_params
from scaling.shape.published import PUBLISHED


def test_weights_by_format() -> None:
    shape = PUBLISHED["llama-2-7b"]
    params = count_params(shape).total
    assert weight_bytes(shape, "fp32") == pytest.approx(4 * params)
    assert weight_bytes(shape, "bf16") == pytest.approx(2 * params)
    sizes = [weight_bytes(shape, name) for name in ("fp32", "bf16", "int8", "int4")]  # type: ignore[arg-type]
    assert sizes == sorted(sizes, reverse=True)
    # Hugging Face, accelerate's model size estimator: bert-base-cased in float32 loads as 413.68 MiB.
    cased = replace(PUBLISHED["bert-base"], vocab_size=28_996)
    assert weight_bytes(cased, "fp32") / 2**20 == pytest.approx(413.68, rel=0.005)


def test_cache_a_token() -> None:
    # Llama 3 8B: 2 · 8 heads · 128 · 32 blocks · 2 bytes
    assert kv_cache_bytes_per_token(PUBLISHED["llama-3-8b"]) == 131_072
    # 70.272 KB a token in bfloat16 (DeepSeek-AI 2025, arXiv:2505.09343, table 1); 516.096 KB for Llama 3.1 405B
    assert kv_cache_bytes_per_token(PUBLISHED["deepseek-v3"]) == 70_272
    assert kv_cache_bytes_per_token(PUBLISHED["llama-3.1-405b"]) == 516_096


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


def test_lora_and_qlora_as_published() -> None:
    # GPT-3 175B, rank 4 on queries and values: 18.9M here; the paper's 4.7M is rank 1 (arXiv:2106.09685, table 4).
    gpt3 = PUBLISHED["gpt3-175b"]
    assert lora_params(gpt3, 1, attention_only=True) == pytest.approx(4.7e6, rel=0.01)
    # "reduce the VRAM consumption from 1.2TB to 350GB" (section 4.2): the weights in 16 bits
    assert weight_bytes(gpt3, "fp16") / 1e9 == pytest.approx(350, rel=0.01)
    # 65B "on a single 48GB GPU" (Dettmers et al. 2023, arXiv:2305.14314), rank 64, 512 tokens, checkpointed
    recipe = TrainingRecipe(precision="bf16-true", recompute="full")
    llama = replace(PUBLISHED["llama-65b"], context=512)
    assert lora_memory(llama, recipe, rank=64, weights="nf4").peak_memory_bytes < 48e9
    assert lora_memory(llama, recipe, rank=64, weights="bf16").peak_memory_bytes > 130e9
    with pytest.raises(ValueError, match="rank=0"):
        lora_params(llama, 0)
