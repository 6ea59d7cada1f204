"""Profiles of parameters: close to the bootstrap's intervals, and refused without draws."""

import numpy as np
import pytest
from simulated import study

from analysis.fit import fit
from analysis.profiles import profile
from analysis.refusals import BadValue, TooFewPoints


def test_profile_agrees_with_the_bootstrap_and_brackets_the_estimate() -> None:
    found = fit(study(), bootstrap=400)
    curve = profile(found, "alpha")
    assert curve.low < found.parameters["alpha"] < curve.high
    low, high = found.intervals["alpha"]
    assert (curve.high - curve.low) == pytest.approx(high - low, rel=0.5)
    assert curve.objective.min() == pytest.approx(found.objective, rel=1e-9)
    assert np.argmin(curve.objective) == len(curve.values) // 2


def test_profile_refuses_what_it_cannot_do() -> None:
    found = fit(study(), bootstrap=0)
    with pytest.raises(TooFewPoints, match="bootstrap"):
        profile(found, "alpha")
    with pytest.raises(BadValue, match="choose one of E"):
        profile(found, "gamma")
