"""A power law y = k · x^p as a weighted straight line in log–log, with intervals: how optima follow compute."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.quantiles import fisher, student
from analysis.refusals import TooFewPoints


@dataclass(frozen=True)
class PowerLaw:
    """y = exp(log_coefficient) · x^exponent.

    Attributes:
        exponent, log_coefficient: the line, with log_coefficient at x = 1.
        covariance: of (log_coefficient, exponent), shape (2, 2).
        quantile: half-width of an interval in standard errors.
        level: probability that an interval is meant to hold the truth.
        x_range: the range of x that the line was fitted on; beyond it, it is an extrapolation.
        points: how many points the line was fitted on.
    """

    exponent: float
    log_coefficient: float
    covariance: NDArray[np.floating]
    quantile: float
    level: float
    x_range: tuple[float, float]
    points: int

    @property
    def exponent_interval(self) -> tuple[float, float]:
        half = self.quantile * float(np.sqrt(self.covariance[1, 1]))
        return self.exponent - half, self.exponent + half

    def predict(self, x: ArrayLike) -> NDArray[np.floating]:
        """y at x, any shape."""
        log_x = np.log(np.asarray(x, dtype=float))
        return np.asarray(np.exp(self.log_coefficient + self.exponent * log_x))

    def interval(self, x: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Lower and upper end of the interval of the line at x, each of x's shape."""
        log_x = np.log(np.asarray(x, dtype=float))
        (v00, v01), (_, v11) = self.covariance
        half = self.quantile * np.sqrt(np.maximum(v00 + 2 * v01 * log_x + v11 * log_x**2, 0))
        centre = self.log_coefficient + self.exponent * log_x
        return np.exp(centre - half), np.exp(centre + half)


def fit_power_law(
    x: ArrayLike,
    y: ArrayLike,
    log_std: ArrayLike,
    level: float = 0.9,
    dof: float = np.inf,
    *,
    only_ratios: bool = False,
) -> PowerLaw:
    """Weighted least squares of log y on log x, with weights 1/std² as Porian et al. (2024, section 3) use.

    Where the points scatter about the line by significantly more than their standard deviations explain (an F test at
    5 %), the scatter itself sets the covariance (Birge 1932), as it does where only the ratios of the deviations are
    known. Widening at every excess, as is often done, makes 90 % intervals cover 94–96 % (benchmarks/intervals.py).

    Args:
        x, y: positive, shape (n,).
        log_std: standard deviation of log y, shape (n,); only ratios matter to the line itself.
        level: probability of the intervals.
        dof: degrees of freedom behind `log_std`, for Student's quantile.
        only_ratios: `log_std` ranks the points but is no measure of their scatter.

    Raises:
        TooFewPoints: fewer than 3 points, or fewer than 2 distinct x.
    """
    log_x, log_y = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    std = np.asarray(log_std, dtype=float)
    if len(log_x) < 3 or np.ptp(log_x) == 0:
        raise TooFewPoints(
            f"{len(log_x)} optima cannot show how the optimum follows compute: a line with an interval needs 3 budgets"
        )
    weight = 1 / std**2
    centre = np.average(log_x, weights=weight)
    design = np.stack([np.ones_like(log_x), log_x - centre], axis=1)
    covariance = np.linalg.inv(design.T @ (design * weight[:, None]))
    level_at_centre, exponent = covariance @ (design.T @ (weight * log_y))
    residual = log_y - design @ np.array([level_at_centre, exponent])
    spare = len(log_x) - 2
    excess = float(np.sum(weight * residual**2)) / spare
    if only_ratios or excess > fisher(0.95, spare, dof):
        covariance, dof = covariance * excess, spare
    shift = np.array([[1.0, -centre], [0.0, 1.0]])  # from the weighted centre to x = 1
    return PowerLaw(
        exponent=float(exponent),
        log_coefficient=float(level_at_centre - exponent * centre),
        covariance=shift @ covariance @ shift.T,
        quantile=student(0.5 + level / 2, dof),
        level=level,
        x_range=(float(np.exp(log_x.min())), float(np.exp(log_x.max()))),
        points=len(log_x),
    )
