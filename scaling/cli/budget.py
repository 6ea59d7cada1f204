"""`scaling budget`: what a model takes, what fits, and what to train with what you have."""

from __future__ import annotations

import json
from textwrap import wrap

from scaling.accounting.catalogue import CATALOGUE
from scaling.budget.keys import BudgetKeys, FineTuneKeys, ServeKeys, SolveKeys, VerifyKeys, keys_of
from scaling.config.nearest import nearest
from scaling.config.overrides import field_help, sort_words
from scaling.errors import UserError

QUESTIONS: dict[str, type | None] = {
    "solve": SolveKeys,
    "fits": BudgetKeys,
    "serve": ServeKeys,
    "finetune": FineTuneKeys,
    "verify": VerifyKeys,
    "history": None,
    "hardware": None,
}
"""Question → its keys; None: it takes none. Without a question, the keys are `BudgetKeys`."""

USAGE = """usage: scaling budget [QUESTION] key=value … [--json]

What a model takes (no question), and:
  solve     what to train with FLOPs, PF-days, device-hours, devices and days, or money
  fits      every layout of `devices` devices, best first, and what would make a model fit
  serve     memory and speed of a model that answers: weights in 4 to 32 bits, cache of keys and values
  finetune  memory of full fine-tuning, LoRA and QLoRA
  verify    closed-form parameters, FLOPs and memory beside what torch traces
  history   training compute of well-known models, beside 20 tokens a parameter
  hardware  the catalogue of devices

examples:
  scaling budget model=llama-2-7b tokens=2T hardware=a100-80gb devices=1024
  scaling budget model.width=256 model.depth=6 tokens=1e9
  scaling budget fits model=llama-2-70b devices=64
  scaling budget serve model=llama-3-70b weights=int4 sequences=8 tokens=8192
  scaling budget finetune model=llama-65b method=qlora tokens=512 hardware=rtx4090 devices=2
  scaling budget solve money=10000 hardware=h100-sxm days=7
  scaling budget solve flops=1e21 law=runs/quickstart write=my-plan
"""


def main(argv: list[str]) -> int:
    """Answer one question; returns the exit status. Raises UserError, in one line, for ill input."""
    question = argv[0] if argv and argv[0] in QUESTIONS else None
    words = argv[1:] if question else argv
    if "--help" in words or "-h" in words or not argv:
        print(help_text(question))
        return 0
    given = sort_words(words, ["--json"])
    if given.names:
        hint = nearest(given.names[0], QUESTIONS, f"or a question: {', '.join(QUESTIONS)}")
        raise UserError(f"{given.names[0]!r} is not of the form key=value; {hint}")
    if given.overrides and question is not None and QUESTIONS[question] is None:
        raise UserError(f"scaling budget {question} takes no keys: leave out {given.overrides[0]}")

    from scaling.budget.tables import console  # help needs no rich
    from scaling.cli.budget_answers import ANSWERS

    answer = ANSWERS[question](given.overrides)
    if "--json" in given.flags:
        print(json.dumps(answer.figures(), indent=2))
    else:
        console().print(answer.tables())
    return 0


def help_text(question: str | None) -> str:
    """Usage, then the keys of a question with their defaults."""
    schema = BudgetKeys if question is None else QUESTIONS[question]
    if schema is None:
        return f"usage: scaling budget {question} [--json]\n"
    lines = [USAGE, f"keys of scaling budget{'' if question is None else ' ' + question}:"]
    for key in keys_of(schema()):
        shown = str(key.value).lower() if isinstance(key.value, bool) else str(key.value)
        lines.append(f"  {key.name}" + ("" if key.value is None else f" (default {shown})"))
        field = key.name.rpartition(".")[2]
        lines += [f"      {line}" for line in wrap(field_help(key.schema)[field], 72)]
    lines.append("hardware: " + ", ".join(CATALOGUE))
    return "\n".join(lines) + "\n"
