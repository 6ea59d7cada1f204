"""How far a plan can be trusted, in words: from the valleys without a minimum, the held-back error and the reach."""

from dataclasses import dataclass
from typing import Literal

from analysis.formats import compute, percent
from analysis.held_back import HeldBack
from analysis.identified import identification
from analysis.isoflop import Valleys
from analysis.result import FitResult
from analysis.study import Refused, Study

DOUBTFUL_ERROR = 0.02
"""Mean error on the held-back budget from which a plan is to be checked: by Chinchilla's law at 1e21 FLOPs a size that
is wrong by a factor of 3 costs 1.6 % of loss, so that a law this far off does not tell such sizes apart."""
GUESS_ERROR = 0.05
"""Mean error on the held-back budget from which the law does not describe larger runs."""
MIN_MINIMA = 3
"""Budgets with a minimum that show how the optimum follows compute: two always lie on a line."""
FAR = 200.0
"""Times the largest compute here beyond which a plan is a guess: Hoffmann et al. (2022) went from IsoFLOP budgets up to
3e21 FLOPs to a model of 5.76e23, 190 times as much, on more than 400 runs by three approaches."""

Grade = Literal["supported", "check", "guess"]
WORDS: dict[Grade, str] = {
    "supported": "The plan is supported by these runs",
    "check": "Check the plan before spending on it",
    "guess": "Treat the plan as a guess",
}


@dataclass(frozen=True)
class Verdict:
    """How far a plan can be trusted, and why."""

    grade: Grade
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """The verdict as one sentence."""
        return f"{WORDS[self.grade]}: {'; '.join(self.reasons)}."


def verdict_on_plan(study: Study) -> Verdict | None:
    """The verdict on a study's plan; None where it has none.

    The worst of what is known decides; reasons that speak for the plan are said as well.
    """
    if not isinstance(study.fit, FitResult) or isinstance(study.plan, Refused):
        return None
    judged = [
        *_of_valleys(study),
        _of_held_back(study),
        *_of_fit(study.fit),
        *_of_approaches(study),
        *_of_reach(study),
    ]
    order: tuple[Grade, ...] = ("guess", "check", "supported")
    worst = next(grade for grade in order if any(grade == given for given, _ in judged))
    # The gravest first.
    reasons = tuple(why for grade in order for given, why in judged if given == grade)
    return Verdict(worst, reasons)


Judged = tuple[Grade, str]


def _of_valleys(study: Study) -> list[Judged]:
    if not isinstance(study.valleys, Valleys):
        return [("check", "no budget has the sizes that would show a minimum")]
    found, refused = len(study.valleys.valleys), len(study.valleys.refused)
    budgets = found + refused
    if not refused:
        said = f"all {budgets} budgets show a minimum" if budgets > 1 else "the only budget shows a minimum"
        return [("supported" if found >= MIN_MINIMA else "check", said)]
    few = found < MIN_MINIMA or refused >= found
    return [("guess" if few else "check", f"{refused} of {budgets} budgets show no minimum")]


def _of_held_back(study: Study) -> Judged:
    held = study.held_back
    if not isinstance(held, HeldBack):
        return "check", f"no larger runs could be held back to test it ({held.reason})"
    error = held.mean_error
    grade: Grade = "guess" if not error < GUESS_ERROR else "check" if error >= DOUBTFUL_ERROR else "supported"
    return (
        grade,
        f"runs held back above {compute(held.cut_flops)} FLOPs are predicted with a mean error of {percent(error)}",
    )


def _of_fit(fit: FitResult) -> list[Judged]:
    judged: list[Judged] = []
    if identification(fit).reasons:
        judged.append(("check", "the runs do not identify the law (see there)"))
    if not fit.certificate.converged:
        judged.append(("guess", "the fit did not converge"))
    flat = [name for name in fit.at_bound if name != "E"]
    if flat:
        judged.append(
            ("guess", f"the runs do not determine {' and '.join(flat)}, on which the best size depends")
        )
    if "E" in fit.at_bound:
        judged.append(("check", "the runs do not determine E, the loss that stays however large the model"))
    return judged


def _of_approaches(study: Study) -> list[Judged]:
    found = study.comparison.disagreements
    return [("check", "the approaches disagree (see above)")] if found else []


def _of_reach(study: Study) -> list[Judged]:
    reach = study.target_flops / study.largest_flops
    return [("guess", f"it lies {reach:.3g} times beyond the largest compute here")] if reach > FAR else []
