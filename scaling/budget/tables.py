"""What the tables of `scaling budget` are made of: plain narrow tables, and bytes and money as text.

Two or three narrow columns read the same at 80 columns and at 200.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from scaling.accounting.catalogue import GIB, MIB
from scaling.accounting.device import Device
from scaling.accounting.room import RESERVE, room_for, usable_bytes
from scaling.shape.attention import Attention, LatentAttention
from scaling.shape.recurrence import Recurrence
from scaling.shape.shape import ModelShape

Column = tuple[str, Literal["left", "right"]]
"""Heading and alignment."""


def gib(value: float) -> str:
    """Bytes in binary gigabytes; small ones in MiB."""
    return f"{value / GIB:,.1f} GiB" if value >= GIB / 10 else f"{value / MIB:,.1f} MiB"


def money(value: float) -> str:
    """Dollars, with cents below a hundred."""
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}"


def number(value: float) -> str:
    """Four digits, and whole thousands with commas: 0.02151, 936.2, 16,732."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def sketch(shape: ModelShape) -> str:
    """A model's shape in one line."""
    heads = f"{shape.heads} heads" + (f" ({shape.kv_heads} kv)" if shape.kv_heads != shape.heads else "")
    if shape.window is not None:
        heads += f", window {shape.window:,}" + (
            f" but each {shape.full_every}th" if shape.full_every else ""
        )
    experts = f", {shape.experts} experts ({shape.experts_active} active)" if shape.experts else ""
    mixed = f" ({mixers_in_words(shape)})" if shape.layers else ""
    return (
        f"width {shape.width:,}, depth {shape.depth}{mixed}, {heads}, ffn {shape.ffn_width:,} {shape.ffn}{experts}, "
        f"vocabulary {shape.vocab_size:,}, context {shape.context:,}"
    )


def mixers_in_words(shape: ModelShape) -> str:
    """What the blocks of a model of several kinds mix tokens with: `36 gated delta rule, 12 attention`."""
    kinds: Counter[str] = Counter()
    for block, count in shape.kinds.items():
        names = []
        for mixer in block.mixers or (None,):
            window = mixer.window if isinstance(mixer, Attention) else None
            latent = "latent attention" if isinstance(mixer, LatentAttention) else "attention"
            attention = latent if window is None else f"attention in a window of {window:,}"
            kind = mixer.kind if isinstance(mixer, Recurrence) else attention
            names.append("none" if mixer is None else kind)
        kinds[" beside ".join(names)] += count
    return ", ".join(f"{count} {name}" for name, count in kinds.items())


def table(title: str, columns: Iterable[Column], rows: Iterable[Iterable[str]]) -> Group:
    """A plain table under its title."""
    result = Table(
        header_style="dim", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, show_edge=False
    )
    for heading, justify in columns:
        result.add_column(heading, justify=justify, overflow="fold")
    for row in rows:
        result.add_row(*row)
    return Group(Text(title, style="bold"), result, Text())


def fits_or_not(peak_bytes: float, device: Device, what_else: str) -> Text:
    """Whether the peak fits in a device's memory; where it does not, `what_else` ends the sentence."""
    usable = usable_bytes(device)
    room = room_for(peak_bytes, device)
    if room == "fits":
        return Text(
            f"Fits: the peak takes {peak_bytes / usable:.0%} of the {gib(usable)} that a program can use.",
            style="green",
        )
    if room == "tight":
        return Text(
            f"Tight: the peak takes {peak_bytes / usable:.0%} of the {gib(usable)} that a program can use, and an "
            f"estimate wants {RESERVE:.0%} of itself to spare{what_else}",
            style="yellow",
        )
    times = f"{peak_bytes / usable:.2f}"
    return Text(
        f"Does not fit: the peak is {times} times the {gib(usable)} that a program can use{what_else}",
        style="yellow",
    )


def console() -> Console:
    """Where the tables are printed: without rich's own colouring of numbers."""
    return Console(highlight=False)
