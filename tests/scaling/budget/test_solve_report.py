"""The plan for a budget says first how far the study behind its law trusts it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from simulated_isoflop import isoflop_study

from analysis.fit import fit
from analysis.report import to_json
from analysis.study import analyse
from analysis.table import load
from scaling.budget.keys import SolveKeys
from scaling.budget.solve import solve
from scaling.budget.solve_report import solution_report


def report(law: str) -> tuple[str, object]:
    solution = solve(SolveKeys(flops=1e21, law=law))
    console = Console(width=100, file=io.StringIO())
    console.print(solution_report(solution, None))
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split()), solution.to_json()["law_verdict"]


@pytest.mark.parametrize(
    ("shift", "words"), [(1.0, "The plan is supported"), (8.0, "Treat the plan as a guess: 5 of 5")]
)
def test_the_studys_verdict_stands_before_the_plan(tmp_path: Path, shift: float, words: str) -> None:
    study = analyse(load(isoflop_study(noise=0.002, shift=shift)), bootstrap=0)
    (tmp_path / "study.json").write_text(to_json(study))
    text, stored = report(str(tmp_path))
    assert text.index(words) < text.index("What to train")
    assert words in str(stored)


def test_a_fit_that_was_not_checked_is_a_guess_and_a_published_law_has_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "fit.json").write_text(fit(isoflop_study(noise=0.002), bootstrap=0).to_json())
    assert "plan_verdict" not in json.loads((tmp_path / "fit.json").read_text())
    assert "Treat the plan as a guess: this fit was not checked" in report(str(tmp_path))[0]
    text, stored = report("besiroglu2024")
    assert "guess" not in text
    assert stored is None


def test_the_price_of_not_knowing_the_size_stands_beside_the_optimum() -> None:
    solution = solve(SolveKeys(flops=1e22, law="besiroglu2024"))
    assert solution.regret is not None
    assert 0 < solution.regret.expected_share < solution.regret.high_share < 0.1
    stored = solution.to_json()["regret"]
    assert isinstance(stored, dict)
    price = solution.budget.cost.price_usd
    assert price is not None
    assert stored["expected_usd"] == pytest.approx(solution.regret.expected_share * price, rel=1e-6)
    low, high = solution.regret.within[0.01]
    assert low < solution.budget.params.total < high
    console = Console(width=120, file=io.StringIO())
    console.print(solution_report(solution, None))
    assert isinstance(console.file, io.StringIO)
    assert "within 1 % of compute" in console.file.getvalue()
    assert "price of not knowing it" in console.file.getvalue()


def test_a_size_that_was_given_is_not_the_laws_to_regret() -> None:
    assert solve(SolveKeys(flops=1e21, params=1e9)).regret is None
