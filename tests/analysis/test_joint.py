"""Several groups under one law: what they share is found, and tested at its stated size."""

import numpy as np
import pytest
from simulated_isoflop import TRUTH, isoflop_study, loss_of

from analysis.joint import factors, fit_jointly
from analysis.refusals import BadValue
from analysis.table import Table, load


def group(seed: int, noise: float = 0.002, **changed: float) -> Table:
    frame = isoflop_study(noise=0.0)
    frame["loss"] = loss_of(frame["params"], frame["tokens"], {**TRUTH, **changed}) * np.exp(
        noise * np.random.default_rng(seed).standard_normal(len(frame))
    )
    return load(frame)


def test_shared_exponents_and_factors_are_recovered_without_noise() -> None:
    joint = fit_jointly(
        {"a": group(0, 0.0), "b": group(1, 0.0, A=1.3 * TRUTH["A"], B=0.8 * TRUTH["B"])}, flips=9
    )
    shared = next(model for model in joint.models if model.shared == ("alpha", "beta", "E"))
    frame = shared.frame()
    assert frame.loc["b", "alpha"] == pytest.approx(TRUTH["alpha"], rel=1e-3)
    assert frame["A"].to_numpy()[1] / frame["A"].to_numpy()[0] == pytest.approx(1.3, rel=1e-3)
    ratio = factors(shared, "a").loc["b"]
    assert ratio["params_factor"] == pytest.approx(1.3 ** (1 / TRUTH["alpha"]), rel=5e-3)
    assert ratio["tokens_factor"] == pytest.approx(0.8 ** (1 / TRUTH["beta"]), rel=5e-3)


def test_objectives_fall_as_parameters_rise() -> None:
    joint = fit_jointly({"a": group(2), "b": group(3, E=1.9), "c": group(4)}, flips=19)
    objectives = [model.objective for model in joint.models]
    assert objectives == sorted(objectives, reverse=True)
    assert [model.parameters for model in joint.models] == [5, 9, 11, 15]


def test_a_difference_is_found_where_there_is_one_and_only_there() -> None:
    same = fit_jointly({"a": group(5), "b": group(6)}, flips=99)
    assert all(test.p > 0.02 for test in same.tests)
    steeper = fit_jointly({"a": group(7), "b": group(8, alpha=0.40, A=2.4 * TRUTH["A"])}, flips=99)
    assert steeper.exponents.p < 0.05


def test_a_law_that_is_no_sum_of_powers_is_refused() -> None:
    with pytest.raises(BadValue, match="needs a sum of power laws; kappa is none"):
        fit_jointly({"a": group(0), "b": group(1)}, law="kappa")
