"""Memory of fine-tuning as published, and refusals of what is not fine-tuned."""

import pytest

from scaling.budget.finetune import FineTuning, fine_tuning
from scaling.budget.keys import FineTuneKeys, ModelKeys
from scaling.errors import UserError
from scaling.shape.params import count_params

GPT2 = ModelKeys(name="gpt2")


def llama(method: str, rank: int = 64, precision: str | None = None) -> FineTuning:
    return fine_tuning(
        FineTuneKeys(
            model=ModelKeys(name="llama-65b"), tokens=512, method=method, rank=rank, precision=precision
        )
    )


def test_fine_tuning_as_published() -> None:
    # QLoRA, arXiv:2305.14314: from more than 780 GB to less than 48 GB.
    full, lora, qlora = llama("full", precision="16-master"), llama("lora"), llama("qlora")
    assert full.peak_memory_bytes > 780e9
    assert qlora.peak_memory_bytes < 48e9
    assert qlora.fits
    assert 130e9 < lora.peak_memory_bytes < full.peak_memory_bytes
    assert full.trained_params == count_params(full.shape).total
    assert lora.trained_params == qlora.trained_params < 0.02 * full.trained_params


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (FineTuneKeys(model=GPT2, method="loar"), "choose one of full, lora, qlora"),
        (FineTuneKeys(model=GPT2, rank=0), "rank=0"),
        (FineTuneKeys(model=GPT2, method="full", weights="int4"), "use method=qlora"),
        (FineTuneKeys(model=GPT2, weights="int3"), "weights='int3' is unknown"),
        (FineTuneKeys(model=GPT2, recompute="some"), "recompute=some is unknown"),
        (FineTuneKeys(model=GPT2, tokens=-4), "tokens=-4"),
        (FineTuneKeys(model=ModelKeys(name="t5-base")), "decoder-only"),
    ],
)
def test_what_is_not_fine_tuned_is_refused(keys: FineTuneKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fine_tuning(keys)
