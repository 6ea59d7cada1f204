"""The guide runs from top to bottom, and finds the law that it simulated."""

import runpy
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "from_csv_to_plan.py"


def test_the_guide_runs_and_finds_its_truth(capsys: pytest.CaptureFixture[str]) -> None:
    names = runpy.run_path(str(GUIDE))
    out = capsys.readouterr().out
    assert "What to train next" in out
    result, truth = names["result"], names["truth"]
    for name, value in truth.items():
        assert abs(result.parameters[name] - value) < 3 * result.standard_errors[name], name
    assert result.exponents["a"] == pytest.approx(truth["beta"] / (truth["alpha"] + truth["beta"]), abs=0.03)
    assert all(path.is_file() for path in names["paths"])
