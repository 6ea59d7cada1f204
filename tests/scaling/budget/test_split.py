"""A law's split minimises its loss, and what the user fixes stays fixed."""

import numpy as np
import pytest

from scaling.budget.keys import SolveKeys
from scaling.budget.law import choose_law
from scaling.budget.split import predicted_loss, split_compute
from scaling.errors import UserError

LAW = choose_law("besiroglu2024")
FLOPS = 1e21


def loss(params: float, tokens: float) -> float:
    return float(predicted_loss(LAW, LAW.theta[None], params, tokens, None)[0])


def test_the_split_minimises_the_loss_on_its_compute() -> None:
    split = split_compute(LAW, FLOPS, SolveKeys())
    assert 6 * split.params * split.tokens == pytest.approx(FLOPS)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert loss(split.params * factor, split.tokens / factor) > loss(split.params, split.tokens)
    assert len(split.params_draws) == len(split.tokens_draws) == len(LAW.draws)
    assert np.median(split.params_draws) == pytest.approx(split.params, rel=0.1)
    without = split_compute(LAW, FLOPS, SolveKeys(), with_draws=False)
    assert (without.params, len(without.params_draws)) == (split.params, 0)


def test_serving_is_paid_from_the_same_compute_and_asks_for_a_smaller_model() -> None:
    free = split_compute(LAW, FLOPS, SolveKeys())
    served = split_compute(LAW, FLOPS, SolveKeys(inference_tokens=1e11))
    assert served.params < free.params
    assert served.inference_flops == pytest.approx(2 * served.params * 1e11)
    assert 6 * served.params * served.tokens + served.inference_flops == pytest.approx(FLOPS)


def test_what_is_fixed_stays_fixed() -> None:
    tokens = split_compute(LAW, FLOPS, SolveKeys(tokens=1e11))
    assert (tokens.tokens, tokens.params) == pytest.approx((1e11, FLOPS / 6e11))
    params = split_compute(LAW, FLOPS, SolveKeys(params=1e9, inference_tokens=1e10))
    assert (params.params, params.inference_flops) == (1e9, 2e19)
    assert 6 * 1e9 * params.tokens + 2e19 == pytest.approx(FLOPS)


@pytest.mark.parametrize(
    ("law", "keys", "message"),
    [
        ("besiroglu2024", SolveKeys(tokens=1e9, params=1e9), "leave nothing to solve"),
        ("besiroglu2024", SolveKeys(params=1e9, inference_tokens=1e15), "used up by serving"),
        ("hoffmann2022", SolveKeys(unique_tokens=1e9), "use law=muennighoff2023"),
        ("muennighoff2023", SolveKeys(), "needs unique_tokens"),
    ],
)
def test_a_split_that_cannot_be_is_refused(law: str, keys: SolveKeys, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split_compute(choose_law(law), FLOPS, keys)
