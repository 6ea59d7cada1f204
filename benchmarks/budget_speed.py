"""How right the estimates of time are: steps, throughput and whole runs beside published ones.

    python benchmarks/budget_speed.py [--out FILE]

`benchmarks/budget.py` takes its rows from here, but for the mixtures of experts: one layout of one model differs by up
to 1.8 times between two releases of NVIDIA's program, so that no estimate is near both. Exit status 1 if short.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
from achieved_rates import measured_over_estimated, throughput_rows
from budget_rows import Row, markdown
from rich.console import Console
from rich.table import Table
from scipy import stats

from scaling.accounting.budget import estimate
from scaling.accounting.cost import RUN_SPREAD
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Precision, TrainingRecipe
from scaling.accounting.timing import StepTime, step_time
from scaling.budget.layout_search import best_candidate
from scaling.budget.setup import TrainingSetup
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape

PUBLISHED_FACTS = Path(__file__).parent.parent / "tests" / "published"
LONG_CONTEXTS = (16_384, 32_768, 65_536, 131_072)
"""Contexts of Llama 3.1's second stage, 0.8T tokens from 8K to 128K in steps (arXiv:2407.21783, section 3.4.2), taken
as doublings of equal length."""


def read(name: str) -> list[dict[str, str]]:
    """Rows of a table under tests/published/."""
    with (PUBLISHED_FACTS / name).open() as file:
        return list(csv.DictReader(file))


def megatron_shape(depth: int, width: int, heads: int) -> ModelShape:
    """GPT as Megatron trains it: vocabulary padded to 51,200, context 2,048."""
    return replace(
        published_shape("gpt3-175b"),
        depth=depth, width=width, heads=heads, kv_heads=heads, head_width=width // heads,
        ffn_width=4 * width, vocab_size=51_200,
    )  # fmt: skip


def megatron_step(row: dict[str, str]) -> StepTime:
    """Estimated step of one row of step_times.csv: A100 80GB, fp16, attention scores in memory."""
    count = {key: int(row[key]) for key in ("depth", "width", "heads", "tensor", "pipeline", "interleave", "data",
                                            "micro_batch", "batch")}  # fmt: skip
    layout = Layout(
        data=count["data"],
        tensor=count["tensor"],
        sequence=row["sequence"] == "1",
        pipeline=count["pipeline"],
        interleave=count["interleave"],
        micro_batch=count["micro_batch"],
        accumulation=count["batch"] // count["micro_batch"] // count["data"],
    )
    recipe = TrainingRecipe(
        precision="16-master",
        recompute=row["recompute"],  # type: ignore[arg-type]  # the table holds only known words
        attention="materialised",
        runtime="megatron",
    )
    shape = megatron_shape(count["depth"], count["width"], count["heads"])
    return step_time(shape, layout, get_device("a100-80gb"), recipe)


def step_time_errors() -> dict[str, float]:
    """Estimated over published step time, minus 1, by case."""
    errors = {}
    for row in read("step_times.csv"):
        step = megatron_step(row)
        if row["seconds"]:
            errors[row["name"]] = step.seconds / float(row["seconds"]) - 1
        else:
            achieved = step.hardware_flops / step.seconds / step.devices / 1e12
            errors[row["name"]] = float(row["tflops_per_device"]) / achieved - 1
    return errors


def nvidia_throughput_errors(table: str) -> dict[str, float]:
    """Estimated over published tokens a second of NVIDIA's own runs, minus 1, by case: dense models or mixtures."""
    errors = {}
    for row in read(table):
        degrees = ("data", "zero_stage", "tensor", "pipeline", "interleave", "expert", "micro_batch")
        count = {key: int(row[key]) for key in degrees}
        accumulation = max(1, int(row["global_batch"]) // (count["data"] * count["micro_batch"]))
        layout = Layout(
            **count,
            context=int(row["context_parallel"]),
            sequence=count["tensor"] > 1,
            accumulation=accumulation,
        )
        shape = replace(published_shape(row["model"]), context=int(row["context"]))
        recipe = TrainingRecipe(precision=row["precision"], runtime="megatron")  # type: ignore[arg-type]
        step = step_time(shape, layout, get_device(row["hardware"]), recipe)
        case = f"{row['model']} {layout} of {row['micro_batch']} on {row['hardware']}, {row['release']}"
        errors[case] = (
            step.tokens_per_second / layout.devices / float(row["tokens_per_second_per_device"]) - 1
        )
    return errors


@cache
def hours_ratios() -> dict[str, float]:
    """Estimated over published device-hours by model.

    Cards give hours and no devices. Each model is laid out by the planner on the devices and batch that its family's
    paper reports: 2,048 and 4M tokens for LLaMA (arXiv:2302.13971, sections 2.3 and 2.4) and Llama 2
    (arXiv:2307.09288, section 2.2: 4M, up to 2,000), 8,192 and 16M for Llama 3 (arXiv:2407.21783, table 4, first
    row), whose 405B has its layout printed there.
    """
    ratios = {}
    for row in read("run_hours.csv"):
        hours = stage_hours(row, int(row["context"]), float(row["tokens"]), row["layout"])
        for context in LONG_CONTEXTS if row["long_tokens"] else ():
            hours += stage_hours(row, context, float(row["long_tokens"]) / len(LONG_CONTEXTS), "")
        ratios[row["model"]] = hours / float(row["device_hours"])
    return ratios


def spread_of_runs(ratios: Iterable[float]) -> tuple[float, float]:
    """90 % prediction interval of published over estimated device-hours of one more run, of their logarithms."""
    logs = np.log([1 / ratio for ratio in ratios])
    reach = stats.t.ppf(0.95, len(logs) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    return float(np.exp(logs.mean() - reach)), float(np.exp(logs.mean() + reach))


def stage_hours(row: dict[str, str], context: int, tokens: float, published_layout: str) -> float:
    """Device-hours of one stage of training: so many tokens in sequences of one length."""
    shape = replace(published_shape(row["model"]), context=context)
    device = get_device(row["hardware"])
    # 16-bit weights, float32 gradients and master weights (arXiv:2407.21783, section 3.3.2).
    precision: Precision = "fp8-mixed" if "8-bit products" in row["source"] else "bf16-master"
    recipe = TrainingRecipe(precision=precision, runtime="megatron")
    if published_layout:
        degrees = {key: int(value) for key, value in (word.split("=") for word in published_layout.split())}
        layout = Layout(**degrees, zero_stage=1, sequence=True)
        return estimate(shape, tokens, layout, device, recipe).cost.device_hours
    setup = TrainingSetup(device=device, recipe=recipe)
    found = best_candidate(shape, setup, int(row["devices"]), float(row["batch_tokens"]))
    assert found is not None, row["model"]
    assert found.fits, row["model"]
    return estimate(shape, tokens, found.layout, device, found.recipe).cost.device_hours


def throughput_row(kind: str, table: str, middle: float, most: float) -> Row:
    """NVIDIA's runs of a kind of model, with the median and the largest error that are asked."""
    sizes = [abs(error) for error in nvidia_throughput_errors(table).values()]
    return Row(
        quantity=f"tokens/s, {kind}",
        against=f"{len(sizes)} of NVIDIA's on H100 and B200",
        reached=f"median {median(sizes):.1%}, max {max(sizes):.1%}",
        asked=f"median {middle:.0%}, max {most:.0%}",
        ok=median(sizes) <= middle and max(sizes) <= most,
    )


def speed_rows() -> list[Row]:
    """Every figure of time but that of mixtures of experts."""
    result: list[Row] = []
    errors = step_time_errors()
    for title, cases in (
        ("8 steps of Korthikanti et al.", [k for k in errors if " " in k]),
        ("5 of Narayanan et al.", [k for k in errors if " " not in k]),
    ):
        sizes = [abs(errors[k]) for k in cases]
        result.append(
            Row(quantity="step time", against=title, reached=f"median {median(sizes):.1%}, max {max(sizes):.1%}",
                asked="median 10%", ok=median(sizes) <= 0.10)
        )  # fmt: skip
    held_back = [
        1 / measured_over_estimated(row, get_device(row["hardware"])) - 1
        for row in throughput_rows()
        if row["group"] == "Llama 3 405B"
    ]
    result.append(
        Row(quantity="step time", against="2 of Llama 3 405B, held back",
            reached=f"max {max(map(abs, held_back)):.1%}", asked="median 10%", ok=median(map(abs, held_back)) <= 0.1)
    )  # fmt: skip
    result.append(throughput_row("dense", "nvidia_dense.csv", 0.08, 0.20))
    ratios = hours_ratios()
    inside = [model for model, ratio in ratios.items() if RUN_SPREAD[0] <= 1 / ratio <= RUN_SPREAD[1]]
    result.append(
        Row(quantity="device-hours", against=f"{len(ratios)} whole published runs",
            reached=f"{len(inside)} inside {RUN_SPREAD[0]:g} to {RUN_SPREAD[1]:g} times the estimate",
            asked="90%", ok=len(inside) >= 0.9 * len(ratios))
    )  # fmt: skip
    cards = {model: ratio for model, ratio in ratios.items() if model.startswith("llama")}
    factors = {model: max(ratio, 1 / ratio) for model, ratio in cards.items()}
    outside = [f"{model} {ratios[model]:.2f}" for model, factor in factors.items() if factor > 1.3]
    result.append(
        Row(quantity="device-hours", against=f"{len(factors)} Llama model cards",
            reached=f"median {median(factors.values()):.2f}x"
            + (f"; outside: {', '.join(outside)}" if outside else f", max {max(factors.values()):.2f}x"),
            asked="nine in ten within 1.3x", ok=len(outside) <= 0.1 * len(factors))
    )  # fmt: skip
    return result


def case_by_case() -> Table:
    """Every estimate over the published figure."""
    detail = Table(
        "case", "estimate / published", title="Step time and device-hours, case by case", title_justify="left"
    )
    for case, error in step_time_errors().items():
        detail.add_row(f"step {case}", f"{1 + error:.3f}")
    for kind in ("dense", "mixtures"):
        for case, error in nvidia_throughput_errors(f"nvidia_{kind}.csv").items():
            detail.add_row(f"tokens/s {case}", f"{1 + error:.3f}")
    for model, ratio in hours_ratios().items():
        detail.add_row(f"hours {model}", f"{ratio:.2f}")
    return detail


def main() -> int:
    """Print the rows with that of mixtures; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console(highlight=False)
    console.print(case_by_case())
    rows = [*speed_rows(), throughput_row("mixtures of experts", "nvidia_mixtures.csv", 0.15, 0.40)]
    table = Table("quantity", "against", "reached", "asked", "")
    for row in rows:
        table.add_row(row.quantity, row.against, row.reached, row.asked, "ok" if row.ok else "[red]short[/]")
    console.print(table)
    if arguments.out is not None:
        arguments.out.write_text(markdown(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
