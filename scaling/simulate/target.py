"""What an experiment is for: the best size, its loss, or the exponent at a compute that nobody has trained yet."""

from dataclasses import dataclass

import numpy as np

from analysis import allocate
from analysis.laws import Law
from analysis.refusals import NoOptimum
from scaling.config.nearest import nearest
from scaling.errors import UserError
from scaling.simulate.laboratory import Laboratory

KINDS = ("n_opt", "loss", "exponent")
"""The best size, the loss it reaches, the exponent a of N_opt ∝ C^a."""
STEP = 1e-4
"""Step in θ of central differences: optima that are searched for are good to about 1e-8 (analysis.allocate)."""
ABSURD = 4.6
"""Errors above this, a factor of a hundred, are shown as no more than that."""
EXPONENT_STEP = 0.5
"""The exponent is the slope of log N_opt over this much of log C on both sides."""


@dataclass(frozen=True)
class Target:
    """A quantity of the law.

    Attributes:
        kind: one of KINDS.
        flops: the compute C that it is asked at.
    """

    kind: str
    flops: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(
                f"target={self.kind}: {nearest(self.kind, KINDS, 'choose one of ' + ', '.join(KINDS))}"
            )

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.word} at {self.flops:.3g} FLOPs"

    @property
    def word(self) -> str:
        """Without its compute."""
        return {"n_opt": "N_opt", "loss": "loss", "exponent": "exponent a"}[self.kind]

    def values(self, law: Law, theta: np.ndarray) -> np.ndarray:
        """log N_opt, log loss, or the exponent itself, for θ of shape (S, p): shape (S,); NaN without an optimum."""
        around = self.flops * np.exp([-EXPONENT_STEP, 0.0, EXPONENT_STEP])
        with np.errstate(all="ignore"):
            try:
                best = allocate.optimal(law, theta, around if self.kind == "exponent" else around[1:2])
            except NoOptimum:  # under none of these laws is there one
                return np.full(len(theta), np.nan)
            if self.kind == "exponent":
                logs = np.log(best.params)
                return np.asarray((logs[:, 2] - logs[:, 0]) / (2 * EXPONENT_STEP))
            return np.asarray(np.log(best.params if self.kind == "n_opt" else best.loss)[:, 0])

    def gradient(self, law: Law, theta: np.ndarray) -> np.ndarray:
        """How the value moves with θ, shape (S, p), by central differences."""
        columns = []
        for k in range(theta.shape[1]):
            shift = np.zeros(theta.shape[1])
            shift[k] = STEP
            columns.append((self.values(law, theta + shift) - self.values(law, theta - shift)) / (2 * STEP))
        return np.stack(columns, axis=1)

    def bend_gradient(self, laboratory: Laboratory, theta: np.ndarray) -> np.ndarray:
        """How the true value moves with each bend of the truth, shape (S, 3)."""
        step = 1e-3
        columns = []
        for k in range(3):
            bend = np.zeros((len(theta), 3))
            bend[:, k] = step
            ends = [self.true_values(laboratory, theta, sign * bend) for sign in (1, -1)]
            columns.append((ends[0] - ends[1]) / (2 * step))
        return np.stack(columns, axis=1)

    def true_values(self, laboratory: Laboratory, theta: np.ndarray, bend: np.ndarray) -> np.ndarray:
        """The value in truth, bends included, shape (S,)."""
        if not bend.any():
            return self.values(laboratory.law, theta)
        if self.kind == "exponent":
            low, high = (
                laboratory.log_optimum(theta, bend, self.flops * np.exp(sign * EXPONENT_STEP))[0]
                for sign in (-1, 1)
            )
            return np.asarray((high - low) / (2 * EXPONENT_STEP))
        log_n, log_loss = laboratory.log_optimum(theta, bend, self.flops)
        return log_n if self.kind == "n_opt" else log_loss

    def shown(self, value: float) -> str:
        """A value in its own unit."""
        return f"{value:.4f}" if self.kind == "exponent" else f"{np.exp(value):.4g}"

    def shown_error(self, error: float) -> str:
        """An error in its own unit: relative for sizes and losses."""
        if self.kind == "exponent":
            return f"{abs(error):.4f}" if abs(error) < ABSURD else f"over {ABSURD:g}"
        return f"{np.expm1(abs(error)):.2%}" if abs(error) < ABSURD else "over 100×"
