"""The tables of `solve`: what to train, how, and what it costs."""

from __future__ import annotations

from math import isnan

from rich.console import Group, RenderableType
from rich.text import Text

from analysis.formats import compute, short_count
from scaling.budget.regret import usd_per_flop
from scaling.budget.report import cost_table
from scaling.budget.solve import Solution
from scaling.budget.tables import Column, gib, number, sketch, table


def solution_report(solution: Solution, written: str | None) -> RenderableType:
    """What `scaling budget solve` prints; `written` names the experiment that was written, if one was."""
    budget, law = solution.budget, solution.law

    def interval(name: str) -> str:
        ends = solution.intervals[name]
        if ends is None and solution.overtraining is not None:
            return ""  # the model is given, and its tokens follow from the budget alone
        if ends is None:
            return "given" if len(law.draws) else "not estimated"
        return " to ".join(f"{end:.4g}" if name == "loss_nats" else short_count(end) for end in ends)

    columns: list[Column] = [
        ("quantity", "left"), ("plan", "right"), (f"{law.level:.0%} interval", "right"),
    ]  # fmt: skip
    what = table(
        "What to train",
        columns,
        [
            *_parameter_rows(solution, interval("params")),
            ["tokens", short_count(budget.tokens, 4), interval("tokens")],
            ["tokens a parameter", number(budget.tokens / budget.params.total), ""],
            ["training FLOPs (6ND)", compute(budget.train_flops), ""],
            ["  in PF-days", number(budget.train_pf_days), ""],
            *([["serving FLOPs", compute(solution.inference_flops), ""]] if solution.inference_flops else []),
            *([["over-trained", f"{solution.overtraining:.3g} times", ""]] if solution.overtraining else []),
            [
                "loss, nats a token",
                "not predicted" if solution.loss_nats is None else f"{solution.loss_nats:.4f}",
                "" if solution.loss_nats is None else interval("loss_nats"),
            ],
            *regret_rows(solution),
        ],
    )
    how = table(
        f"How, on {budget.layout.devices:,} x {budget.device.title}",
        [("quantity", "left"), ("plan", "right")],
        [
            ["layout", str(budget.layout)],
            [
                "micro-batch x accumulation",
                f"{budget.layout.micro_batch} x {budget.layout.accumulation} sequences",
            ],
            ["batch", f"{budget.step.tokens:,} tokens"],
            ["steps", f"{budget.steps:,}"],
            ["recompute", budget.recipe.recompute],
            [
                "memory a device",
                f"{gib(budget.memory.peak_memory_bytes)} of {gib(budget.device.memory_bytes)}",
            ],
            ["MFU of tuned code", f"{budget.step.mfu:.0%}"],
        ],
    )
    notes = [f"law: {law.form.formula} ({law.name}; {law.source})", *solution.notes]
    if written is not None:
        notes.append(
            f"written: experiment/{written}.yaml; run it with: scaling train --config-dir . experiment={written}"
        )
    verdict = [Text(f"{law.name}: {law.verdict}", style="yellow")] if law.verdict is not None else []
    return Group(
        Text.assemble(("Budget ", "bold"), solution.asked),
        *verdict,
        Text(sketch(budget.shape)),
        Text(),
        what,
        how,
        cost_table(budget),
        Text("\n".join(notes), style="dim"),
    )


def _parameter_rows(solution: Solution, interval: str) -> list[list[str]]:
    """Parameters; of a mixture also those that a token uses, which the law counts."""
    params = solution.budget.params
    if params.active == params.total:
        return [["parameters", f"{params.total:,}", interval]]
    return [["parameters", f"{params.total:,}", ""], ["  active a token", f"{params.active:,}", interval]]


def regret_rows(solution: Solution) -> list[list[str]]:
    """How flat the valley is at the law's optimum, and what its uncertainty costs; nothing where a size was given."""
    regret = solution.regret
    if regret is None:
        return []
    from analysis.regret import WITHIN
    from analysis.regret_words import dollars, lost, sizes

    rows = [
        [f"  within {100 * share:g} % of compute", sizes(regret, share).replace("–", " to "), ""]
        for share in WITHIN
    ]
    price = usd_per_flop(solution.budget)

    def cost(share: float) -> str:
        money = "" if price is None or isnan(share) else f", {dollars(share * regret.flops * price)}"
        return f"{lost(share)} of compute{money}"

    if not isnan(regret.expected_share):
        rows.append(
            [
                "  price of not knowing it",
                cost(regret.expected_share),
                f"at most {cost(regret.high_share)}",
            ]
        )
    return rows
