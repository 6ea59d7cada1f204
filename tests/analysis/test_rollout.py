"""Laws fitted on growing compute and scored on the rest."""

import numpy as np
import pandas as pd
import pytest

from analysis import laws
from analysis.rollout import FOLDS, log_compute, parts, roll

CHINCHILLA = laws.get("chinchilla")
TRUTH = CHINCHILLA.known_values


def isoflop(budgets: int = 6, noise: float = 0.0) -> pd.DataFrame:
    """Runs of Chinchilla's law on budgets four times apart, seven sizes each, budgets hit within 4 %."""
    draw = np.random.default_rng(0)
    flops = np.repeat(1e18 * 4.0 ** np.arange(budgets), 7) * draw.uniform(0.96, 1.04, 7 * budgets)
    params = np.tile(np.geomspace(0.25, 4, 7), budgets) * 0.09 * np.sqrt(flops)
    frame = pd.DataFrame({"params": params, "tokens": flops / (6 * params), "flops": flops})
    loss = CHINCHILLA.loss(TRUTH, params=params, tokens=frame["tokens"].to_numpy())
    return frame.assign(loss=loss * np.exp(noise * draw.normal(size=len(frame))))


def test_budgets_are_never_cut_in_two() -> None:
    frame = isoflop()
    budget = np.repeat(np.arange(6), 7)
    found = parts(frame)
    assert len(found) == 3
    for seen, distance in found:
        assert set(budget[seen]).isdisjoint(budget[~seen])
        assert (distance[~seen] > np.log(3)).all()
        assert (distance[seen] == 0).all()
    fitted = [seen.sum() for seen, _ in found]
    assert fitted == sorted(set(fitted))


def test_a_noiseless_law_predicts_what_it_has_not_seen_and_a_law_without_a_floor_does_not() -> None:
    frame = isoflop()
    near = {
        "chinchilla": CHINCHILLA.coordinates(TRUTH),
        "kaplan": laws.get("kaplan").coordinates(laws.get("kaplan").known_values),
    }
    rollouts = roll(frame, near)
    for rollout in rollouts[1:]:
        assert np.abs(rollout.errors["chinchilla"]).max() < 1e-5
        assert np.abs(rollout.errors["kaplan"][~rollout.seen]).max() > 1e-3


def test_too_few_runs_for_a_law_are_said() -> None:
    frame = isoflop(budgets=3).iloc[::2]
    rollouts = roll(frame, {"farseer": laws.get("farseer").coordinates(laws.get("farseer").known_values)})
    assert "farseer" in rollouts[0].refused
    assert "needs at least" in rollouts[0].refused["farseer"]


def test_without_an_order_of_compute_every_run_is_predicted_once() -> None:
    frame = pd.DataFrame({"proportion": np.linspace(0.1, 0.9, 23), "loss": 1.0})
    assert log_compute(frame) is None
    found = parts(frame)
    assert len(found) == FOLDS
    assert (np.sum([~seen for seen, _ in found], axis=0) == 1).all()
    assert (found[0][1] == (~found[0][0])).all()


def test_compute_is_flops_or_else_size_times_tokens() -> None:
    frame = isoflop()
    assert log_compute(frame.drop(columns="flops")) == pytest.approx(log_compute(frame) - np.log(6))


def test_folds_are_one_rollout_in_which_no_run_predicts_itself() -> None:
    draw = np.random.default_rng(1)
    shares = draw.dirichlet(np.ones(2), size=24)
    frame = pd.DataFrame({"proportion_1": shares[:, 0], "proportion_2": shares[:, 1]})
    law = laws.get("mixture_ye[2]")
    at = law.coordinates(law.known_values)
    x = {name: frame[name].to_numpy() for name in law.variables}
    frame["loss"] = law.target_of(law.predict(at[None], x)[0][0])
    clean = roll(frame, {law.name: at})
    assert len(clean) == 1
    assert not clean[0].seen.any()
    assert np.abs(clean[0].errors[law.name]).max() < 1e-4
    off = frame.assign(loss=frame["loss"].where(frame.index != 5, 1.2 * frame["loss"]))
    assert roll(off, {law.name: at})[0].errors[law.name][5] == pytest.approx(np.log(1.2), abs=0.02)
