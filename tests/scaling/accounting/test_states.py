"""Bytes of weights, gradients and optimizer states."""

import pytest

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Precision, Runtime, TrainingRecipe
from scaling.accounting.states import device_params, model_states
from scaling.shape.params import count_params
from scaling.shape.published_models import PUBLISHED


def test_bytes_a_parameter_of_known_recipes() -> None:
    shape, layout = PUBLISHED["llama-2-7b"], Layout()
    params = count_params(shape).total
    known: tuple[tuple[Precision, Runtime, int], ...] = (
        ("32-true", "torch", 16),
        ("bf16-mixed", "torch", 16),
        ("16-master", "torch", 16),  # ZeRO, arXiv:1910.02054, section 3.1
        ("bf16-master", "megatron", 18),  # float32 gradients (Smith et al. 2022, arXiv:2201.11990)
        ("bf16-true", "torch", 8),
    )
    for precision, runtime, bytes_each in known:
        recipe = TrainingRecipe(precision=precision, runtime=runtime)
        assert model_states(shape, recipe, layout).total == pytest.approx(bytes_each * params)
    eight_bit = model_states(shape, TrainingRecipe(optimizer="adamw_8bit"), layout)
    assert eight_bit.optimizer_states == pytest.approx(2 * params, rel=0.02)
    adafactor = model_states(shape, TrainingRecipe(optimizer="adafactor"), layout)
    assert adafactor.optimizer_states < 0.01 * params


def test_8_bit_states_share_a_scale_in_blocks_of_256() -> None:
    shape = PUBLISHED["gpt2"]
    params, recipe = device_params(shape, Layout()), TrainingRecipe(optimizer="adamw_8bit")
    matrices = params.hidden + params.experts + params.ends
    states = model_states(shape, recipe, Layout()).optimizer_states
    assert states == 2 * matrices * (1 + 4 / 256) + 2 * 4 * params.replicated
