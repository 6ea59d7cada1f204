"""From what is trained already: which runs next, what each would shave off the target's interval, and when to stop."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from analysis import objectives
from analysis.result import FitResult
from scaling.errors import UserError
from scaling.simulate.choose import choose
from scaling.simulate.cost import Tariff
from scaling.simulate.criterion import State, squared_error, state_of
from scaling.simulate.design import Design
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.noise import Noise
from scaling.simulate.optimize import Problem, measured, pose
from scaling.simulate.target import Target
from scaling.simulate.truth import Truth

MORE = (0.1, 0.3, 1.0, 3.0)
"""Shares of what was spent for which the interval is foretold."""
WORTH = 0.05
"""When another tenth of the compute narrows the interval by less than this share of it, it is time to stop."""
MEMORY = 1e-9
"""Weight of the draws beside the runs themselves: none but for what the runs leave undetermined."""


@dataclass(frozen=True)
class Outlook:
    """What further runs would do.

    Attributes:
        design: the runs to train next.
        cost: of all of them, in the unit asked for.
        now, after: half of the target's interval before and after them (of logs for sizes and losses).
        alone: half of the interval after each of them alone, shape (n,).
        more: share of what was spent → half of the interval after spending that much more as well as can be.
        spent: what the runs so far cost, in the unit.
        enough: why to stop; empty where more runs are worth it.
    """

    design: Design
    cost: float
    now: float
    after: float
    alone: np.ndarray
    more: dict[float, float]
    spent: float
    enough: str


def truth_of_study(result: FitResult, source: str) -> Truth:
    """The laws that a study's own fit leaves possible.

    Raises:
        UserError: the fit has no draws, or its law reads more than size and tokens.
    """
    law = result._law
    if set(law.variables) != {"params", "tokens"}:
        raise UserError(
            f"fit_law={law.name}: it reads {', '.join(law.variables)}; next plans params and tokens"
        )
    if not len(result.draws):
        raise UserError(
            f"{source}: its runs do not support intervals of {law.name} "
            f"({'; '.join(result.certificate.warnings) or 'no bootstrap'}): train a few more sizes first, as "
            "`scaling simulate optimize law=besiroglu2024 spend=…` proposes them"
        )
    flops = result.flops_per_param_token * result.points["params"] * result.points["tokens"]
    target = Target("n_opt", float(flops.max()))
    sound = np.isfinite(result.draws).all(axis=1) & np.isfinite(target.values(law, result.draws))
    return Truth(law, result.theta, result.draws[sound], (float(flops.min()), float(flops.max())), source)


def outlook(
    truth: Truth,
    noise: Noise,
    trained: Design,
    candidates: Design,
    target: Target,
    tariff: Tariff,
    unit: str,
    limit: float | None,
    most: int,
    level: float,
    objective: str,
    within: float | None,
    progress: Callable[[str], None] = lambda what: None,
) -> Outlook:
    """The runs to train next.

    Args:
        truth: what the runs so far leave possible.
        noise: how losses scatter.
        trained: the runs so far.
        candidates: those that may be trained.
        target: what is asked.
        tariff, unit: how cost is counted.
        limit: the most to spend; None: a tenth of what was spent.
        most: the most runs.
        level: of intervals.
        objective: what the fit minimises.
        within: half of the interval that is good enough.
        progress: told how far it is.

    Raises:
        UserError: no candidate is that cheap.
    """
    laboratory = Laboratory(truth.law, noise, truth.middle)
    penalty = objectives.get(objective)
    spent = float(tariff.per_token(trained.params, unit) @ tariff.of(trained).tokens_spent)
    theta = truth.some()
    known = measured(truth, laboratory, penalty, trained, theta)
    before = state_of(known, np.arange(len(trained)), MEMORY * truth.precision())
    precision = np.linalg.inv(before.covariance)
    problem = pose(truth, laboratory, target, "v", tariff, unit, penalty, candidates, level, precision)
    now = half_width(problem, before)
    limit = 0.1 * spent if limit is None else limit
    cheapest = float(problem.prices.alone.min())
    if cheapest > limit:
        raise UserError(
            f"spend={limit:.4g} {unit}: the cheapest run that would help costs {cheapest:.4g}; spend more"
        )
    progress("choosing the next runs")
    choice = choose(problem.candidates, problem.question, precision, problem.prices, limit, most, progress)
    start = State(before.covariance, before.cross)
    alone = np.array([half_width(problem, start.with_run(problem.candidates, run)) for run in choice.runs])
    more = {}
    for share in MORE:
        if share * spent >= cheapest:
            progress(f"what {share:.0%} more compute would give")
            runs = choose(
                problem.candidates,
                problem.question,
                precision,
                problem.prices,
                share * spent,
                4 * most,
                passes=0,
            ).runs
            more[share] = half_width(problem, after_all(problem, before, runs))
    order = np.argsort(choice.runs)
    after = half_width(problem, after_all(problem, before, choice.runs))
    chosen = candidates.take(np.array(choice.runs, dtype=int)[order])
    return Outlook(
        replace(chosen, name="the next runs"),
        choice.cost,
        now,
        after,
        alone[order],
        more,
        spent,
        when_to_stop(now, more, within),
    )


def after_all(problem: Problem, state: State, runs: tuple[int, ...]) -> State:
    """What is known after some more runs."""
    for run in runs:
        state = state.with_run(problem.candidates, run)
    return state


def half_width(problem: Problem, state: State) -> float:
    """Half of the target's interval, as a root mean square over the laws."""
    error = squared_error(state, problem.question)[:, 0]
    return float(norm.ppf(0.5 * (1 + problem.level)) * np.sqrt(np.mean(error)))


def when_to_stop(now: float, more: dict[float, float], within: float | None) -> str:
    """Why no further runs are needed, in words; empty where they are."""
    if within is not None and now <= within:
        return f"the interval is {now:.3g} to either side already, within the {within:g} asked for"
    if within is None and more and (first := min(more)) and 1 - more[first] / now < WORTH:
        return f"another {first:.0%} of compute would narrow the interval by only {1 - more[first] / now:.1%}"
    return ""
