"""Numbers as people write them in tables."""

import re
from collections.abc import Mapping

import pandas as pd

from analysis.refusals import BadValue

UNITS = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "g": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
LARGEST_UNIT = 1e15
"""No table of runs counts in more than quadrillions."""
_WRITTEN = re.compile(
    rf"^\s*([0-9][0-9,_]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*({'|'.join(UNITS)})?\s*$", re.IGNORECASE
)


def written_number(text: object) -> float:
    """A number as people write it: 70M, 1.4B, 1,000,000; NaN where it is none."""
    found = _WRITTEN.match(str(text))
    if found is None:
        return float("nan")
    return float(found[1].replace(",", "").replace("_", "")) * UNITS.get((found[2] or "").lower(), 1.0)


def read_numbers(column: pd.Series) -> pd.Series:
    """A column as floats; text such as 70M is read, and what is no number is NaN."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    text = values.isna() & column.notna()
    if text.any():
        values = values.where(~text, column.where(text).map(written_number))
    return values


def refuse_bad_units(units: Mapping[str, float]) -> None:
    """Raise unless every unit is a number above 0, and no larger than counts are written in."""
    for role, unit in units.items():
        if not 0 < unit <= LARGEST_UNIT:
            raise BadValue(
                f"units.{role}={unit:g}: what 1 stands for in the column must be above 0 and at most {LARGEST_UNIT:g}, "
                f"such as units.{role}=1e9 for billions"
            )
