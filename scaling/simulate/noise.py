"""What makes a trained loss differ from the law: scatter of seeds, error of evaluation, mistuned rates, divergence.

All errors are relative: a standard deviation of the log loss. A law that bends is the error that no number of runs
averages away, so it has its place here as well.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.fit import fit
from analysis.refusals import Refusal
from analysis.table import Table
from scaling.errors import UserError

SCATTER = 0.005
"""Relative scatter of losses about their law where nothing is known: what the 240 points of Hoffmann et al. 2022 leave
about their refit (Besiroglu et al. 2024, arXiv:2404.10102), 1.48 times the median absolute residual, is 0.48 %."""
MISTUNING_GROWTH = 0.5
"""Exponent with which the excess of a mistuned rate grows with size where nothing else is said: an assumption."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How losses scatter about their law. Relative standard deviations of the loss, unless said otherwise.

    Attributes:
        scatter: between seeds.
        evaluation: of the loss as it is measured, independent for each run.
        mistuning: mean relative excess of a run whose rate is off, at the geometric middle of the sizes.
        mistuning_growth: exponent with which that excess grows with size.
        diverge: probability that a run diverges and leaves no loss.
        bend: deviation of the truth from the law a decade of size or tokens from the middle, growing as the square.
        source: where these figures come from.
    """

    scatter: float = SCATTER
    evaluation: float = 0.0
    mistuning: float = 0.0
    mistuning_growth: float = MISTUNING_GROWTH
    diverge: float = 0.0
    bend: float = 0.0
    source: str = "assumed"

    def __post_init__(self) -> None:
        for name in ("scatter", "evaluation", "mistuning", "bend"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UserError(
                    f"{name}={value:g}: a relative error must lie in [0, 1), such as 0.003 for 0.3 %"
                )
        if not 0 <= self.diverge < 1:
            raise UserError(f"diverge={self.diverge:g}: a probability must lie in [0, 1)")

    def excess(self, params: np.ndarray, middle: float) -> np.ndarray:
        """Mean relative excess loss of a mistuned rate at each size, shape (n,)."""
        return np.asarray(self.mistuning * (params / middle) ** self.mistuning_growth)

    def variance(self, params: np.ndarray, middle: float) -> np.ndarray:
        """Variance of the log loss of a run of each size, shape (n,). The excess is χ² of one degree: 2m²."""
        return np.asarray(self.scatter**2 + self.evaluation**2 + 2 * self.excess(params, middle) ** 2)

    def draw(self, params: np.ndarray, middle: float, studies: int, rng: np.random.Generator) -> np.ndarray:
        """Errors of the log loss, shape (studies, n); NaN for a run that diverged."""
        shape = (studies, len(params))
        error = np.hypot(self.scatter, self.evaluation) * rng.standard_normal(shape)
        if self.mistuning:
            error += self.excess(params, middle) * rng.standard_normal(shape) ** 2
        if self.diverge:
            error[rng.random(shape) < self.diverge] = np.nan
        return np.asarray(error)

    def words(self) -> str:
        """The noise in words, for reports."""
        parts = [f"seeds scatter by {self.scatter:.2%}"]
        parts += [f"evaluation errs by {self.evaluation:.2%}"] if self.evaluation else []
        parts += [f"mistuned rates cost {self.mistuning:.2%}"] if self.mistuning else []
        parts += [f"{self.diverge:.1%} of runs diverge"] if self.diverge else []
        parts += [f"the law bends by {self.bend:.2%} a decade out"] if self.bend else []
        return ", ".join(parts) + f" ({self.source})"


def estimated(table: Table, rows: pd.DataFrame | None, law: str) -> Noise:
    """The noise of a recorded study.

    Seed scatter is that of replicates where there are any, else all of the scatter about the fitted law; with
    replicates, what the law leaves beyond their scatter is its bend. The evaluation's error is the paired one, which
    counts between runs of one study. Mistuning cannot be told from one rate a run, and stays at nothing.

    Args:
        table: the study's runs.
        rows: the records, for the evaluation's error and failures; None where there are none.
        law: the law that the runs are fitted with.

    Raises:
        UserError: the runs do not support the law.
    """
    frame = table.frame
    try:
        fitted = fit(table, law, "mse_log", bootstrap=0)
    except Refusal as reason:
        raise UserError(f"noise={table.source}: {reason}") from reason
    freedom = max(1, len(frame) - len(fitted.theta))
    about_law = float(np.sqrt(np.sum(fitted.residuals**2) / freedom))
    groups = np.log(frame["loss"]).groupby([frame["params"], frame["tokens"]])
    spare = int(len(frame) - groups.ngroups)
    evaluation = 0.0
    diverged = 0.0
    if rows is not None and "loss_se_paired_nats" in rows:
        paired = (pd.to_numeric(rows["loss_se_paired_nats"]) / pd.to_numeric(rows["loss_nats"])).dropna()
        paired = paired[paired > 0]
        evaluation = float(paired.median()) if len(paired) else 0.0
    if rows is not None and "status" in rows:
        diverged = float((rows["status"] == "diverged").mean())
    source = f"estimated from {table.source}: {len(frame)} runs"
    if not spare:
        scatter = float(np.sqrt(max(about_law**2 - evaluation**2, (0.1 * about_law) ** 2)))
        return Noise(scatter=scatter, evaluation=min(evaluation, about_law), diverge=diverged, source=source)
    within = float(np.sqrt(np.sum((np.log(frame["loss"]) - groups.transform("mean")) ** 2) / spare))
    reach = _mean_square_reach(frame)
    bend = float(np.sqrt(max(about_law**2 - within**2, 0.0) / reach)) if reach > 0 else 0.0
    return Noise(scatter=within, bend=bend, diverge=diverged, source=f"{source}, {spare} replicates")


def _mean_square_reach(frame: pd.DataFrame) -> float:
    """Mean of the squared bend that a unit of `bend` makes at the runs."""
    logs = np.log10(frame[["params", "tokens"]].to_numpy(float))
    return float(
        np.mean(np.sum(bends(logs[:, 0] - logs[:, 0].mean(), logs[:, 1] - logs[:, 1].mean()) ** 2, axis=1))
    )


def bends(decades_params: np.ndarray, decades_tokens: np.ndarray) -> np.ndarray:
    """The shapes that a bend has, shape (…, 3): squares and product of the decades from the middle."""
    return np.stack([decades_params**2, decades_params * decades_tokens, decades_tokens**2], axis=-1)


def overridden(noise: Noise, given: dict[str, float | None]) -> Noise:
    """The noise with what the user names in place of it."""
    named = {name: value for name, value in given.items() if value is not None}
    if not named:
        return noise
    return replace(noise, **named, source=f"{noise.source}; given: {', '.join(named)}")
