"""Memory of low-rank adapters against published figures."""

from dataclasses import replace

import pytest

from scaling.accounting.adapters import lora_memory, lora_params
from scaling.accounting.inference import weight_bytes
from scaling.accounting.recipe import TrainingRecipe
from scaling.shape.published_models import PUBLISHED


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
