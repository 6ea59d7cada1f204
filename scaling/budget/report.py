"""The tables of a training budget: parameters, FLOPs, memory, time and cost, and whether it fits."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.formats import compute, duration_in_one_unit, short_count
from scaling.accounting.budget import CONVENTIONS, Budget
from scaling.accounting.cost import SECONDS_PER_DAY
from scaling.accounting.room import usable_bytes
from scaling.budget.encoder_decoder import NOT_MODELLED, EncoderDecoderBudget
from scaling.budget.rules_of_thumb import RULES
from scaling.budget.tables import fits_or_not, gib, money, number, sketch, table
from scaling.shape.flops import Convention, pf_days
from scaling.shape.params import ParamCounts

WIDE = 118
"""Columns of a terminal from which the tables stand side by side."""
CONVENTION_TITLES: dict[Convention, str] = {
    "6nd": "6ND, every parameter",
    "6nd_non_embedding": "6ND, non-embedding",
    "exact": "exact, head and attention",
    "exact_causal": "exact, causal half only",
    "hardware": "hardware, with recomputation",
}


def budget_report(budget: Budget, name: str, remedies: list[str], columns: int) -> RenderableType:
    """What `scaling budget` prints for a model on a terminal of so many columns.

    `remedies` say what would make it fit, if it does not.
    """
    left = [params_table(budget.params, budget.shape.tied_head), flops_table(budget)]
    right = [memory_table(budget), time_table(budget)]
    head = Text.assemble((name, "bold"), "  ", sketch(budget.shape))
    setting = Text(
        f"{short_count(budget.tokens)} tokens ({number(budget.tokens / budget.params.total)} a parameter) on "
        f"{budget.layout.devices:,} x {budget.device.title}, {budget.recipe.precision}, {budget.recipe.optimizer}",
        style="dim",
    )
    body: list[RenderableType]
    if columns >= WIDE:
        grid = Table.grid(padding=(0, 6, 0, 0))
        grid.add_row(Group(*left), Group(*right))
        body = [grid, cost_table(budget)]
    else:
        body = [*left, *right, cost_table(budget)]
    return Group(head, setting, Text(), *body, verdict(budget, remedies), rules_of_thumb(budget))


def params_table(params: ParamCounts, tied_head: bool) -> Group:
    parts = {
        "embedding": params.embedding,
        "positions": params.positions,
        "attention": params.attention,
        "feed-forward": params.ffn,
        "norms": params.norms,
        "multi-token prediction": params.multi_token,
        "head" + (" (tied)" if tied_head else ""): params.head,
    }
    rows = [
        [name, f"{number_of:,}", f"{number_of / params.total:.1%}"]
        for name, number_of in parts.items()
        if number_of or name.startswith("head")
    ]
    rows.append(["[bold]total[/]", f"[bold]{params.total:,}[/]", "100%"])
    rows.append(["non-embedding", f"{params.non_embedding:,}", f"{params.non_embedding / params.total:.1%}"])
    if params.active != params.total:
        rows.append(["active a token", f"{params.active:,}", f"{params.active / params.total:.1%}"])
    return table("Parameters", [("component", "left"), ("count", "right"), ("share", "right")], rows)


def flops_table(budget: Budget) -> Group:
    rows = []
    for convention in CONVENTIONS:
        flops = budget.train_flops_by(convention)
        if convention == "hardware" and budget.recipe.recompute == "none":
            continue
        title = CONVENTION_TITLES[convention]
        if convention.startswith("6nd") and budget.shape.experts:
            title = title.replace("every parameter", "active parameters").replace("non-e", "active non-e")
        rows.append([title, compute(flops), number(pf_days(flops))])
    return table("Training FLOPs", [("convention", "left"), ("FLOPs", "right"), ("PF-days", "right")], rows)


def memory_table(budget: Budget) -> Group:
    memory, binding = budget.memory, budget.memory.binding
    rows = [
        [name.replace("_", " "), gib(size)]
        for name, size in sorted(binding.components.items(), key=lambda item: -item[1])
    ]
    if memory.allocator_slack_bytes:
        rows.append(["allocator slack", gib(memory.allocator_slack_bytes)])
    rows.append(["[bold]peak[/]", f"[bold]{gib(memory.peak_memory_bytes)}[/]"])
    rows.append([f"usable of {budget.device.name}", gib(usable_bytes(budget.device))])
    return table(
        f"Memory a device at the peak ({binding.name})", [("component", "left"), ("bytes", "right")], rows
    )


def time_table(budget: Budget) -> Group:
    step = budget.step
    rows = [
        [name, duration_in_one_unit(seconds), f"{seconds / step.seconds:.0%}"]
        for name, seconds in step.parts.items()
        if seconds > 0.0005 * step.seconds
    ]
    rows.append(["[bold]step[/]", f"[bold]{duration_in_one_unit(step.seconds)}[/]", f"MFU {step.mfu:.0%}"])
    rows.append(["tokens a second, tuned code", f"{step.tokens_per_second:,.0f}", f"HFU {step.hfu:.0%}"])
    rows.append(["layout", str(budget.layout), ""])
    rows.append(["micro-batch", f"{budget.layout.micro_batch} x {budget.layout.accumulation}", ""])
    rows.append(["recompute", budget.recipe.recompute, ""])
    return table(
        f"Step of {short_count(step.tokens)} tokens",
        [("part", "left"), ("time", "right"), ("", "right")],
        rows,
    )


def cost_table(budget: Budget) -> Group:
    cost, prices = budget.cost, budget.prices
    speed = f"{prices.realised:g} of the speed of tuned code"
    days = price = ""
    if budget.speed_is_measured:
        speed = f"{budget.device.speed_calibration:.3g} of the speed of tuned code, as measured"
    else:
        ends = [duration_in_one_unit(end * SECONDS_PER_DAY) for end in cost.days_interval]
        days = f" ({ends[0]} to {ends[1]} in nine published runs of ten)"
        if cost.price_usd_interval is not None:
            price = f" ({money(cost.price_usd_interval[0])} to {money(cost.price_usd_interval[1])})"
    hourly = "" if cost.usd_per_device_hour is None else f"${cost.usd_per_device_hour:g}/h, "
    rows = [
        ["wall-clock", duration_in_one_unit(cost.seconds) + days],
        ["  assuming", f"{speed}, goodput {prices.goodput:g}"],
        ["  tokens a second", f"{budget.step.tokens_per_second * prices.realised:,.0f}, while it runs"],
        ["device-hours", number(cost.device_hours)],
        ["price", "not known" if cost.price_usd is None else money(cost.price_usd) + price],
        ["  at", hourly + cost.price_note],
        ["energy", "not known" if cost.energy_kwh is None else f"{number(cost.energy_kwh)} kWh"],
    ]
    if cost.co2e_kg is not None:
        tonnes = cost.co2e_kg >= 1e4
        rows.append(["CO2e", f"{number(cost.co2e_kg / 1e3)} t" if tonnes else f"{number(cost.co2e_kg)} kg"])
    return table("The run", [("quantity", "left"), ("estimate", "left")], rows)


def verdict(budget: Budget, remedies: list[str]) -> Text:
    """Whether it fits, and if not, what would make it fit."""
    memory = budget.memory
    tried = [f"  - {remedy}" for remedy in remedies] or ["  - nothing tried here: hardware with more memory"]
    most = memory.binding_component.replace("_", " ")
    otherwise = "\n".join([f"; most of it is {most}. What would make it fit:", *tried])
    return fits_or_not(memory.peak_memory_bytes, budget.device, otherwise)


def rules_of_thumb(budget: Budget) -> Text:
    """The rules of thumb beside the detailed answer."""
    lines = ["Rules of thumb, for comparison:"]
    lines += [f"  - {rule.title}: {rule.say(budget.params.total, budget.tokens)}" for rule in RULES]
    return Text("\n".join(lines), style="dim")


def encoder_decoder_report(budget: EncoderDecoderBudget, name: str) -> RenderableType:
    """What `scaling budget` prints for an encoder-decoder."""
    rows = [
        ["training FLOPs (3ND)", compute(budget.train_flops)],
        ["  in PF-days", number(budget.train_pf_days)],
        [f"weights, gradients, states ({budget.recipe.precision})", gib(budget.states.total)],
    ]
    return Group(
        Text.assemble((name, "bold"), "  ", sketch(budget.shape)),
        Text(f"{short_count(budget.tokens)} tokens", style="dim"),
        Text(),
        params_table(budget.params, budget.shape.tied_head),
        table("Training", [("quantity", "left"), ("estimate", "right")], rows),
        Text(NOT_MODELLED, style="yellow"),
    )
