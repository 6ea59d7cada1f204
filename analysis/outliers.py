"""Runs that a law cannot explain: named, kept in the fit, and the fit without them shown beside it."""

from dataclasses import dataclass
from typing import Unpack

import numpy as np
import pandas as pd

from analysis.fit import FitOptions, fit
from analysis.result import FitResult
from analysis.table import Table

FAR = 6.0  # robust standard deviations: a normal residual goes beyond once in 500 million
MAD_TO_STD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class Outliers:
    """Runs far from the fitted law.

    Attributes:
        runs: their `row` in the source, `params`, `tokens`, `loss`, `residual` (log observed − log
            predicted) and `sigmas`.
        without: the same fit without them; None where there are none.
    """

    runs: pd.DataFrame
    without: FitResult | None


def outliers(table: Table, result: FitResult, **options: Unpack[FitOptions]) -> Outliers:
    """Find the runs more than 6 robust standard deviations from a fit, and fit again without them.

    Args:
        table: the runs that `result` was fitted on.
        result: the fit of all of them.
        options: as `fit` took them.

    Raises:
        Refusal: what is left cannot be fitted.
    """
    residual = result.residuals
    scale = MAD_TO_STD * float(np.median(np.abs(residual - np.median(residual))))
    # A fit without noise has no scale: rounding is no outlier.
    sigmas = (residual - np.median(residual)) / max(scale, 1e-9)
    far = np.abs(sigmas) > FAR
    runs = table.frame.loc[far, ["row", "params", "tokens", "loss"]].assign(
        residual=residual[far], sigmas=sigmas[far]
    )
    runs = runs.sort_values("sigmas", key=np.abs, ascending=False, ignore_index=True)
    if not far.any():
        return Outliers(runs, None)
    return Outliers(runs, fit(table.select(~far), result.law, result.objective_name, **options))
