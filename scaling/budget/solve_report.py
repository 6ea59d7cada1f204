"""A plan as rich tables."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from scaling.budget.report import cost_table, gib, human, number, sketch, table
from scaling.budget.solve import Plan


def plan_report(plan: Plan, written: str | None) -> RenderableType:
    """What `scaling budget solve` prints."""
    budget, law = plan.budget, plan.law

    def interval(name: str) -> str:
        ends = plan.intervals[name]
        if ends is None:
            return "given" if len(law.draws) else "not estimated"
        return " to ".join(f"{end:.4g}" if name == "loss_nats" else human(end) for end in ends)

    heads = [("quantity", "left"), ("plan", "right"), (f"{law.level:.0%} interval", "right")]
    what = table(
        "What to train",
        heads,
        [
            ["parameters", f"{budget.params.total:,}", interval("params")],
            ["tokens", human(budget.tokens, 4), interval("tokens")],
            ["tokens a parameter", number(budget.tokens / budget.params.total), ""],
            ["training FLOPs (6ND)", f"{budget.train_flops:.4g}", ""],
            ["  in PF-days", number(budget.train_pf_days), ""],
            *([["serving FLOPs", f"{plan.inference_flops:.4g}", ""]] if plan.inference_flops else []),
            ["loss, nats a token", f"{plan.loss_nats:.4f}", interval("loss_nats")],
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
    notes = [f"law: {law.law.formula} ({law.name}; {law.source})", *plan.notes]
    if written is not None:
        notes.append(
            f"written: experiment/{written}.yaml; run it with: scaling train --config-dir . experiment={written}"
        )
    return Group(
        Text.assemble(("Budget ", "bold"), plan.asked),
        Text(sketch(budget.shape)),
        Text(),
        what,
        how,
        cost_table(budget),
        Text("\n".join(notes), style="dim"),
    )
