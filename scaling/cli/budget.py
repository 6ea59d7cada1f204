"""`scaling budget`: what a model takes, what fits, and what to train with what you have."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from scaling.errors import UserError


def main(argv: list[str]) -> int:
    """Run one question; returns the exit status. Raises UserError, in one line, for ill input."""
    questions: dict[str, Callable[[list[str], bool], int]] = {
        "solve": solve,
        "fits": fits,
        "serve": serve,
        "finetune": finetune,
        "verify": verify,
        "history": history,
        "hardware": hardware,
    }
    question = argv[0] if argv and argv[0] in questions else None
    words = argv[1:] if question else argv
    if "--help" in words or "-h" in words or not argv:
        from scaling.cli.budget_help import help_text

        print(help_text(question))
        return 0
    flags = [word for word in words if word.startswith("-")]
    unknown = [flag for flag in flags if flag != "--json"]
    if unknown:
        raise UserError(f"{unknown[0]}: no such flag; scaling budget knows --json and --help")
    plain = [word for word in words if not word.startswith("-")]
    misplaced = [word for word in plain if "=" not in word]
    if misplaced:
        from difflib import get_close_matches

        near = get_close_matches(misplaced[0], questions, n=1)
        hint = (
            f"did you mean `scaling budget {near[0]}`?" if near else f"or a question: {', '.join(questions)}"
        )
        raise UserError(f"{misplaced[0]!r} is not of the form key=value; {hint}")
    return questions.get(question or "", forward)(plain, "--json" in flags)


def forward(words: list[str], as_json: bool) -> int:
    """Parameters, FLOPs, memory, time and cost of a model."""
    from scaling.budget.estimate import build_job, run_budget, run_encoder_decoder_budget, what_would_fit
    from scaling.budget.keys import BudgetKeys, build_shape, parse_keys

    keys = parse_keys(words, BudgetKeys)
    if build_shape(keys.model).encoder_depth:
        partial = run_encoder_decoder_budget(keys)
        if as_json:
            return _print_json(partial.to_json())
        from scaling.budget.report import console
        from scaling.budget.usage_report import encoder_decoder_report

        console().print(encoder_decoder_report(partial, keys.model.name or "your model"))
        return 0
    budget = run_budget(keys)
    if as_json:
        return _print_json(budget.to_json())
    from scaling.budget.report import budget_report, console

    screen = console()
    remedies = []
    if not budget.fits:
        remedies = what_would_fit(budget.shape, build_job(keys), budget.step.tokens, budget.layout.devices)
    screen.print(budget_report(budget, keys.model.name or "your model", remedies, screen.width >= 118))
    return 0


def fits(words: list[str], as_json: bool) -> int:
    """Layouts of a number of devices, best first."""
    from scaling.budget.estimate import fits_report
    from scaling.budget.keys import BudgetKeys, parse_keys

    report = fits_report(parse_keys(words, BudgetKeys))
    if as_json:
        return _print_json(report.to_json())
    from scaling.budget.report import console, fits_lines

    console().print(fits_lines(report))
    return 0


def solve(words: list[str], as_json: bool) -> int:
    """What to train with a budget."""
    from scaling.budget.keys import parse_keys
    from scaling.budget.solve import SolveKeys, solve_keys

    keys = parse_keys(words, SolveKeys)
    plan = solve_keys(keys)
    if keys.write is not None:
        from scaling.budget.experiment_file import write_experiment

        write_experiment(plan, keys.write)
    if as_json:
        return _print_json(plan.to_json())
    from scaling.budget.report import console
    from scaling.budget.solve_report import plan_report

    console().print(plan_report(plan, keys.write))
    return 0


def serve(words: list[str], as_json: bool) -> int:
    """Memory and speed of a model that answers."""
    from scaling.budget import serve
    from scaling.budget.keys import parse_keys

    keys = parse_keys(words, serve.ServeKeys)
    serving = serve.serve(keys)
    if as_json:
        return _print_json(serving.to_json())
    from scaling.budget.report import console
    from scaling.budget.usage_report import serving_report

    console().print(serving_report(serving, keys.model.name or "your model"))
    return 0


def finetune(words: list[str], as_json: bool) -> int:
    """Memory of fine-tuning, whole or by adapters."""
    from scaling.budget.finetune import FineTuneKeys, fine_tune
    from scaling.budget.keys import parse_keys

    keys = parse_keys(words, FineTuneKeys)
    run = fine_tune(keys)
    if as_json:
        return _print_json(run.to_json())
    from scaling.budget.report import console
    from scaling.budget.usage_report import fine_tuning_report

    console().print(fine_tuning_report(run, keys.model.name or "your model"))
    return 0


def verify(words: list[str], as_json: bool) -> int:
    """Closed forms beside what torch traces."""
    from scaling.budget.verify import main as traced

    return traced(words, as_json)


def history(words: list[str], as_json: bool) -> int:
    """Training compute of well-known models."""
    _takes_no_keys("history", words)
    from scaling.budget.history import HISTORY

    if as_json:
        return _print_json([model.to_json() for model in HISTORY])
    from scaling.budget.report import console, history_table

    console().print(history_table())
    return 0


def hardware(words: list[str], as_json: bool) -> int:
    """The catalogue of devices."""
    _takes_no_keys("hardware", words)
    from scaling.accounting.catalogue import CATALOGUE

    if as_json:
        return _print_json([device.to_json() for device in CATALOGUE.values()])
    from scaling.budget.report import console, hardware_table

    console().print(hardware_table())
    return 0


def _takes_no_keys(question: str, words: list[str]) -> None:
    if words:
        raise UserError(f"scaling budget {question} takes no keys: leave out {words[0]}")


def _print_json(value: object) -> int:
    json.dump(value, sys.stdout, indent=2)
    print()
    return 0
