"""An encoder-decoder has parameters, FLOPs and states, and says what is missing."""

from scaling.budget.encoder_decoder import encoder_decoder_budget
from scaling.budget.keys import BudgetKeys, ModelKeys


def test_an_encoder_decoder_has_parameters_and_flops_and_says_what_is_missing() -> None:
    result = encoder_decoder_budget(BudgetKeys(model=ModelKeys(name="t5-11b"), tokens=1e12)).to_json()
    assert result["params_total"] == 11_307_321_344
    assert result["train_flops"] == 3 * 11_307_321_344 * 1e12
    # bf16-mixed AdamW keeps 16 bytes a parameter: weight, gradient and two moments in float32.
    assert result["model_state_bytes"] == 16 * 11_307_321_344
    assert result["peak_memory_bytes"] is None
    assert "Not modelled" in str(result["note"])
