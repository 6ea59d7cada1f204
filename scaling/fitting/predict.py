"""`scaling fit … predict=OTHER.csv`: the rows of another table, read as the runs were."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws
from analysis.forecast import forecaster
from analysis.predictions import ANY_LOSS, Predictions, predict_rows, read_rows_to_predict
from analysis.reading import few_columns
from analysis.reading.files import read
from analysis.reading.names import columns_named
from analysis.result import FitResult
from analysis.table import Table
from scaling.fitting.keys import COLUMNS, FitKeys


def rows_of_study(runs: Table, keys: FitKeys) -> pd.DataFrame | None:
    """The rows of the table that `predict=` names, with sizes, tokens and FLOPs; None where it names none."""
    if keys.predict is None:
        return None
    other = read(Path(keys.predict), keys.sep, keys.decimal)
    return read_rows_to_predict(other, runs, keys.named(COLUMNS), keys.units, f"predict={keys.predict}")


def predict_by_law(result: FitResult, keys: FitKeys) -> Predictions | None:
    """The rows of the table that `predict=` names, by a fitted law of any columns and its rivals; None without one.

    Raises:
        Refusal: a column is missing, or a row has a number that cannot be; the message names the row.
    """
    if keys.predict is None:
        return None
    law = laws.get(result.law)
    table = read(Path(keys.predict), keys.sep, keys.decimal)
    named = keys.named(dict.fromkeys((law.target, *law.variables)))
    found = columns_named(table, few_columns.known_names(law.target), law.target)
    target = named.get(law.target) or next(iter(found), law.target)
    observed = np.full(len(table), np.nan)
    if target in table:
        observed = pd.to_numeric(table[target], errors="coerce").to_numpy(float)
    known = np.isfinite(observed)
    told = few_columns.Told(
        columns={role: column for role, column in named.items() if column in table} | {law.target: target},
        units=keys.units,
    )
    filled = table.assign(**{target: np.where(known, observed, ANY_LOSS)})
    rows, _ = few_columns.read_few_columns(filled, law, told)
    rows[law.target] = np.where(known, rows[law.target], np.nan)
    return predict_rows(forecaster(result.points, law.name, result.objective_name), rows, keys.level)
