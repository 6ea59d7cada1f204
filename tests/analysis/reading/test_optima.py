"""Tables of optima."""

import numpy as np
import pandas as pd
import pytest

from analysis import fit_optima
from analysis.refusals import BadColumn, TooFewPoints

FLOPS = np.array([1e18, 1e19, 1e20, 1e21])
TABLE = pd.DataFrame({"C": FLOPS, "N_opt (M)": 0.09 * FLOPS**0.5 / 1e6, "D_opt (B)": FLOPS**0.5 / 0.54 / 1e9})


def test_exponents_and_plan_are_those_of_the_table() -> None:
    optima = fit_optima(TABLE)
    assert optima.exponents == pytest.approx({"a": 0.5, "b": 0.5})
    assert optima.optimal(1e22)["params"][0] == pytest.approx(0.09 * 1e11)
    assert optima.intervals["a"] == pytest.approx((0.5, 0.5), abs=1e-6)
    assert "N_opt = k·C^a" in optima.summary()


def test_tokens_or_compute_follow_from_the_other() -> None:
    assert fit_optima(TABLE.drop(columns="D_opt (B)")).exponents["b"] == pytest.approx(0.5)
    assert fit_optima(TABLE.drop(columns="C")).exponents["a"] == pytest.approx(0.5)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadColumn, match="no column for params"):
        fit_optima(TABLE[["C"]])
    with pytest.raises(TooFewPoints):
        fit_optima(TABLE.head(2))
