"""The best learning rate or batch at each scale of a sweep that tried several, as the laws of hyperparameters need."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.isoflop import average_replicates
from analysis.refusals import NoMinimum, Refusal
from analysis.valley import fit_parabola, refuse_edge, refuse_few


def best_values(
    runs: pd.DataFrame, target: str, others: Sequence[str] = ()
) -> tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]:
    """The best learning rate or batch at each size and tokens: the lowest point of a parabola in its logarithm.

    Where other hyperparameters vary too, each value of the target counts by its best run over all of them: an average
    would say more of which of them were tried than of the target.

    Args:
        runs: `params`, `tokens`, `flops`, `loss` and the target column, one row for each run.
        target: the hyperparameter's column.
        others: the columns of the other hyperparameters.

    Returns:
        `params`, `tokens`, `flops` and the target's best value, one row for each scale; the reasons why other scales
        were refused; and which other hyperparameters vary within a scale.

    Raises:
        NoMinimum: no scale shows one.
    """
    scale = ["params", "tokens"]
    varying = tuple(
        name for name in others if name != target and (runs.groupby(scale)[name].nunique() > 1).any()
    )
    found, refused = [], []
    for (params, tokens), tried in runs.groupby(scale, sort=True):
        if varying:  # first the mean of repeats of one setting, then the best of all settings
            settings = tried.groupby([target, *varying], as_index=False, dropna=False)["loss"].mean()
            best_of_each = settings.loc[settings.groupby(target)["loss"].idxmin(), [target, "loss"]]
            tried = best_of_each.assign(params=params, tokens=tokens, flops=tried["flops"].iloc[0])
        # A valley over the hyperparameter, as one over sizes is on a compute budget.
        points = average_replicates(tried.assign(params=tried[target]))
        try:
            refuse_few(points)
            refuse_edge(points)
            parabola = fit_parabola(points)
            assert parabola is not None
            _, slope, bend = parabola.coefficients
            best = float(np.exp(parabola.centre - slope / (2 * bend))) if bend > 0 else np.nan
            if not points["params"].iloc[0] < best < points["params"].iloc[-1]:
                raise NoMinimum("the parabola has no minimum among the values tried")
        except Refusal as reason:
            said = str(reason).replace("size tried", "value tried").replace("sizes", "values")
            refused.append(f"{params:.3g} parameters on {tokens:.3g} tokens: {said}")
            continue
        found.append({"params": params, "tokens": tokens, "flops": tried["flops"].iloc[0], target: best})
    if not found:
        raise NoMinimum(f"no scale shows a best {target}; {refused[0]}")
    return pd.DataFrame(found), tuple(refused), varying
