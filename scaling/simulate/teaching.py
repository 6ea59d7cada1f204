"""What a design teaches: Monte Carlo and Fisher information side by side, for each approach, with what errors cost."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.frontier import envelope
from analysis.isoflop import valleys
from analysis.objectives import Objective
from analysis.powerlaw import PowerLaw
from analysis.refusals import Refusal
from analysis.table import Table
from scaling.simulate.criterion import stable_inverse
from scaling.simulate.design import Design
from scaling.simulate.efficiency import variance_factor
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.monte_carlo import Fits, coverage, fit_each
from scaling.simulate.regret import Regret, regret
from scaling.simulate.target import Target

FAR_OFF = 2.0
"""An optimum estimated this many times too large or too small counts as missed."""
SINGULAR = 1e12
"""Condition of the information, scaled to a unit diagonal, above which the runs do not determine the law."""


@dataclass(frozen=True)
class Lesson:
    """One quantity by one approach, over all simulated studies.

    Attributes:
        approach: "3 law", "2 valleys" or "1 envelope".
        quantity: in words.
        truth: mean true value, in logs for sizes and losses (see Target).
        bias, spread: mean error, and standard deviation of the error, of studies with an answer.
        fisher: standard error that the information promises; NaN where there is none.
        coverage: share of all studies whose interval holds the truth; NaN where not asked for.
        answered: share of studies with an answer.
        target: the quantity.
    """

    approach: str
    quantity: str
    truth: float
    bias: float
    spread: float
    fisher: float
    coverage: float
    answered: float
    target: Target | None


@dataclass(frozen=True)
class Teaching:
    """What a design teaches.

    Attributes:
        design: the runs.
        lessons: quantities by approach.
        missed: approach → share of studies whose N_opt is missed (no answer, or off by a factor of two).
        regrets: approach → what the error of N_opt costs at the target's compute.
        flops: the target's compute.
        studies: how many were simulated.
        level: of intervals.
    """

    design: Design
    lessons: tuple[Lesson, ...]
    missed: dict[str, float]
    regrets: dict[str, Regret]
    flops: float
    studies: int
    level: float


def teach(
    laboratory: Laboratory,
    theta: np.ndarray,
    design: Design,
    flops: float,
    objective: Objective,
    *,
    seed: int = 0,
    level: float = 0.9,
    draws: int = 100,
    valley_studies: int = 100,
    envelope_studies: int = 25,
    progress: Callable[[str], None] = lambda what: None,
) -> Teaching:
    """Simulate and fit studies of a design.

    Args:
        laboratory: what is true.
        theta: the law of each study, shape (S, p).
        design: the runs.
        flops: the compute that N_opt and the loss are asked at.
        objective: what the law's fit minimises.
        seed: of all that is random.
        level, draws: of the law's bootstrap intervals; draws=0 leaves coverage out.
        valley_studies, envelope_studies: how many of the studies are also read by approaches 2 and 1, one at a time.
        progress: told what is done next.
    """
    rng = np.random.default_rng(seed)
    bend = laboratory.draw_bends(len(theta), rng)
    progress("simulating studies")
    log_losses = laboratory.log_losses(design, theta, bend, rng)
    progress("fitting the law to each")
    fits = fit_each(laboratory.law, design.columns(), log_losses, objective, theta)
    targets = [Target(kind, flops) for kind in ("exponent", "n_opt", "loss")]
    truths = [target.true_values(laboratory, theta, bend) for target in targets]
    shares = [float("nan")] * len(targets)
    if draws:
        progress("intervals of each")
        shares = coverage(
            laboratory.law, design.columns(), log_losses, objective, fits, design.job, targets, truths, level,
            draws, rng,
        )  # fmt: skip
    estimates = [target.values(laboratory.law, fits.theta) for target in targets]
    fisher = _fisher(laboratory, design, theta, objective)
    lessons = _coordinates(laboratory, theta, fits, fisher)
    for target, truth, estimate, share in zip(targets, truths, estimates, shares, strict=True):
        promised = float("nan")
        if fisher is not None:
            gradient = target.gradient(laboratory.law, theta[:1])[0]
            promised = float(np.sqrt(gradient @ fisher @ gradient))
        lessons.append(_lesson("3 law", target, truth, estimate, share, promised))
    by_approach = {"3 law": estimates[1]}
    for approach, read, most in (
        ("2 valleys", _by_valleys, valley_studies),
        ("1 envelope", _by_envelope, envelope_studies),
    ):
        if some := min(most, len(theta)):
            progress(f"reading studies by approach {approach}")
            read_off = _read_each(design, log_losses[:some], read, targets[:2], truths[:2], level)
            if read_off is not None:
                lessons += [
                    _lesson(approach, target, truth[:some], values, held, float("nan"))
                    for target, truth, (values, held) in zip(targets[:2], truths[:2], read_off, strict=True)
                ]
                by_approach[approach] = read_off[1][0]
    progress("what errors cost")
    return Teaching(
        design=design,
        lessons=tuple(lessons),
        missed={
            approach: float(np.mean(~(np.abs(values - truths[1][: len(values)]) < np.log(FAR_OFF))))
            for approach, values in by_approach.items()
        },
        regrets={
            approach: regret(laboratory, theta[: len(values)], bend[: len(values)], flops, values)
            for approach, values in by_approach.items()
        },
        flops=flops,
        studies=len(theta),
        level=level,
    )


def _fisher(
    laboratory: Laboratory, design: Design, theta: np.ndarray, objective: Objective
) -> np.ndarray | None:
    """Covariance of θ that the information promises at the first law, shape (p, p); None where it is singular."""
    spread = laboratory.noise.variance(design.params, float(np.exp(laboratory.middle[0])))
    spread = np.maximum(spread, 1e-20)
    # A run that diverges tells nothing: on average each tells that share less.
    spread = (
        spread * variance_factor(objective, float(np.sqrt(np.mean(spread)))) / (1 - laboratory.noise.diverge)
    )
    jacobian = laboratory.law.predict(theta[:1], design.columns())[1][0] / np.sqrt(spread)[:, None]
    information = jacobian.T @ jacobian
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    if not np.linalg.cond(information / np.outer(size, size)) < SINGULAR:
        return None
    return np.asarray(stable_inverse(information[None])[0])


def _coordinates(
    laboratory: Laboratory, theta: np.ndarray, fits: Fits, fisher: np.ndarray | None
) -> list[Lesson]:
    """The law's own exponents, as they stand in θ."""
    law = laboratory.law
    lessons = []
    for k, name in enumerate(law.parameters):
        if name in law.amplitudes:
            continue
        promised = float("nan") if fisher is None else float(np.sqrt(fisher[k, k]))
        lessons.append(_lesson("3 law", None, theta[:, k], fits.theta[:, k], float("nan"), promised, name))
    return lessons


