"""What a fit minimises: a penalty on residuals of the log loss or of the loss itself, with its slope and curvature."""

from dataclasses import dataclass
from math import erf, exp, inf, pi, sqrt

import numpy as np

from analysis.refusals import BadValue


@dataclass(frozen=True)
class Objective:
    """The sum over runs of w·ρ(z·r), where r is observed minus predicted (log) loss.

    ρ is Huber's function, ½r² up to `delta` and delta·(|r| - delta/2) beyond. Two limits have their own normalisation:
    delta = inf is the square r², delta = 0 the absolute value |r|. Over-predictions (r < 0) count `over` times.

    Attributes:
        name: how `fit(objective=…)` names it.
        residual: "log" (of the log loss) or "raw" (of the loss in nats).
        delta: where Huber's function turns from a square to a line.
        over: weight of an over-prediction against an under-prediction of the same size.
        scaled: residuals are measured in units of a scale fitted by maximum likelihood (Huber's density).
    """

    name: str
    residual: str = "log"
    delta: float = 1e-3
    over: float = 1.0
    scaled: bool = False

    def value(self, residuals: np.ndarray) -> np.ndarray:
        """ρ of each residual."""
        size = np.abs(residuals)
        penalty: np.ndarray
        if self.delta == inf:
            penalty = size**2
        elif self.delta == 0:
            penalty = size
        else:
            clipped = np.minimum(size, self.delta)
            penalty = clipped * (size - 0.5 * clipped)
        if self.over != 1.0:
            penalty = np.where(residuals < 0, self.over, 1.0) * penalty
        return penalty

    def total(self, residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The objective for residuals and weights of shape (S, n): shape (S,).

        For Huber's density it is the negative log-likelihood Σ w·(ρ(r/s) + log s + log Z) at the best scale s.
        """
        if not self.scaled:
            return np.asarray((weights * self.value(residuals)).sum(axis=1))
        scale = self.fitted_scale(residuals, weights)[:, None]
        normal = sqrt(2 * pi) * erf(self.delta / sqrt(2)) + 2 / self.delta * exp(-0.5 * self.delta**2)
        likelihoods = self.value(residuals / scale) + np.log(scale * normal)
        return np.asarray((weights * likelihoods).sum(axis=1))

    def fitted_scale(self, residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The likeliest scale s of Huber's density, shape (S,), where Σ w ψ(r/s) r/s = Σ w; by fixed point."""
        size = np.abs(residuals)
        mass = weights.sum(axis=1)
        scale: np.ndarray = self.delta * (weights * size).sum(axis=1) / mass
        for _ in range(50):
            ratio = size / np.maximum(scale[:, None], 1e-300)
            scale = scale * (weights * np.minimum(ratio, self.delta) * ratio).sum(axis=1) / mass
        return np.asarray(np.maximum(scale, 1e-300))


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("huber_log"),  # Hoffmann et al. 2022, eq. 3
        Objective("mse_log", delta=inf),
        Objective("mse", residual="raw", delta=inf),
        Objective("mae", residual="raw", delta=0.0),
        Objective("mae_log", delta=0.0),
        # github.com/kyo-takano/chinchilla: an over-prediction counts ten times.
        Objective("asymmetric_mae", residual="raw", delta=0.0, over=10.0),
        # Besiroglu et al. 2024 (arXiv:2404.10102), section 3: Huber's density with a fitted scale.
        Objective("huber_density", scaled=True),
    )
}


def get(name: str | Objective) -> Objective:
    """The objective of that name (an Objective passes through)."""
    if isinstance(name, Objective):
        return name
    if name not in OBJECTIVES:
        raise BadValue(f"unknown objective {name!r}: choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
