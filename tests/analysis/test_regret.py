"""What a wrong size costs: the closed form, published figures, and laws of nature."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import TRUTH, study
from simulated_isoflop import isoflop_study

from analysis import laws
from analysis.fit import fit
from analysis.isoflop import valleys
from analysis.refusals import TooFewPoints
from analysis.regret import (
    WITHIN,
    cost_of_size,
    regret_of_fit,
    regret_of_law,
    regret_of_valleys,
    share_lost,
)
from analysis.table import load

CHINCHILLA = laws.get("chinchilla")
BUDGET = 3.8e25


def closed_form(alpha: float, beta: float, off: np.ndarray | float) -> np.ndarray:
    """Deadweight compute as a share, for a size off by the factor e^off."""
    grown = (beta * np.exp(-alpha * off) + alpha * np.exp(beta * off)) / (alpha + beta)
    return np.asarray(1 - grown ** (-(alpha + beta) / (alpha * beta)))


def theta_of(E: float, A: float, B: float, alpha: float, beta: float) -> np.ndarray:
    return CHINCHILLA.coordinates({"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta})


@pytest.mark.parametrize(
    ("surface", "trained", "wasted", "loss_penalty"),
    [
        # Czech et al. 2026 (arXiv:2603.22339), experiment 11: sizes by approach 2 at 3.8e25 FLOPs, deadweight compute.
        ((0.6047, 59.1, 155.1, 0.3100, 0.3136), 393.3e9, 0.063, 0.000265),  # Llama 3's curves, by VPNLS
        ((0.6021, 56.2, 147.3, 0.3068, 0.3110), 393.3e9, 0.065, 0.000281),  # Llama 3's curves, by approach 3
        ((1.69, 406.4, 410.7, 0.34, 0.28), 189.3e9, 0.004, 0.000087),  # Chinchilla
        ((3.169, 215886.0, 4750.0, 0.684, 0.439), 150.5e9, 0.080, 0.000217),  # SODA
        ((2.158, 381773.0, 4659.0, 0.71, 0.372), 23.3e9, 0.101, 0.000934),  # sparse multimodal
    ],
)
def test_published_deadweight_compute(
    surface: tuple[float, float, float, float, float], trained: float, wasted: float, loss_penalty: float
) -> None:
    loss, share = cost_of_size(CHINCHILLA, theta_of(*surface)[None], BUDGET, np.array([[trained]]))
    # Their coefficients are printed to three or four digits, and so are the sizes.
    assert share[0, 0] == pytest.approx(wasted, abs=0.0015)
    assert loss[0, 0] == pytest.approx(loss_penalty, rel=0.05)


@given(
    alpha=st.floats(0.1, 0.9),
    beta=st.floats(0.1, 0.9),
    off=st.floats(-2.0, 2.0),
    log_flops=st.floats(40.0, 60.0),
)
@settings(max_examples=60, deadline=None)
def test_chinchillas_closed_form(alpha: float, beta: float, off: float, log_flops: float) -> None:
    theta = theta_of(1.7, 400.0, 1000.0, alpha, beta)[None]
    flops = float(np.exp(log_flops))
    best = np.exp(CHINCHILLA.log_optimum(theta, np.array([log_flops - np.log(6)])))  # type: ignore[misc]
    loss, share = cost_of_size(CHINCHILLA, theta, flops, best * np.exp(off))
    assert loss[0, 0] >= 0
    assert 0 <= share[0, 0] <= 1
    expected = float(closed_form(alpha, beta, off))
    assert share[0, 0] == pytest.approx(expected, rel=1e-3, abs=1e-6) or expected > 0.999
    zero_loss, zero_share = cost_of_size(CHINCHILLA, theta, flops, best)
    assert zero_loss[0, 0] == pytest.approx(0, abs=1e-9)
    assert zero_share[0, 0] == pytest.approx(0, abs=1e-6)


def test_a_law_without_a_closed_form_agrees_with_the_search() -> None:
    theta = CHINCHILLA.coordinates(TRUTH)[None]
    searched = replace(CHINCHILLA, name="chinchilla_searched", log_optimum=None)
    params = np.array([[2e9, 5e9, 2e10]])
    for by_formula, by_search in zip(
        cost_of_size(CHINCHILLA, theta, 1e22, params),
        cost_of_size(searched, theta, 1e22, params),
        strict=True,
    ):
        np.testing.assert_allclose(by_search, by_formula, rtol=1e-4, atol=1e-9)


def test_the_range_within_a_share_loses_just_that() -> None:
    theta = CHINCHILLA.coordinates(TRUTH)
    found = regret_of_law(CHINCHILLA, theta, np.empty((0, 5)), 1e22, 0.9)
    for share in WITHIN:
        for end in found.within[share]:
            lost = closed_form(TRUTH["alpha"], TRUTH["beta"], np.log(end / found.params_opt))
            assert float(lost) == pytest.approx(share, rel=2e-3)
    ranges = [found.within[share] for share in WITHIN]
    assert ranges[2][0] < ranges[1][0] < ranges[0][0] < found.params_opt < ranges[0][1] < ranges[2][1]
    assert np.isnan(found.expected_share)  # no draws: not estimated


def test_expected_regret_grows_with_noise_and_distance() -> None:
    quiet, loud = (fit(study(noise=noise), bootstrap=200) for noise in (0.001, 0.004))
    near, far = regret_of_fit(loud, 1e21), regret_of_fit(loud, 1e25)
    assert 0 < regret_of_fit(quiet, 1e25).expected_share < far.expected_share < 1
    assert near.expected_share < far.expected_share < far.high_share
    assert 0 < far.expected_loss < far.high_loss
    # An end of the interval is a size that is hardly likely: it loses more than the mean does.
    assert max(far.share_at_ends) > far.expected_share


def test_expected_regret_is_what_simulated_studies_lose() -> None:
    """Over studies of one truth, the mean share really lost is what each study expects, to a factor of two."""
    theta = CHINCHILLA.coordinates(TRUTH)[None]
    lost, expected = [], []
    for seed in range(12):
        result = fit(study(noise=0.004, seed=seed), bootstrap=150, seed=seed)
        found = regret_of_fit(result, 1e23)
        lost.append(cost_of_size(CHINCHILLA, theta, 1e23, np.array([[found.params_opt]]))[1][0, 0])
        expected.append(found.expected_share)
    assert 0.4 < np.median(expected) / np.mean(lost) < 4


def test_valleys_agree_with_the_law_that_made_them() -> None:
    table = load(isoflop_study(noise=1e-4))
    found = valleys(table)
    law = fit(table, bootstrap=0)
    for regret in regret_of_valleys(found)[1:-1]:
        by_law = regret_of_fit(law, regret.flops)
        low, high = regret.within[0.01]
        law_low, law_high = by_law.within[0.01]
        assert np.log(high / low) == pytest.approx(np.log(law_high / law_low), rel=0.25)
        assert regret.expected_share >= 0
        assert regret.high_share > regret.expected_share


def test_one_valley_cannot_say_what_a_loss_is_worth() -> None:
    with pytest.raises(TooFewPoints, match="needs 2 or more"):
        regret_of_valleys(valleys(load(isoflop_study(budgets=1, noise=0.001))))


def test_share_lost_of_the_best_size_is_nothing() -> None:
    result = fit(study(), bootstrap=0)
    best = float(result.optimal(1e22)["params"].iloc[0])
    assert share_lost(result, 1e22, best) == pytest.approx(0, abs=1e-6)
    assert share_lost(result, 1e22, 3 * best) > 0.05
