"""Points of training curves: which rows are one run, and which of many are fitted."""

import numpy as np
import pandas as pd
from simulated import TRUTH

from analysis import laws
from analysis.curves import MOST_ROWS, evenly_spaced
from analysis.fit import fit
from analysis.table import load


def curves(runs: int, points: int) -> pd.DataFrame:
    """Checkpoints of runs of as many sizes, evenly spaced in tokens as they are saved."""
    sizes = np.repeat(np.geomspace(2e7, 4e9, runs), points)
    tokens = np.tile(np.linspace(1e9, 1e11, points), runs)
    loss = laws.CHINCHILLA.loss(TRUTH, params=sizes, tokens=tokens)
    return pd.DataFrame({"params": sizes, "tokens": tokens, "loss": loss})


def test_each_size_with_many_checkpoints_is_one_run() -> None:
    table = load(curves(runs=9, points=20))
    assert table.frame["cluster"].nunique() == 9
    assert any("each size is taken as one training run" in note for note in table.notes)
    assert "cluster" not in load(curves(9, 20), {"cluster": "none"}).frame
    # Few token counts a size, and rows that a seed tells apart, are runs of their own.
    assert "cluster" not in load(curves(9, 5)).frame
    assert "cluster" not in load(curves(9, 20).assign(seed=0)).frame


def test_too_few_runs_for_an_interval_are_said() -> None:
    found = fit(load(curves(runs=5, points=41)), bootstrap=50)
    assert not len(found.draws)
    assert any("5 training runs leave 2.0 degrees" in warning for warning in found.certificate.warnings)
    assert len(fit(load(curves(runs=6, points=41)), bootstrap=50).draws) == 50


def test_many_checkpoints_are_thinned_and_none_is_lost_unsaid() -> None:
    rows = curves(runs=12, points=400)
    table = load(rows)
    assert len(table) <= MOST_ROWS < len(rows)
    assert len(table) + len(table.excluded) == len(rows)
    assert any(
        f"of {len(rows)} checkpoints of 12 runs {len(table)} are fitted" in note for note in table.notes
    )
    spans = table.frame.groupby("cluster")["tokens"].agg(["min", "max"])
    assert (spans["min"] == 1e9).all()
    assert (spans["max"] == 1e11).all()


def test_thinned_points_are_the_nearest_to_even_spacing() -> None:
    values = np.log(np.arange(1.0, 1001.0))
    chosen = np.sort(values[evenly_spaced(values, 30)])
    assert chosen[0] == values[0]
    assert chosen[-1] == values[-1]
    wanted = np.linspace(values[0], values[-1], 30)
    nearest = [np.abs(values - value).min() for value in wanted]
    assert np.allclose([np.abs(chosen - value).min() for value in wanted], nearest)
