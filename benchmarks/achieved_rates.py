"""Where the achieved rates of the step-time estimate come from: published throughputs of training.

    python benchmarks/achieved_rates.py

Two constants are read off tests/published/throughput.csv, whose rows are of other runs than those that the estimate is
judged on (Megatron's step times, the Llama model cards):

- a device's `sustained_fraction` is that at which nine in ten of MosaicML's rows on it run no faster than estimated;
- `REALISED` is the median over projects of measured over estimated speed, each at the layout it ran; Llama 3 405B,
  whose hours are judged, is shown and left out.

The exit status is 1 where a constant in the code is not what comes out here, rounded to two digits.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median, quantiles

from scaling.accounting.cost import REALISED
from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.timing import step_time
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape

THROUGHPUT = Path(__file__).parent.parent / "tests" / "published" / "throughput.csv"
CALIBRATED = ("a100-80gb", "h100-sxm")
"""Devices with enough rows; the rest take the figure of their die, or the lower of these two."""


@cache
def throughput_rows() -> tuple[dict[str, str], ...]:
    with THROUGHPUT.open() as file:
        return tuple(csv.DictReader(file))


def row_shape(row: dict[str, str]) -> ModelShape:
    """The shape of a row: a published model at its training context, or GPT-2's kind at another size."""
    context = int(row["context"])
    if row["model"] not in ("mpt", "starcoder"):
        return replace(published_shape(row["model"]), context=context)
    width, heads = int(row["width"]), int(row["heads"])
    return replace(
        published_shape("gpt2"), depth=int(row["depth"]), width=width, heads=heads, context=context,
        kv_heads=1 if row["model"] == "starcoder" else heads, head_width=width // heads, ffn_width=4 * width,
        vocab_size=49_152 if row["model"] == "starcoder" else 50_368,
    )  # fmt: skip


def measured_over_estimated(row: dict[str, str], device: Device) -> float:
    """Speed of a published run over the estimate of tuned code at its layout."""
    count = {key: int(row[key]) for key in ("data", "tensor", "pipeline", "interleave", "zero_stage", "micro_batch",
                                            "accumulation")}  # fmt: skip
    recipe = TrainingRecipe(
        precision=row["precision"], recompute=row["recompute"], attention=row["attention"], runtime=row["runtime"],  # type: ignore[arg-type]
    )  # fmt: skip
    layout = Layout(**count, sequence=count["tensor"] > 1)
    step = step_time(row_shape(row), layout, device, recipe, kernels=row["kernels"])  # type: ignore[arg-type]
    if row["tokens_per_second_per_device"]:
        return float(row["tokens_per_second_per_device"]) * layout.devices / step.tokens_per_second
    # Published FLOP/s count what was recomputed, as Megatron's do.
    return float(row["tflops_per_device"]) * 1e12 / (step.hardware_flops / step.seconds / step.devices)


def sustained_fraction(hardware: str) -> float:
    """The share of the best matrix product at which nine in ten rows of MosaicML's on a device are no faster."""
    rows = [row for row in throughput_rows() if row["group"] == f"MosaicML {hardware}"]
    low, high = 0.3, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        device = replace(get_device(hardware), sustained_fraction=middle)
        ratios = [measured_over_estimated(row, device) for row in rows]
        low, high = (middle, high) if quantiles(ratios, n=10, method="inclusive")[-1] > 1 else (low, middle)
    return low


def realised_by_project() -> dict[str, float]:
    """Median of measured over estimated speed, for each project and device."""
    groups: dict[str, list[float]] = {}
    for row in throughput_rows():
        ratio = measured_over_estimated(row, get_device(row["hardware"]))
        groups.setdefault(row["group"], []).append(ratio)
    return {group: median(ratios) for group, ratios in groups.items()}


def realised() -> tuple[float, int]:
    """(median, how many projects): every project but the one whose hours are judged."""
    projects = [ratio for group, ratio in realised_by_project().items() if not group.startswith("Llama")]
    return median(projects), len(projects)


def main() -> int:
    """Print both constants with what they come from; 1 where the code has another."""
    good = True
    for hardware in CALIBRATED:
        found, used = sustained_fraction(hardware), get_device(hardware).sustained_fraction
        good &= round(found, 2) == used
        print(f"sustained_fraction of {hardware:10} {found:.3f}   in the code {used:g}")
    for project, ratio in realised_by_project().items():
        print(f"  {project:24} {ratio:.2f} of the speed of tuned code")
    found, projects = realised()
    good &= round(found, 2) == REALISED
    print(f"realised, median of {projects} projects  {found:.3f}   in the code {REALISED:g}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
