"""Numbers as people write them, and units that cannot be."""

import re

import pytest
from simulated_isoflop import isoflop_study

from analysis import laws
from analysis.reading.few_columns import Told, read_few_columns
from analysis.reading.numbers import written_number
from analysis.refusals import BadValue
from analysis.table import load


@pytest.mark.parametrize(("text", "value"), [("70M", 7e7), ("1.4B", 1.4e9), ("1,000,000", 1e6), ("2e9", 2e9)])
def test_written_numbers(text: str, value: float) -> None:
    assert written_number(text) == pytest.approx(value)


@pytest.mark.parametrize("unit", [-1.0, 0.0, float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("role", ["tokens", "params"])
def test_a_unit_that_no_column_can_have_is_refused_by_its_name(role: str, unit: float) -> None:
    with pytest.raises(BadValue, match=f"units.{role}={re.escape(f'{unit:g}')}: .* above 0 and at most"):
        load(isoflop_study(), units={role: unit})
    with pytest.raises(BadValue, match=f"units.{role}={re.escape(f'{unit:g}')}"):
        read_few_columns(isoflop_study(), laws.get("kaplan_n"), Told(units={role: unit}))
