"""Prediction of held-back compute: right on a true law, honest about a wrong one."""

import numpy as np
import pandas as pd
import pytest
from simulated_isoflop import best_params, isoflop_study, loss_of

from analysis.backtest import backtest, choose_law, hold_back_largest, predict_above
from analysis.fit import fit
from analysis.refusals import TooFewPoints
from analysis.table import load


def test_a_true_law_without_noise_predicts_exactly() -> None:
    table = load(isoflop_study())
    frame = backtest(table, bootstrap=0)
    assert (frame["refused"] == "").all()
    assert frame["mean_error"].max() < 1e-5
    assert (frame["fitted"] + frame["held"] == len(table)).all()


def test_the_cut_separates_what_is_fitted_from_what_is_predicted() -> None:
    table = load(isoflop_study(noise=0.003))
    held = predict_above(table, 2e19, bootstrap=0)
    assert held.runs["flops"].min() > 2e19
    assert held.fitted == int((table.frame["flops"] <= 2e19).sum())
    # Losses above the cut cannot leak into the fit.
    changed = table.frame.assign(loss=table.frame["loss"].where(table.frame["flops"] <= 2e19, 99.0))
    again = predict_above(load(changed), 2e19, bootstrap=0)
    np.testing.assert_allclose(again.runs["predicted"], held.runs["predicted"], rtol=1e-9)


def test_the_error_is_what_it_says() -> None:
    held = predict_above(load(isoflop_study(noise=0.01)), 2e19, bootstrap=0)
    np.testing.assert_allclose(held.runs["error"], held.runs["predicted"] / held.runs["loss"] - 1)
    assert held.mean_error == pytest.approx(held.runs["error"].abs().mean())
    assert np.isnan(held.covered)


def test_the_largest_budget_is_held_back_with_its_optimum() -> None:
    held = hold_back_largest(load(isoflop_study(noise=0.001)), bootstrap=150)
    largest = 4.0**4 * 1e18
    assert len(held.runs) == 7
    assert held.fitted == 28
    assert held.mean_error < 0.005
    assert held.optimum["source"].tolist() == ["its own runs", "smaller valleys", "law on smaller budgets"]
    np.testing.assert_allclose(held.optimum["params"], best_params(largest), rtol=0.15)
    assert 0 <= held.covered <= 1


def test_prediction_intervals_hold_about_their_share() -> None:
    """Over 25 studies the 90 % intervals of new runs hold 80–97 % (350 dependent losses)."""
    covered = [
        hold_back_largest(load(isoflop_study(noise=0.004, seed=s)), bootstrap=120).covered for s in range(25)
    ]
    assert 0.8 < np.mean(covered) < 0.98


def test_without_budgets_the_tenth_with_most_compute_is_held_back() -> None:
    frame = isoflop_study(noise=0.002).drop(columns="budget")
    frame["tokens"] = np.geomspace(1e18, 3e20, len(frame)) / (6 * frame["params"])
    frame["loss"] = loss_of(frame["params"], frame["tokens"])
    table = load(frame)
    assert table.frame["budget"].isna().all()
    held = hold_back_largest(table, bootstrap=0)
    assert 3 <= len(held.runs) <= 5
    assert held.optimum.empty


def test_cuts_that_cannot_be_tried_are_listed_with_the_reason() -> None:
    frame = backtest(load(isoflop_study()), cuts=[1e17, 1.1e18, 1e25], bootstrap=0)
    assert (frame["refused"] != "").all()
    with pytest.raises(TooFewPoints, match="0 runs above"):
        predict_above(load(isoflop_study()), 1e25)


def test_the_true_law_is_chosen_over_its_rivals() -> None:
    """Data from Chinchilla's law with unequal exponents: its rivals fit and predict worse."""
    choice = choose_law(
        load(isoflop_study(noise=0.001, budgets=7, sizes=9)), ["kaplan", "chinchilla", "kaplan_n"]
    )
    assert choice["law"].iloc[0] == "chinchilla"
    row = choice.set_index("law")
    assert row.loc["chinchilla", "delta_aicc"] == 0
    assert row.loc["kaplan", "delta_aicc"] > 10
    assert isinstance(choice, pd.DataFrame)
    assert row.loc["kaplan_n", "refused"] != "" or row.loc["kaplan_n", "held_out_error"] > 0.01


def test_intervals_widen_where_the_law_bends() -> None:
    true = isoflop_study(noise=0.002, budgets=7)
    reach = np.log(true["budget"] / true["budget"].min())
    bent = true.assign(loss=true["loss"] * np.exp(-0.0015 * reach**2))
    cut = float(np.sort(true["budget"].unique())[4]) * 1.01
    held = {
        name: predict_above(load(frame), cut, bootstrap=150)
        for name, frame in (("true", true), ("bent", bent))
    }
    assert 1 <= held["true"].stretch < 2
    assert held["bent"].stretch > 2 * held["true"].stretch
    plain = fit(load(bent).select(bent["budget"] <= cut), bootstrap=150).predict(
        held["bent"].runs["params"], held["bent"].runs["tokens"], runs=True
    )
    loss = held["bent"].runs["loss"]
    assert held["bent"].covered > ((plain["loss_low"] <= loss) & (loss <= plain["loss_high"])).mean() + 0.2
    assert predict_above(load(bent), cut, bootstrap=0).stretch == 1  # no intervals to widen
