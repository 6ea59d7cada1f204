"""Budgets as rich tables: two or three narrow columns, so that they read the same at 80 columns and at 200."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from scaling.accounting.budget import CONVENTIONS, Budget
from scaling.accounting.catalogue import CATALOGUE
from scaling.budget.estimate import FitsReport
from scaling.budget.history import HISTORY, TOKENS_PER_PARAM
from scaling.budget.rules_of_thumb import RULES
from scaling.shape.flops import pf_days
from scaling.shape.params import ParamCounts
from scaling.shape.shape import ModelShape

GIB = 2**30
CONVENTION_TITLES = {
    "6nd": "6ND, every parameter",
    "6nd_non_embedding": "6ND, non-embedding",
    "exact": "exact, head and attention",
    "exact_causal": "exact, causal half only",
    "hardware": "hardware, with recomputation",
}


def human(value: float, digits: int = 3) -> str:
    """6738415616 → 6.74B."""
    for limit, suffix in ((1e15, ""), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if limit <= value < 1000 * limit and suffix:
            return f"{value / limit:.{digits}g}{suffix}" if value / limit < 1000 else f"{value:.{digits}g}"
    return f"{value:.{digits}g}"


def gib(value: float) -> str:
    """Bytes in binary gigabytes; small ones in MiB."""
    return f"{value / GIB:,.1f} GiB" if value >= GIB / 10 else f"{value / 2**20:,.1f} MiB"


def duration(seconds: float) -> str:
    """The unit that reads best."""
    for limit, unit in (
        (86_400 * 365.25, "years"),
        (86_400, "days"),
        (3600, "hours"),
        (60, "minutes"),
        (1, "s"),
    ):
        if seconds >= 2 * limit or (unit == "s" and seconds >= 0.1):
            return (
                f"{seconds / limit:,.3g} {unit}"
                if seconds / limit < 1000
                else f"{seconds / limit:,.0f} {unit}"
            )
    return f"{seconds * 1e3:.3g} ms"


def money(value: float) -> str:
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def sketch(shape: ModelShape) -> str:
    """A shape in one line."""
    heads = f"{shape.heads} heads" + (f" ({shape.kv_heads} kv)" if shape.kv_heads != shape.heads else "")
    experts = f", {shape.experts} experts ({shape.experts_active} active)" if shape.experts else ""
    return (
        f"width {shape.width:,}, depth {shape.depth}, {heads}, ffn {shape.ffn_width:,} {shape.ffn}{experts}, "
        f"vocabulary {shape.vocab_size:,}, context {shape.context:,}"
    )


def number(value: float) -> str:
    """Four digits, and whole thousands with commas: 0.02151, 936.2, 16,732."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def table(title: str, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[str]]) -> Group:
    """A plain table under its title; columns are (heading, justify)."""
    result = Table(
        header_style="dim", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False
    )
    for heading, justify in columns:
        result.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        result.add_row(*row)
    return Group(Text(title, style="bold"), result, Text())


def budget_report(budget: Budget, name: str, remedies: list[str], wide: bool) -> RenderableType:
    """Everything that `scaling budget` prints for a model."""
    left = [params_table(budget.params, budget.shape.tied_head), flops_table(budget)]
    right = [memory_table(budget), time_table(budget)]
    head = Text.assemble((name, "bold"), "  ", sketch(budget.shape))
    setting = Text(
        f"{human(budget.tokens)} tokens ({number(budget.tokens / budget.params.total)} a parameter) on "
        f"{budget.layout.devices:,} x {budget.device.title}, {budget.recipe.precision}, {budget.recipe.optimizer}",
        style="dim",
    )
    body: list[RenderableType]
    if wide:
        grid = Table.grid(padding=(0, 6, 0, 0))
        grid.add_row(Group(*left), Group(*right))
        body = [grid, cost_table(budget)]
    else:
        body = [*left, *right, cost_table(budget)]
    return Group(head, setting, Text(), *body, verdict(budget, remedies), rules_line(budget))


