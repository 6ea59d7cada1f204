"""The answer to each question of `scaling budget`, as figures for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from scaling.accounting.catalogue import CATALOGUE
from scaling.budget.encoder_decoder import encoder_decoder_budget
from scaling.budget.estimate import training_budget
from scaling.budget.finetune import fine_tuning
from scaling.budget.fits import ranked_layouts, remedies_of
from scaling.budget.history import HISTORY
from scaling.budget.keys import (
    BudgetKeys,
    FineTuneKeys,
    ModelKeys,
    ServeKeys,
    SolveKeys,
    VerifyKeys,
    parse_keys,
)
from scaling.budget.lists_report import comparison_table, hardware_table, history_table, layouts_table
from scaling.budget.report import budget_report, encoder_decoder_report
from scaling.budget.serve import serving
from scaling.budget.setup import build_shape, model_notes
from scaling.budget.tables import console
from scaling.budget.usage_report import fine_tuning_report, serving_report


@dataclass(frozen=True)
class Answer:
    """Both are made only when asked for."""

    figures: Callable[[], object]
    """What `--json` prints."""
    tables: Callable[[], RenderableType]


def with_notes(answer: Answer, keys: ModelKeys) -> Answer:
    """The answer, headed by how a model's config.json was read where there is something to say about it."""
    notes = model_notes(keys)
    if not notes:
        return answer

    def figures() -> object:
        made = answer.figures()
        return {**made, "model_notes": list(notes)} if isinstance(made, dict) else made

    return Answer(figures, lambda: Group(Text("\n".join(notes), style="yellow"), answer.tables()))


def answer_forward(words: list[str]) -> Answer:
    """Parameters, FLOPs, memory, time and cost of a model."""
    keys = parse_keys(words, BudgetKeys)
    name = _name(keys.model)
    if build_shape(keys.model).encoder_depth:
        partial_budget = encoder_decoder_budget(keys)
        return Answer(partial_budget.to_json, partial(encoder_decoder_report, partial_budget, name))
    budget = training_budget(keys)
    answer = Answer(
        budget.to_json, lambda: budget_report(budget, name, remedies_of(budget, keys), console().width)
    )
    return with_notes(answer, keys.model)


def answer_fits(words: list[str]) -> Answer:
    """Layouts of a number of devices, best first."""
    keys = parse_keys(words, BudgetKeys)
    ranked = ranked_layouts(keys)
    return with_notes(Answer(ranked.to_json, partial(layouts_table, ranked)), keys.model)


def answer_solve(words: list[str]) -> Answer:
    """What to train with a budget; writes it as an experiment where the keys say so."""
    # The other questions need no numpy, whose import takes a third of their time.
    from scaling.budget.experiment_file import write_experiment
    from scaling.budget.solve import solve
    from scaling.budget.solve_report import solution_report

    keys = parse_keys(words, SolveKeys)
    solution = solve(keys)
    if keys.write is not None:
        write_experiment(solution, keys.write, keys.corpus)
    answer = Answer(solution.to_json, partial(solution_report, solution, keys.write))
    return with_notes(answer, keys.model)


def answer_serve(words: list[str]) -> Answer:
    """Memory and speed of a model that answers."""
    keys = parse_keys(words, ServeKeys)
    served = serving(keys)
    answer = Answer(served.to_json, partial(serving_report, served, _name(keys.model)))
    return with_notes(answer, keys.model)


def answer_finetune(words: list[str]) -> Answer:
    """Memory of fine-tuning, whole or by adapters."""
    keys = parse_keys(words, FineTuneKeys)
    run = fine_tuning(keys)
    answer = Answer(run.to_json, partial(fine_tuning_report, run, _name(keys.model)))
    return with_notes(answer, keys.model)


def answer_verify(words: list[str]) -> Answer:
    """Closed forms beside what torch traces."""
    from scaling.budget.verify import verify  # the only question that needs torch

    comparisons = verify(parse_keys(words, VerifyKeys))
    return Answer(
        lambda: [comparison.to_json() for comparison in comparisons], partial(comparison_table, comparisons)
    )


def answer_history(words: list[str]) -> Answer:
    """Training compute of well-known models."""
    return Answer(lambda: [model.to_json() for model in HISTORY], history_table)


def answer_hardware(words: list[str]) -> Answer:
    """The catalogue of devices."""
    return Answer(lambda: [device.to_json() for device in CATALOGUE.values()], hardware_table)


def _name(keys: ModelKeys) -> str:
    return keys.name or "your model"


ANSWERS: dict[str | None, Callable[[list[str]], Answer]] = {
    None: answer_forward,
    "solve": answer_solve,
    "fits": answer_fits,
    "serve": answer_serve,
    "finetune": answer_finetune,
    "verify": answer_verify,
    "history": answer_history,
    "hardware": answer_hardware,
}
"""Question → its answer from `key=value` words; None: the forward question."""
