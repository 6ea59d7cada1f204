"""The noise floor of repeated runs, what the law leaves beyond it, and a rung that is off, in sentences."""

from analysis.formats import compute, count, percent
from analysis.lack_of_fit import SIGNIFICANT, PureError, Rung, pure_error, rungs_off
from analysis.result import FitResult
from analysis.table import Table


def lack_of_fit_words(table: Table, result: FitResult) -> list[str]:
    """Sentences on repeated runs and rungs; none where there are no repeats and no rung is off."""
    floor = pure_error(result, len(result.theta))
    words = [] if floor is None else [floor_words(floor)]
    return words + [rung_words(rung) for rung in rungs_off(table, result)]


def floor_words(floor: PureError) -> str:
    """The noise floor and the test of lack of fit."""
    test = f"lack of fit F = {floor.ratio:.2g}, p = {floor.p_value:.2g}"
    scatter = f"repeated runs scatter by {percent(floor.noise)} ({floor.freedom} degrees of freedom)"
    if floor.p_value < SIGNIFICANT:
        return f"Warning: {scatter}, and the law misses by more than that ({test}): it bends where the runs do not."
    return f"Noise floor: {scatter}; the law leaves no more than that ({test})."


def rung_words(rung: Rung) -> str:
    """A size or a budget that is off, and where to look."""
    named = (
        f"of {count(rung.value)} parameters" if rung.role == "params" else f"at {compute(rung.value)} FLOPs"
    )
    return (
        f"Warning: the {rung.runs} runs {named} lie {rung.mean_residual:+.2%} off the law together (p = "
        f"{rung.p_value:.2g} over all such rungs): compare their learning rate, batch and schedule with the others'."
    )
