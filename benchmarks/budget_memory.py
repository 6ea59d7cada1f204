"""Memory by closed form beside published measurements and beside torch's tracker.

`python benchmarks/budget_memory.py` prints the comparison case by case, and exits non-zero where a figure falls short;
`benchmarks/budget.py` takes its rows from here.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import median

from budget_rows import Row

from scaling.accounting.hardware import get_device
from scaling.accounting.kept_activations import activation_bytes
from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.room import room_for
from scaling.accounting.states import device_params, model_states
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape, decoder_shape

PUBLISHED = Path(__file__).parents[1] / "tests" / "published"
UNITS = {"GiB": 2**30, "GB": 1e9}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One published figure and ours, in its unit."""

    name: str
    ours: float
    published: float
    unit: str

    @property
    def relative_error(self) -> float:
        return self.ours / self.published - 1


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table of `tests/published`."""
    with (PUBLISHED / name).open(newline="") as file:
        return list(csv.DictReader(file))


def gpu_memory_cases() -> list[Case]:
    """Peak memory of whole training steps: torchtitan's (reserved) and Megatron-LM's (allocated)."""
    return [_gpu_memory_case(row) for row in rows("gpu_memory.csv")]


def _gpu_memory_case(row: dict[str, str]) -> Case:
    shape = replace(published_shape(row["model"]), context=int(row["context"]))
    recipe = TrainingRecipe(
        precision=row["precision"],  # type: ignore[arg-type]
        recompute=row["recompute"],  # type: ignore[arg-type]
        runtime=row["runtime"],  # type: ignore[arg-type]
    )
    layout = Layout(
        data=int(row["data"]),
        zero_stage=int(row["zero_stage"]),
        tensor=int(row["tensor"]),
        sequence=row["sequence"] == "1",
        pipeline=int(row["pipeline"]),
        interleave=int(row["interleave"]),
        context=int(row["context_parallel"]),
        micro_batch=int(row["micro_batch"]),
        accumulation=int(row["accumulation"]),
    )
    estimate = training_memory(shape, recipe, layout)
    # Each publication measures one of the two.
    peak = estimate.peak_memory_bytes if row["measure"] == "reserved" else estimate.peak_allocated_bytes
    return Case(
        name=row["case"], ours=peak / UNITS[row["unit"]], published=float(row["peak"]), unit=row["unit"]
    )


def fits_agreement() -> tuple[int, int]:
    """Published layouts on 64 A100 80GB that fit (or are out of memory) as published, and how many there are."""
    table = rows("fits_64_a100.csv")
    agree = 0
    for row in table:
        shape = replace(published_shape(row["model"]), context=int(row["context"]))
        recipe = TrainingRecipe(precision="bf16-mixed", recompute=row["recompute"])  # type: ignore[arg-type]
        layout = Layout(data=64, zero_stage=3, micro_batch=int(row["micro_batch"]))
        fits = (
            room_for(training_memory(shape, recipe, layout).peak_memory_bytes, get_device("a100-80gb"))
            != "no"
        )
        agree += fits == (row["fits"] == "1")
    return agree, len(table)


def megatron_activation_cases() -> list[Case]:
    """Activations of Korthikanti et al.'s four models: GiB, and percent of tensor parallelism alone."""
    cases = []
    for row in rows("korthikanti_memory.csv"):
        shape, layout = megatron_job(row)
        recipe = TrainingRecipe(
            precision="bf16-master", runtime="megatron", attention="materialised", dropout=True
        )
        whole = replace(layout, sequence=True)
        none = activation_bytes(shape, recipe, layout)
        both = activation_bytes(shape, replace(recipe, recompute="selective"), whole)
        name = row["model"]
        cases += [
            Case(
                name=f"{name} none",
                ours=none / 2**30,
                published=float(row["activations_none_gib"]),
                unit="GiB",
            ),
            Case(
                name=f"{name} sequence + selective",
                ours=both / 2**30,
                published=float(row["activations_sequence_selective_gib"]),
                unit="GiB",
            ),
        ]
        shares = {
            "sequence": activation_bytes(shape, recipe, whole),
            "selective": activation_bytes(shape, replace(recipe, recompute="selective"), layout),
            "sequence_selective": both,
            "full": activation_bytes(shape, replace(recipe, recompute="full"), layout),
        }
        cases += [
            Case(
                name=f"{name} {mode}",
                ours=100 * size / none,
                published=float(row[f"percent_{mode}"]),
                unit="%",
            )
            for mode, size in shares.items()
        ]
    return cases


