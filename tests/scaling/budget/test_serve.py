"""Serving in fewer bits takes less and answers faster; what cannot be served is refused."""

import pytest

from scaling.budget.keys import ModelKeys, ServeKeys
from scaling.budget.serve import Serving, serving
from scaling.errors import UserError

GPT2 = ModelKeys(name="gpt2")


def llama(weights: str = "bf16", cache: str = "bf16", sequences: int = 1) -> Serving:
    return serving(
        ServeKeys(
            model=ModelKeys(name="llama-2-70b"), tokens=4096, hardware="h200", weights=weights, cache=cache,
            sequences=sequences,
        )
    )  # fmt: skip


def test_serving_in_fewer_bits_takes_less_and_answers_faster() -> None:
    wide, narrow = llama(), llama(weights="int4", cache="int8")
    # 70B in 16 bits is 138 GB; its cache is 320 KiB a token (80 blocks, 8 heads of 128, keys and values, 2 bytes).
    assert wide.memory.weights == 2 * 68_976_648_192
    assert wide.cache_bytes_per_token == 2 * 80 * 8 * 128 * 2
    assert wide.memory.kv_cache == 4096 * wide.cache_bytes_per_token
    assert narrow.memory.kv_cache == wide.memory.kv_cache / 2
    assert narrow.memory.weights < 0.3 * wide.memory.weights
    assert narrow.time.tokens_per_second > 3 * wide.time.tokens_per_second
    # Batching shares the weights: 8 sequences write far more tokens in little more time.
    assert llama(sequences=8).time.tokens_per_second > 6 * wide.time.tokens_per_second


def test_as_many_sequences_fit_as_it_says() -> None:
    most = llama(weights="int4").most_sequences
    assert most > llama().most_sequences
    assert llama(weights="int4", sequences=most).fits
    assert not llama(weights="int4", sequences=2 * most).fits


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (ServeKeys(model=GPT2, weights="int3"), "weights='int3' is unknown"),
        (ServeKeys(model=GPT2, cache="int3"), "cache='int3' is unknown"),
        (ServeKeys(model=GPT2, sequences=0), "sequences=0"),
        (ServeKeys(model=GPT2, devices=0), "devices=0 must be at least 1"),
        (ServeKeys(model=GPT2, devices=5), "does not divide the 12 heads"),
        (ServeKeys(model=ModelKeys(name="t5-base")), "decoder-only"),
    ],
)
def test_what_cannot_be_served_is_refused(keys: ServeKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        serving(keys)
