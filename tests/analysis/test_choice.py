"""Weights of laws from their rollouts."""

import numpy as np
import pytest

from analysis.choice import choose
from analysis.rollout import Rollout


def rollouts(**errors: np.ndarray) -> list[Rollout]:
    """Three rollouts of twelve runs, in which each law's errors are those given."""
    seen = [np.arange(12) < fitted for fitted in (6, 8, 10)]
    return [Rollout(mask, np.where(mask, 0.0, 1.0), errors, {}) for mask in seen]


ALTERNATING = np.tile([1.0, -1.0], 6)


def test_a_law_that_misses_ten_times_as_far_hardly_counts() -> None:
    choice = choose(rollouts(near=0.001 * ALTERNATING, far=0.01 * np.roll(ALTERNATING, 1)), ["far", "near"])
    assert choice.best == "near"
    assert choice.weights["near"] > 0.85
    assert sum(choice.weights.values()) == pytest.approx(1)
    assert choice.errors["far"] == pytest.approx(0.01)
    assert choice.trials == 3


def test_laws_that_miss_on_opposite_sides_share_the_weight() -> None:
    choice = choose(rollouts(above=np.full(12, 0.01), below=np.full(12, -0.01)), ["above", "below"])
    assert choice.weights["above"] == pytest.approx(0.5, abs=1e-6)


def test_a_law_that_misses_on_the_same_side_but_further_gets_little() -> None:
    choice = choose(rollouts(near=np.full(12, 0.01), far=np.full(12, 0.03)), ["near", "far"])
    assert choice.weights["near"] > 0.8


def test_a_law_that_could_be_tried_once_is_not_weighed_and_says_why() -> None:
    tried = rollouts(simple=0.01 * ALTERNATING, rich=0.001 * ALTERNATING)
    for k in (0, 1):
        tried[k] = Rollout(
            tried[k].seen, tried[k].distance, {"simple": 0.01 * ALTERNATING}, {"rich": "too few"}
        )
    choice = choose(tried, ["simple", "rich"])
    assert choice.weights == {"simple": 1.0}
    assert choice.refused == {"rich": "too few"}


def test_without_rollouts_the_first_law_stands_alone() -> None:
    choice = choose([], ["simple", "rich"])
    assert choice.weights == {"simple": 1.0}
    assert choice.trials == 0
    assert "same compute" in choice.refused["rich"]


def test_laws_without_any_error_share_alike() -> None:
    choice = choose(rollouts(one=np.zeros(12), other=np.zeros(12)), ["one", "other"])
    assert choice.weights == pytest.approx({"one": 0.5, "other": 0.5})