def megatron_state_cases() -> list[Case]:
    """Weights, gradients and optimizer states of a device on average over pipeline stages, GiB."""
    cases = []
    for row in rows("korthikanti_memory.csv"):
        shape, layout = megatron_job(row)
        recipe = TrainingRecipe(precision="bf16-master", runtime="megatron")
        total = sum(model_states(shape, recipe, layout, stage).total for stage in range(layout.pipeline))
        cases.append(
            Case(
                name=f"{row['model']} states",
                ours=total / layout.pipeline / 2**30,
                published=float(row["states_gib"]),
                unit="GiB",
            )
        )
    return cases


def megatron_job(row: dict[str, str]) -> tuple[ModelShape, Layout]:
    """A model of Korthikanti et al.'s table 3 and its layout."""
    width, heads = int(row["width"]), int(row["heads"])
    shape = ModelShape(
        width=width,
        depth=int(row["depth"]),
        heads=heads,
        kv_heads=heads,
        head_width=width // heads,
        ffn_width=4 * width,
        ffn="gelu",
        vocab_size=51_200,
        context=2048,
        tied_head=True,
        norm="layernorm",
        biases="all",
        positions="learned",
    )
    layout = Layout(
        tensor=int(row["tensor"]),
        pipeline=int(row["pipeline"]),
        interleave=int(row["interleave"]),
        micro_batch=int(row["micro_batch"]),
        accumulation=8 * int(row["pipeline"]),
    )
    return shape, layout


def zero_table_agreement() -> tuple[int, int]:
    """Entries of ZeRO's table 1 that print as published, and how many there are."""
    # 7.5 B parameters in matrices; ZeRO's K = 12 is Adam in mixed precision.
    shape = decoder_shape(
        width=4096, depth=37, heads=32, vocab_size=512, context=1024, ffn="gelu", tied_head=True
    )
    params = device_params(shape, Layout()).total
    recipe = TrainingRecipe(precision="16-master")
    table = rows("zero_table1.csv")
    agree = 0
    for row in table:
        layout = Layout(data=int(row["data"]), zero_stage=int(row["zero_stage"]))
        ours = model_states(shape, recipe, layout).total / params * 7.5
        published = Decimal(row["gigabytes"])
        # Published digits, halves rounded up as the paper rounds 41.25.
        agree += Decimal(f"{ours:.6f}").quantize(published, ROUND_HALF_UP) == published
    return agree, len(table)


def random_jobs(count: int, seed: int = 0) -> Iterator[tuple[ModelShape, TrainingRecipe, Layout]]:
    """Jobs of this project's decoder: shapes, optimizers, precisions, checkpointing and accumulation at random."""
    source = random.Random(seed)
    for _ in range(count):
        heads = source.choice([1, 2, 4, 8])
        shape = decoder_shape(
            width=heads * source.choice([8, 16, 32]),
            depth=source.choice([1, 1, 2]),
            heads=heads,
            kv_heads=source.choice([k for k in (1, 2, 4, 8) if heads % k == 0]),
            vocab_size=source.choice([64, 256, 1000, 8192]),
            context=source.choice([32, 128, 512]),
            ffn=source.choice(["swiglu", "gelu"]),
            tied_head=source.random() < 0.5,
            qk_norm=source.random() < 0.5,
        )
        recipe = TrainingRecipe(
            optimizer=source.choice(["adamw", "muon", "sgd", "sgd_momentum"]),
            precision=source.choice(["32-true", "bf16-mixed", "bf16-true"]),
            recompute=source.choice(["none", "selective_ops", "full"]),
            runtime="torch_cpu",
        )
        yield (
            shape,
            recipe,
            Layout(micro_batch=source.choice([1, 2, 8, 32]), accumulation=source.choice([1, 1, 1, 2])),
        )


