"""As many devices as hold a model, or as finish it in time, and no more."""

import pytest

from scaling.accounting.hardware import get_device
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.device_count import choose_layout, days_of, fewest_devices
from scaling.budget.layout_search import best_candidate
from scaling.budget.setup import TrainingSetup
from scaling.errors import UserError
from scaling.shape.published import published_shape

A100 = TrainingSetup(device=get_device("a100-80gb"), recipe=TrainingRecipe(precision="bf16-mixed"))
LLAMA = published_shape("llama-2-7b")
BATCH_TOKENS = 4e6


def test_the_fewest_devices_hold_the_model_and_half_of_them_do_not() -> None:
    fewest = fewest_devices(LLAMA, A100, BATCH_TOKENS)
    assert fewest is not None
    assert fewest.fits
    half = best_candidate(LLAMA, A100, fewest.layout.devices // 2, BATCH_TOKENS)
    assert half is not None
    assert not half.fits


def test_a_deadline_takes_the_fewest_devices_that_meet_it() -> None:
    chosen = choose_layout(LLAMA, A100, 1e11, BATCH_TOKENS, days=10)
    assert days_of(chosen, A100, 1e11) <= 10
    half = best_candidate(LLAMA, A100, chosen.layout.devices // 2, BATCH_TOKENS)
    assert half is not None
    assert days_of(half, A100, 1e11) > 10
    # One that is only aimed at may be missed.
    late = choose_layout(LLAMA, A100, 1e13, BATCH_TOKENS, days=0.1, as_soon_as_possible=True)
    assert days_of(late, A100, 1e13) > 0.1


@pytest.mark.parametrize(
    ("devices", "days", "message"),
    [
        (0, None, "devices=0 must be at least 1"),
        (None, 0.0, "days=0 must be positive"),
        (8, 1.0, "days=1 cannot be met on devices=8"),
        (None, 0.0001, "at most 131,072 are considered"),
        (None, 0.1, "more cannot share that batch"),
        (13_001, None, "no layout splits 32 heads"),
    ],
)
def test_what_no_number_of_devices_can_do_is_refused(
    devices: int | None, days: float | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        choose_layout(LLAMA, A100, 1e12, BATCH_TOKENS, devices=devices, days=days)