def params_table(params: ParamCounts, tied_head: bool) -> Group:
    parts = {
        "embedding": params.embedding,
        "positions": params.positions,
        "attention": params.attention,
        "feed-forward": params.ffn,
        "norms": params.norms,
        "head" + (" (tied)" if tied_head else ""): params.head,
    }
    rows = [
        [name, f"{count:,}", f"{count / params.total:.1%}"]
        for name, count in parts.items()
        if count or name.startswith("head")
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
        rows.append([title, f"{flops:.3e}", number(pf_days(flops))])
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
    rows.append([f"of {budget.device.name}", gib(budget.device.memory_bytes)])
    return table(
        f"Memory a device at the peak ({binding.name})", [("component", "left"), ("bytes", "right")], rows
    )


def time_table(budget: Budget) -> Group:
    step = budget.step
    rows = [
        [name, duration(seconds), f"{seconds / step.seconds:.0%}"]
        for name, seconds in step.parts.items()
        if seconds > 0.0005 * step.seconds
    ]
    rows.append(["[bold]step[/]", f"[bold]{duration(step.seconds)}[/]", f"MFU {step.mfu:.0%}"])
    rows.append(["tokens a second", f"{step.tokens_per_second:,.0f}", f"HFU {step.hfu:.0%}"])
    rows.append(["layout", str(budget.layout), ""])
    rows.append(["micro-batch", f"{budget.layout.micro_batch} x {budget.layout.accumulation}", ""])
    rows.append(["recompute", budget.recipe.recompute, ""])
    return table(
        f"Step of {human(step.tokens)} tokens",
        [("part", "left"), ("time", "right"), ("", "right")],
        rows,
    )


def cost_table(budget: Budget) -> Group:
    cost, prices = budget.cost, budget.prices
    speed = f"{prices.realised:g} of the speed of tuned code"
    if budget.device.speed_calibration != 1:
        speed = f"{budget.device.speed_calibration:.3g} of the speed of tuned code, as measured"
    hourly = "" if cost.usd_per_device_hour is None else f"${cost.usd_per_device_hour:g}/h, "
    rows = [
        ["wall-clock", duration(cost.seconds)],
        ["  assuming", f"{speed}, goodput {prices.goodput:g}"],
        ["device-hours", number(cost.device_hours)],
        ["price", "not known" if cost.price_usd is None else money(cost.price_usd)],
        ["  at", hourly + cost.price_note],
        ["energy", "not known" if cost.energy_kwh is None else f"{number(cost.energy_kwh)} kWh"],
    ]
    if cost.co2e_kg is not None:
        tonnes = cost.co2e_kg >= 1e4
        rows.append(["CO2e", f"{number(cost.co2e_kg / 1e3)} t" if tonnes else f"{number(cost.co2e_kg)} kg"])
    return table("The run", [("quantity", "left"), ("estimate", "left")], rows)


def verdict(budget: Budget, remedies: list[str]) -> Text:
    """Does it fit, and if not, what would make it fit."""
    if budget.fits:
        share = budget.memory.peak_memory_bytes / budget.device.memory_bytes
        return Text(f"Fits: the peak takes {share:.0%} of a device's memory.", style="green")
    over = budget.memory.peak_memory_bytes / budget.device.memory_bytes
    lines = [f"Does not fit: the peak is {over:.2f} times a device's memory; most of it is "
             f"{budget.memory.binding_component.replace('_', ' ')}. What would make it fit:"]  # fmt: skip
    lines += [f"  - {remedy}" for remedy in remedies] or ["  - nothing tried here: hardware with more memory"]
    return Text("\n".join(lines), style="yellow")


def rules_line(budget: Budget) -> Text:
    """The rules of thumb beside the detailed answer."""
    lines = ["Rules of thumb, for comparison:"]
    lines += [f"  - {rule.title}: {rule.say(budget.params.total, budget.tokens)}" for rule in RULES]
    return Text("\n".join(lines), style="dim")


def fits_lines(report: FitsReport, limit: int = 15) -> RenderableType:
    """Layouts best first: fitting ones by speed, then those that do not fit by memory."""
    rows = [
        [
            str(candidate.layout),
            f"{candidate.layout.micro_batch} x {candidate.layout.accumulation}",
            candidate.recipe.recompute,
            f"{candidate.memory.peak_memory_bytes / GIB:,.1f}",
            "[green]yes[/]" if candidate.fits else "[yellow]no[/]",
            f"{candidate.step.mfu:.0%}",
            duration(days * 86_400),
        ]
        for candidate, days in list(zip(report.found, report.days, strict=True))[:limit]
    ]
    heads = [("layout", "left"), ("batch", "right"), ("recompute", "left"), ("GiB", "right"), ("fits", "left"),
             ("MFU", "right"), ("run", "right")]  # fmt: skip
    title = (
        f"{report.devices:,} x {report.device.title}, {human(report.tokens)} tokens, "
        f"batch {human(report.batch_tokens)}"
    )
    lines: list[RenderableType] = [Text(sketch(report.shape)), table(title, heads, rows)]
    fitting = sum(candidate.fits for candidate in report.found)
    lines.append(
        Text(
            f"{fitting} of {len(report.found)} layouts fit in {gib(report.device.memory_bytes)} a device"
            + (f"; the best {limit} are shown." if len(report.found) > limit else "."),
            style="dim",
        )
    )
    if report.remedies:
        lines.append(
            Text(
                "\n".join(["What would make it fit:", *(f"  - {r}" for r in report.remedies)]), style="yellow"
            )
        )
    return Group(*lines)


def history_table() -> Group:
    rows = [
        [
            model.name,
            str(model.year),
            human(model.params),
            human(model.tokens),
            f"{model.train_pf_days:,.3g}" if model.train_pf_days < 1000 else f"{model.train_pf_days:,.0f}",
            f"{model.tokens_per_param:,.3g}"
            if model.tokens_per_param < 1000
            else f"{model.tokens_per_param:,.0f}",
            model.verdict,
        ]
        for model in HISTORY
    ]
    heads = [("model", "left"), ("year", "left"), ("params", "right"), ("tokens", "right"), ("PF-days", "right"),
             ("tokens/param", "right"), (f"beside {TOKENS_PER_PARAM:.0f}", "left")]  # fmt: skip
    return table("Training compute of well-known models", heads, rows)


def hardware_table() -> Group:
    rows = [
        [
            device.name,
            f"{device.peak(device.training_precision) / 1e12:,.4g} {device.training_precision}",
            gib(device.memory_bytes),
            f"{device.memory_bytes_per_second / 1e9:,.0f}",
            "-" if device.power_watts is None else f"{device.power_watts:g}",
            "-" if device.price is None else f"{device.price.usd_per_device_hour:.2f} ({device.price.date})",
        ]
        for device in CATALOGUE.values()
    ]
    heads = [("hardware", "left"), ("peak TFLOP/s", "right"), ("memory", "right"), ("GB/s", "right"),
             ("W", "right"), ("example $/h", "right")]  # fmt: skip
    return table("Hardware (dense peaks; sources in scaling/accounting/catalogue.py)", heads, rows)


def console() -> Console:
    return Console(highlight=False)
