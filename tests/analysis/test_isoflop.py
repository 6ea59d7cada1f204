"""Valleys: known optima recovered, intervals that cover, and refusals a budget at a time."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_isoflop import EXPONENT_A, best_params, isoflop_study, loss_of

from analysis import laws
from analysis.isoflop import Valleys, valleys
from analysis.laws.chinchilla import chinchilla_log_optimum
from analysis.powerlaw import fit_power_law
from analysis.refusals import TooFewPoints
from analysis.table import load


@pytest.mark.parametrize(("method", "tolerance"), [("parabola", 0.03), ("akima", 0.06)])
def test_noiseless_optima_and_exponents(method: str, tolerance: float) -> None:
    result = valleys(load(isoflop_study(sizes=9)), method)  # type: ignore[arg-type]
    assert len(result.valleys) == 5
    for valley in result.valleys:
        assert valley.params_opt == pytest.approx(best_params(valley.budget_flops), rel=tolerance)
        assert valley.tokens_opt == pytest.approx(valley.budget_flops / 6 / valley.params_opt, rel=1e-6)
    assert result.params_law is not None
    assert result.tokens_law is not None
    assert result.params_law.exponent == pytest.approx(EXPONENT_A, abs=0.005)
    assert result.params_law.exponent + result.tokens_law.exponent == pytest.approx(1, abs=1e-6)


def test_a_true_parabola_is_recovered_exactly() -> None:
    """log L = log 2 + 0.01 (log N − log N*)² has its minimum, flat range and curve in closed form."""
    params = 1e8 * np.geomspace(0.2, 5, 7)
    frame = pd.DataFrame({"params": params, "tokens": 1e18 / 6 / params, "budget": 1e18})
    frame["loss"] = 2 * np.exp(0.01 * np.log(params / 1.3e8) ** 2)
    (valley,) = valleys(load(frame)).valleys
    assert valley.params_opt == pytest.approx(1.3e8, rel=1e-9)
    assert valley.loss_opt == pytest.approx(2, rel=1e-9)
    reach = np.exp(np.sqrt(np.log(1.001) / 0.01))
    np.testing.assert_allclose(valley.flat_params, (1.3e8 / reach, 1.3e8 * reach), rtol=1e-6)
    assert valley.flat_open == (False, False)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), loss_scale=st.floats(0.1, 10))
def test_units_do_not_matter(scale: float, loss_scale: float) -> None:
    """N in other units moves the optimum by the same factor; another unit of loss does not move it."""
    frame = isoflop_study(noise=0.002, seed=3)
    changed = frame.assign(
        params=frame["params"] * scale, tokens=frame["tokens"] / scale, loss=frame["loss"] * loss_scale
    )
    for one, other in zip(valleys(load(frame)).valleys, valleys(load(changed)).valleys, strict=True):
        assert other.params_opt == pytest.approx(one.params_opt * scale, rel=1e-6)
        assert other.log_std == pytest.approx(one.log_std, rel=1e-4)


def test_intervals_cover_the_truth() -> None:
    """90 % intervals of N_opt and of the exponent, over 120 simulated studies with 0.3 % noise.

    The binomial spread over 120 studies is 3 points; the parabola's own bias takes a little from the bottom.
    """
    inside = covered = count = 0
    studies = 120
    for seed in range(studies):
        result = valleys(load(isoflop_study(noise=0.003, seed=seed)))
        for valley in result.valleys:
            low, high = valley.params_interval
            inside += bool(low <= best_params(valley.budget_flops) <= high)
            count += 1
        assert result.params_law is not None
        low, high = result.params_law.exponent_interval
        covered += low <= EXPONENT_A <= high
    assert 0.85 < inside / count < 0.95
    assert 0.83 < covered / studies <= 0.98


def test_each_budget_is_refused_by_itself() -> None:
    """Upside-down, too few sizes and an edge minimum are named; the sound budgets still count."""
    sound = isoflop_study(budgets=4)
    budget = float(sound["budget"].iloc[0])
    first = sound["budget"] == budget
    sound.loc[first, "loss"] = 8 - sound.loc[first, "loss"]  # a hill
    few = sound[sound["budget"] == budget * 4].iloc[[0, 3, 6]]
    rest = sound[sound["budget"] > budget * 4]
    result = valleys(load(pd.concat([sound[first], few, rest])))
    reasons = {round(r.budget_flops / budget): r.reason for r in result.refused}
    assert "no interior minimum" in reasons[1]
    assert "3 sizes" in reasons[4]
    assert [v.budget_flops for v in result.valleys] == sorted(rest["budget"].unique())
    assert result.params_law is None
    assert "2 optima" in result.law_refused


def test_an_upside_down_parabola_is_refused() -> None:
    """A dip at an interior size in a curve that bends down: the least-squares parabola has no minimum."""
    frame = isoflop_study(budgets=1, sizes=7)
    frame["loss"] = [2.90, 2.96, 2.99, 2.8999, 3.0, 2.97, 2.91]
    (refused,) = valleys(load(frame)).refused
    assert "upside-down" in refused.reason


@pytest.mark.parametrize(("shift", "side"), [(8.0, "smallest"), (1 / 8.0, "largest")])
def test_edge_minima_name_the_sizes_that_mend_them(shift: float, side: str) -> None:
    frame = isoflop_study(shift=shift)
    result = valleys(load(frame))
    assert not result.valleys
    for refused in result.refused:
        assert side in refused.reason
        sizes = refused.points["params"]
        ratio = sizes.iloc[1] / sizes.iloc[0]
        edge = sizes.min() / ratio if side == "smallest" else sizes.max() * ratio
        assert refused.sizes_to_add[0] == pytest.approx(edge)
    smallest = result.refused[0]
    more = pd.DataFrame({"params": smallest.sizes_to_add, "budget": smallest.budget_flops})
    more["tokens"] = more["budget"] / 6 / more["params"]
    more["loss"] = loss_of(more["params"].to_numpy(), more["tokens"].to_numpy())
    mended = valleys(load(pd.concat([frame, more])))
    assert smallest.budget_flops in [v.budget_flops for v in mended.valleys]


def test_noise_that_drowns_the_valley_is_refused() -> None:
    drowned = [valleys(load(isoflop_study(noise=0.2, seed=seed))) for seed in range(5)]
    assert all(len(result.valleys) <= 2 for result in drowned)
    assert any("flat within its noise" in r.reason for result in drowned for r in result.refused)


def test_budgets_whose_flops_differ_a_little_are_brought_to_one() -> None:
    """± 4 % of compute moves losses by more than the valley's depth; the correction takes that away."""
    rng = np.random.default_rng(1)
    frame = isoflop_study(sizes=9).drop(columns="budget")
    frame["tokens"] *= 1 + rng.uniform(-0.04, 0.04, len(frame))
    frame["loss"] = loss_of(frame["params"].to_numpy(), frame["tokens"].to_numpy())
    table = load(frame)
    assert not table.budgets_named
    result = valleys(table)
    assert len(result.valleys) == 5
    for valley in result.valleys:
        assert valley.params_opt == pytest.approx(best_params(valley.budget_flops), rel=0.05)
    # Named budgets are trusted, so the same runs under one name keep the scatter.
    trusted = valleys(load(frame.assign(budget=isoflop_study(sizes=9)["budget"])))
    assert result.noise < 0.5 * trusted.noise


