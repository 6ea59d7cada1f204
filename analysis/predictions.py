"""Another table's runs predicted: what each would lose, and how far off that was where their losses are known."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import LEVEL
from analysis.forecast import Forecast, Forecaster
from analysis.reading.names import plain_name
from analysis.refusals import BadColumn
from analysis.table import Table, load

ANY_LOSS = 2.0
"""Stands in a row without a loss while the row is read, and is taken out again; above 1, as a perplexity must be."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for the rows of a table, in its order.

    Attributes:
        rows: the laws' variables, one row for each row of the table.
        forecast: what is predicted for them.
        observed: their own losses, NaN where there is none, shape (m,).
    """

    rows: pd.DataFrame
    forecast: Forecast
    observed: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Which rows have a loss of their own, shape (m,)."""
        return np.asarray(np.isfinite(self.observed))

    @property
    def errors(self) -> np.ndarray:
        """Predicted over observed loss minus one, NaN where there is none, shape (m,)."""
        return np.asarray(self.forecast.loss / self.observed - 1)

    @property
    def mean_error(self) -> float:
        """Mean |error| of the rows whose losses are known; NaN where none is."""
        return float(np.mean(np.abs(self.errors[self.known]))) if self.known.any() else float("nan")

    @property
    def covered(self) -> float:
        """Share of the known losses that lie in their intervals; NaN where none is known."""
        inside = (self.forecast.low <= self.observed) & (self.observed <= self.forecast.high)
        return float(np.mean(inside[self.known])) if self.known.any() else float("nan")

    def records(self) -> list[dict[str, object]]:
        """One object for each row: `loss`, `low`, `high`, `by_law`, and `observed` where it is known."""
        told = self.forecast
        return [
            {
                "loss": float(told.loss[i]),
                "low": float(told.low[i]),
                "high": float(told.high[i]),
                "by_law": {name: float(loss[i]) for name, loss in told.by_law.items()},
            }
            | ({"observed": float(self.observed[i])} if self.known[i] else {})
            for i in range(len(told.loss))
        ]


def predict_rows(known: Forecaster, rows: pd.DataFrame, level: float = LEVEL) -> Predictions:
    """Predict every row of a frame that holds the laws' variables; its target is compared where it has one."""
    target = laws.get(next(iter(known.fits))).target
    observed = rows[target].to_numpy(float) if target in rows else np.full(len(rows), np.nan)
    return Predictions(rows.reset_index(drop=True), known.predict(rows, level), observed)


def read_rows_to_predict(
    source: pd.DataFrame,
    runs: Table,
    columns: Mapping[str, str | None] | None = None,
    units: Mapping[str, float] | None = None,
    name: str = "the other table",
) -> pd.DataFrame:
    """The rows of another table whose columns are named as those of the fitted runs; the loss may be missing.

    Args:
        source: the other table as it was read.
        runs: the fitted runs.
        columns, units: as the runs were read with.
        name: of the other table, for messages.

    Returns:
        `params`, `tokens`, `flops` and what else the runs have, one row for each row in its order, and `loss` where the
        table has losses, NaN for a row without.

    Raises:
        Refusal: a column is missing, or a row has a number that cannot be; the message names the row.
    """
    wanted = {role: column for role, column in (columns or {}).items() if column is None or column in source}
    loss = stated_column(runs, "loss")
    rows = source.drop(columns=[column for column in source if plain_name(column) in ("status", "state")])
    if loss in rows:
        observed = pd.to_numeric(rows[loss], errors="coerce").to_numpy(float)
        rows = rows.assign(**{loss: np.where(np.isfinite(observed), observed, ANY_LOSS)})
    else:
        observed = np.full(len(rows), np.nan)
        rows = rows.assign(**{loss: ANY_LOSS})
    # Rows of one size and tokens are all wanted, so each gets a mark that keeps it.
    read = load(
        rows.assign(seed=range(len(rows))),
        wanted | {"loss": loss},
        units=units,
        mixed=("all",),
        repeats="keep",
    )
    for role in ("params", "tokens"):
        theirs, ours = stated_column(read, role), stated_column(runs, role)
        if theirs != ours:
            raise BadColumn(
                f"{name}: {role} would be {theirs!r}, but the runs' are {ours!r}: name its columns alike"
            )
    frame = read.frame.sort_values("row", ignore_index=True).drop(columns=["seed", "budget"], errors="ignore")
    assert len(frame) == len(source), "every row is predicted"
    return frame.assign(loss=np.where(np.isfinite(observed), frame["loss"], np.nan))


def stated_column(table: Table, role: str) -> str:
    """The column that a table's convention names for a role; the whole statement where it names none."""
    stated = table.convention[role]
    found = re.match(r"column (['\"])(.*?)\1", stated)
    return found[2] if found else stated
