"""A plan is never printed unqualified: its verdict stands first, and follows what the study found."""

import json
from dataclasses import replace

import numpy as np
import pytest
from simulated_isoflop import best_params, isoflop_study, loss_of

from analysis.held_back import HeldBack
from analysis.isoflop import Valleys
from analysis.present import markdown, sections
from analysis.report import html, to_json
from analysis.result import FitResult
from analysis.study import Refused, Study, analyse
from analysis.table import load
from analysis.valley import RefusedValley
from analysis.verdict import DOUBTFUL_ERROR, WORDS, verdict_on_plan


@pytest.fixture(scope="module")
def study() -> Study:
    return analyse(load(isoflop_study(noise=0.002)), bootstrap=60)


def refuse_valleys(study: Study, number: int) -> Study:
    assert isinstance(study.valleys, Valleys)
    bad = [RefusedValley(v.budget_flops, v.points, "no minimum", ()) for v in study.valleys.valleys[:number]]
    left = replace(study.valleys, valleys=study.valleys.valleys[number:], refused=tuple(bad))
    return replace(study, valleys=left)


def with_error(study: Study, error: float) -> Study:
    assert isinstance(study.held_back, HeldBack)
    return replace(study, held_back=replace(study.held_back, mean_error=error))


def grade(study: Study) -> str:
    verdict = verdict_on_plan(study)
    assert verdict is not None
    return verdict.grade


def test_a_sound_study_supports_its_plan(study: Study) -> None:
    assert grade(study) == "supported"


@pytest.mark.parametrize(
    ("refused", "error", "expected"),
    [(1, 0.001, "check"), (3, 0.001, "guess"), (5, 0.001, "guess"), (0, 0.03, "check"), (0, 0.26, "guess"),
     (3, 0.26, "guess"), (0, float("nan"), "guess")],
)  # fmt: skip
def test_refused_valleys_and_errors_lower_it(study: Study, refused: int, error: float, expected: str) -> None:
    doubtful = with_error(refuse_valleys(study, refused), error)
    assert grade(doubtful) == expected
    verdict = verdict_on_plan(doubtful)
    assert verdict is not None
    if refused:
        assert f"{refused} of 5 budgets show no minimum" in verdict.words
    if error > DOUBTFUL_ERROR:
        assert f"mean error of {100 * error:.2f} %" in verdict.words


def test_reach_and_untested_plans_lower_it(study: Study) -> None:
    assert grade(replace(study, target_flops=1e30)) == "guess"
    assert grade(replace(study, held_back=Refused("TooFewPoints", "two runs"))) == "check"
    assert verdict_on_plan(replace(study, fit=Refused("TooFewPoints", "two runs"))) is None


def test_the_verdict_comes_before_the_plan_everywhere(study: Study) -> None:
    doubtful = with_error(refuse_valleys(study, 3), 0.26)
    words = WORDS["guess"]
    text, page = markdown(doubtful), html(doubtful, figures={})
    for shown in (text, page):
        plan = shown[shown.index("What to train next") :]
        assert plan.index(words) < plan.index("compute FLOPs")
    assert '<p class="flag">Treat the plan as a guess' in page
    (section,) = [section for section in sections(doubtful) if section.title == "What to train next"]
    assert section.lead.startswith(words)
    stored = json.loads(to_json(doubtful))["plan_verdict"]
    assert stored["grade"] == "guess"
    assert stored["words"] == section.lead


def test_a_floor_at_its_bound_is_said_to_be_undetermined() -> None:
    """Losses that are one power of the size and one of the tokens: any E far below them fits as well."""
    frame = isoflop_study(budgets=4, sizes=5)
    losses = 300 / frame["params"] ** 0.15 + 300 / frame["tokens"] ** 0.15 - 0.3
    frame["loss"] = losses * np.exp(0.001 * np.random.default_rng(1).standard_normal(len(frame)))
    study = analyse(load(frame), bootstrap=0)
    assert isinstance(study.fit, FitResult)
    assert study.fit.at_bound == ("E",)
    text = markdown(study)
    assert "these runs do not determine E" in text
    assert "no model of this family goes below 1" not in text
    assert f"{study.fit.parameters['E']:.3g}" not in text
    verdict = verdict_on_plan(study)
    assert verdict is not None
    assert "do not determine E" in verdict.words


def test_the_error_to_check_a_plan_from_is_that_of_a_size_wrong_by_three() -> None:
    best = float(best_params(1e21))
    right, wrong = (float(loss_of(n, 1e21 / 6 / n)) for n in (best, 3 * best))
    assert wrong / right - 1 == pytest.approx(0.016, abs=0.001)
    assert wrong / right - 1 < DOUBTFUL_ERROR
