"""Choosing runs: the criterion's updates, what the choice is worth, and what a design teaches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import objectives
from analysis.objectives import Objective
from scaling.errors import UserError
from scaling.simulate.candidates import Prices, candidate_runs
from scaling.simulate.choose import choose
from scaling.simulate.cost import Tariff
from scaling.simulate.criterion import Candidates, Question, squared_error, state_of, value, values_with_each
from scaling.simulate.design import listed, read_design
from scaling.simulate.efficiency import variance_factor
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.next_runs import outlook
from scaling.simulate.noise import Noise
from scaling.simulate.optimize import Problem, best_within, cheapest_within, pose
from scaling.simulate.target import Target
from scaling.simulate.teaching import teach
from scaling.simulate.truth import truth_of

TRUTH = truth_of("besiroglu2024")
HUBER, SQUARES = objectives.get("huber_log"), objectives.get("mse_log")


def quiet(what: str) -> None:
    """Progress that nobody watches."""


def posed(largest: float = 2e19, criterion: str = "v", bend: float = 0.0, count: int = 60) -> Problem:
    laboratory = Laboratory(TRUTH.law, Noise(scatter=0.004, bend=bend), TRUTH.middle)
    runs = candidate_runs(TRUTH, largest, count, 1, 256, 1024, True)
    return pose(TRUTH, laboratory, Target("n_opt", 1e22), criterion, Tariff(), "flops", HUBER, runs, 0.9)


@given(seed=st.integers(0, 10_000), bend=st.sampled_from([0.0, 0.3]), determinant=st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_rank_one_update_is_the_inverse_computed_anew(seed: int, bend: float, determinant: bool) -> None:
    rng = np.random.default_rng(seed)
    candidates = Candidates(rng.standard_normal((3, 7, 4)), rng.standard_normal((7, 3)))
    question = Question(
        rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 2, 3)), bend, np.ones((3, 2)), determinant
    )
    precision = np.eye(4)
    begun = np.array([0, 2])
    state = state_of(candidates, begun, precision)
    scored = values_with_each(state, question, candidates)
    for run in range(7):
        anew = state_of(candidates, np.append(begun, run), precision)
        assert scored[run] == pytest.approx(value(anew, question), rel=1e-6, abs=1e-8)
        assert np.allclose(state.with_run(candidates, run).covariance, anew.covariance)


def test_prices_of_shared_trunks_add_up() -> None:
    prices = Prices(np.array([1.0, 2.0, 4.0, 3.0]), np.array([0, 0, 0, 1]), decay=0.2)
    chosen: list[int] = []
    spent = 0.0
    for run in (1, 3, 0, 2):
        spent += float(prices.marginal(chosen)[run])
        chosen.append(run)
        assert prices.total(chosen) == pytest.approx(spent)


def test_the_choice_keeps_its_limit_and_beats_designs_drawn_at_random() -> None:
    problem = posed()
    limit = 5e19
    choice = choose(problem.candidates, problem.question, problem.precision, problem.prices, limit, 20)
    assert choice.cost <= limit
    assert len(choice.runs) <= 20
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn: list[int] = []
        for run in rng.permutation(len(problem.runs)):
            if len(drawn) < 20 and problem.prices.total([*drawn, int(run)]) <= limit:
                drawn.append(int(run))
        assert problem.half_width(choice.runs) < problem.half_width(tuple(drawn))


@pytest.mark.parametrize("criterion", ["v", "d", "regret"])
def test_more_money_answers_better(criterion: str) -> None:
    problem = posed(criterion=criterion)
    few, many = (
        choose(problem.candidates, problem.question, problem.precision, problem.prices, limit, 30).value
        for limit in (2e19, 2e20)
    )
    assert many < few


def test_the_cheapest_design_is_as_narrow_as_asked_and_no_cheaper_one_is() -> None:
    problem = posed()
    found = cheapest_within(problem, 0.8, 30, quiet)
    assert found is not None
    assert found.half_width <= 0.8
    assert best_within(problem, found.cost / 3, 30, quiet).half_width > 0.8
    assert cheapest_within(problem, 1e-5, 30, quiet) is None


def test_a_limit_below_every_candidate_says_what_one_costs() -> None:
    with pytest.raises(UserError, match="cheapest candidate costs"):
        best_within(posed(), 1.0, 10, quiet)


def test_a_law_that_bends_is_answered_with_a_wider_interval() -> None:
    straight, bent = posed(), posed(bend=0.02)
    every = tuple(range(len(straight.runs)))
    assert bent.half_width(every) > 2 * straight.half_width(every)


def test_information_and_monte_carlo_agree_and_intervals_cover() -> None:
    laboratory = Laboratory(TRUTH.law, Noise(scatter=0.003), TRUTH.middle)
    design = read_design("isoflop:budgets=5,sizes=6,max_flops=1e20", TRUTH.best, TRUTH.flops, False)
    theta = np.repeat(TRUTH.theta[None], 300, axis=0)
    told = teach(laboratory, theta, design, 1e22, SQUARES, draws=40, valley_studies=20, envelope_studies=0)
    for lesson in told.lessons:
        if lesson.approach == "3 law":
            assert lesson.spread == pytest.approx(lesson.fisher, rel=0.2)
            assert abs(lesson.bias) < 0.3 * lesson.spread
            assert np.isnan(lesson.coverage) or 0.82 < lesson.coverage < 0.98
    assert told.missed["3 law"] == 0
    assert 0 < told.regrets["3 law"].share < 0.02
    assert {lesson.approach for lesson in told.lessons} == {"3 law", "2 valleys"}


def test_the_error_of_a_bend_is_what_simulated_studies_show() -> None:
    laboratory = Laboratory(TRUTH.law, Noise(scatter=0.002, bend=0.003), TRUTH.middle)
    design = read_design("isoflop:budgets=5,sizes=6,max_flops=1e20", TRUTH.best, TRUTH.flops)
    problem = pose(TRUTH, laboratory, Target("n_opt", 1e22), "v", Tariff(), "flops", SQUARES, design, 0.9)
    theta = np.repeat(TRUTH.theta[None], 400, axis=0)
    told = teach(laboratory, theta, design, 1e22, SQUARES, draws=0, valley_studies=0, envelope_studies=0)
    spread = next(x.spread for x in told.lessons if x.target is not None and x.target.kind == "n_opt")
    state = state_of(problem.candidates, np.arange(len(design)), problem.precision)
    promised = float(np.sqrt(np.mean(squared_error(state, problem.question))))
    assert spread == pytest.approx(promised, rel=0.2)


def test_one_size_teaches_nothing_and_says_so() -> None:
    laboratory = Laboratory(TRUTH.law, Noise(), TRUTH.middle)
    design = listed("one size", np.full(8, 1e8), np.geomspace(1e9, 1e10, 8))
    told = teach(
        laboratory, np.repeat(TRUTH.theta[None], 20, axis=0), design, 1e22, HUBER, draws=0, envelope_studies=0
    )
    assert all(np.isnan(x.fisher) for x in told.lessons)


@pytest.mark.parametrize("objective", [HUBER, SQUARES, Objective("mae_log", delta=0.0)])
def test_the_loss_of_efficiency_is_that_of_a_simulated_location(objective: Objective) -> None:
    rng = np.random.default_rng(0)
    sigma = 0.002
    draws = sigma * rng.standard_normal((4000, 25))
    grid = np.linspace(-3 * sigma, 3 * sigma, 301)
    found = grid[np.stack([objective.value(draws - shift).sum(axis=1) for shift in grid]).argmin(axis=0)]
    assert np.var(found) * 25 / sigma**2 == pytest.approx(variance_factor(objective, sigma), rel=0.1)


def test_next_runs_narrow_the_interval_and_stop_where_asked() -> None:
    noise = Noise(scatter=0.004)
    trained = read_design("isoflop:max_flops=1e19", TRUTH.best, TRUTH.flops)
    runs = candidate_runs(TRUTH, 1e19, 80, 1, 256, 1024, True)

    def ask(within: float | None):  # type: ignore[no-untyped-def]
        return outlook(
            TRUTH, noise, trained, runs, Target("n_opt", 1e20), Tariff(), "flops", 2e19, 6, 0.9, "huber_log", within
        )  # fmt: skip

    found = ask(None)
    assert found.after < found.alone.min() < found.now
    assert found.cost <= 2e19
    assert list(found.more.values()) == sorted(found.more.values(), reverse=True)
    assert not found.enough
    assert "already" in ask(10.0).enough
