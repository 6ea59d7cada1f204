"""The runs that may be chosen, and what each would add to the cost of those chosen already."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.refusals import NoOptimum
from scaling.errors import UserError
from scaling.shape.ladder import shape_for
from scaling.shape.params import count_params
from scaling.simulate.cost import Tariff, small_shape
from scaling.simulate.design import Design, listed
from scaling.simulate.truth import Truth

SPAN = 36.0
"""A size is a candidate for computes up to this many times above or below the one at which it is best, so for sizes
about six times off: the points of Hoffmann et al. 2022, digitised by Epoch AI, reach from 0.27 to 7.3 times it."""
DECADES = 3.0
"""The smallest candidate costs this many decades less than the largest, or what the law's own smallest run did: below
that the law is not known."""
TOKEN_RATIO = 1.5
"""Tokens of a candidate over those of the next shorter one of its size: nearer ones would be the same run again."""
MOST_ON_LADDER = 1e12
"""Parameters up to which sizes are those that a decoder of whole heads and blocks can have."""


@dataclass(frozen=True)
class Prices:
    """What runs cost together: each its own price, or trunks shared by the runs of a group. Arrays of shape (n,).

    Attributes:
        alone: cost of each run by itself.
        group: number of the job that a run would branch from; None: every run is trained alone.
        decay: share of a run's cost that its branch takes.
    """

    alone: np.ndarray
    group: np.ndarray | None
    decay: float = 0.0

    def marginal(self, chosen: Sequence[int]) -> np.ndarray:
        """What each run would add to the cost of the chosen ones, shape (n,)."""
        if self.group is None or not len(chosen):
            return self.alone
        longest = np.zeros(int(self.group.max()) + 1)
        which = np.asarray(chosen, dtype=int)
        np.maximum.at(longest, self.group[which], self.alone[which])
        added = np.maximum(self.alone - longest[self.group], 0.0)
        return np.asarray((1 - self.decay) * added + self.decay * self.alone)

    def total(self, chosen: Sequence[int]) -> float:
        """The cost of the chosen runs."""
        which = np.asarray(chosen, dtype=int)
        if self.group is None or not len(which):
            return float(self.alone[which].sum())
        longest = np.zeros(int(self.group.max()) + 1)
        np.maximum.at(longest, self.group[which], self.alone[which])
        return float((1 - self.decay) * longest.sum() + self.decay * self.alone[which].sum())


def candidate_runs(
    truth: Truth,
    largest_flops: float,
    count: int,
    seeds: int,
    vocab_size: int,
    context: int,
    trunks: bool,
) -> Design:
    """About `count` runs: sizes on the ladder, each on several token counts, for computes up to `largest_flops`.

    Raises:
        UserError: no candidate is left.
    """
    least = largest_flops * 10**-DECADES
    if truth.flops[0] < largest_flops:
        least = max(least, truth.flops[0])
    ends = truth.best(np.array([least, largest_flops]))
    most_each = np.log(min(SPAN**2, largest_flops / least)) / np.log(TOKEN_RATIO) + 1
    sizes = max(4, round(count / seeds / most_each))
    params = on_ladder(np.geomspace(ends[0] / SPAN**0.5, ends[1] * SPAN**0.5, sizes), vocab_size, context)
    expected = _computes_where_best(truth, params)
    pairs = []
    for n, flops in zip(params, expected, strict=True):
        low, high = max(least, flops / SPAN), min(largest_flops, flops * SPAN)
        if low <= high:
            # Counted down from the longest, so that the largest compute is among the candidates.
            steps = TOKEN_RATIO ** -np.arange(int(np.log(high / low) / np.log(TOKEN_RATIO)) + 1)
            tokens = np.floor(high / TRAIN_FLOPS_PER_PARAM_TOKEN / n * steps)
            pairs.append(np.stack([np.full(len(tokens), n), tokens], axis=1))
    runs = np.concatenate(pairs) if pairs else np.empty((0, 2))
    runs = runs[runs[:, 1] >= 1]
    if not len(runs):
        raise UserError(
            f"no run of at most {largest_flops:.3g} FLOPs is a candidate: the smallest model of a vocabulary of "
            f"{vocab_size} has {params[0]:.3g} parameters"
        )
    every = np.tile(runs, (seeds, 1))
    return listed(
        "candidates", every[:, 0], every[:, 1], np.repeat(np.arange(seeds), len(runs)), trunks=trunks
    )


def on_ladder(wanted: np.ndarray, vocab_size: int, context: int) -> np.ndarray:
    """The parameter counts of the ladder's shapes nearest to those wanted, rising, none twice."""
    like = small_shape(vocab_size, context)
    found: list[float] = []
    for size in wanted:
        if size > MOST_ON_LADDER:
            found.append(float(round(size)))
            continue
        try:
            found.append(float(count_params(shape_for(float(size), like)).total))
        except UserError:  # below the smallest model of this vocabulary
            continue
    if not found:
        raise UserError(
            f"vocab_size={vocab_size}: its smallest model is larger than every size wanted (up to {wanted[-1]:.3g} "
            "parameters); give a smaller vocab_size, or more to spend"
        )
    return np.unique(found)


def _computes_where_best(truth: Truth, params: np.ndarray) -> np.ndarray:
    """The compute at which each size is best, shape (n,): the law's optimum read the other way round."""
    flops = np.geomspace(truth.flops[0] * 1e-6, truth.flops[1] * 1e6, 200)
    log_best = np.log(truth.best(flops))
    if not np.all(np.diff(log_best) > 0):
        raise NoOptimum(f"law {truth.law.name!r}: its best size does not grow with compute")
    return np.asarray(np.exp(np.interp(np.log(params), log_best, np.log(flops))))


def prices_of(design: Design, tariff: Tariff, unit: str) -> Prices:
    """What the candidates cost, in one of cost.UNITS."""
    sizes, member = np.unique(design.params, return_inverse=True)
    alone = tariff.per_token(sizes, unit)[member] * design.tokens
    return Prices(alone, design.job if design.trunks else None, tariff.decay)
