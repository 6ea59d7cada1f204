"""The multi-power law: gradient, merging of steps, and a predicted schedule that it was not fitted to."""

import numpy as np
import pytest

from analysis import laws, schedule
from analysis.fit import fit
from analysis.refusals import BadLoss, BadValue
from analysis.schedule import Curve, columns

TRUTH = {"L0": 2.6, "A": 0.65, "B": 400.0, "C": 2.0, "alpha": 0.42, "beta": 0.6, "gamma": 0.65}
STEPS, WARM = 4000, 200
T = np.arange(1, STEPS + 1)
SHAPES = {
    "cosine": 0.1 + 0.45 * (1 + np.cos(np.pi * np.clip((T - WARM) / (STEPS - WARM), 0, 1))),
    "wsd": 10.0 ** -np.clip((T - 0.8 * STEPS) / (0.2 * STEPS), 0, 1),
    "constant": np.ones(STEPS),
    "two-stage": np.where(T < 2500, 1.0, 0.3),
}


def curve(name: str, points: int = 25) -> Curve:
    rates = 3e-4 * np.minimum(1.0, T / WARM) * SHAPES[name]
    at = np.unique(np.geomspace(WARM + 50, STEPS, points).astype(int))
    return Curve(rates, WARM, at, true_loss(Curve(rates, WARM, at, np.empty(0))))


def true_loss(bare: Curve) -> np.ndarray:
    law = laws.get("multi_power")
    return np.asarray(np.exp(law.predict(law.coordinates(TRUTH)[None], columns([bare]))[0][0]))


def by_hand(bare: Curve, t: int) -> float:
    """The formula, step by step."""
    rates = bare.learning_rates[bare.warmup_steps : t]
    loss = TRUTH["L0"] + TRUTH["A"] * (bare.learning_rates[:t].sum()) ** -TRUTH["alpha"]
    for k in range(1, len(rates)):
        reach = TRUTH["C"] * rates[k] ** -TRUTH["gamma"] * rates[k:].sum()
        loss -= TRUTH["B"] * (rates[k - 1] - rates[k]) * (1 - (reach + 1) ** -TRUTH["beta"])
    return float(loss)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("two-stage", 1e-12), ("constant", 1e-12), ("cosine", 2e-4), ("wsd", 2e-4)]
)
def test_merged_steps_follow_the_formula(name: str, tolerance: float) -> None:
    found = curve(name)
    for i in (5, 15, len(found.steps) - 1):
        assert found.losses[i] == pytest.approx(by_hand(found, int(found.steps[i])), abs=tolerance)


def test_gradient_is_the_derivative() -> None:
    law, x = laws.get("multi_power"), columns([curve("cosine"), curve("two-stage")])
    theta = law.coordinates(TRUTH)[None]
    gradient = law.predict(theta, x)[1]
    for j in range(7):
        shifted = theta.astype(complex)
        shifted[0, j] += 1e-30j
        assert law.predict(shifted, x)[0].imag / 1e-30 == pytest.approx(gradient[..., j], abs=1e-12)


def test_fitted_to_two_schedules_it_predicts_a_third() -> None:
    found = fit(
        schedule.table([curve("cosine"), curve("two-stage")]), law="multi_power", bootstrap=0, starts=3
    )
    unseen = curve("wsd")
    predicted = schedule.predict(found, unseen)
    assert predicted["loss"].to_numpy() == pytest.approx(unseen.losses, rel=1e-5)
    assert predicted["loss_low"].isna().all()  # two curves carry no intervals


def test_nonsense_curves_are_refused() -> None:
    rates = np.full(10, 1e-3)
    with pytest.raises(BadValue, match="warmup_steps"):
        Curve(rates, 10, np.array([1]), np.empty(0))
    with pytest.raises(BadValue, match="steps must lie in 3…10"):
        Curve(rates, 2, np.array([2]), np.empty(0))
    with pytest.raises(BadLoss, match="2 steps, 1 losses"):
        Curve(rates, 2, np.array([3, 4]), np.array([2.0]))
