"""Serving speed: the rooflines of prefill and decode."""

import pytest

from scaling.accounting.hardware import get_device
from scaling.accounting.inference import kv_cache_bytes, weight_bytes
from scaling.accounting.roofline import MEMORY_FRACTION
from scaling.accounting.serving import ServingTime, serving_time
from scaling.errors import UserError
from scaling.shape.published_models import PUBLISHED

H100 = get_device("h100-sxm")
LLAMA = PUBLISHED["llama-3-8b"]


def served(sequences: int = 1, tokens: int = 1024, tensor: int = 1) -> ServingTime:
    return serving_time(
        LLAMA, H100, sequences=sequences, tokens=tokens, weights="bf16", cache="bf16", tensor=tensor
    )


def test_one_token_takes_as_long_as_reading_weights_and_cache() -> None:
    embedding = 2 * LLAMA.vocab_size * LLAMA.width  # untied: of its rows only one is read
    read = weight_bytes(LLAMA, "bf16") - embedding + kv_cache_bytes(LLAMA, 1024)
    assert served().decode_seconds == pytest.approx(read / (H100.memory_bytes_per_second * MEMORY_FRACTION))


def test_more_sequences_write_more_and_longer_prompts_take_longer() -> None:
    assert served(sequences=16).tokens_per_second > 8 * served().tokens_per_second
    assert served(tokens=4096).prefill_seconds > 4 * served().prefill_seconds
    assert served(tensor=8).decode_seconds < served().decode_seconds


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(UserError, match="weights='int3' is unknown"):
        serving_time(
            LLAMA, H100, sequences=1, tokens=8, weights="int3", cache="bf16"  # type: ignore[arg-type]  # a user's
        )  # fmt: skip
