"""The laboratory: any design, simulated as if it had been trained. A law, a noise and a seed give the same table again.

Shapes: S simulated studies, n runs of a design, p parameters of the law.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.allocate import LOG_PARAMS_RANGE, TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.laws import Law
from scaling.simulate.cost import Costs
from scaling.simulate.design import Design
from scaling.simulate.noise import Noise, bends

SEARCH = 241
"""Sizes at which the optimum of a law that bends is looked for, twice: over all, then about the best."""


@dataclass(frozen=True)
class Laboratory:
    """What is true in a simulation.

    Attributes:
        law: the form of the loss.
        noise: how losses scatter about it.
        middle: log N and log D from which bends are counted.
    """

    law: Law
    noise: Noise
    middle: tuple[float, float]

    def log_truth(
        self, theta: np.ndarray, bend: np.ndarray, log_n: np.ndarray, log_d: np.ndarray
    ) -> np.ndarray:
        """log L without noise, shape (S, n), for θ (S, p), bends (S, 3) and logs of sizes and tokens of shape (n,)."""
        log_loss = self.law.predict(theta, {"params": np.exp(log_n), "tokens": np.exp(log_d)})[0]
        return np.asarray(log_loss + bend @ self.bend_shapes(log_n, log_d).T if bend.any() else log_loss)

    def bend_shapes(self, log_n: np.ndarray, log_d: np.ndarray) -> np.ndarray:
        """What a unit of each bend adds to log L, shape (…, 3)."""
        return bends((log_n - self.middle[0]) / np.log(10), (log_d - self.middle[1]) / np.log(10))

    def draw_bends(self, studies: int, rng: np.random.Generator) -> np.ndarray:
        """How the truth of each study bends away from the law, shape (S, 3)."""
        return self.noise.bend * rng.standard_normal((studies, 3))

    def log_losses(
        self, design: Design, theta: np.ndarray, bend: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Final log losses of each study, shape (S, n); NaN where a run diverged."""
        clean = self.log_truth(theta, bend, np.log(design.params), np.log(design.tokens))
        errors = self.noise.draw(design.params, float(np.exp(self.middle[0])), len(theta), rng)
        return np.asarray(clean + errors)

    def log_optimum(self, theta: np.ndarray, bend: np.ndarray, flops: float) -> tuple[np.ndarray, np.ndarray]:
        """log N that is truly best at a compute, and the log loss there, each of shape (S,)."""
        total = np.log(flops / TRAIN_FLOPS_PER_PARAM_TOKEN)
        centre = np.full(len(theta), np.mean(LOG_PARAMS_RANGE))
        half = np.ptp(LOG_PARAMS_RANGE) / 2
        steps = np.linspace(-1, 1, SEARCH)
        rows = np.arange(len(theta))
        value = np.empty(0)
        for _ in range(3):
            log_n = centre[:, None] + half * steps
            values = self.log_truth_each(theta, bend, log_n, total - log_n)
            lowest = np.clip(np.nanargmin(values, axis=1), 1, SEARCH - 2)
            left, value, right = (values[rows, lowest + k] for k in (-1, 0, 1))
            curve = left - 2 * value + right
            with np.errstate(invalid="ignore", divide="ignore"):
                shift = np.where(curve > 0, 0.5 * (left - right) / curve, 0.0)
            step = half * (steps[1] - steps[0])
            centre = log_n[rows, lowest] + np.clip(shift, -1, 1) * step
            half = 3 * step
        return centre, value

    def log_truth_each(
        self, theta: np.ndarray, bend: np.ndarray, log_n: np.ndarray, log_d: np.ndarray
    ) -> np.ndarray:
        """log L without noise where each study has sizes and tokens of its own: all of shape (S, m)."""
        rows = np.repeat(np.arange(len(theta)), log_n.shape[1])
        x = {"params": np.exp(log_n.ravel()), "tokens": np.exp(log_d.ravel())}
        log_loss = np.log(self.law.loss_each(theta[rows], x)).reshape(log_n.shape)
        if bend.any():
            log_loss = log_loss + np.einsum("smk,sk->sm", self.bend_shapes(log_n, log_d), bend)
        return np.asarray(log_loss)

    def table(self, design: Design, theta: np.ndarray, seed: int, costs: Costs, told: str) -> pd.DataFrame:
        """The table that a real sweep of this design would give, every record marked as simulated.

        Args:
            design: the runs.
            theta: the law's coordinates, shape (p,).
            seed: of all that is random.
            costs: what the runs take.
            told: what the column `simulated` says of law, noise and seed.
        """
        rng = np.random.default_rng(seed)
        bend = self.draw_bends(1, rng)
        log_loss = self.log_losses(design, theta[None], bend, rng)[0]
        job = design.job
        frame = pd.DataFrame(
            {
                "run_id": np.char.add("simulated-", np.arange(len(design)).astype(str)),
                "status": np.where(np.isfinite(log_loss), "done", "diverged"),
                "simulated": told,
                "cluster": job,
                "seed": design.seed,
                "params": design.params,
                "tokens": design.tokens,
                "flops": design.flops,
                "loss": np.exp(log_loss),
                "loss_se": np.exp(log_loss) * max(self.noise.evaluation, 0.0),
                "tokens_spent": costs.tokens_spent,
                "flops_spent": costs.flops_spent,
            }
        )
        if not self.noise.evaluation:
            frame = frame.drop(columns="loss_se")
        if np.isfinite(design.budget).all():
            frame.insert(5, "budget_flops", design.budget)
        for name, values in costs.columns().items():
            frame[name] = values
        return frame

    def curves(self, design: Design, theta: np.ndarray, seed: int, points: int = 16) -> pd.DataFrame:
        """Loss curves: what each job reaches when decayed at token counts up to its longest run's, of that run's seed.

        The error of a run follows it through training: one draw a job, as points of one curve are no independent runs.
        """
        rng = np.random.default_rng(seed)
        bend = self.draw_bends(1, rng)
        job = design.job
        last = np.array(
            [np.flatnonzero(job == j)[design.tokens[job == j].argmax()] for j in range(job.max() + 1)]
        )
        longest = design.take(last)
        error = self.noise.draw(longest.params, float(np.exp(self.middle[0])), 1, rng)[0]
        tokens = longest.tokens[:, None] * np.geomspace(1 / 64, 1, points)
        log_n = np.repeat(np.log(longest.params), points)
        clean = self.log_truth(theta[None], bend, log_n, np.log(tokens.ravel()))[0]
        return pd.DataFrame(
            {
                "cluster": np.repeat(job[last], points),
                "simulated": True,
                "params": np.exp(log_n),
                "tokens": tokens.ravel(),
                "loss": np.exp(clean + np.repeat(error, points)),
            }
        ).dropna(ignore_index=True)
