"""Accuracy in two steps: the truth is recovered and covered, noise is refused."""

import numpy as np
import pytest
from simulated_isoflop import TRUTH, isoflop_study, loss_of

from analysis.downstream import LEAST_SIGNAL, fit_downstream, sigmoid
from analysis.refusals import BadValue, NotIdentified
from analysis.table import Table, load

CURVE = np.array([1.5, 1.2, 3.2])  # a ceiling of .86 where guessing gives .25
CHANCE = 0.25


def scored(seed: int = 0, noise: float = 0.01) -> tuple[Table, np.ndarray]:
    table = load(isoflop_study(noise=0.002, seed=seed))
    rng = np.random.default_rng(seed)
    accuracy = sigmoid(CURVE, table.frame["loss"].to_numpy(), CHANCE) + noise * rng.standard_normal(
        len(table)
    )
    return table, np.clip(accuracy, 0, 1)


def test_an_extrapolated_accuracy_is_near_the_truth_and_inside_its_interval() -> None:
    inside, off = 0, []
    params, tokens = 2e10, 4e11
    truth = float(sigmoid(CURVE, loss_of(np.array([params]), np.array([tokens]), TRUTH), CHANCE)[0])
    for seed in range(8):
        table, accuracy = scored(seed)
        row = fit_downstream(table, accuracy, CHANCE, bootstrap=80).predict(params, tokens).iloc[0]
        inside += row["accuracy_low"] <= truth <= row["accuracy_high"]
        off.append(abs(row["accuracy"] - truth))
    assert inside >= 5
    assert np.median(off) < 0.03


def test_noise_alone_is_refused_with_its_ratio() -> None:
    table = load(isoflop_study(noise=0.002))
    refused = 0
    for seed in range(25):
        accuracy = 0.25 + 0.02 * np.random.default_rng(seed).standard_normal(len(table))
        with pytest.raises(
            NotIdentified, match=rf"noise drowns its signal: .* where {LEAST_SIGNAL:g} is needed"
        ):
            fit_downstream(table, np.clip(accuracy, 0, 1), 0.25, bootstrap=0)
        refused += 1
    assert refused == 25


def test_shares_are_checked() -> None:
    table, accuracy = scored()
    with pytest.raises(BadValue, match="divided by 100"):
        fit_downstream(table, 100 * accuracy, CHANCE)
    with pytest.raises(BadValue, match=r"chance=1"):
        fit_downstream(table, accuracy, 1.0)
