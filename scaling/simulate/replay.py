"""A pool whose losses are known, played run by run: who chooses sees only the losses of what was chosen.

The choice plans all that is left of the budget for the laws that the runs so far allow, buys the cheaper part of that
plan, fits again, and plans anew. Laws that the runs allow: descents from several starts that end nearly as well as the
best, and refits of the best under random weights (a Bayesian bootstrap). Where they disagree about the target, runs
that tell them apart lower its variance under all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis import objectives
from analysis.laws import Law
from analysis.objectives import Objective
from analysis.problem import Problem
from analysis.solver import FROM_NEAR, minimise, polish
from analysis.starts import spread_starts
from scaling.simulate.candidates import Prices
from scaling.simulate.choose import fill
from scaling.simulate.criterion import Candidates, Question, state_of, value
from scaling.simulate.pool import Pool, r_squared

PILOT = 2.5
"""Cheapest runs with which a replay begins, for each parameter of the law (as ScaleBench's methods begin)."""
PILOT_SHARE = 0.3
"""They may take at most this share of the budget."""
STARTS, STARTS_AGAIN = 12, 3
"""Descents of the first and the last fit of a replay, and of those between, which also begin where the last ended."""
ROUNDS = 6
"""Plans in the course of a replay."""
ENSEMBLE = 10
"""Laws for which a plan is made."""
MOST_TARGETS = 24
"""Rows of the target region that a plan looks at, evenly by their predicted loss."""
MOST_CANDIDATES = 600
"""Affordable candidates that a plan looks at, drawn at random where there are more."""
MOST_RUNS = 400
"""Runs that are chosen, at most."""
THRIFTS = (0.1, 0.3)
"""Powers of the cost by which a run's worth is divided; see choose.THRIFT."""
PRIOR_SPREAD = 4.0
"""Standard deviation of each coordinate before any run, over its own spread in the law's box or over 1."""

METHODS = ("chosen", "v", "random")
"""This tool's choice, V-optimal choice under the best fit alone, and random choice."""


@dataclass(frozen=True)
class Played:
    """One replay.

    Attributes:
        chosen: rows of each pool, in the order of choice.
        spent: share of the pools' cost.
        r2: in the target region.
    """

    chosen: tuple[tuple[int, ...], ...]
    spent: float
    r2: float


def play(
    pools: list[Pool],
    law: Law,
    objective: Objective,
    spend: float,
    method: str,
    seed: int,
    progress: Callable[[str], None] = lambda what: None,
) -> Played:
    """Play pools, each with its own share of the budget, and judge the law in their target regions together."""
    chosen, truths, predictions = [], [], []
    for pool in pools:
        rng = np.random.default_rng([seed, len(pool)])
        progress(f"{law.name}, {method}, seed {seed}{', ' + pool.group if pool.group else ''}")
        limit = spend * float(pool.cost.sum())
        runs = (
            _random(pool, limit, rng)
            if method == "random"
            else _planned(pool, law, objective, limit, method, rng)
        )
        chosen.append(tuple(runs))
        for output in range(len(pool.seen)):
            theta = fit_chosen(pool, law, objective, runs, output)[0]
            truths.append(pool.held[output])
            predictions.append(predicted(law, theta, pool.target_x))
    spent = sum(float(pool.cost[list(runs)].sum()) for pool, runs in zip(pools, chosen, strict=True))
    return Played(
        tuple(chosen),
        spent / sum(float(pool.cost.sum()) for pool in pools),
        r_squared(np.concatenate(truths), np.concatenate(predictions)),
    )


def predicted(law: Law, theta: np.ndarray, x: dict[str, np.ndarray]) -> np.ndarray:
    """What a law predicts at θ (p,), shape (m,); NaN without an estimate."""
    if not np.isfinite(theta).all():
        return np.full(len(next(iter(x.values()))), np.nan)
    with np.errstate(all="ignore"):
        value = law.predict(theta[None], x)[0][0]
        return np.asarray(np.exp(value) if law.log_target else value)


def fit_chosen(
    pool: Pool,
    law: Law,
    objective: Objective,
    runs: list[int],
    output: int,
    warm: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, Problem]:
    """The best fit of the chosen runs (p,), the other laws that they allow (E, p), and the problem."""
    x = {name: column[runs] for name, column in pool.x.items()}
    problem = Problem.build(law, x, pool.observed(law, output)[runs], objective)
    weights = np.ones(len(runs))
    with np.errstate(all="ignore"):
        again = warm is not None and bool(np.isfinite(warm).all())
        count = STARTS_AGAIN if again else STARTS
        starts = spread_starts(problem, weights, count)
        if warm is not None and again:
            starts = np.concatenate([warm[None], starts])
        found = polish(problem, minimise(problem, starts, weights[None]), weights)
    finite = np.isfinite(found.value) & np.isfinite(found.theta).all(axis=1)
    if not finite.any():
        return np.full(len(law.parameters), np.nan), starts, problem
    order = np.argsort(np.where(finite, found.value, np.inf))[: int(finite.sum())]
    return found.theta[order[0]], found.theta[order], problem


def _random(pool: Pool, limit: float, rng: np.random.Generator) -> list[int]:
    """Runs in a random order, each bought if what is left pays for it."""
    chosen: list[int] = []
    left = limit
    for run in rng.permutation(len(pool)):
        if pool.cost[run] <= left:
            chosen.append(int(run))
            left -= pool.cost[run]
    return chosen or [int(pool.cost.argmin())]


def _planned(
    pool: Pool, law: Law, objective: Objective, limit: float, method: str, rng: np.random.Generator
) -> list[int]:
    """Pilot runs, then plans for what is left, each after a fit of what was bought."""
    chosen = pilot(pool, law, limit)
    warm: list[np.ndarray | None] = [None] * len(pool.seen)
    for round_ in range(ROUNDS):
        spent = float(pool.cost[chosen].sum())
        affordable = np.setdiff1d(np.flatnonzero(pool.cost <= limit - spent), chosen)
        if not len(affordable) or len(chosen) >= MOST_RUNS:
            break
        if len(affordable) > MOST_CANDIDATES:
            affordable = np.sort(rng.choice(affordable, MOST_CANDIDATES, replace=False))
        plan = _plan(pool, law, objective, chosen, affordable, limit, method, rng, warm)
        new = [run for run in plan if run not in set(chosen)]
        if not new:
            break
        if round_ < ROUNDS - 1:
            # The cheaper part of the plan first: what is dear is bought when more is known.
            new = sorted(new, key=lambda run: pool.cost[run])
            paid = np.cumsum(pool.cost[new])
            part = (limit - spent) / (ROUNDS - round_)
            new = new[: max(1, int((paid <= part).sum()), len(new) // (ROUNDS - round_))]
        chosen = [*chosen, *new]
    return chosen


def pilot(pool: Pool, law: Law, limit: float) -> list[int]:
    """The cheapest runs, a few for each parameter, within a share of the budget; at least one."""
    wanted = int(PILOT * len(law.parameters) / max(1, len(pool.seen)))
    order = np.argsort(pool.cost, kind="stable")[: max(1, wanted)]
    paid = np.cumsum(pool.cost[order])
    return [int(run) for run in order[: max(1, int((paid <= PILOT_SHARE * limit).sum()))]]


def _plan(
    pool: Pool,
    law: Law,
    objective: Objective,
    chosen: list[int],
    affordable: np.ndarray,
    limit: float,
    method: str,
    rng: np.random.Generator,
    warm: list[np.ndarray | None],
) -> tuple[int, ...]:
    """Runs for all that is left of the budget, those chosen already first."""
    shown = np.concatenate([np.array(chosen, dtype=int), affordable])
    laws, errors = [], []
    for output in range(len(pool.seen)):
        best, others, problem = fit_chosen(pool, law, objective, chosen, output, warm[output])
        warm[output] = best
        allowed = best[None] if method == "v" else plausible_laws(problem, best, others, rng)
        laws.append(allowed)
        errors.append(np.full(len(allowed), residual_error(problem, best)))
    theta, error = np.concatenate(laws), np.concatenate(errors)
    with np.errstate(all="ignore"):
        jacobian = law.predict(theta, {name: column[shown] for name, column in pool.x.items()})[1]
        target, gradient = law.predict(theta, pool.target_x)
    rows = np.argsort(target[0])[
        np.linspace(0, target.shape[1] - 1, min(MOST_TARGETS, target.shape[1])).astype(int)
    ]
    gradient = gradient[:, np.unique(rows)]
    sound = (
        np.isfinite(jacobian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=(1, 2)) & np.isfinite(error)
    )
    if not sound.any():
        return (*chosen, *_cheapest(pool, affordable, limit - float(pool.cost[chosen].sum())))
    candidates = Candidates(jacobian[sound] / error[sound][:, None, None], np.zeros((len(shown), 3)))
    gradient = gradient[sound]
    question = Question(gradient, np.zeros((*gradient.shape[:2], 3)), 0.0, np.ones(gradient.shape[:2]))
    precision = np.diag(1 / prior_spread(law) ** 2)
    prices = Prices(pool.cost[shown], None)
    begun = tuple(range(len(chosen)))
    plans = []
    for thrift in THRIFTS[:1] if method == "v" else THRIFTS:
        runs = fill(candidates, question, precision, prices, limit, MOST_RUNS, thrift, begun)
        plans.append((value(state_of(candidates, np.array(runs), precision), question), runs))
    return tuple(int(shown[run]) for run in min(plans)[1])


def _cheapest(pool: Pool, affordable: np.ndarray, left: float) -> list[int]:
    order = affordable[np.argsort(pool.cost[affordable])]
    return [int(run) for run in order[np.cumsum(pool.cost[order]) <= left]]


def plausible_laws(
    problem: Problem, best: np.ndarray, others: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Laws that the runs allow, shape (E, p): other descents that end nearly as well, and refits of the best."""
    if not np.isfinite(best).all():
        return best[None]
    runs = problem.log_loss.shape[-1]
    values = problem.value(others, np.ones((len(others), runs)))
    nearly = others[values <= values[0] * (1 + 4.0 * len(best) / max(runs - len(best), 1))][: ENSEMBLE // 2]
    weights = rng.exponential(size=(ENSEMBLE - len(nearly), runs))
    with np.errstate(all="ignore"):
        refits = minimise(
            problem, np.repeat(best[None], len(weights), axis=0), weights, stages=FROM_NEAR
        ).theta
    return np.concatenate([nearly, refits[np.isfinite(refits).all(axis=1)]])


def residual_error(problem: Problem, theta: np.ndarray) -> float:
    """Standard deviation of a run about the law; a fit that goes through every run is not believed."""
    if not np.isfinite(theta).all():
        return float("nan")
    residual = problem.residuals(theta[None])[0]
    spread = float(np.std(problem.log_loss))
    freedom = max(len(residual) - len(theta), 1)
    # As if two runs more had missed by a hundredth of the spread of all.
    return float(np.sqrt((residual @ residual + 2 * (0.01 * spread) ** 2) / (freedom + 2)) + 1e-9)


def prior_spread(law: Law) -> np.ndarray:
    """How far each coordinate may be from any estimate, shape (p,)."""
    spread = [
        (law.box[name][1] - law.box[name][0]) / 2 if name in law.box else 1.0 for name in law.parameters
    ]
    return PRIOR_SPREAD * np.array(spread)


def mean_over_laws(played: dict[str, list[Played]]) -> float:
    """Mean R² over seeds, then over laws."""
    return float(np.mean([np.mean([one.r2 for one in each]) for each in played.values()]))


def objective_of(name: str) -> Objective:
    """The objective of a replay's fits."""
    return objectives.get(name)
