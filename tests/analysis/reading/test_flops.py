"""FLOPs beside 6ND: other units are refused with the unit to say, plausible conventions are kept."""

import pandas as pd
import pytest

from analysis.refusals import BadColumn
from analysis.table import load

RUNS = pd.DataFrame({"params": [1e8, 2e8, 4e8], "tokens": [1e9, 2e9, 8e9], "loss": [3.0, 2.9, 2.8]})
SIX_ND = 6 * RUNS["params"] * RUNS["tokens"]


@pytest.mark.parametrize(
    ("unit", "said"), [(1e9, "1e9"), (1e18, "1e18"), (1e21, "1e21"), (8.64e19, r"8.64e19")]
)
def test_flops_in_another_unit_are_refused_with_that_unit(unit: float, said: str) -> None:
    table = RUNS.assign(flops=SIX_ND / unit * 1.1)
    with pytest.raises(BadColumn, match=f"units.flops={said}"):
        load(table)
    assert load(table, units={"flops": unit}).frame["flops"].to_numpy() == pytest.approx(SIX_ND * 1.1)


@pytest.mark.parametrize("factor", [0.3, 1, 3, 10])
def test_other_ways_of_counting_are_kept(factor: float) -> None:
    assert len(load(RUNS.assign(flops=SIX_ND * factor))) == 3


def test_flops_of_no_unit_can_only_be_left_out() -> None:
    table = RUNS.assign(flops=SIX_ND * [1.0, 1.0, 1e5])
    with pytest.raises(BadColumn, match=r"times 6 · params · tokens in row 3: name another .* flops=none"):
        load(table)
    assert load(table, {"flops": "none"}).frame["flops"].to_numpy() == pytest.approx(SIX_ND)


def test_params_from_flops_in_another_unit_are_refused() -> None:
    with pytest.raises(BadColumn, match=r"units\.flops"):
        load(RUNS.drop(columns="params").assign(flops=SIX_ND / 1e18))