def _lesson(
    approach: str,
    target: Target | None,
    truth: np.ndarray,
    estimate: np.ndarray,
    share: float,
    fisher: float,
    name: str = "",
) -> Lesson:
    error = (estimate - truth)[np.isfinite(estimate)]
    return Lesson(
        approach=approach,
        quantity=target.word if target is not None else name,
        truth=float(np.mean(truth)),
        bias=float(np.mean(error)) if len(error) else float("nan"),
        spread=float(np.std(error)) if len(error) else float("nan"),
        fisher=fisher,
        coverage=share,
        answered=len(error) / len(estimate),
        target=target,
    )


Reading = Callable[[Table, float], PowerLaw | None]


def _by_valleys(table: Table, level: float) -> PowerLaw | None:
    return valleys(table, "parabola", level).params_law


def _by_envelope(table: Table, level: float) -> PowerLaw | None:
    return envelope(table, level).params_law


def _read_each(
    design: Design,
    log_losses: np.ndarray,
    read: Reading,
    targets: list[Target],
    truths: list[np.ndarray],
    level: float,
) -> list[tuple[np.ndarray, float]] | None:
    """Exponent and log N_opt of each study by an approach, with their coverage; None where no study gives an answer."""
    values = np.full((2, len(log_losses)), np.nan)
    held = np.zeros(2)
    for study, losses in enumerate(log_losses):
        try:
            line = read(as_table(design, losses), level)
        except Refusal:
            continue
        if line is None:
            continue
        with np.errstate(over="ignore"):  # a line through few optima may point anywhere
            values[:, study] = line.exponent, np.log(float(line.predict(targets[1].flops)))
            low, high = line.interval(targets[1].flops)
        held[0] += line.exponent_interval[0] <= truths[0][study] <= line.exponent_interval[1]
        held[1] += float(low) <= np.exp(truths[1][study]) <= float(high)
    if not np.isfinite(values).any():
        return None
    return [(values[i], float(held[i] / len(log_losses))) for i in range(2)]


def as_table(design: Design, log_losses: np.ndarray) -> Table:
    """One simulated study as the table that an approach reads; diverged runs are in `excluded`."""
    frame = pd.DataFrame(
        {
            "params": design.params,
            "tokens": design.tokens,
            "loss": np.exp(log_losses),
            "flops": design.flops,
            "budget": design.budget,
            "cluster": design.job,
            "seed": design.seed,
        }
    )
    lost = frame["loss"].isna()
    excluded = pd.DataFrame({"row": np.flatnonzero(lost) + 1, "reason": "diverged"})
    return Table(
        frame[~lost].reset_index(drop=True),
        {},
        excluded,
        True,
        ("simulated: no run was trained",),
        design.name,
    )
