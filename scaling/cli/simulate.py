"""`scaling simulate`: what an experiment would teach, and which one to run, before anything is trained."""

import json
from collections.abc import Callable
from typing import Any

from scaling.config.nearest import nearest
from scaling.config.overrides import sort_words
from scaling.errors import UserError
from scaling.simulate.keys import NextKeys, OptimizeKeys, ReplayKeys, TableKeys, TeachKeys, help_of

QUESTIONS: dict[str, type] = {
    "teach": TeachKeys,
    "compare": TeachKeys,
    "optimize": OptimizeKeys,
    "next": NextKeys,
    "replay": ReplayKeys,
}
"""Question → its keys. Without a question the keys are `TableKeys`."""

USAGE = """usage: scaling simulate [QUESTION] key=value … [--json]

The table that a sweep would give, by a law, a noise and a seed (no question), and:
  teach     what a design would teach: bias, spread and coverage by Monte Carlo and by Fisher information
  compare   several designs side by side: design=A design=B
  optimize  the best runs for a limit of cost, or the cheapest that answer well enough
  next      from a study that is trained already: which runs next, and when to stop
  replay    a table of finished runs played one by one, seeing only the losses of what was chosen

Nothing is trained. All that is written is marked as simulated.

examples:
  scaling simulate design=isoflop:budgets=4,sizes=6,max_flops=1e20 out=runs/what-if && scaling fit runs/what-if
  scaling simulate teach design=isoflop:budgets=4,sizes=5,max_flops=1e20 flops=1e22
  scaling simulate compare design=isoflop design=trunks:sizes=8 hardware=h100-sxm
  scaling simulate optimize spend=1e20 target=n_opt flops=1e22 write=chosen.yaml
  scaling simulate optimize within=0.05 flops=1e22 unit=usd hardware=h100-sxm
  scaling simulate next runs/quickstart spend=1e13 write=next.yaml && scaling sweep design=next.yaml
  scaling simulate replay pool=past.csv target=largest.csv spend=0.1 law=chinchilla,kaplan --json
"""


def main(argv: list[str]) -> int:
    """Answer one question; returns the exit status.

    Raises:
        UserError, Refusal: in one line, for what cannot be answered.
    """
    question = argv[0] if argv and argv[0] in QUESTIONS else ""
    words = argv[1:] if question else argv
    if "--help" in words or "-h" in words or not argv:
        print(USAGE)
        print(help_of(QUESTIONS.get(question, TableKeys), question))
        return 0
    given = sort_words(words, ["--json"])
    if given.names and question != "next":
        hint = nearest(given.names[0], QUESTIONS, f"or a question: {', '.join(QUESTIONS)}")
        raise UserError(f"{given.names[0]!r} is not of the form key=value; {hint}")

    from rich.console import Console

    from scaling.cli.simulate_answers import ANSWERS  # numpy, scipy and pandas are slow to import, for --help

    as_json = "--json" in given.flags
    messages = Console(stderr=True)
    with messages.status("simulating") as status:
        answer: Callable[[Console], dict[str, Any]] = ANSWERS[question](given, status.update)
    figures = answer(Console(quiet=as_json))
    if as_json:
        print(json.dumps(figures, indent=2, allow_nan=True))
    return 0
