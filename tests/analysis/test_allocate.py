"""Allocation: closed forms against searches, published optima, inference and data limits, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import allocate, laws
from analysis.refusals import BadValue, NoOptimum

HOFFMANN = laws.CHINCHILLA.coordinates(laws.CHINCHILLA.published["hoffmann2022"])[None]
KAPLAN = laws.KAPLAN.coordinates(laws.KAPLAN.published["kaplan2020"])[None]
GADRE = laws.GADRE.coordinates({"E": 1.7, "A": 300.0, "B": 700.0, "eta": 0.14})[None]
MUENNIGHOFF = laws.MUENNIGHOFF.coordinates(laws.MUENNIGHOFF.published["muennighoff2023"])[None]


@pytest.mark.parametrize(
    ("law", "theta"), [(laws.CHINCHILLA, HOFFMANN), (laws.KAPLAN, KAPLAN), (laws.GADRE, GADRE)]
)
def test_closed_form_optimum_is_where_a_search_ends(law: laws.Law, theta: np.ndarray) -> None:
    flops = np.array([1e19, 1e22, 1e25])
    closed = allocate.optimal(law, theta, flops)
    searched = allocate.optimal_with_inference(law, theta, flops, 0.0)
    assert searched.params == pytest.approx(closed.params, rel=1e-5)
    assert closed.train_flops[0] == pytest.approx(flops, rel=1e-12)
    for factor in (0.9, 1.1):
        worse = law.loss_each(
            np.repeat(theta, 3, 0), {"params": closed.params[0] * factor, "tokens": closed.tokens[0] / factor}
        )
        assert np.all(worse > closed.loss[0])


def test_hoffmanns_law_gives_its_published_exponents() -> None:
    # Hoffmann et al. 2022, table 2, approach 3: a = 0.46, b = 0.54.
    best = allocate.optimal(laws.CHINCHILLA, HOFFMANN, np.array([1e20, 1e21]))
    assert np.log10(best.params[0, 1] / best.params[0, 0]) == pytest.approx(0.28 / 0.62, abs=1e-12)
    assert round(float(np.log10(best.tokens[0, 1] / best.tokens[0, 0])), 2) == pytest.approx(0.55)


@settings(max_examples=20, deadline=None)
@given(demand=st.floats(1e10, 1e13), loss=st.floats(2.0, 2.4))
def test_inference_asks_for_a_smaller_model_on_more_tokens(demand: float, loss: float) -> None:
    """Sardana et al. 2024 (arXiv:2401.00448): serving shifts the optimum, and costs no less in all than it must."""
    served = allocate.cheapest_for_loss(laws.CHINCHILLA, HOFFMANN, np.array([loss]), demand)
    plain = allocate.cheapest_for_loss(laws.CHINCHILLA, HOFFMANN, np.array([loss]))
    assert served.params[0, 0] < plain.params[0, 0]
    assert served.tokens[0, 0] > plain.tokens[0, 0]
    assert served.loss[0, 0] == pytest.approx(loss, rel=1e-9)
    total = served.train_flops + served.inference_flops
    assert total[0, 0] <= plain.train_flops[0, 0] + 2 * plain.params[0, 0] * demand
    assert total[0, 0] >= plain.train_flops[0, 0]


def test_without_inference_the_cheapest_model_is_compute_optimal() -> None:
    best = allocate.optimal(laws.CHINCHILLA, HOFFMANN, np.array([1e22]))
    cheapest = allocate.cheapest_for_loss(laws.CHINCHILLA, HOFFMANN, best.loss[0])
    assert cheapest.train_flops[0, 0] == pytest.approx(1e22, rel=1e-6)
    assert cheapest.params[0, 0] == pytest.approx(best.params[0, 0], rel=1e-3)


def test_scarce_data_asks_for_more_epochs_and_fewer_fresh_tokens() -> None:
    flops = np.array([1e22])
    plenty = allocate.optimal(laws.MUENNIGHOFF, MUENNIGHOFF, flops, unique_tokens=1e15)
    scarce = allocate.optimal(laws.MUENNIGHOFF, MUENNIGHOFF, flops, unique_tokens=1e10)
    values = laws.MUENNIGHOFF.published["muennighoff2023"]
    chinchilla = laws.CHINCHILLA.coordinates({k: values[k] for k in laws.CHINCHILLA.parameters})[None]
    free = allocate.optimal(laws.CHINCHILLA, chinchilla, flops)
    assert plenty.params == pytest.approx(free.params, rel=1e-4)
    assert scarce.tokens[0, 0] > 1e10
    assert scarce.loss[0, 0] > plenty.loss[0, 0]


@pytest.mark.parametrize(
    ("call", "refusal", "words"),
    [
        (lambda: allocate.optimal(laws.CHINCHILLA, HOFFMANN, np.array([-1.0])), BadValue, "-1"),
        (
            lambda: allocate.optimal(laws.KAPLAN_N, np.array([[30.0, 0.1]]), np.array([1e20])),
            NoOptimum,
            "params alone",
        ),
        (
            lambda: allocate.optimal(laws.LEARNING_RATE_ND, np.array([[0.6, -0.7, 0.3]]), np.array([1e20])),
            NoOptimum,
            "predicts learning_rate, not the loss",
        ),
        (
            lambda: allocate.optimal(laws.MUENNIGHOFF, MUENNIGHOFF, np.array([1e20])),
            BadValue,
            "unique_tokens",
        ),
        (
            lambda: allocate.optimal(laws.CHINCHILLA, HOFFMANN * [1, 1, 1, -1, 1], np.array([1e20])),
            NoOptimum,
            "exponents",
        ),
        (lambda: allocate.cheapest_for_loss(laws.CHINCHILLA, HOFFMANN, np.array([1.6])), NoOptimum, "1.6"),
    ],
)
def test_impossible_questions_are_refused(call, refusal: type[ValueError], words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(refusal, match=words):
        call()
