"""What a study says in words: no number that the runs do not determine, and the doubts before the plan."""

from dataclasses import replace

import pytest
from simulated_isoflop import isoflop_study

from analysis.formats import count
from analysis.isoflop import valleys
from analysis.sections.optima import within_sizes
from analysis.table import load


@pytest.mark.parametrize(("side", "words"), [(0, "<{:s}–"), (1, "–>{:s}")])
def test_an_interval_beyond_the_sizes_tried_is_open(side: int, words: str) -> None:
    valley = valleys(load(isoflop_study(noise=0.002))).valleys[0]
    assert "<" not in within_sizes(valley)
    assert ">" not in within_sizes(valley)
    low, high = valley.params_interval
    wide = replace(valley, params_interval=(low / 1e6, high) if side == 0 else (low, high * 1e6))
    edge = valley.points["params"].iloc[0 if side == 0 else -1]
    assert words.format(count(edge)) in within_sizes(wide)
