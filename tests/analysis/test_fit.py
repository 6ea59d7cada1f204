"""Fits: published figures from published numbers, weights, certificates."""

import numpy as np
import pandas as pd
import pytest
from simulated import TRUTH, study

from analysis import laws
from analysis.fit import fit
from analysis.objectives import OBJECTIVES, get
from analysis.points import problem_of
from analysis.problem import Problem
from analysis.solver import minimise
from analysis.starts import project

# mlfoundations/scaling (MIT licence), results of Gadre et al. 2024 (arXiv:2403.08540): RedPajama runs, C4 evaluation.
GADRE_FITTED = pd.DataFrame(
    {
        "params": [411616256, 78914048, 153677376, 10569312, 10569312],
        "tokens": [8232325120, 1578280960, 3073547520, 211386240, 3382179840],
        "loss": [
            3.149769456671634,
            3.899942990231468,
            3.531147408490181,
            5.38702091510821,
            4.572292613487238,
        ],
    }
)
GADRE_HELD_OUT = pd.DataFrame(
    {
        "params": [1439795200, 6889410560],
        "tokens": [921468928000, 137788211200],
        "loss": [2.502053562117363, 2.424993099368689],
    }
)


def test_gadre_predicts_its_large_runs_as_published() -> None:
    found = fit(GADRE_FITTED, law="gadre", objective="mse")
    predicted = found.predict(GADRE_HELD_OUT["params"], GADRE_HELD_OUT["tokens"])["loss"]
    errors = 100 * (predicted / GADRE_HELD_OUT["loss"] - 1).abs()
    # Gadre et al. 2024, figure 1: 0.7 % for 1.4B parameters at M = 640 and for 6.9B at M = 20.
    assert errors.to_numpy() == pytest.approx([0.7103, 0.7320], abs=5e-5)
    assert not found.intervals  # five runs cannot carry intervals of four parameters, and the fit says so
    assert any("intervals not estimated" in warning for warning in found.certificate.warnings)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_no_step_in_any_direction_lowers_the_objective(name: str) -> None:
    table, objective = study(), get(name)
    found = fit(table, objective=name, bootstrap=0)
    problem = problem_of(found.points, laws.CHINCHILLA, objective)
    ones = np.ones((1, len(table)))
    assert problem.value(found.theta[None], ones)[0] == pytest.approx(found.objective, rel=1e-12)
    rng = np.random.default_rng(1)
    for size in (1e-2, 1e-3, 1e-4):
        nearby = found.theta + size * rng.standard_normal((200, 5))
        assert problem.value(nearby, ones).min() >= found.objective - 1e-9 * abs(found.objective)


def test_random_starts_all_reach_the_optimum() -> None:
    table = study()
    found = fit(table, bootstrap=0)
    problem = problem_of(found.points, laws.CHINCHILLA, get("huber_log"))
    rng = np.random.default_rng(2)
    starts = rng.uniform([-1, 0, 0, 0, 0], [1, 25, 25, 2, 2], size=(300, 5))
    weights = np.ones((1, len(table)))
    ends = minimise(problem, project(problem, starts, weights), weights).value
    assert np.mean(ends <= found.objective * (1 + 1e-6)) >= 0.99
    assert found.certificate.converged
    assert found.certificate.distinct_optima == 1
    assert found.certificate.gradient_norm < 1e-8
    assert 1 < found.certificate.hessian_condition < 1e8


def test_curvature_of_every_residual_kind_is_the_derivative_of_the_gradient() -> None:
    table = study()
    x = {k: table[k].to_numpy() for k in ("params", "tokens")}
    weights, theta = np.ones((1, len(table))), laws.CHINCHILLA.coordinates(TRUTH)[None] + 0.01
    for name in ("huber_log", "mse", "mse_log"):
        for law in (laws.CHINCHILLA, laws.KAPLAN):
            at = theta if law is laws.CHINCHILLA else law.coordinates(law.published["kaplan2020"])[None]
            problem = Problem.build(law, x, np.log(table["loss"].to_numpy()), get(name))
            delta = np.array([[0.05 if name == "huber_log" else 1e100]])
            _, gradient, hessian, _ = problem.evaluate(at, weights, delta)
            for j in range(at.shape[1]):
                step = np.zeros_like(at)
                step[0, j] = 1e-6
                up, down = (problem.evaluate(at + s * step, weights, delta) for s in (1, -1))
                assert (up[0] - down[0]) / 2e-6 == pytest.approx(gradient[:, j], rel=1e-4, abs=1e-7)
                scale = np.abs(hessian).max()
                assert (up[1] - down[1])[0] / 2e-6 == pytest.approx(hessian[0, j], rel=1e-3, abs=1e-4 * scale)


def test_units_do_not_matter() -> None:
    table = study()
    small = table.assign(params=table["params"] / 1e6, tokens=table["tokens"] / 1e9)
    one, other = fit(table, bootstrap=0), fit(small, bootstrap=0)
    assert other.objective == pytest.approx(one.objective, rel=1e-9)
    for name in ("E", "alpha", "beta"):
        assert other.parameters[name] == pytest.approx(one.parameters[name], rel=1e-6)


def test_order_of_runs_does_not_matter() -> None:
    table = study()
    shuffled = fit(table.sample(frac=1, random_state=3), bootstrap=0)
    assert shuffled.parameters == pytest.approx(fit(table, bootstrap=0).parameters, rel=1e-6)


def test_a_recorded_standard_error_counts_a_noisy_run_less() -> None:
    table = study(noise=1e-4)
    table["loss"] *= np.where(table.index == 0, 1.2, 1.0)
    table["loss_se"] = np.where(table.index == 0, 1.0, 1e-4)
    weighted = fit(table, objective="mse_log", weights="loss_se", bootstrap=0)
    plain = fit(table, objective="mse_log", bootstrap=0)
    assert weighted.parameters["E"] == pytest.approx(TRUTH["E"], rel=0.01)
    assert abs(plain.parameters["E"] - TRUTH["E"]) > abs(weighted.parameters["E"] - TRUTH["E"])


def test_an_integer_weight_is_a_repeated_run() -> None:
    table = study(budgets=3)
    weights = np.where(np.arange(len(table)) % 3 == 0, 2.0, 1.0)
    twice = pd.concat([table, table[weights == 2].assign(seed=1)]).fillna({"seed": 0})
    assert fit(table, weights=weights, bootstrap=0).objective == pytest.approx(
        fit(twice, bootstrap=0).objective, rel=1e-9
    )


def test_an_irreducible_loss_of_zero_is_reported_as_a_bound() -> None:
    table = study(noise=0.0)
    table["loss"] = 400 / table["params"] ** 0.3 + 900 / table["tokens"] ** 0.3
    found = fit(table, bootstrap=0)
    assert any("do not determine E" in w and "bound" in w for w in found.certificate.warnings)
