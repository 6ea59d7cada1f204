"""Do two studies differ in their laws, and how much compute is that worth?

The laws are fitted side by side and resampled together: a training job of one study that has its match in the other
(the same sizes, tokens and seed) gets the same weight there, so that what the two share (the order of the data, the
validation text) cancels in their difference. The *compute multiplier* says how many times the compute of B the study A
needs for the loss that B's best model reaches on a budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis import allocate, laws
from analysis.fit import SPARE_CLUSTERS, fit
from analysis.joint import Joint, fit_jointly
from analysis.needed_compute import compute_for_loss
from analysis.points import column_or_ones
from analysis.refusals import BadValue, Refusal
from analysis.result import FitResult
from analysis.study import Refused
from analysis.table import Table
from analysis.uncertainty import percentiles, refit

BUDGETS = 5
"""Budgets at which the multiplier is given, over the compute that both studies cover."""
BEYOND = 10.0
"""How far beyond the larger study's compute it is extrapolated."""
REACH = 1e4
"""Multipliers beyond this factor, up or down, are not told apart."""


@dataclass(frozen=True)
class Pair:
    """One study against another.

    Attributes:
        first, second: their names.
        differences: a row for each parameter and exponent: `first`, `second`, `difference` (first minus second), `low`,
            `high`.
        multipliers: a row for each budget of the second study: `flops`, `loss`, `multiplier` (compute that the first
            needs for that loss, over that budget), `low`, `high`, `extrapolated`.
        trend: factor by which the multiplier grows when compute grows tenfold, with its interval.
        matched: training jobs of the first study that have their match in the second.
    """

    first: str
    second: str
    differences: pd.DataFrame
    multipliers: pd.DataFrame | Refused
    trend: tuple[float, float, float]
    matched: int


@dataclass(frozen=True)
class StudiesCompared:
    """Studies side by side.

    Attributes:
        tables, fits: by name, in the order given.
        law: that each was fitted with.
        level: probability of every interval.
        pairs: the first study against each other one.
        joint: all of them under one law that shares parameters, with tests.
        unit: of the losses.
        notes: what differs between the studies beside what is compared, and what a reader should know.
    """

    tables: Mapping[str, Table]
    fits: Mapping[str, FitResult]
    law: str
    level: float
    pairs: tuple[Pair, ...]
    joint: Joint | Refused
    unit: str
    notes: tuple[str, ...]


def compare_studies(
    tables: Mapping[str, Table],
    law: str = "chinchilla",
    objective: str = "huber_log",
    *,
    level: float = 0.9,
    bootstrap: int = 1000,
    seed: int = 0,
    unit: str = "nats/token",
    notes: tuple[str, ...] = (),
) -> StudiesCompared:
    """Fit the studies, together and apart, and say how the first differs from each other one.

    Args:
        tables: name of a study → its runs; losses in one unit, on one validation text.
        law, objective, level, bootstrap, seed: as `analysis.fit.fit` takes them.
        unit: of the losses, in words.
        notes: what the caller knows of how the studies differ.

    Raises:
        BadValue: fewer than two studies.
        Refusal: a study does not carry the law.
    """
    if len(tables) < 2:
        raise BadValue(f"a comparison needs two studies or more; got {len(tables)}")
    fits = {
        name: fit(table, law, objective, bootstrap=0, level=level, seed=seed)
        for name, table in tables.items()
    }
    keys = {name: job_keys(table) for name, table in tables.items()}
    fits = resampled_together(fits, keys, bootstrap, seed)
    first, *others = tables
    joint: Joint | Refused
    try:
        joint = fit_jointly(tables, law, objective, seed=seed)
    except Refusal as reason:
        joint = Refused(type(reason).__name__, str(reason))
    pairs = tuple(
        compare_two(first, other, fits, tables, len(set(keys[first]) & set(keys[other]))) for other in others
    )
    return StudiesCompared(tables, fits, law, level, pairs, joint, unit, (*notes, *said_differently(tables)))


def job_keys(table: Table) -> np.ndarray:
    """A label for each run: what its training job trained (sizes, tokens, seed), by which jobs of studies match."""
    frame = table.frame
    run = [
        f"{params:.4g} {tokens:.4g} {seed}"
        for params, tokens, seed in zip(
            frame["params"], frame["tokens"], frame.get("seed", pd.Series(0, index=frame.index)), strict=True
        )
    ]
    jobs = pd.Series(frame["cluster"] if "cluster" in frame else np.arange(len(frame))).reset_index(drop=True)
    names = pd.Series(run).groupby(jobs).agg(lambda parts: "; ".join(sorted(parts)))
    again = names.groupby(names).cumcount()
    return np.asarray(jobs.map(names + " #" + again.astype(str)), dtype=object)


