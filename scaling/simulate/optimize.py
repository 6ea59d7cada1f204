"""The best experiment for a limit of cost, or the cheapest that answers well enough; checked by Monte Carlo."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from analysis.objectives import Objective
from scaling.errors import UserError
from scaling.simulate.candidates import Prices, prices_of
from scaling.simulate.choose import Choice, choose
from scaling.simulate.cost import Tariff
from scaling.simulate.criterion import Candidates, Question, squared_error, state_of
from scaling.simulate.design import Design
from scaling.simulate.efficiency import variance_factor
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.target import Target
from scaling.simulate.teaching import Teaching, teach
from scaling.simulate.truth import Truth

CRITERIA = ("v", "d", "regret")
"""Variance of the target; volume of all that is unknown; what the error of N_opt costs."""
WEAK = 1e-4
"""Weight of what is known before the runs in what they will tell: next to nothing, as the fit to come will
know nothing of it, but enough that the first runs can be compared."""
SEARCH_STEPS = 12
"""Halvings of the logarithm of the cost when the cheapest design is sought."""
WIDEST_SEARCH = 1e8
"""The cheapest design is sought up to this many times the least cost."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Problem:
    """What is to be chosen from, for what, and from what knowledge.

    Attributes:
        runs: the candidates.
        candidates: what each would measure.
        question: what is asked.
        precision: what is known before, shape (p, p).
        prices: what runs cost, in `unit`.
        unit: one of cost.UNITS.
        target: the quantity asked for.
        level: of its interval.
    """

    runs: Design
    candidates: Candidates
    question: Question
    precision: np.ndarray
    prices: Prices
    unit: str
    target: Target
    level: float

    def half_width(self, chosen: tuple[int, ...]) -> float:
        """Half of the target's interval after these runs, by the information: root mean square over the laws."""
        state = state_of(self.candidates, np.array(chosen, dtype=int), self.precision)
        error = squared_error(state, self.question)[:, 0]
        return float(norm.ppf(0.5 * (1 + self.level)) * np.sqrt(np.mean(error)))


@dataclass(frozen=True)
class Answer:
    """The experiment chosen.

    Attributes:
        design: its runs.
        cost: in the problem's unit.
        half_width: of the target's interval, by the information.
        check: Monte Carlo of the design over the laws that may be true; None where it was not asked for.
    """

    design: Design
    cost: float
    half_width: float
    check: Teaching | None


def pose(
    truth: Truth,
    laboratory: Laboratory,
    target: Target,
    criterion: str,
    tariff: Tariff,
    unit: str,
    objective: Objective,
    runs: Design,
    level: float,
    precision: np.ndarray | None = None,
) -> Problem:
    """The choice among `runs` as numbers.

    Args:
        truth: the laws that may be true.
        laboratory: how losses scatter about them.
        target, criterion: what is asked, one of CRITERIA.
        tariff, unit: how cost is counted.
        objective: what the fit will minimise.
        runs: the candidates.
        level: of the interval.
        precision: what is known already; None: only that one of the laws is true.

    Raises:
        UserError: an unknown criterion.
    """
    if criterion not in CRITERIA:
        raise UserError(f"criterion={criterion}: choose one of {', '.join(CRITERIA)}")
    theta = truth.some()
    candidates = measured(truth, laboratory, objective, runs, theta)
    gradient = target.gradient(truth.law, theta)
    bends = target.bend_gradient(laboratory, theta) if laboratory.noise.bend else np.zeros((len(theta), 3))
    weight = np.ones((len(theta), 1))
    if criterion == "regret":
        size = Target("n_opt", target.flops)
        gradient = size.gradient(truth.law, theta)
        bends = size.bend_gradient(laboratory, theta) if laboratory.noise.bend else bends
        weight = curvature(truth, theta, target.flops)[:, None]
    sound = np.isfinite(gradient).all(axis=1) & np.isfinite(candidates.jacobian).all(axis=(1, 2))
    question = Question(
        gradient[sound][:, None],
        bends[sound][:, None],
        laboratory.noise.bend,
        weight[sound],
        criterion == "d",
    )
    return Problem(
        runs,
        Candidates(candidates.jacobian[sound], candidates.bends),
        question,
        WEAK * truth.precision() if precision is None else precision,
        prices_of(runs, tariff, unit),
        unit,
        Target("n_opt", target.flops) if criterion == "regret" else target,
        level,
    )


