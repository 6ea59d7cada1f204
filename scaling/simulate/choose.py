"""Choosing runs: greedily forward, then by exchange, on the criterion of `criterion.py`, within a limit of cost."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scaling.simulate.candidates import Prices
from scaling.simulate.criterion import Candidates, Question, State, state_of, value, values_with_each

THRIFT = (0.15, 0.4, 0.7, 1.0)
"""Powers of the cost by which what a run adds is divided. No one power is best for every problem: small ones buy
the few dearest runs, 1 buys the most for each unit spent; the best of the designs so made goes into the exchange."""
WORTHLESS = 1e-7
"""A run that lowers the criterion by less is not worth its launch."""
PASSES = 3
"""Rounds of exchange; most settle in two."""


@dataclass(frozen=True)
class Choice:
    """Runs chosen.

    Attributes:
        runs: their indices among the candidates, in the order chosen.
        value: the criterion.
        cost: together.
    """

    runs: tuple[int, ...]
    value: float
    cost: float


def choose(
    candidates: Candidates,
    question: Question,
    precision: np.ndarray,
    prices: Prices,
    limit: float,
    most: int,
    progress: Callable[[str], None] = lambda what: None,
    passes: int = PASSES,
) -> Choice:
    """The runs that answer a question best within a limit of cost.

    Args:
        candidates: what each run would measure.
        question: what is asked.
        precision: what is known before them, shape (p, p) or (K, p, p).
        prices: what they cost together.
        limit: the most they may cost together.
        most: the most runs that may be chosen.
        progress: told how far it is.
        passes: rounds of exchange.
    """
    designs = []
    for thrift in THRIFT:
        progress(f"choosing runs, cost to the power {thrift:g}")
        runs = fill(candidates, question, precision, prices, limit, most, thrift, ())
        designs.append((value(state_of(candidates, _index(runs), precision), question), thrift, runs))
    best_value, thrift, best = min(designs)
    for round_ in range(passes):
        before = best_value
        for position, run in enumerate(list(best)):
            progress(f"exchanging runs, round {round_ + 1}: {position + 1} of {len(best)}")
            if run not in best:
                continue
            others = tuple(other for other in best if other != run)
            for power in {thrift, THRIFT[0]}:
                trial = fill(candidates, question, precision, prices, limit, most, power, others)
                if set(trial) == set(best):
                    continue
                found = value(state_of(candidates, _index(trial), precision), question)
                if found < best_value - WORTHLESS:
                    best, best_value = trial, found
                    break
        if best_value > before - 1e-4:
            break
    return Choice(best, best_value, prices.total(best))


def _index(runs: tuple[int, ...]) -> np.ndarray:
    return np.array(runs, dtype=int)


def fill(
    candidates: Candidates,
    question: Question,
    precision: np.ndarray,
    prices: Prices,
    limit: float,
    most: int,
    thrift: float,
    begun: tuple[int, ...],
) -> tuple[int, ...]:
    """Runs added one at a time while they fit: each the one that lowers the criterion most for its cost."""
    chosen = list(begun)
    state: State = state_of(candidates, _index(begun), precision)
    here = value(state, question)
    taken = np.zeros(len(candidates.bends), dtype=bool)
    taken[chosen] = True
    while len(chosen) < most:
        cost = prices.marginal(chosen)
        fits = ~taken & (prices.total(chosen) + cost <= limit * (1 + 1e-9))
        if not fits.any():
            break
        which = np.flatnonzero(fits)
        few = Candidates(candidates.jacobian[:, which], candidates.bends[which])
        gain = here - values_with_each(state, question, few)
        score = np.where(gain > WORTHLESS, gain / np.maximum(cost[which], 1e-300) ** thrift, -np.inf)
        best = int(score.argmax())
        if not np.isfinite(score[best]):
            break
        chosen.append(int(which[best]))
        taken[which[best]] = True
        state = state.with_run(candidates, chosen[-1])
        here -= float(gain[best])
    return tuple(chosen)
