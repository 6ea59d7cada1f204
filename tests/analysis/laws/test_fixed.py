"""Parameters held fixed: what is left is fitted, and what is held is reported without an interval."""

import numpy as np
import pytest

from analysis import laws
from analysis.fit import fit
from analysis.laws.made_up import made_up_runs
from analysis.refusals import BadValue
from analysis.result import FitResult


def test_the_rest_is_fitted_and_the_held_reported() -> None:
    law = laws.get("chinchilla")
    runs = made_up_runs(law, 30)
    runs["loss"] *= np.exp(np.random.default_rng(0).normal(scale=1e-3, size=30))
    found = fit(runs, fixed={"E": 1.69}, bootstrap=100)
    assert found.parameters["E"] == 1.69
    assert set(found.parameters) == set(law.parameters)
    assert "E" not in found.intervals
    assert len(found.theta) == 4
    assert found.exponents["a"] == pytest.approx(0.28 / 0.62, abs=0.05)
    held = next(line for line in found.summary().splitlines() if line.startswith("E "))
    assert held.endswith("held fixed")
    again = FitResult.from_json(found.to_json())
    assert again.parameters == found.parameters
    free = fit(runs, bootstrap=0)
    assert found.objective >= free.objective  # fewer parameters cannot fit better


def test_what_cannot_be_held_is_refused() -> None:
    runs = made_up_runs(laws.get("chinchilla"), 30)
    with pytest.raises(BadValue, match=r"fixed.F=1: law 'chinchilla' has no such parameter; it has E, A"):
        fit(runs, fixed={"F": 1.0})
    with pytest.raises(BadValue, match=r"fixed.E=-1: must be finite and above 0"):
        fit(runs, fixed={"E": -1.0})
    with pytest.raises(BadValue, match="nothing to fit"):
        fit(runs, fixed=laws.get("chinchilla").known_values)


def test_brackets_that_say_nothing_are_refused() -> None:
    with pytest.raises(BadValue, match="a number of columns, 2 to 100, goes with mixture_ye"):
        laws.get("chinchilla[5]")
    with pytest.raises(BadValue, match="brackets hold parameter=value"):
        laws.get("chinchilla[E]")
    with pytest.raises(BadValue, match="did you mean moe_clark"):
        laws.get("moe_clarke")
    with pytest.raises(BadValue, match=r"needs its number of columns, such as mixture_ye\[5\]"):
        laws.get("mixture_ye")
