"""Backtests: exact for the true law, and a cut that cannot be tried says why."""

from simulated_isoflop import isoflop_study

from analysis.backtest import backtest
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
