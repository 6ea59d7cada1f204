"""The whole study: parts that stand alone, words that match the numbers, files that can be read back."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_isoflop import EXPONENT_A, TRUTH, best_params, isoflop_study

from analysis.approaches import compare
from analysis.fit import fit
from analysis.isoflop import Valleys, valleys
from analysis.outliers import outliers
from analysis.present import markdown, sections
from analysis.report import html, to_json, write
from analysis.result import FitResult
from analysis.study import Refused, Study, analyse
from analysis.table import load


@pytest.fixture(scope="module")
def study() -> Study:
    return analyse(load(isoflop_study(noise=0.002)), bootstrap=100)


def test_every_part_agrees_with_the_truth(study: Study) -> None:
    assert isinstance(study.fit, FitResult)
    assert isinstance(study.valleys, Valleys)
    assert study.fit.exponents["a"] == pytest.approx(EXPONENT_A, abs=0.03)
    assert study.target_flops == 10 * 4.0**4 * 1e18
    assert not isinstance(study.plan, Refused)
    assert study.plan["params"].iloc[-1] == pytest.approx(best_params(study.target_flops), rel=0.3)
    assert study.comparison.disagreements == ()


def test_parts_fail_alone() -> None:
    """Five sizes on one budget: no law and no lines, but the valley stands."""
    lone = analyse(load(isoflop_study(budgets=1, sizes=5)), bootstrap=50)
    assert isinstance(lone.fit, Refused)
    assert isinstance(lone.held_back, Refused)
    assert isinstance(lone.valleys, Valleys)
    assert len(lone.valleys.valleys) == 1
    assert "not available" in markdown(lone)
    json.loads(to_json(lone))


def test_disagreement_is_flagged() -> None:
    """Valleys of one law beside the fit of another."""
    one = load(isoflop_study(noise=0.001))
    moved = isoflop_study(noise=0.001)
    moved["params"] *= np.sqrt(moved["budget"] / 1e18)
    other = valleys(load(moved))
    both = compare(1e21, other, fit(one, bootstrap=100))
    assert any("exponent a" in said for said in both.disagreements)
    alike = compare(1e21, valleys(one), fit(one, bootstrap=100))
    assert alike.disagreements == ()


def test_outliers_are_kept_and_both_fits_shown() -> None:
    frame = isoflop_study(noise=0.002)
    frame["loss"] *= np.where(frame.index == 3, 1.3, 1.0)
    table = load(frame)
    result = fit(table, bootstrap=0)
    found = outliers(table, result, bootstrap=0)
    assert found.runs["row"].tolist() == [4]
    assert len(result.points) == len(frame)
    assert found.without is not None
    assert len(found.without.points) == len(frame) - 1
    words = markdown(analyse(table, bootstrap=60))
    assert "row 4" in words
    assert "without outliers" in words
    clean = load(isoflop_study(noise=0.002))
    assert outliers(clean, fit(clean, bootstrap=0)).without is None


def test_markdown_says_what_was_measured(study: Study) -> None:
    text = markdown(study)
    assert isinstance(study.fit, FitResult)
    assert f"{study.fit.parameters['E']:.5g}" in text
    assert "column 'params', convention not stated" in text
    assert "agree within their intervals" in text
    for section in sections(study):
        assert f"## {section.title}" in text
        assert all(len(row) == len(section.header) for row in section.rows)


def test_excluded_rows_and_refused_budgets_are_said() -> None:
    frame = isoflop_study(noise=0.002)
    frame = frame[~((frame["budget"] == 1e18) & (frame["params"] < frame["params"].iloc[4]))]
    frame = pd.concat([frame, frame.head(1).assign(tokens=1e7, loss=np.nan, status="diverged")])
    frame["status"] = frame["status"].fillna("done")
    text = markdown(analyse(load(frame), bootstrap=60))
    assert "1 (status diverged)" in text
    assert "1e18 FLOPs is refused" in text


def test_json_is_strict_and_holds_the_contract(study: Study) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    record = json.loads(to_json(study), parse_constant=refuse)
    assert set(record["parameters"]) == set(TRUTH)
    assert record["objective"] > 0
    for key in (
        "intervals",
        "exponents",
        "certificate",
        "convention",
        "isoflop",
        "approaches",
        "held_back",
        "backtest",
    ):
        assert record[key]
    assert isinstance(study.fit, FitResult)
    assert FitResult.from_json(json.dumps(record)).parameters == study.fit.parameters


def test_report_is_one_file_that_needs_no_network(study: Study, tmp_path: Path) -> None:
    page = html(study)
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert page.count("data:image/svg+xml;base64,") >= 7
    assert "<script" not in page
    paths = write(study, tmp_path)
    assert {path.name for path in paths} >= {
        "study.json",
        "study.md",
        "report.html",
        "valleys.png",
        "valleys.svg",
    }
    assert all(path.stat().st_size > 200 for path in paths)


def test_report_escapes_what_the_table_says() -> None:
    frame = isoflop_study(noise=0.002).rename(columns={"loss": "<script>alert(1)</script>"})
    table = load(frame, {"loss": "<script>alert(1)</script>"})
    assert "<script" not in html(analyse(table, bootstrap=0))


def test_a_law_that_does_not_fall_leaves_the_other_parts_alone() -> None:
    """Losses that rise with the size at every token count: the fitted exponent of the size is negative."""
    frame = isoflop_study(budgets=4, sizes=5)
    size, spent = np.log(frame["params"]), np.log(frame["budget"] / 1e18)
    frame["loss"] = 3 + 0.1 * (size - size.min() + 1) ** 2 - 0.01 * spent
    risen = analyse(load(frame), bootstrap=0)
    assert isinstance(risen.fit, FitResult)
    assert risen.fit.exponents == {}
    assert isinstance(risen.plan, Refused)
    assert "no optimum" in risen.plan.reason
    assert isinstance(risen.valleys, Valleys)
    assert "What to train next" in markdown(risen)
    json.loads(to_json(risen))
    html(risen)
