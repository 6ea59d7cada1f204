"""Laws combined: exact where one law is exact, and weights that never see what is held back."""

import numpy as np
import pytest
from simulated_isoflop import isoflop_study

from analysis.combine import combine, combined_error
from analysis.refusals import TooFewPoints
from analysis.table import load


def test_weights_go_to_the_law_that_predicts() -> None:
    both = combine(load(isoflop_study()))
    assert sum(both.weights) == pytest.approx(1)
    assert both.fits[0].law == "chinchilla"
    assert both.weights[0] > 0.999  # noiseless runs of that law
    frame = isoflop_study()
    predicted = both.predict(frame["params"], frame["tokens"])
    np.testing.assert_allclose(predicted, frame["loss"], rtol=1e-4)


def test_a_combination_lies_between_its_laws() -> None:
    frame = isoflop_study(noise=0.004, seed=2)
    both = combine(load(frame))
    each = np.array([r.predict(frame["params"], frame["tokens"])["loss"] for r in both.fits])
    together = both.predict(frame["params"], frame["tokens"])
    assert (together >= each.min(axis=0) - 1e-12).all()
    assert (together <= each.max(axis=0) + 1e-12).all()


def test_runs_above_the_cut_do_not_change_the_forecast() -> None:
    frame = isoflop_study(noise=0.004, seed=2)
    high = frame["budget"] > 1e20
    moved = frame.assign(loss=frame["loss"].where(~high, frame["loss"] * 2))
    one = combined_error(load(frame), 1e20)
    other = combined_error(load(moved), 1e20)
    # predicted / (2 L) − 1 follows from the same predictions.
    assert other == pytest.approx(0.5, abs=0.01)
    assert one < 0.02


def test_one_compute_cannot_weigh_laws() -> None:
    with pytest.raises(TooFewPoints, match="nothing to weigh"):
        combine(load(isoflop_study(budgets=1, sizes=12)))
