"""Answers of `scaling simulate` as tables on the terminal, and as figures for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from scaling.simulate.cost import Costs
from scaling.simulate.design import Design
from scaling.simulate.optimize import Answer
from scaling.simulate.teaching import Lesson, Teaching

MOST_ROWS = 60
"""Runs that are listed; the file has them all."""

UNIT_WORDS = {
    "flops": ("compute", "FLOPs"),
    "device_hours": ("device-hours", "h"),
    "usd": ("money", "US dollars"),
    "energy_kwh": ("energy", "kWh"),
    "hours": ("time, one job at a time", "h"),
    "tokens": ("tokens trained on", ""),
}


def cost_words(costs: Costs) -> str:
    """Everything that a design costs, in one line."""
    parts = [
        f"{UNIT_WORDS[name][0]} {value:.4g} {UNIT_WORDS[name][1]}".strip()
        for name, value in costs.totals().items()
    ]
    return "; ".join(parts)


def figure_of(value: float, form: str = ".4g") -> str:
    """A number, or the words "not estimated"."""
    return "not estimated" if not np.isfinite(value) else format(value, form)


def lesson_row(lesson: Lesson) -> tuple[str, ...]:
    """One line of what a design teaches."""
    target = lesson.target

    def error(value: float, signed: bool = False) -> str:
        if not np.isfinite(value):
            return "not estimated"
        if target is None:
            return f"{value:+.4f}" if signed else f"{value:.4f}"
        sign = ("-" if value < 0 else "+") if signed else ""
        return sign + target.shown_error(value)

    return (
        lesson.approach,
        lesson.quantity,
        f"{lesson.truth:.4f}" if target is None else target.shown(lesson.truth),
        error(lesson.bias, signed=True),
        error(lesson.spread),
        error(lesson.fisher) if lesson.approach == "3 law" else "-",
        "-" if not np.isfinite(lesson.coverage) else f"{lesson.coverage:.1%}",
        f"{lesson.answered:.0%}",
    )


def teaching_tables(
    teaching: Teaching, costs: Costs, console: Console, usd_per_flop: float | None = None
) -> None:
    """Print what a design teaches."""
    grid = Grid(
        "approach", "quantity", "truth", "bias", "spread", "by Fisher", f"coverage of {teaching.level:.0%}", "answered",
        title=f"{teaching.design.name}: {len(teaching.design)} runs, {teaching.studies} simulated studies; "
        f"targets at {teaching.flops:.3g} FLOPs",
        title_justify="left",
    )  # fmt: skip
    for lesson in teaching.lessons:
        grid.add_row(*lesson_row(lesson))
    console.print(grid)
    console.print(f"cost: {cost_words(costs)}", markup=False)
    for approach, regret in teaching.regrets.items():
        if not np.isfinite(regret.share):
            console.print(f"approach {approach}: no study gave an optimum", markup=False)
            continue
        money = "" if usd_per_flop is None else f", {regret.flops * usd_per_flop:,.0f} US dollars"
        console.print(
            f"approach {approach}: optimum missed in {teaching.missed[approach]:.1%} of studies; training at its N_opt "
            f"wastes {regret.share:.2%} of {teaching.flops:.3g} FLOPs ({regret.flops:.3g}{money}), "
            f"{regret.loss_nats:.5f} nats; 1 in 20 wastes more than {regret.worst_share:.2%}",
            markup=False,
        )


def teaching_figures(teaching: Teaching, costs: Costs) -> dict[str, Any]:
    """What a design teaches, for programs. Errors of sizes and losses are of their logarithms."""
    return {
        "simulated": True,
        "design": teaching.design.name,
        "runs": len(teaching.design),
        "studies": teaching.studies,
        "flops": teaching.flops,
        "level": teaching.level,
        "cost": costs.totals(),
        "lessons": [
            {
                **{k: v for k, v in asdict(lesson).items() if k != "target"},
                "scale": "value" if lesson.target is None or lesson.target.kind == "exponent" else "log",
            }
            for lesson in teaching.lessons
        ],
        "missed": teaching.missed,
        "regret": {name: asdict(regret) for name, regret in teaching.regrets.items()},
    }


def comparison_table(teachings: Sequence[Teaching], costs: Sequence[Costs], console: Console) -> None:
    """Designs side by side: the law's errors at the target, and what they cost."""
    grid = Grid(
        "",
        *(teaching.design.name for teaching in teachings),
        title="designs side by side",
        title_justify="left",
    )
    names = [lesson.quantity for lesson in teachings[0].lessons if lesson.approach == "3 law"]
    grid.add_row("runs", *(str(len(teaching.design)) for teaching in teachings))
    for unit in costs[0].totals():
        grid.add_row(
            " ".join(UNIT_WORDS[unit]), *(f"{cost.totals().get(unit, np.nan):.4g}" for cost in costs)
        )
    for name in names:
        each = [
            next((x for x in t.lessons if x.quantity == name and x.approach == "3 law"), None)
            for t in teachings
        ]
        grid.add_row(f"spread of {name}", *("-" if x is None else lesson_row(x)[4] for x in each))
    grid.add_row("optimum missed", *(f"{t.missed['3 law']:.1%}" for t in teachings))
    grid.add_row(
        "compute wasted at the target", *(figure_of(t.regrets["3 law"].share, ".3%") for t in teachings)
    )
    console.print(grid)


def runs_table(design: Design, console: Console, extra: dict[str, list[str]] | None = None) -> None:
    """The runs of a design, a line each."""
    extra = extra or {}
    grid = Grid("params", "tokens", "seed", "FLOPs alone", *extra)
    for i in range(min(len(design), MOST_ROWS)):
        grid.add_row(
            f"{design.params[i]:,.0f}",
            f"{design.tokens[i]:.4g}",
            str(design.seed[i]),
            f"{design.flops[i]:.3g}",
            *(column[i] for column in extra.values()),
        )
    console.print(grid)
    if len(design) > MOST_ROWS:
        console.print(f"… and {len(design) - MOST_ROWS} more")


def design_figures(design: Design) -> list[dict[str, float]]:
    """The runs of a design, for programs."""
    return [
        {"params": float(n), "tokens": float(d), "seed": int(s)}
        for n, d, s in zip(design.params, design.tokens, design.seed, strict=True)
    ]


def answer_figures(answer: Answer, unit: str, costs: Costs) -> dict[str, Any]:
    """The chosen experiment, for programs."""
    return {
        "runs": design_figures(answer.design),
        "cost": {unit: answer.cost, **costs.totals()},
        "half_width": answer.half_width,
        "check": None if answer.check is None else teaching_figures(answer.check, costs),
    }
