"""The text of `scaling budget --help`, made from the docstrings of the keys."""

from __future__ import annotations

from textwrap import wrap

from scaling.accounting.catalogue import CATALOGUE
from scaling.budget.finetune import FineTuneKeys
from scaling.budget.keys import BudgetKeys, help_rows
from scaling.budget.serve import ServeKeys
from scaling.budget.solve import SolveKeys

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


def help_text(question: str | None) -> str:
    """Usage, then the keys of a question with their defaults."""
    if question in ("history", "hardware"):
        return f"usage: scaling budget {question} [--json]\n"
    schemas = {"solve": SolveKeys, "serve": ServeKeys, "finetune": FineTuneKeys}
    rows = help_rows(schemas.get(question or "", BudgetKeys))
    lines = [USAGE, f"keys of scaling budget{'' if question is None else ' ' + question}:"]
    for key, default, text in rows:
        lines.append(f"  {key}" + (f" (default {default})" if default else ""))
        lines += [f"      {line}" for line in wrap(text, 72)]
    lines.append("hardware: " + ", ".join(CATALOGUE))
    return "\n".join(lines) + "\n"
