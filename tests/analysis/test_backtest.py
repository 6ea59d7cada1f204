"""Backtests: exact for the true law, and the true law is chosen over its rivals."""

from simulated_isoflop import isoflop_study

from analysis.backtest import backtest, choose_law
from analysis.table import load


def test_a_true_law_without_noise_predicts_exactly() -> None:
    table = load(isoflop_study())
    frame = backtest(table, bootstrap=0)
    assert (frame["refused"] == "").all()
    assert frame["mean_error"].max() < 1e-5
    assert (frame["fitted"] + frame["held"] == len(table)).all()


def test_cuts_that_cannot_be_tried_are_listed_with_the_reason() -> None:
    frame = backtest(load(isoflop_study()), cuts=[1e17, 1.1e18, 1e25], bootstrap=0)
    assert (frame["refused"] != "").all()
    assert "0 runs above 1e+25 FLOPs" in frame["refused"].iloc[-1]


def test_the_true_law_is_chosen_over_its_rivals() -> None:
    """Data from Chinchilla's law with unequal exponents: its rivals fit and predict worse."""
    choice = choose_law(
        load(isoflop_study(noise=0.001, budgets=7, sizes=9)), ["kaplan", "chinchilla", "kaplan_n"]
    )
    assert choice["law"].iloc[0] == "chinchilla"
    row = choice.set_index("law")
    assert row["delta_aicc"]["chinchilla"] == 0
    assert float(row["delta_aicc"]["kaplan"]) > 10
    errors = row["held_out_error"]  # a law of N alone knows nothing of the tokens
    assert errors["kaplan_n"] > 10 * errors["chinchilla"]
