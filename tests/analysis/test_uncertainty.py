"""Uncertainty: resampling, intervals and a small measured coverage."""

import numpy as np
import pytest
from simulated import TRUTH, study

from analysis import laws
from analysis.fit import fit
from analysis.uncertainty import percentiles, refit, resample_weights, widening


def test_runs_of_a_cluster_share_their_weight() -> None:
    weights = resample_weights(np.array([7, 7, 2, 2, 2]), 50, seed=0)
    assert weights.shape == (50, 5)
    assert np.all(weights[:, 0] == weights[:, 1])
    assert np.all(weights[:, 2] == weights[:, 4])
    assert np.all(weights[:, 0] != weights[:, 2])


def test_weights_have_the_mean_and_variance_of_resampling() -> None:
    weights = resample_weights(np.arange(200), 2000, seed=1)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)


def test_percentiles_of_normal_draws_are_the_normal_interval_stretched() -> None:
    draws = np.random.default_rng(0).standard_normal((200_000, 1))
    low, high = percentiles(draws, 0.9, stretch=1.2)[:, 0]
    assert (low, high) == pytest.approx((-1.6449 * 1.2, 1.6449 * 1.2), abs=0.03)


def test_draws_without_an_answer_widen_the_interval() -> None:
    draws = np.linspace(0, 1, 1001)[:, None]
    few, many = draws.copy(), draws.copy()
    few[::50], many[::5] = np.nan, np.nan  # 2 % and 20 % of the draws
    assert percentiles(few, 0.9)[0, 0] < 0.05 < 0.95 < percentiles(few, 0.9)[1, 0]
    assert np.isfinite(percentiles(few, 0.9)).all()
    assert percentiles(many, 0.9)[:, 0].tolist() == [-np.inf, np.inf]


def test_widening_vanishes_with_many_runs_and_grows_with_few_clusters() -> None:
    assert widening(0.9, 10**6, 10**6, 5, 0.2) == pytest.approx(1, abs=1e-4)
    assert widening(0.9, 60, 10, 5, 1.0) > widening(0.9, 60, 60, 5, 1.0) > 1
    assert widening(0.9, 24, 24, 5, 0.3) < widening(0.9, 24, 24, 5, 1.0)


def test_every_refit_is_at_its_own_minimum() -> None:
    table = study()
    found = fit(table, bootstrap=0)
    weights = np.random.default_rng(0).multinomial(48, np.full(48, 1 / 48), size=100).astype(float)
    near = refit(found.problem, found.theta, weights)
    other = laws.CHINCHILLA.coordinates(laws.CHINCHILLA.published["hoffmann2022"])
    from scipy.optimize import minimize

    for i in range(0, 100, 10):
        with np.errstate(all="ignore"):
            reference = minimize(
                lambda theta, i=i: found.problem.value(theta[None], weights[i : i + 1])[0],
                other,
                method="L-BFGS-B",
            ).fun
        assert near.value[i] <= reference * (1 + 1e-9)


def test_bootstrap_is_repeatable_and_its_seed_matters() -> None:
    table = study()
    one, same, other = (fit(table, bootstrap=60, seed=seed).draws for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_clusters_widen_intervals_when_their_runs_move_together() -> None:
    params = np.repeat(np.geomspace(5e7, 5e9, 20), 5)
    tokens = params * np.tile(np.geomspace(5, 320, 5), 20)
    trunk = np.repeat(np.arange(20), 5)
    shared = 0.01 * np.random.default_rng(0).standard_normal(20)[trunk]
    table = study().head(0).assign(cluster=[])
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=tokens) * np.exp(shared)
    table = table.reindex(range(100)).assign(params=params, tokens=tokens, loss=loss, cluster=trunk)
    together, apart = fit(table, bootstrap=300), fit(table, bootstrap=300, cluster=None)
    assert together.clusters == 20
    width = {name: np.subtract(*together.intervals[name][::-1]) for name in ("alpha", "E")}
    assert width["alpha"] > np.subtract(*apart.intervals["alpha"][::-1])


def test_intervals_hold_the_truth_about_nine_times_in_ten() -> None:
    """120 small studies: the mean coverage of five parameters has a standard error of about 2.5 points."""
    hits = []
    for seed in range(120):
        spans = fit(study(noise=0.003, seed=seed), bootstrap=200, starts=4, seed=seed).intervals
        hits.append([spans[k][0] <= TRUTH[k] <= spans[k][1] for k in TRUTH])
    assert 0.82 <= np.mean(hits) <= 0.97
