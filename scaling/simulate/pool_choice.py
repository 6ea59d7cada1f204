"""Rows of a pool chosen before any loss is known, for laws around the values that a paper printed."""

from collections.abc import Callable

import numpy as np

from analysis.laws import Law
from scaling.errors import UserError
from scaling.simulate.candidates import Prices
from scaling.simulate.choose import choose
from scaling.simulate.criterion import Candidates, Question, squared_error, state_of
from scaling.simulate.noise import SCATTER
from scaling.simulate.pool import Pool
from scaling.simulate.truth import EXPONENT_SPREAD, ROUGHLY

AROUND = 16
"""Laws for which the rows are chosen."""


def choose_rows(
    pool: Pool,
    law: Law,
    spend: float,
    scatter: float | None,
    most: int,
    progress: Callable[[str], None] = lambda what: None,
) -> tuple[np.ndarray, float, float]:
    """Rows to train, and the error in the target region that all rows and the chosen ones would leave.

    Raises:
        UserError: the law has no values to start from; or the cheapest row is dearer than the budget.
    """
    if not law.known_values:
        raise UserError(
            f"law={law.name}: no published or typical values of it are known, so its runs cannot be weighed"
        )
    centre = law.coordinates(law.known_values)
    error = SCATTER if scatter is None else max(scatter, 1e-6)
    limit = spend * float(pool.cost.sum())
    if pool.cost.min() > limit:
        raise UserError(
            f"spend={spend:g}: the cheapest row costs {pool.cost.min() / pool.cost.sum():.2%} of the pool"
        )
    jacobian = law.predict(centre[None], pool.x)[1][0]
    precision = np.diag(1 / (EXPONENT_SPREAD * np.maximum(np.abs(centre), 1 / len(centre))) ** 2)
    look = jacobian.T @ jacobian / len(pool) * 25 / ROUGHLY**2 + precision
    root = np.linalg.inv(np.linalg.cholesky(look)).T
    theta = centre + np.random.default_rng(0).standard_normal((AROUND, len(centre))) @ root.T
    theta[0] = centre
    with np.errstate(all="ignore"):
        each = law.predict(theta, pool.x)[1] / error
        gradient = law.predict(theta, pool.target_x)[1]
    sound = np.isfinite(each).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=(1, 2))
    candidates = Candidates(each[sound], np.zeros((len(pool), 3)))
    gradient = gradient[sound]
    question = Question(gradient, np.zeros((*gradient.shape[:2], 3)), 0.0, np.ones(gradient.shape[:2]))
    weak = 1e-4 * precision
    choice = choose(candidates, question, weak, Prices(pool.cost, None), limit, most, progress, passes=1)

    def left(runs: np.ndarray) -> float:
        return float(np.sqrt(np.mean(squared_error(state_of(candidates, runs, weak), question))))

    rows = np.array(sorted(choice.runs), dtype=int)
    return rows, left(np.arange(len(pool))), left(rows)
