"""Rollouts: laws fitted again and again on growing compute, each scored on the runs that it had not seen.

What a law is worth beyond the data is not in its residuals: a law with one more exponent always fits better, and may
predict worse. So the largest runs are taken away, the rest is fitted, and what was taken away is predicted (Hyndman &
Athanasopoulos 2021, "Forecasting", section 5.10: evaluation on a rolling forecasting origin, with compute for time).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import numpy as np
import pandas as pd

from analysis import laws, objectives
from analysis.points import checked_points, column_values, problem_of
from analysis.refusals import Refusal
from analysis.solver import minimise
from analysis.starts import spread_starts

SHARES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the runs, by compute, up to which laws are fitted."""
SAME_COMPUTE = log(1.1)
"""Runs within this of a cut, in log compute, count as at it: an IsoFLOP budget is not cut in two."""
FOLDS = 20
"""Parts of a table without an order of compute; each is predicted from the others. Many, so that a law of many
parameters is tried on nearly as many runs as it will have."""
STARTS = 2
"""Descents of each rollout's fit from afar, beside the one from the fit to all runs."""
COUNTS_OF_SIZE = ("params", "params_active", "params_total", "params_non_vocab")
COUNTS_OF_DATA = ("tokens", "characters", "tokens_sparse")
"""Variables of laws whose product is in proportion to the cost of training; the first of each that a table has."""


@dataclass(frozen=True)
class Rollout:
    """Laws fitted to some of the runs, and how far they missed the others.

    Attributes:
        seen: which runs were fitted, shape (n,); none where every run was predicted from the parts it is not in.
        distance: log of a run's compute over the largest that was fitted, 0 up to there, shape (n,); for a table
            without an order of compute 1 for each run that was not fitted.
        errors: law → observed minus predicted response of every run, shape (n,): log target, for most laws.
        refused: law → why the runs that were seen do not support it.
    """

    seen: np.ndarray
    distance: np.ndarray
    errors: Mapping[str, np.ndarray]
    refused: Mapping[str, str]


def log_compute(frame: pd.DataFrame) -> np.ndarray | None:
    """The order in which runs grow, shape (n,): log FLOPs, or of size times data; None where no column tells.

    Training costs 6·params·tokens, and a constant factor does not change distances.
    """
    if "flops" in frame:
        return np.asarray(np.log(frame["flops"].to_numpy(float)))
    factors = [
        next((frame[name] for name in names if name in frame), None)
        for names in (COUNTS_OF_SIZE, COUNTS_OF_DATA)
    ]
    known = [np.log(factor.to_numpy(float)) for factor in factors if factor is not None]
    return np.asarray(np.sum(known, axis=0)) if known else None


def beyond(order: np.ndarray, edge: float) -> np.ndarray:
    """How far each run lies beyond an edge of log compute; 0 up to it."""
    return np.maximum(order - edge, 0.0)


def parts(frame: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """(which runs are fitted, distance of every run) of each rollout, growing; folds where nothing orders the runs."""
    order = log_compute(frame)
    if order is None:
        # A fixed shuffle, since neighbouring rows are often alike.
        fold = np.random.default_rng(0).permutation(len(frame)) % min(FOLDS, len(frame))
        return [(fold != k, (fold == k).astype(float)) for k in range(min(FOLDS, len(frame)))]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for share in SHARES:
        edge = float(np.quantile(order, share, method="lower")) + SAME_COMPUTE
        seen = order <= edge
        if not seen.all() and (not found or seen.sum() > found[-1][0].sum()):
            found.append((seen, beyond(order, float(order[seen].max()))))
    return found


def predicted(law: laws.Law, theta: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    """The response (log target, for most laws) that a law at θ (p,) predicts for every row of a frame, shape (n,)."""
    x = {name: column_values(frame, name) for name in law.variables}
    return np.asarray(law.log_losses(theta[None], x)[0])


def misses(law: laws.Law, theta: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    """Observed minus predicted response (log target, for most laws) of every row of a frame, shape (n,)."""
    return np.asarray(law.response(frame[law.target].to_numpy(float)) - predicted(law, theta, frame))


def estimates(
    frame: pd.DataFrame, law: laws.Law, objective: objectives.Objective, masks: np.ndarray, near: np.ndarray
) -> np.ndarray:
    """The law's θ on each of several parts of a table, shape (parts, p), all in one descent.

    Args:
        frame: the runs.
        law, objective: what is fitted.
        masks: the runs of each part, shape (parts, n).
        near: θ (p,) of a fit to all runs: each part starts there and at STARTS places of its own, and the lowest wins.
    """
    problem = problem_of(checked_points(frame, law, None, None), law, objective)
    weights = masks.astype(float)
    starts = [np.concatenate([near[None], spread_starts(problem, weight, STARTS)]) for weight in weights]
    counts = [len(group) for group in starts]
    found = minimise(problem, np.concatenate(starts), np.repeat(weights, counts, axis=0))
    ends = np.cumsum(counts)
    best = [
        end - count + int(np.nanargmin(found.value[end - count : end]))
        for end, count in zip(ends, counts, strict=True)
    ]
    return np.asarray(found.theta[best])


def roll(
    frame: pd.DataFrame, near: Mapping[str, np.ndarray], objective: str | objectives.Objective = "huber_log"
) -> list[Rollout]:
    """Fit laws to growing parts of a table, and see how they predict the rest.

    Args:
        frame: the laws' variables and target, one row for each run; `flops`, or counts of size and data,
            give the order.
        near: law → its θ (p,) on all runs.
        objective: as `fit` takes it.

    Returns:
        One rollout for each part, the smallest first; none where all runs have about the same compute.
    """
    pieces = parts(frame)
    errors: list[dict[str, np.ndarray]] = [{} for _ in pieces]
    refused: list[dict[str, str]] = [{} for _ in pieces]
    for name, theta in near.items():
        law = laws.get(name)
        tried = []
        for k, (seen, _) in enumerate(pieces):
            try:
                checked_points(frame[seen], law, None, None)
                tried.append(k)
            except Refusal as reason:
                refused[k][name] = str(reason)
        if tried:
            masks = np.stack([pieces[k][0] for k in tried])
            found = estimates(frame, law, objectives.get(objective), masks, theta)
            for k, at in zip(tried, found, strict=True):
                errors[k][name] = misses(law, at, frame)
    rollouts = [Rollout(seen, distance, errors[k], refused[k]) for k, (seen, distance) in enumerate(pieces)]
    return rollouts if log_compute(frame) is not None else [pooled(rollouts)]


def pooled(folds: list[Rollout]) -> Rollout:
    """Folds as one rollout, in which every run was left out once; a law that any fold refused is refused."""
    refused = {name: reason for fold in folds for name, reason in fold.refused.items()}
    left_out = np.stack([~fold.seen for fold in folds])
    errors = {
        name: np.sum([fold.errors[name] * out for fold, out in zip(folds, left_out, strict=True)], axis=0)
        for name in folds[0].errors
        if name not in refused
    }
    runs = left_out.shape[1]
    return Rollout(np.zeros(runs, dtype=bool), np.ones(runs), errors, refused)