def test_replicates_are_averaged() -> None:
    one, two = (
        isoflop_study(noise=0.003, seed=1).assign(seed=1),
        isoflop_study(noise=0.003, seed=2).assign(seed=2),
    )
    result = valleys(load(pd.concat([one, two])))
    assert all((valley.points["runs"] == 2).all() for valley in result.valleys)


def test_no_budgets_says_what_is_needed() -> None:
    frame = isoflop_study()
    frame["tokens"] *= np.geomspace(1, 1e4, len(frame))
    with pytest.raises(TooFewPoints, match="budget=COLUMN"):
        valleys(load(frame.drop(columns="budget")))


def test_frame_lists_refused_budgets_too() -> None:
    result: Valleys = valleys(load(isoflop_study(shift=8.0)))
    frame = result.frame()
    assert len(frame) == 5
    assert (frame["reason"] != "").all()


def test_power_law_line_against_weighted_least_squares() -> None:
    """The closed form against numpy's own weighted fit, and the band at a point against its Monte Carlo spread."""
    rng = np.random.default_rng(0)
    x, std = np.geomspace(1e18, 1e21, 8), rng.uniform(0.02, 0.2, 8)
    truth = 3.0 * x**0.5
    line = fit_power_law(x, truth * np.exp(std * rng.standard_normal(8)), std)
    draws = np.array(
        [
            fit_power_law(x, truth * np.exp(std * rng.standard_normal(8)), std).predict(1e22)
            for _ in range(600)
        ]
    )
    low, high = fit_power_law(x, truth, std).interval(1e22)
    assert np.log(high / low) / 2 / 1.645 == pytest.approx(np.log(draws).std(), rel=0.1)
    noisy = truth * np.exp(std * rng.standard_normal(8))
    expected = np.polyfit(np.log(x), np.log(noisy), 1, w=1 / std)
    line = fit_power_law(x, noisy, std)
    assert line.exponent == pytest.approx(expected[0], rel=1e-9)
    assert line.log_coefficient == pytest.approx(expected[1], rel=1e-8)
    with pytest.raises(TooFewPoints, match="3 budgets"):
        fit_power_law(x[:2], truth[:2], std[:2])


