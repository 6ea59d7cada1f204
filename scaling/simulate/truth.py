"""The laws that a simulation takes for true: an estimate, and draws that say how far it may be off.

A design that is best for one law alone is worth little, as that law is what the runs are to find out. So every choice
here is made for a set of laws: the bootstrap draws of a fit, or around a published law all those that a rough look at
the same runs could not tell from it.
"""

from dataclasses import dataclass

import numpy as np

from analysis import allocate
from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.laws import Law
from scaling.budget.law import choose_law
from scaling.errors import UserError

ROUGHLY = 0.02
"""Relative error of each loss in the rough look that tells apart the laws around a published one."""
LOOK = 5
"""Sizes, and token counts at each, of that look, over the compute that the law's own study covers."""
EXPONENT_SPREAD = 0.15
"""Relative standard deviation of each coordinate before that look. The exponents of size and tokens that Hoffmann 2022,
Besiroglu 2024 and Muennighoff 2023 print for one form lie between 0.28 and 0.37, an eighth of their mean apart."""
LAWS = 32
"""Laws that stand for the whole set where designs are chosen."""


@dataclass(frozen=True)
class Truth:
    """Laws that may be true.

    Attributes:
        law: their form.
        theta: the estimate in the law's coordinates, shape (p,).
        draws: laws that may be true as well, shape (K, p).
        flops: compute that the law's own runs cover, least and most.
        source: where it comes from, in words.
    """

    law: Law
    theta: np.ndarray
    draws: np.ndarray
    flops: tuple[float, float]
    source: str

    @property
    def middle(self) -> tuple[float, float]:
        """log N and log D that are best at the geometric middle of the compute covered: where bends begin."""
        flops = float(np.sqrt(self.flops[0] * self.flops[1]))
        params = float(self.best(np.array([flops]))[0])
        return float(np.log(params)), float(np.log(flops / TRAIN_FLOPS_PER_PARAM_TOKEN / params))

    def best(self, flops: np.ndarray) -> np.ndarray:
        """The size that the estimate calls best at each compute, shape (m,)."""
        best: np.ndarray = allocate.optimal(self.law, self.theta[None], np.asarray(flops)).params[0]
        return best

    def some(self, count: int = LAWS) -> np.ndarray:
        """Evenly chosen draws, shape (min(count, K), p)."""
        which = np.unique(np.linspace(0, len(self.draws) - 1, min(count, len(self.draws))).astype(int))
        return np.asarray(self.draws[which])

    def precision(self) -> np.ndarray:
        """What is known of the coordinates before any run: the inverse covariance of the draws, shape (p, p)."""
        covariance = np.cov(self.draws.T)
        scale = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(scale, scale)
        size = len(scale)
        return np.asarray(np.linalg.inv(correlation + 1e-6 * np.eye(size)) / np.outer(scale, scale))


def truth_of(name: str, seed: int = 0) -> Truth:
    """The laws of a published study (hoffmann2022, besiroglu2024, …), of a folder of runs, or of a fit's JSON.

    Raises:
        UserError: no such law; or a law that reads more than size and tokens, or has no optimum.
    """
    chosen = choose_law(name)
    law = chosen.form
    if set(law.variables) != {"params", "tokens"}:
        raise UserError(
            f"law={name}: {law.name} reads {', '.join(law.variables)}; a simulated sweep sets params and tokens alone: "
            "choose a law of those two"
        )
    allocate.optimal(
        law, chosen.theta[None], np.array(chosen.fitted_flops)
    )  # refuses a law without an optimum
    truth = Truth(law, chosen.theta, chosen.draws, chosen.fitted_flops, f"{chosen.name} ({chosen.source})")
    if len(chosen.draws):
        sound = np.isfinite(chosen.draws).all(axis=1)
        return Truth(law, truth.theta, chosen.draws[sound], truth.flops, truth.source)
    return Truth(law, truth.theta, plausible(truth, seed), truth.flops, truth.source)


def plausible(truth: Truth, seed: int, count: int = 200) -> np.ndarray:
    """Laws around an estimate that a rough look at its runs could not tell from it, shape (count, p).

    Normal, with the covariance that `ROUGHLY` known losses leave of a spread of `EXPONENT_SPREAD`. Draws without an
    optimum at the compute covered are drawn again.
    """
    law, theta = truth.law, truth.theta
    params = truth.best(np.geomspace(*truth.flops, LOOK))
    tokens = np.geomspace(*truth.flops, LOOK) / TRAIN_FLOPS_PER_PARAM_TOKEN / params
    pairs = np.meshgrid(params, tokens)
    x = {"params": pairs[0].ravel(), "tokens": pairs[1].ravel()}
    jacobian = law.predict(theta[None], x)[1][0]
    before = 1 / (EXPONENT_SPREAD * np.maximum(np.abs(theta), 1.0 / len(theta))) ** 2
    precision = jacobian.T @ jacobian / ROUGHLY**2 + np.diag(before)
    root = np.linalg.inv(np.linalg.cholesky(precision)).T
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    flops = np.array(truth.flops)
    for _ in range(100):
        draws = theta + rng.standard_normal((count, len(theta))) @ root.T
        with np.errstate(invalid="ignore", divide="ignore"):
            best = allocate.optimal(law, draws, flops)
        good = np.isfinite(best.params).all(axis=1) & np.isfinite(best.loss).all(axis=1)
        kept.append(draws[good])
        if sum(map(len, kept)) >= count:
            break
    return np.concatenate(kept)[:count]