def resampled_together(
    fits: Mapping[str, FitResult], keys: Mapping[str, np.ndarray], count: int, seed: int
) -> dict[str, FitResult]:
    """The fits with draws of one and the same resamples; none where some study has too few jobs for intervals."""
    if count == 0 or any(result.clusters - len(result.theta) < SPARE_CLUSTERS for result in fits.values()):
        return dict(fits)
    labels = sorted({str(key) for column in keys.values() for key in column})
    weights = np.random.default_rng(seed).exponential(size=(count, len(labels)))
    place = {label: k for k, label in enumerate(labels)}
    draws = {
        name: refit(
            result.problem,
            result.theta,
            column_or_ones(result.points, "weight") * weights[:, [place[str(key)] for key in keys[name]]],
        ).theta
        for name, result in fits.items()
    }
    sound = np.all([np.isfinite(theta).all(axis=1) for theta in draws.values()], axis=0)
    return {name: replace(result, draws=draws[name][sound]) for name, result in fits.items()}


def compare_two(
    first: str,
    second: str,
    fits: Mapping[str, FitResult],
    tables: Mapping[str, Table],
    matched: int,
) -> Pair:
    """The difference of two fits whose draws belong together, and the compute multiplier."""
    one, other = fits[first], fits[second]
    multipliers: pd.DataFrame | Refused
    trend = (np.nan, np.nan, np.nan)
    try:
        multipliers, trend = compute_multipliers(one, other, tables[first], tables[second])
    except Refusal as reason:
        multipliers = Refused(type(reason).__name__, str(reason))
    return Pair(first, second, differences(one, other), multipliers, trend, matched)


def differences(one: FitResult, other: FitResult) -> pd.DataFrame:
    """Each parameter and exponent of two fits of one law, and their difference with its interval."""
    values = [{**result.parameters, **result.exponents} for result in (one, other)]
    names = [name for name in values[0] if name in values[1]]
    frame = pd.DataFrame({"first": values[0], "second": values[1]}).loc[names]
    frame["difference"] = frame["first"] - frame["second"]
    frame["low"] = frame["high"] = np.nan
    if len(one.draws):
        draws = [result.derived_draws[names] for result in (one, other)]
        stretch = stretch_of(one, other)
        with np.errstate(invalid="ignore", over="ignore"):
            ends = percentiles((draws[0] - draws[1]).to_numpy(), one.level, stretch)
        frame["low"], frame["high"] = ends
    return frame.rename_axis("quantity").reset_index()


def stretch_of(one: FitResult, other: FitResult) -> float:
    """How much wider than percentiles the interval of a difference is: the larger of the two fits' own."""
    return max(one.widening, other.widening)


def compute_multipliers(
    one: FitResult, other: FitResult, table: Table, other_table: Table
) -> tuple[pd.DataFrame, tuple[float, float, float]]:
    """Compute that `one` needs for the best loss of `other`, at budgets that both cover and one beyond; and the trend.

    Raises:
        Refusal: the law has no best size.
    """
    ranges = [(float(t.frame["flops"].min()), float(t.frame["flops"].max())) for t in (table, other_table)]
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    overlap = high / low > 1.5
    if not overlap:  # the studies cover different compute: everything is an extrapolation of one of them
        low, high = min(low, high), max(low, high)
    budgets = np.append(np.geomspace(low, high, BUDGETS), BEYOND * max(r[1] for r in ranges))
    law = laws.get(one.law)
    theta, other_theta = (np.vstack([result.theta[None], result.draws]) for result in (one, other))
    loss = allocate.optimal(law, other_theta, budgets, flops_per_param_token=other.flops_per_param_token).loss
    needed = compute_for_loss(
        law, theta, loss, budgets, reach=REACH, flops_per_param_token=one.flops_per_param_token
    )
    ratio = needed / budgets
    inside = np.arange(len(budgets)) < BUDGETS
    frame = pd.DataFrame(
        {
            "flops": budgets,
            "loss": loss[0],
            "multiplier": ratio[0],
            "low": np.nan,
            "high": np.nan,
            "extrapolated": ~inside | (not overlap),
        }
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log(ratio)
        slope = (log_ratio[:, BUDGETS - 1] - log_ratio[:, 0]) / np.log10(budgets[BUDGETS - 1] / budgets[0])
    trend = np.array([np.exp(slope[0]), np.nan, np.nan])
    if len(one.draws):
        stretch = stretch_of(one, other)
        ends = percentiles(log_ratio[1:], one.level, stretch)
        frame["low"], frame["high"] = np.exp(ends)
        trend[1:] = np.exp(percentiles(slope[1:, None], one.level, stretch)[:, 0])
    return frame, (float(trend[0]), float(trend[1]), float(trend[2]))


def said_differently(tables: Mapping[str, Table]) -> list[str]:
    """Quantities that the studies count differently, in words."""
    notes = []
    for role in ("params", "tokens", "loss", "flops"):
        said = {name: table.convention.get(role, "not stated") for name, table in tables.items()}
        if len(set(said.values())) > 1:
            each = "; ".join(f"{name}: {how}" for name, how in said.items())
            notes.append(f"Warning: {role} are not counted alike. {each}")
    return notes