def test_two_sizes_side_by_side_do_not_throw_the_spline() -> None:
    """A spline through two sizes 1 % apart follows their noise: it has thrown the loss at the bottom to infinity."""
    study = isoflop_study(sizes=9, noise=0.003)
    twins = study.assign(
        params=study["params"] * 1.01, tokens=study["tokens"] / 1.01, loss=study["loss"] * 0.997
    )
    result = valleys(load(pd.concat([study, twins], ignore_index=True)), "akima")
    assert result.valleys
    for valley in result.valleys:
        low, high = valley.loss_interval
        assert high / low < 1.03
        assert low < float(loss_of(valley.params_opt, valley.tokens_opt)) * 1.003 < high * 1.01


def test_a_minimum_between_two_clusters_of_sizes_is_refused() -> None:
    """Six Gemstones runs (arXiv:2502.06857) at 1.0B and 1.9B of one budget, of which no loss is below 2.66."""
    params = [1.0136e9, 1.9242e9, 1.0474e9, 1.9049e9, 1.0440e9, 2.0078e9]
    tokens = [100.03e9, 50.02e9, 90.03e9, 50.02e9, 90.03e9, 50.02e9]
    loss = [2.6623, 2.6622, 2.6826, 2.6699, 2.7349, 2.6900]
    table = load(pd.DataFrame({"params": params, "tokens": tokens, "loss": loss}))
    for method in ("parabola", "akima"):
        found = valleys(table, method)
        assert not found.valleys
        assert "only 3 of 6 sizes lie apart" in found.refused[0].reason


def valley_of(log_sizes: list[float], losses: list[float]) -> str:
    """Why one budget with these sizes (log2 of 100M) and losses shows no minimum; empty where it shows one."""
    params = 1e8 * 2.0 ** np.array(log_sizes)
    table = load(pd.DataFrame({"params": params, "tokens": 1e19 / 6 / params, "loss": losses}))
    refused = valleys(table).refused
    return refused[0].reason if refused else ""


def test_a_minimum_far_from_every_size_or_below_every_loss_is_refused() -> None:
    near, gap = [-2.0, -1.0, 0.0, 1.0, 2.0], [-4.0, -3.5, -3.0, 3.0, 3.5, 4.0]
    assert valley_of(near, [3 + 0.02 * x * x for x in near]) == ""
    assert "lies in a gap" in valley_of(gap, [3 + 0.005 * x * x for x in gap])
    deep = [-1.9, -1.4, -0.9, 0.9, 1.4, 1.9]
    assert "below the lowest measured" in valley_of(deep, [3 * np.exp(0.05 * x * x) for x in deep])


def test_the_best_of_sizes_a_factor_of_two_apart_is_near_the_minimum() -> None:
    """What FAR_BELOW rests on: the worst such grid straddles the optimum, a factor of sqrt 2 away on either side."""
    theta = laws.CHINCHILLA.coordinates(laws.CHINCHILLA.published["besiroglu2024"])[None]
    flops = np.geomspace(1e17, 1e25, 9)
    best = np.exp(chinchilla_log_optimum(theta, np.log(flops / 6)))[0]

    def loss(params: np.ndarray) -> np.ndarray:
        x = {"params": params, "tokens": flops / 6 / params}
        return np.asarray(np.exp(laws.CHINCHILLA.predict(theta, x)[0][0]))

    assert (loss(best * 2**0.5) / loss(best) - 1).max() < 0.005