def measured(
    truth: Truth, laboratory: Laboratory, objective: Objective, runs: Design, theta: np.ndarray
) -> Candidates:
    """What each run would measure under each law (K, p), in units of its own error."""
    variance = laboratory.noise.variance(runs.params, float(np.exp(laboratory.middle[0])))
    variance = np.maximum(variance, 1e-12) / (1 - laboratory.noise.diverge)
    error = np.sqrt(variance * variance_factor(objective, float(np.sqrt(np.median(variance)))))
    jacobian = truth.law.predict(theta, runs.columns())[1] / error[:, None]
    shapes = laboratory.bend_shapes(np.log(runs.params), np.log(runs.tokens)) / error[:, None]
    return Candidates(jacobian, shapes)


def curvature(truth: Truth, theta: np.ndarray, flops: float) -> np.ndarray:
    """How the log loss bends about the optimum of a compute, ∂²log L/∂(log N)², shape (K,): what regret weighs by."""
    step = 0.05
    log_n = Target("n_opt", flops).values(truth.law, theta)
    total = np.log(flops / 6)
    at = [
        np.log(truth.law.loss_each(theta, {"params": np.exp(log_n + h), "tokens": np.exp(total - log_n - h)}))
        for h in (-step, 0.0, step)
    ]
    return np.asarray(np.maximum(at[0] - 2 * at[1] + at[2], 1e-12) / step**2)


def best_within(problem: Problem, limit: float, most: int, progress: Progress) -> Answer:
    """The best design that costs at most `limit`.

    Raises:
        UserError: not one candidate is that cheap.
    """
    cheapest = float(problem.prices.alone.min())
    if cheapest > limit:
        raise UserError(
            f"spend={limit:g} {problem.unit}: the cheapest candidate costs {cheapest:.3g}; spend more, or name a "
            "smaller vocab_size so that smaller models exist"
        )
    return _answer(
        problem,
        choose(
            problem.candidates, problem.question, problem.precision, problem.prices, limit, most, progress
        ),
    )


def _answer(problem: Problem, choice: Choice) -> Answer:
    design = replace(problem.runs.take(np.array(sorted(choice.runs), dtype=int)), name="the chosen runs")
    return Answer(design, choice.cost, problem.half_width(choice.runs), None)


def cheapest_within(problem: Problem, width: float, most: int, progress: Progress) -> Answer | None:
    """The cheapest design whose interval is at most `width` to either side; None where no candidates give it."""
    prices = problem.prices.alone
    low = float(np.sort(prices)[: problem.precision.shape[-1]].sum())
    high = min(low * WIDEST_SEARCH, problem.prices.total(range(len(prices))))
    best: Answer | None = None
    for step in range(SEARCH_STEPS):
        limit = high if step == 0 else float(np.sqrt(low * high))
        progress(f"looking for the cheapest, try {step + 1} of {SEARCH_STEPS}: {limit:.3g} {problem.unit}")
        choice = choose(
            problem.candidates, problem.question, problem.precision, problem.prices, limit, most, passes=1
        )
        answer = _answer(problem, choice)
        if answer.half_width <= width:
            best, high = answer, min(limit, answer.cost)
        elif step == 0:
            return None
        else:
            low = limit
        if high < 1.05 * low:
            break
    return best


def checked(
    truth: Truth,
    laboratory: Laboratory,
    answer: Answer,
    target: Target,
    objective: Objective,
    studies: int,
    draws: int,
    seed: int,
    level: float,
    progress: Progress,
) -> Teaching:
    """Monte Carlo of the design under laws drawn from all that may be true, one for each study."""
    rng = np.random.default_rng(seed)
    theta = truth.draws[rng.integers(len(truth.draws), size=studies)]
    return teach(
        laboratory, theta, answer.design, target.flops, objective, seed=seed, level=level, draws=draws,
        progress=progress,
    )  # fmt: skip
