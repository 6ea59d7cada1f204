"""The tables of what is done with a trained model: serving and fine-tuning."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from analysis.formats import duration_in_one_unit
from scaling.accounting.room import usable_bytes
from scaling.budget.finetune import FineTuning
from scaling.budget.serve import Serving
from scaling.budget.tables import fits_or_not, gib, number, sketch, table
from scaling.shape.params import count_params


def serving_report(serving: Serving, name: str) -> RenderableType:
    """What `scaling budget serve` prints."""
    memory, keys = serving.memory, serving.keys
    rows = [
        [f"weights ({keys.weights})", gib(memory.weights)],
        [f"keys and values ({keys.cache})", gib(memory.kv_cache)],
        ["activations of a prompt", gib(memory.activations)],
        ["logits", gib(memory.logits)],
        ["[bold]peak[/]", f"[bold]{gib(memory.peak_memory_bytes)}[/]"],
        [f"usable of {serving.device.name}", gib(usable_bytes(serving.device))],
    ]
    speed = [
        ["cache of one token", f"{serving.cache_bytes_per_token / 1024:,.5g} KiB"],
        ["sequences of this length that fit", f"{serving.most_sequences:,}"],
        ["reading a full prompt", duration_in_one_unit(serving.time.prefill_seconds)],
        ["writing a token, caches full", duration_in_one_unit(serving.time.decode_seconds)],
        ["tokens a second, all sequences", number(serving.time.tokens_per_second)],
    ]
    sequences = "1 sequence" if keys.sequences == 1 else f"{keys.sequences:,} sequences"
    return Group(
        Text.assemble((name, "bold"), "  ", sketch(serving.shape)),
        Text(
            f"{sequences} of {serving.tokens:,} tokens on {keys.devices:,} x {serving.device.title}",
            style="dim",
        ),
        Text(),
        table("Memory a device", [("component", "left"), ("bytes", "right")], rows),
        table("Speed of tuned kernels", [("quantity", "left"), ("estimate", "right")], speed),
        fits_or_not(
            serving.memory.peak_memory_bytes,
            serving.device,
            ". What would help: fewer bits (weights=int4, cache=int8), fewer sequences or tokens, or more devices.",
        ),
    )


def fine_tuning_report(run: FineTuning, name: str) -> RenderableType:
    """What `scaling budget finetune` prints."""
    rows = [
        [component.replace("_", " "), gib(size)]
        for component, size in sorted(run.components.items(), key=lambda item: -item[1])
        if size
    ]
    rows += [
        ["[bold]peak[/]", f"[bold]{gib(run.peak_memory_bytes)}[/]"],
        [f"usable of {run.device.name}", gib(usable_bytes(run.device))],
    ]
    total = count_params(run.shape).total
    return Group(
        Text.assemble((name, "bold"), "  ", sketch(run.shape)),
        Text(
            f"{run.keys.method}: {run.trained_params:,} of {total:,} parameters trained "
            f"({run.trained_params / total:.2%}), {run.keys.micro_batch} x {run.shape.context:,} tokens at a time on "
            f"{run.keys.devices:,} x {run.device.title}",
            style="dim",
        ),
        Text(),
        table("Memory a device", [("component", "left"), ("bytes", "right")], rows),
        fits_or_not(
            run.peak_memory_bytes,
            run.device,
            ". What would help: method=qlora, recompute=full, fewer tokens a sequence, or more devices.",
        ),
    )
