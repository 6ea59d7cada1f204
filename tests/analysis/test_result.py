"""The result object: JSON and back, predictions, optima, what it prints and draws."""

import dataclasses
import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from simulated import TRUTH, study

from analysis.fit import fit
from analysis.refusals import BadTable, BadValue
from analysis.result import FitResult

mpl.use("Agg")


@pytest.fixture(scope="module")
def found() -> FitResult:
    return fit(study(), bootstrap=200, convention={"params": "total", "flops": "6nd"})


def test_json_and_back_is_exact(found: FitResult) -> None:
    text = found.to_json()
    back = FitResult.from_json(text)
    assert back.to_json() == text
    assert np.array_equal(back.draws, found.draws)
    assert back.optimal(1e22).equals(found.optimal(1e22))
    record = json.loads(text)
    assert set(record["parameters"]) == {"E", "A", "B", "alpha", "beta"}
    assert {"objective", "intervals", "exponents", "certificate", "convention"} <= set(record)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(BadTable):
        FitResult.from_json(text)


def test_result_is_frozen(found: FitResult) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.objective = 0.0  # type: ignore[misc]


def test_every_estimate_has_an_interval_around_it(found: FitResult) -> None:
    frame = found.frame()
    assert set(frame.index) == {*TRUTH, "a", "b"}
    assert np.all((frame["low"] < frame["estimate"]) & (frame["estimate"] < frame["high"]))
    assert found.exponents["a"] + found.exponents["b"] == pytest.approx(1)


def test_predictions_broadcast_and_run_intervals_are_wider(found: FitResult) -> None:
    curve = found.predict([1e9, 7e9], 2e10)
    run = found.predict([1e9, 7e9], 2e10, runs=True)
    assert list(curve["tokens"]) == [2e10, 2e10]
    assert np.all((curve["loss_low"] < curve["loss"]) & (curve["loss"] < curve["loss_high"]))
    assert np.all(run["loss_high"] - run["loss_low"] > curve["loss_high"] - curve["loss_low"])
    with pytest.raises(BadValue, match="tokens"):
        found.predict(1e9)
    with pytest.raises(BadValue, match="positive"):
        found.predict(1e9, -1)


def test_optimum_lies_on_its_budget(found: FitResult) -> None:
    best = found.optimal([1e20, 1e23])
    assert (6 * best["params"] * best["tokens"]).to_numpy() == pytest.approx([1e20, 1e23], rel=1e-9)
    assert np.all(best["params_low"] < best["params"])
    assert np.all(best["params"] < best["params_high"])
    growth = np.log(best["params"][1] / best["params"][0]) / np.log(1e3)
    assert growth == pytest.approx(found.exponents["a"], rel=1e-9)


def test_summary_says_what_was_fitted_and_what_was_not(found: FitResult) -> None:
    text = found.summary()
    for words in ("alpha", "90% interval", "params: total", "converged", "sum over points"):
        assert words in text
    bare = fit(study(), bootstrap=0)
    assert "not estimated" in bare.summary()
    assert "not stated" in bare.summary()
    assert "<table" in found._repr_html_()


def test_plot_draws_on_the_axes_it_is_given(found: FitResult) -> None:
    axes = Figure().subplots()
    assert found.plot(ax=axes) is axes
    assert "predicted loss" in axes.get_xlabel()
    drawn = np.asarray(axes.collections[0].get_offsets())
    assert drawn[:, 1] == pytest.approx(found.points["loss"])
    assert np.log(drawn[:, 1] / drawn[:, 0]) == pytest.approx(found.residuals)


def test_plot_names_the_target_of_a_law_of_hyperparameters() -> None:
    params = np.geomspace(1e7, 1e10, 9)
    table = pd.DataFrame({"flops": 1e4 * params, "batch_tokens": 0.3 * params**0.33})
    figure = Figure()
    ax = fit(table, law="batch_tokens_c", bootstrap=0).plot(ax=figure.subplots())
    assert ax.get_ylabel() == "observed batch_tokens"
    assert [bar.get_ylabel() for bar in figure.axes[1:]] == ["compute C (FLOPs)"]


def test_akaike_prefers_the_law_that_made_the_runs() -> None:
    table = study(noise=0.001)
    aicc = {
        law: fit(table, law=law, objective="mse_log", bootstrap=0).aicc for law in ("chinchilla", "kaplan")
    }
    assert aicc["chinchilla"] < aicc["kaplan"]
