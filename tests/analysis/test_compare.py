"""Studies side by side: the multiplier of a known truth, paired differences, and what is said of both."""

import json
from pathlib import Path

import numpy as np
import pytest
from simulated_isoflop import TRUTH, isoflop_study, loss_of

from analysis.compare import compare_studies, job_keys
from analysis.compare_report import to_json, write
from analysis.refusals import BadValue
from analysis.sections.compared import compared_sections
from analysis.study import Refused
from analysis.table import Table, load


def study(seed: int, noise: float = 0.002, compute_gain: float = 1.0, shared: int | None = None) -> Table:
    """Runs of the truth as if each had `compute_gain` times its tokens and parameters' worth of compute.

    `shared` is the seed of half the noise, which two studies may have in common.
    """
    frame = isoflop_study(noise=0.0)
    gain = np.sqrt(compute_gain)
    rng = np.random.default_rng(seed)
    common = 0.0 if shared is None else np.random.default_rng(shared).standard_normal(len(frame))
    frame["loss"] = loss_of(frame["params"] * gain, frame["tokens"] * gain) * np.exp(
        noise * rng.standard_normal(len(frame)) + 3 * noise * common
    )
    return load(frame)


def test_the_multiplier_of_a_known_truth() -> None:
    """B acts as if it had 1.5 times the compute, so A needs 1.5 times as much, at every budget."""
    found = compare_studies({"A": study(0), "B": study(1, compute_gain=1.5)}, bootstrap=200)
    multipliers = found.pairs[0].multipliers
    assert not isinstance(multipliers, Refused)
    inside = multipliers[~multipliers["extrapolated"]]
    assert (inside["low"] < 1.5).all()
    assert (inside["high"] > 1.5).all()
    np.testing.assert_allclose(inside["multiplier"], 1.5, rtol=0.08)
    growth, low, high = found.pairs[0].trend
    assert low < 1 < high
    assert growth == pytest.approx(1.0, abs=0.1)
    assert bool(multipliers["extrapolated"].iloc[-1])


def test_without_noise_the_multiplier_is_exact() -> None:
    found = compare_studies(
        {"A": study(0, noise=0.0), "B": study(1, noise=0.0, compute_gain=2.0)}, bootstrap=0
    )
    multipliers = found.pairs[0].multipliers
    assert not isinstance(multipliers, Refused)
    np.testing.assert_allclose(multipliers["multiplier"], 2.0, rtol=5e-3)
    assert multipliers["low"].isna().all()  # no resamples: not estimated


def test_noise_in_common_cancels_in_paired_differences() -> None:
    """Both studies' runs share most of their noise; resampling their jobs together finds the smaller difference."""
    pair = compare_studies({"A": study(0, shared=9), "B": study(1, shared=9)}, bootstrap=200).pairs[0]
    other = study(1, shared=9)
    apart = Table(
        other.frame.assign(seed=7), other.convention, other.excluded, other.budgets_named, other.notes, "B"
    )
    unpaired = compare_studies({"A": study(0, shared=9), "B": apart}, bootstrap=200).pairs[0]
    assert pair.matched == len(set(job_keys(other)))
    assert unpaired.matched == 0
    widths = [
        float((p.differences["high"] - p.differences["low"])[p.differences["quantity"] == "alpha"].iloc[0])
        for p in (pair, unpaired)
    ]
    assert widths[0] < 0.7 * widths[1]


def test_studies_that_share_no_compute_are_extrapolated_with_a_warning() -> None:
    small, large = load(isoflop_study(noise=0.002)), load(isoflop_study(noise=0.002, seed=1))
    far = large.frame.copy()
    far[["params", "tokens"]] *= 1000.0
    far["flops"] = 6 * far["params"] * far["tokens"]
    far["loss"] = loss_of(far["params"], far["tokens"], TRUTH)
    moved = Table(far, large.convention, large.excluded, large.budgets_named, large.notes, "far")
    found = compare_studies({"A": small, "far": moved}, bootstrap=0)
    multipliers = found.pairs[0].multipliers
    assert not isinstance(multipliers, Refused)
    assert multipliers["extrapolated"].all()
    assert any("no compute in common" in words for part in compared_sections(found) for words in part.words)


def test_one_study_is_refused_and_files_are_written(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="two studies or more"):
        compare_studies({"A": study(0)})
    found = compare_studies({"A": study(0), "B": study(1), "C": study(2)}, bootstrap=60)
    stored = json.loads(to_json(found))
    assert [pair["second"] for pair in stored["pairs"]] == ["B", "C"]
    assert 0 < stored["joint"]["exponents_differ_p"] <= 1
    write(found, tmp_path, "A, B and C")
    page = (tmp_path / "report.html").read_text()
    assert "Compute that A needs for the loss of B" in page
    assert "data:image/svg+xml" in page
    assert (tmp_path / "figures" / "compare.png").stat().st_size > 10_000
