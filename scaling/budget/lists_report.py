"""The tables that list things: layouts, well-known models, devices, and closed forms beside a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from analysis.formats import duration_in_one_unit, short_count
from scaling.accounting.catalogue import CATALOGUE, GIB
from scaling.accounting.cost import SECONDS_PER_DAY
from scaling.accounting.room import RESERVE, Room, usable_bytes
from scaling.budget.fits import RankedLayouts
from scaling.budget.history import HISTORY, TOKENS_PER_PARAM
from scaling.budget.tables import Column, gib, sketch, table

if TYPE_CHECKING:
    from scaling.budget.verify import Comparison  # which imports torch

SHOWN_LAYOUTS = 15
ROOM_WORDS: dict[Room, str] = {"fits": "[green]yes[/]", "tight": "[yellow]tight[/]", "no": "[yellow]no[/]"}


def layouts_table(ranked: RankedLayouts) -> RenderableType:
    """What `scaling budget fits` prints: layouts that fit by speed, then those that do not by memory."""
    shown = list(zip(ranked.found, ranked.days, strict=True))[:SHOWN_LAYOUTS]
    rows = [
        [
            str(candidate.layout),
            f"{candidate.layout.micro_batch} x {candidate.layout.accumulation}",
            candidate.recipe.recompute,
            f"{candidate.memory.peak_memory_bytes / GIB:,.1f}",
            ROOM_WORDS[candidate.room],
            f"{candidate.step.mfu:.0%}",
            duration_in_one_unit(days * SECONDS_PER_DAY),
        ]
        for candidate, days in shown
    ]
    columns: list[Column] = [
        ("layout", "left"), ("batch", "right"), ("recompute", "left"), ("GiB", "right"), ("fits", "left"),
        ("MFU", "right"), ("run", "right"),
    ]  # fmt: skip
    title = (
        f"{ranked.devices:,} x {ranked.device.title}, {short_count(ranked.tokens)} tokens, "
        f"batch {short_count(ranked.batch_tokens)}"
    )
    fitting = sum(candidate.fits for candidate in ranked.found)
    summary = f"{fitting} of {len(ranked.found)} layouts fit with {RESERVE:.0%} to spare in "
    summary += f"the {gib(usable_bytes(ranked.device))} of a device that a program can use"
    summary += f"; the best {SHOWN_LAYOUTS} are shown." if len(ranked.found) > SHOWN_LAYOUTS else "."
    lines: list[RenderableType] = [
        Text(sketch(ranked.shape)), table(title, columns, rows), Text(summary, style="dim"),
    ]  # fmt: skip
    if ranked.remedies:
        remedies = ["What would make it fit:", *(f"  - {remedy}" for remedy in ranked.remedies)]
        lines.append(Text("\n".join(remedies), style="yellow"))
    return Group(*lines)


def history_table() -> Group:
    """What `scaling budget history` prints."""
    rows = [
        [
            model.name,
            str(model.year),
            short_count(model.params),
            short_count(model.tokens),
            _whole_from_1000(model.train_pf_days),
            _whole_from_1000(model.tokens_per_param),
            model.verdict,
        ]
        for model in HISTORY
    ]
    columns: list[Column] = [
        ("model", "left"), ("year", "left"), ("params", "right"), ("tokens", "right"), ("PF-days", "right"),
        ("tokens/param", "right"), (f"beside {TOKENS_PER_PARAM:.0f}", "left"),
    ]  # fmt: skip
    return table("Training compute of well-known models", columns, rows)


def _whole_from_1000(value: float) -> str:
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def hardware_table() -> Group:
    """What `scaling budget hardware` prints."""
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
    columns: list[Column] = [
        ("hardware", "left"), ("peak TFLOP/s", "right"), ("memory", "right"), ("GB/s", "right"), ("W", "right"),
        ("example $/h", "right"),
    ]  # fmt: skip
    return table("Hardware (dense peaks; sources in scaling/accounting/catalogue.py)", columns, rows)


def comparison_table(comparisons: list[Comparison]) -> Group:
    """What `scaling budget verify` prints."""
    rows = [
        [
            comparison.component,
            f"{comparison.closed_form:,.0f}",
            f"{comparison.traced:,.0f}",
            f"{comparison.relative_error:+.3%}",
            comparison.unit,
        ]
        for comparison in comparisons
    ]
    columns: list[Column] = [
        ("", "left"), ("closed form", "right"), ("traced", "right"), ("difference", "right"), ("", "left"),
    ]  # fmt: skip
    return table("Closed form beside a trace of one training step", columns, rows)