def tracker_errors(count: int, seed: int = 0, processes: int = 1) -> list[float]:
    """Closed form over torch's memory tracker, less one, for peak memory of random jobs on a CPU."""
    cases = list(random_jobs(count, seed))
    if processes == 1:
        return [tracker_error(case) for case in cases]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(tracker_error, cases))


def tracker_error(case: tuple[ModelShape, TrainingRecipe, Layout]) -> float:
    """Closed form over tracker, less one, for one job."""
    from scaling.budget.trace import traced_memory

    return training_memory(*case).peak_allocated_bytes / traced_memory(*case)["Total"] - 1


def estimate_seconds(count: int = 200) -> float:
    """Median seconds of one memory estimate of a job not seen before."""
    times = []
    for shape, recipe, layout in random_jobs(count, seed=1):
        start = time.perf_counter()
        training_memory(shape, recipe, layout)
        times.append(time.perf_counter() - start)
    return median(times)


def published_groups() -> list[tuple[str, str, list[Case], float, float]]:
    """(quantity, against, cases, median asked, largest asked)."""
    gpu = gpu_memory_cases()
    return [
        ("peak memory", "9 torchtitan rows (reserved)", [c for c in gpu if c.unit == "GiB"], 0.10, 0.15),
        ("peak memory", "4 Megatron rows (allocated)", [c for c in gpu if c.unit == "GB"], 0.10, 0.15),
        ("activations", "24 of Korthikanti et al.", megatron_activation_cases(), 0.10, 0.15),
        ("model states", "4 of Korthikanti et al.", megatron_state_cases(), 0.10, 0.15),
    ]


def memory_rows(tracked_jobs: int, processes: int) -> list[Row]:
    """Every figure of memory, measured."""
    result = []
    for quantity, against, cases, typical, worst in published_groups():
        errors = [abs(case.relative_error) for case in cases]
        result.append(
            Row(
                quantity=quantity,
                against=against,
                reached=f"median {median(errors):.1%}, max {max(errors):.1%}",
                asked=f"median {typical:.0%}, max {worst:.0%}",
                ok=median(errors) <= typical and max(errors) <= worst,
            )
        )
    for quantity, against, (agree, total) in (
        ("model states", "ZeRO's table 1, printed digits", zero_table_agreement()),
        ("fits or not", "published on 64 A100, one out of memory", fits_agreement()),
    ):
        result.append(
            Row(
                quantity=quantity,
                against=against,
                reached=f"{agree} of {total}",
                asked="all",
                ok=agree == total,
            )
        )
    errors = [abs(error) for error in tracker_errors(tracked_jobs, processes=processes)]
    result.append(
        Row(
            quantity="peak memory",
            against=f"torch's tracker, {tracked_jobs} CPU jobs",
            reached=f"median {median(errors):.2%}, max {max(errors):.1%}",
            asked="median 1%, max 3%",
            ok=median(errors) <= 0.01 and max(errors) <= 0.03,
        )
    )
    seconds = estimate_seconds()
    result.append(
        Row(quantity="memory, time", against="one estimate", reached=f"{1e3 * seconds:.1f} ms", asked="10 ms",
            ok=seconds < 0.01)
    )  # fmt: skip
    return result


def main() -> int:
    """Print every comparison; 1 where one falls short of what is promised."""
    for quantity, against, cases, _, _ in published_groups():
        print(f"{quantity}: {against}")
        for case in cases:
            print(
                f"  {case.name:40} {case.ours:8.2f} {case.published:8.2f} {case.unit:3} {case.relative_error:+.1%}"
            )
    measured = memory_rows(100 if "--quick" in sys.argv else 200, processes=2)
    for row in measured:
        print(f"{'ok  ' if row.ok else 'FAIL'} {row.quantity:14} {row.against:40} {row.reached}")
    return 0 if all(row.ok for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
