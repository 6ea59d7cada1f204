"""A table under one law and objective: its value, gradient and exact curvature at many θ, in one sweep.

Shapes: S settings of θ, n runs, p parameters, K terms of a sum of power laws. Since log L = log Σ_k exp(G_k θ) has
gradient ḡ = Σ_k share_k G_k and Hessian Σ_k share_k G_k G_kᵀ - ḡ ḡᵀ, sums over runs of any weights times these are
products of (S, n) shares with fixed (n, p²) matrices, which is what makes thousands of fits at once cheap.
"""

from dataclasses import dataclass, replace

import numpy as np

from analysis.laws.law import Law, Variables
from analysis.objectives import Objective

WIDE = 1e100  # stands for an infinite δ: squares everywhere
SHARP = 1e-7  # an absolute value is fitted as Huber's function of this δ, then reported unsmoothed


@dataclass(frozen=True)
class Problem:
    """One table under one law and objective, ready to be evaluated.

    Attributes:
        law: the law.
        x: its variables, one value for each run.
        log_loss: observed log loss, shape (n,); or (S, n) for S tables of the same runs, as a simulation makes them.
        objective: the penalty.
        scale: residuals are multiplied by this, shape (n,): the relative precision of each loss.
        design: the law's design of shape (K, n, p), or None.
    """

    law: Law
    x: Variables
    log_loss: np.ndarray
    objective: Objective
    scale: np.ndarray
    design: np.ndarray | None
    pairs: tuple[tuple[int, int, np.ndarray, np.ndarray], ...]

    @classmethod
    def build(
        cls,
        law: Law,
        x: Variables,
        log_loss: np.ndarray,
        objective: Objective,
        scale: np.ndarray | None = None,
    ) -> "Problem":
        """Precompute the products of design rows that the curvature of a sum of power laws needs."""
        scale = np.ones(log_loss.shape[-1]) if scale is None else scale
        design = None if law.design is None else law.design(x)
        pairs = []
        if design is not None:
            for k in range(len(design)):
                for m in range(k, len(design)):
                    product = np.einsum("np,nq->npq", design[k], design[m])
                    if m > k:
                        product = product + product.transpose(0, 2, 1)
                    flat = product.reshape(log_loss.shape[-1], -1)
                    used = np.flatnonzero(np.any(flat != 0, axis=0))
                    pairs.append((k, m, used, np.ascontiguousarray(flat[:, used])))
        return cls(law, x, log_loss, objective, scale, design, tuple(pairs))

    @property
    def raw(self) -> bool:
        """Whether the law predicts a logarithm, and the residual is that of the loss itself."""
        return self.objective.residual == "raw" and self.law.log_target

    def under(self, law: Law) -> "Problem":
        """The same table and objective under another law of the same variables."""
        return Problem.build(law, self.x, self.log_loss, self.objective, self.scale)

    def at(self, runs: np.ndarray) -> "Problem":
        """The problem of some of the runs, by their numbers."""
        x = {name: column[runs] for name, column in self.x.items()}
        return Problem.build(self.law, x, self.log_loss[runs], self.objective, self.scale[runs])

    def linearised(self, theta: np.ndarray) -> "Problem":
        """The problem with log L made linear in θ about a point (p,): as cheap as a law can be, and right nearby."""
        log_prediction, jacobian = self.law.predict(theta[None], self.x)
        # log L̂(θ) + J·(θ' - θ) is J·θ' when the observed losses are shifted by the rest.
        shift = jacobian[0] @ theta - log_prediction[0]
        scale = self.scale * np.exp(-shift) if self.raw else self.scale
        jacobian = np.ascontiguousarray(jacobian)  # products with a strided matrix are many times slower
        straight = replace(self.law, design=lambda _: jacobian, log_loss=None, expression=None)
        return Problem.build(straight, self.x, self.log_loss + shift, self.objective, scale)

    def take(self, which: np.ndarray | slice) -> "Problem":
        """The same with only these of its S tables; itself where there is one table for every θ."""
        return self if self.log_loss.ndim == 1 else replace(self, log_loss=self.log_loss[which])

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Observed minus predicted (log) loss times `scale`, shape (S, n)."""
        log_ratio = self.log_ratio(theta)
        residuals: np.ndarray
        if not self.raw:
            residuals = -log_ratio * self.scale
        else:
            residuals = -np.expm1(log_ratio) * np.exp(self.log_loss) * self.scale
        return residuals

    def log_ratio(self, theta: np.ndarray) -> np.ndarray:
        """log of predicted over observed loss, shape (S, n)."""
        if self.design is None:
            return np.asarray(self.law.log_losses(theta, self.x) - self.log_loss)
        return np.asarray(np.log(self._ratios(theta)[1]))

    def value(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The objective itself, unsmoothed, shape (S,)."""
        return self.objective.total(self.residuals(theta), weights)

    def square_share(self, theta: np.ndarray) -> float:
        """Share of runs whose residual at θ (p,) lies on the quadratic branch of the penalty: 1 for least squares."""
        return float(np.mean(np.abs(self.residuals(theta[None])[0]) <= self.sharpest()[0, 0]))

    def sharpest(self) -> np.ndarray:
        """The δ of shape (1, 1) at which the descent ends."""
        delta = self.objective.delta
        return np.array(
            [[WIDE if np.isinf(delta) else SHARP if delta == 0 or self.objective.scaled else delta]]
        )

    def _ratios(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each term over the observed loss, shape (K, S, n), and their sum (S, n)."""
        assert self.design is not None
        ratios = np.empty((len(self.design), len(theta), self.log_loss.shape[-1]))
        for k, rows in enumerate(self.design):
            np.matmul(theta, rows.T, out=ratios[k])
            ratios[k] -= self.log_loss
        np.clip(ratios, -600.0, 600.0, out=ratios)
        np.exp(ratios, out=ratios)
        return ratios, ratios.sum(axis=0)

    def evaluate(
        self, theta: np.ndarray, weights: np.ndarray, delta: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Smoothed objective (S,), gradient (S, p), Hessian and reweighted-least-squares metric (S, p, p).

        `delta` of shape (S, 1) takes the place of the objective's own. Huber's function here is ½r² and δ(|r| - δ/2).
        """
        raw = self.raw
        if self.design is None:
            log_prediction, jacobian, bend = self.law.expand(theta, self.x)
            log_total = log_prediction - self.log_loss
            total = np.exp(np.clip(log_total, -600.0, 600.0))
        else:
            ratios, total = self._ratios(theta)
            log_total = np.log(total)
        if raw:
            observed = np.exp(self.log_loss)
            residual = (1.0 - total) * (observed * self.scale)
            lift: np.ndarray | float = total * observed
        else:
            residual = -log_total * self.scale
            lift = 1.0
        size = np.abs(residual)
        if self.objective.over != 1.0:
            weights = np.where(residual < 0, self.objective.over, 1.0) * weights
        inside = size <= delta
        clipped = np.minimum(size, delta)
        value = np.einsum("sn,sn->s", weights * clipped, size - 0.5 * clipped)
        # slope = -∂/∂ log L̂ of the penalty; stiff and secant are its second derivative's two readings.
        slope = weights * np.copysign(clipped, residual) * (self.scale * lift)
        squared = weights * (self.scale * lift) ** 2
        secant = squared * (delta / np.maximum(size, delta))
        stiff = np.where(inside, squared, 0.0)
        if self.design is None:
            return value, *_general_curvature(
                jacobian, slope, stiff - slope if raw else stiff, secant, bend(slope)
            )
        p = theta.shape[1]
        gradient = np.zeros((len(theta), p))
        hessian = np.zeros((len(theta), p * p))
        metric = np.zeros((len(theta), p * p))
        shares = ratios
        shares /= total
        outer = stiff if raw else stiff + slope  # ∂² log L̂ = Σ p GG' - ḡḡ', ∂² L̂ = L̂ Σ p GG'
        for k, m, used, products in self.pairs:
            joint = shares[k] * shares[m]
            metric[:, used] += (joint * secant) @ products
            joint *= outer
            if k == m:
                pull = slope * shares[k]
                gradient -= pull @ self.design[k]
                joint -= pull
            hessian[:, used] += joint @ products
        return value, gradient, hessian.reshape(-1, p, p), metric.reshape(-1, p, p)


def _general_curvature(
    jacobian: np.ndarray, slope: np.ndarray, stiff: np.ndarray, secant: np.ndarray, bend: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient, Hessian and metric from the law's own gradient (S, n, p) and Σ slope · second derivative (S, p, p)."""
    gradient = -np.einsum("sn,snp->sp", slope, jacobian)
    hessian = np.einsum("snp,sn,snq->spq", jacobian, stiff, jacobian, optimize=True) - bend
    metric = np.einsum("snp,sn,snq->spq", jacobian, secant, jacobian, optimize=True)
    return gradient, hessian, metric
