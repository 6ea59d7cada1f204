"""Which law to believe beyond the data: each is weighed by how well it predicted compute that was held back from it.

The weights are those of stacking (Breiman 1996, "Stacked regressions"; Wolpert 1992): the combination, of weights that
are not negative and sum to 1, whose own rollouts would have missed least. One law alone is the special case where its
weight is 1. Laws that miss on opposite sides correct each other, which weights by each law's own error (Bates &
Granger 1969) cannot see.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from analysis.rollout import Rollout

MIN_TRIALS = 2
"""A law is weighed from this many rollouts on; with fewer the first law named stands alone."""
OWN_ERROR = 0.1
"""Share of each law's mean squared error that counts as its own, shared with no other law. It keeps the weights from
hanging on small differences between laws that are nearly the same (ridge)."""


@dataclass(frozen=True)
class Choice:
    """Laws and how much each counts.

    Attributes:
        weights: law → its weight; they sum to 1, and the law that was asked for comes first.
        errors: law → root mean square of its log errors over the rollouts' unseen runs; NaN for a law not weighed.
        trials: over how many rollouts.
        refused: law → why it was not weighed.
    """

    weights: Mapping[str, float]
    errors: Mapping[str, float]
    trials: int
    refused: Mapping[str, str]

    @property
    def best(self) -> str:
        """The law of greatest weight."""
        return max(self.weights, key=lambda name: self.weights[name])


def choose(
    rollouts: Sequence[Rollout], names: Sequence[str], unfitted: Mapping[str, str] | None = None
) -> Choice:
    """Weigh laws by their rollouts.

    Args:
        rollouts: from `analysis.rollout.roll`, the smallest first.
        names: the laws; the first is believed where there is too little to weigh them by.
        unfitted: law → why not even all runs support it.
    """
    refused = dict(unfitted or {})
    for name in names:
        tried = sum(name in rollout.errors for rollout in rollouts)
        folds = bool(rollouts) and not rollouts[-1].seen.any()
        if tried < (1 if folds else MIN_TRIALS) or name not in rollouts[-1].errors:
            reasons = [rollout.refused[name] for rollout in rollouts if name in rollout.refused]
            refused[name] = reasons[-1] if reasons else "all runs have about the same compute"
    weighed = [name for name in names if name not in refused]
    common = [rollout for rollout in rollouts if all(name in rollout.errors for name in weighed)]
    nothing = dict.fromkeys(names, float("nan"))
    if not weighed:
        return Choice({names[0]: 1.0}, nothing, 0, refused)
    squares = [unseen_errors(rollout, weighed) ** 2 for rollout in common]
    errors = nothing | dict(
        zip(
            weighed,
            np.sqrt(np.mean([square.mean(axis=0) for square in squares], axis=0)).tolist(),
            strict=True,
        )
    )
    weights = dict(zip(weighed, stack(common, weighed).tolist(), strict=True))
    return Choice(weights, errors, len(common), refused)


def unseen_errors(rollout: Rollout, names: Sequence[str]) -> np.ndarray:
    """Log errors of laws at the runs that they had not seen, shape (m, laws)."""
    return np.stack([rollout.errors[name][~rollout.seen] for name in names], axis=1)


def stack(rollouts: Sequence[Rollout], names: Sequence[str]) -> np.ndarray:
    """The weights, shape (laws,), of the combination of laws that errs least over rollouts.

    A rollout counts by the square of its share of runs, since a fit of most of them is nearest to the fit that is to
    predict, and relative to the (geometric) mean square of all laws in it, so that no single hard cut decides.
    """
    parts = []
    for rollout in rollouts:
        errors = unseen_errors(rollout, names)
        typical = np.exp(0.5 * np.log(np.maximum((errors**2).mean(axis=0), 1e-24)).mean())
        share = rollout.seen.mean() or 1.0  # folds are one rollout, of all runs
        parts.append(errors * share / (typical * np.sqrt(len(errors))))
    rows = np.concatenate(parts)
    own = np.diag(np.sqrt(OWN_ERROR * (rows**2).sum(axis=0) + 1e-12))  # laws without any error share alike
    rows = np.concatenate([rows, own])
    # A heavy row holds the sum at 1: the usual way to give non-negative least squares an equality.
    heavy = 1e3 * np.sqrt((rows**2).sum())
    weights, _ = nnls(np.vstack([rows, np.full(len(names), heavy)]), np.r_[np.zeros(len(rows)), heavy])
    return np.asarray(weights / weights.sum())
