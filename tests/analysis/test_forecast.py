"""Predictions of runs that were not trained, with their intervals."""

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.forecast import (
    DISAGREEMENT,
    FREEDOM,
    MISSED,
    SCATTER,
    forecaster,
    growth_of,
    rivals_of,
    squared_scale,
)
from analysis.refusals import TooFewPoints
from analysis.rollout import Rollout

CHINCHILLA = laws.get("chinchilla")
TRUTH = CHINCHILLA.known_values
TWO = ("chinchilla", "gadre")


def grid(noise: float, seed: int = 0) -> pd.DataFrame:
    """Thirty runs of Chinchilla's law with noise."""
    sizes, ratios = np.geomspace(1e7, 1e9, 6), np.geomspace(5, 80, 5)
    params = np.repeat(sizes, 5)
    frame = pd.DataFrame({"params": params, "tokens": params * np.tile(ratios, 6)})
    return frame.assign(loss=true_loss(frame) * np.exp(noise * np.random.default_rng(seed).normal(size=30)))


def true_loss(frame: pd.DataFrame) -> np.ndarray:
    """What Chinchilla's law says of some runs."""
    return CHINCHILLA.loss(TRUTH, params=frame["params"].to_numpy(), tokens=frame["tokens"].to_numpy())


LARGER = pd.DataFrame({"params": [2e9, 5e9, 1e10, 2e10], "tokens": [4e10, 1e11, 2e11, 4e11]})


def test_intervals_hold_what_the_law_says_far_outside() -> None:
    inside = []
    for seed in range(10):
        foretold = forecaster(grid(0.003, seed), names=TWO).predict(LARGER)
        inside += ((foretold.low < true_loss(LARGER)) & (true_loss(LARGER) < foretold.high)).tolist()
    assert np.mean(inside) >= 0.8


def test_without_noise_the_prediction_is_the_law() -> None:
    foretold = forecaster(grid(0.0), names=TWO).predict(LARGER)
    assert foretold.loss == pytest.approx(true_loss(LARGER), rel=1e-3)
    assert foretold.choice.best == "chinchilla"
    assert foretold.by_law["chinchilla"] == pytest.approx(true_loss(LARGER), rel=1e-4)


def test_intervals_grow_with_the_distance_extrapolated_and_with_the_level() -> None:
    known = forecaster(grid(0.003), names=TWO)
    foretold = known.predict(LARGER)
    assert (np.diff(np.log(foretold.high / foretold.low)) > 0).all()
    assert (known.predict(LARGER, level=0.5).high < foretold.high).all()
    assert (foretold.low < foretold.loss).all()
    assert (foretold.loss < foretold.high).all()
    assert list(foretold.frame().columns) == ["loss", "low", "high", *TWO]


def test_a_law_that_the_runs_cannot_pay_for_is_named_with_the_reason() -> None:
    frame = grid(0.003).iloc[[0, 2, 4, 10, 12, 14, 20, 24]]
    foretold = forecaster(frame, names=("chinchilla", "farseer")).predict(LARGER)
    assert foretold.choice.weights["chinchilla"] == 1
    assert "needs at least 10 runs" in foretold.choice.refused["farseer"]


def test_runs_too_few_for_the_law_itself_are_refused() -> None:
    with pytest.raises(TooFewPoints):
        forecaster(grid(0.003).iloc[:4])


def test_rivals_read_the_same_columns() -> None:
    assert rivals_of("gadre")[0] == "gadre"
    assert {"chinchilla", "kaplan", "kappa", "farseer"} <= set(rivals_of("gadre"))
    assert "muennighoff" not in rivals_of("gadre")
    assert "learning_rate_nd" not in rivals_of("gadre")


def test_growth_is_miss_over_distance_of_the_last_rollouts() -> None:
    seen = np.array([True, True, False, False])
    rollouts = [
        Rollout(seen, np.array([0, 0, 2.0, 2.0]), {"law": np.array([0, 0, miss, -miss])}, {})
        for miss in (9.0, 0.02, 0.04)
    ]
    assert growth_of(rollouts, {"law": 1.0}) == pytest.approx(np.sqrt((0.02**2 + 0.04**2) / 8))
    assert growth_of([], {"law": 1.0}) == 0


def test_the_scale_of_an_error_adds_its_three_sources() -> None:
    assert FREEDOM == 6
    assert squared_scale(2.0, np.array([3.0]), np.array([5.0])) == pytest.approx(
        [4 * SCATTER + 9 * DISAGREEMENT + 25 * MISSED]
    )
