"""How right and how fast the budget estimates are: every error beside what is asked of it, and exit status 1 if short.

    python benchmarks/budget.py [--quick] [--facts FILE]

Without `--facts` the published figures typed into tests/published/ are used; FILE adds a table of further facts
(columns case, quantity, value, unit, source, status). --quick takes under two minutes.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from scaling.accounting.cost import GOODPUT, REALISED
from scaling.accounting.estimate import estimate
from scaling.accounting.flops import train_flops_per_token
from scaling.accounting.hardware import get_device
from scaling.accounting.history import HISTORY
from scaling.accounting.layout import Layout
from scaling.accounting.params import count_params
from scaling.accounting.published import PUBLISHED, published_shape
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.shape import ModelShape, decoder_shape
from scaling.accounting.states import model_states
from scaling.accounting.timing import StepTime, step_time
from scaling.layouts import best_candidate
from scaling.planner import SolveKeys, solve_keys
from scaling.sizing import shape_of_size

PUBLISHED_FACTS = Path(__file__).parent.parent / "tests" / "published"
CARD_DEVICES, CARD_BATCH_TOKENS = 2048, 4e6
"""Assumed for every model card: LLaMA's 2,048 devices and batch of 4M tokens (arXiv:2302.13971, sections 2.3, 2.4)."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured quantity beside what is asked of it."""

    quantity: str
    against: str
    reached: str
    asked: str
    ok: bool


# --- step time and hours ---------------------------------------------------------------------------------------------


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
        recompute=row["recompute"],
        attention="materialised",
        runtime="megatron",  # type: ignore[arg-type]
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


def hours_ratios() -> dict[str, float]:
    """Estimated over published device-hours by model, all under one rule for devices, batch and layout."""
    ratios = {}
    for row in read("run_hours.csv"):
        shape = replace(published_shape(row["model"]), context=int(row["context"]))
        device = get_device(row["hardware"])
        recipe = TrainingRecipe(precision="bf16-mixed")
        found = None
        devices, batch = CARD_DEVICES, CARD_BATCH_TOKENS
        while (
            found is None or not found.fits
        ):  # a model too large for them gets more, and batch in proportion
            found = best_candidate(shape, recipe, device, devices, batch)
            devices, batch = 2 * devices, 2 * batch
        tokens = float(row["tokens"])
        run = estimate(shape, tokens, found.layout, device, found.recipe)
        ratios[row["model"]] = run.cost.device_hours / float(row["device_hours"])
    return ratios


# --- parameters, FLOPs, memory ---------------------------------------------------------------------------------------


def random_shape(random_source: random.Random) -> ModelShape:
    """A small decoder: grouped-query or not, either feed-forward, tied or not."""
    heads = random_source.choice([1, 2, 3, 4, 6, 8])
    return decoder_shape(
        width=heads * random_source.choice([4, 8, 16]),
        depth=random_source.randint(1, 4),
        heads=heads,
        kv_heads=random_source.choice([k for k in range(1, heads + 1) if heads % k == 0]),
        ffn=random_source.choice(["swiglu", "gelu"]),
        ffn_width=8 * random_source.randint(1, 32),
        vocab_size=random_source.randint(10, 300),
        context=random_source.choice([4, 8, 16, 32]),
        tied_head=random_source.random() < 0.5,
        qk_norm=random_source.random() < 0.5,
    )


def flop_differences(count: int) -> list[float]:
    """|closed form − FlopCounterMode| of training FLOPs a sequence, over random shapes on meta tensors."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from scaling.model import Decoder

    source = random.Random(0)
    differences = []
    for _ in range(count):
        shape = random_shape(source)
        with torch.device("meta"):
            model = Decoder(shape)
            tokens = torch.zeros(1, shape.context, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(tokens).float().sum().backward()
        exact = shape.context * train_flops_per_token(shape, "exact")
        differences.append(abs(exact - counter.get_total_flops()))
    return differences


def gpt3_table_agreement() -> tuple[int, int]:
    """Rows of GPT-3's Table D.1 whose FLOPs and PF-days print as published, and how many there are."""
    rows = read("gpt3_table_d1.csv")
    ours = {model.name: model for model in HISTORY}
    agree = 0
    for row in rows:
        model = ours[row["name"]]
        flops = (
            Decimal(model.flops_per_param_per_token) * Decimal(int(model.params)) * Decimal(int(model.tokens))
        )
        agree += _three_digits(flops) == _three_digits(Decimal(row["train_flops"])) and _three_digits(
            flops / Decimal(86_400 * 10**15)
        ) == _three_digits(Decimal(row["pf_days"]))
    return agree, len(rows)


def _three_digits(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1).scaleb(value.adjusted() - 2), rounding=ROUND_HALF_UP)


# --- planner and speed -----------------------------------------------------------------------------------------------


def random_budget(source: random.Random) -> tuple[SolveKeys, Callable[[object], float], float]:
    """(keys, how to read the budget off the forward estimate, its amount)."""
    hardware = source.choice(["v100", "a100-80gb", "h100-sxm", "h200", "tpu-v4"])
    kind = source.choice(["flops", "pf_days", "device_hours", "money", "devices"])
    if kind == "devices":
        devices, days = 2 ** source.randint(0, 9), 10 ** source.uniform(0, 2)
        return SolveKeys(devices=devices, days=days, hardware=hardware), _hours, 24 * devices * days
    low, high = {"flops": (17, 25), "pf_days": (-2, 5), "device_hours": (1, 7), "money": (1, 8)}[kind]
    amount = 10 ** source.uniform(low, high)
    read_off = {"flops": _flops, "pf_days": _pf_days, "device_hours": _hours, "money": _money}[kind]
    return SolveKeys(**{kind: amount}, hardware=hardware), read_off, amount  # type: ignore[arg-type]


def _flops(run: object) -> float:
    return run.train_flops  # type: ignore[attr-defined,no-any-return]


def _pf_days(run: object) -> float:
    return run.train_pf_days  # type: ignore[attr-defined,no-any-return]


def _hours(run: object) -> float:
    return run.cost.device_hours  # type: ignore[attr-defined,no-any-return]


def _money(run: object) -> float:
    return run.cost.price_usd  # type: ignore[attr-defined,no-any-return]


def round_trips(count: int = 100, seed: int = 0) -> tuple[list[float], int, float]:
    """(errors of the inverse fed to the forward model, plans that are feasible, seconds of one core to solve all)."""
    source = random.Random(seed)
    budgets = [random_budget(source) for _ in range(count)]
    solve_keys(SolveKeys(flops=1e20))  # imports
    start = time.process_time()
    plans = [solve_keys(keys) for keys, _, _ in budgets]
    seconds = time.process_time() - start
    errors, feasible = [], 0
    for plan, (keys, read_off, amount) in zip(plans, budgets, strict=True):
        given = plan.budget
        run = estimate(given.shape, given.tokens, given.layout, get_device(keys.hardware), given.recipe)
        errors.append(abs(read_off(run) / amount - 1))
        feasible += run.fits and run.steps >= 1
    return errors, feasible, seconds


def estimates_a_second(count: int) -> float:
    """Forward estimates (parameters, FLOPs, memory, time, cost) of shapes never seen before, one after another."""
    device, recipe = get_device("a100-80gb"), TrainingRecipe(precision="bf16-mixed")
    shapes = [replace(published_shape("gpt2"), vocab_size=50_000 + k) for k in range(count)]
    start = time.process_time()
    for shape in shapes:
        estimate(shape, 1e10, Layout(), device, recipe)
    return count / (time.process_time() - start)


# --- facts of one's own ----------------------------------------------------------------------------------------------


def zero_rows_as_printed(facts: list[dict[str, str]]) -> tuple[int, int]:
    """Rows of ZeRO's table (7.5B parameters, 16-bit with float32 Adam) that come out to the digits printed."""
    shape = shape_of_size(7.5e9, published_shape("gpt2"))
    agree = total = 0
    for fact in facts:
        found = re.fullmatch(r"ZeRO 7.5B stage(\d)(?: Nd=(\d+))?", fact["case"])
        if found is None:
            continue
        layout = Layout(data=int(found[2] or 1), zero_stage=int(found[1]))
        states = model_states(shape, TrainingRecipe(precision="16-master"), layout)
        gigabytes = states.total * 7.5e9 / count_params(shape).total / 1e9
        step = Decimal(1).scaleb(Decimal(fact["value"]).as_tuple().exponent)  # type: ignore[arg-type]
        total += 1
        agree += abs(Decimal(gigabytes) - Decimal(fact["value"])) <= step * Decimal("0.501")
    return agree, total


def facts_rows(path: Path) -> list[Row]:
    """Parameter counts, Chinchilla's models and ZeRO's table in a table of facts, matched to shapes by name."""
    with path.open() as file:
        facts = list(csv.DictReader(file))
    chinchilla = [
        abs(
            count_params(published_shape(f"chinchilla-{fact['value']}m")).total / (1e6 * float(fact["value"]))
            - 1
        )
        for fact in facts
        if fact["case"].startswith("Chinchilla-A9")
    ]
    zero_agree, zero_total = zero_rows_as_printed(facts)
    exact = wrong = 0
    names = []
    for fact in facts:
        name = (
            fact["case"].split(" (")[0].split(" L")[0].strip().lower().replace(" ", "-").replace("-v0.1", "")
        )
        name = name.removesuffix("-total")
        if fact["unit"] != "params" or name not in PUBLISHED:
            continue
        counts = count_params(published_shape(name))
        ours = counts.non_embedding if fact["quantity"].startswith("non_embedding") else counts.total
        exact += 1
        if ours != int(fact["value"]):
            wrong += 1
            names.append(name)
    return [
        Row(
            quantity="parameters",
            against=f"{exact} exact counts of {path.name}",
            reached=f"{exact - wrong} equal" + (f" (not {', '.join(names)})" if names else ""),
            asked="all equal",
            ok=exact > 0 and not wrong,
        ),
        Row(
            quantity="parameters",
            against=f"{len(chinchilla)} rows of Chinchilla table A9",
            reached=f"max {max(chinchilla):.2%}",
            asked="1%",
            ok=max(chinchilla) <= 0.01,
        ),
        Row(
            quantity="model states",
            against="ZeRO's table, printed digits",
            reached=f"{zero_agree} of {zero_total}",
            asked="all",
            ok=zero_agree == zero_total,
        ),
    ]


def read(name: str) -> list[dict[str, str]]:
    """Rows of a table under tests/published/."""
    with (PUBLISHED_FACTS / name).open() as file:
        return list(csv.DictReader(file))


def rows(quick: bool, facts: Path | None) -> list[Row]:
    """Every figure, measured."""
    result = facts_rows(facts) if facts else []
    flop_count = 200 if quick else 500
    differences = flop_differences(flop_count)
    result.append(
        Row(quantity="FLOPs", against=f"FlopCounterMode, {flop_count} shapes", reached=f"max {max(differences):.0f}",
            asked="0", ok=max(differences) == 0)
    )  # fmt: skip
    agree, total = gpt3_table_agreement()
    result.append(
        Row(quantity="FLOPs and PF-days", against="GPT-3 table D.1, printed digits", reached=f"{agree} of {total}",
            asked="all", ok=agree == total)
    )  # fmt: skip
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
    ratios = hours_ratios()
    factors = {model: max(ratio, 1 / ratio) for model, ratio in ratios.items()}
    outside = [f"{model} {ratios[model]:.2f}" for model, factor in factors.items() if factor > 1.3]
    result.append(
        Row(quantity="device-hours", against=f"{len(factors)} Llama model cards",
            reached=f"median {median(factors.values()):.2f}x"
            + (f"; outside: {', '.join(outside)}" if outside else f", max {max(factors.values()):.2f}x"),
            asked="1.3x", ok=not outside)
    )  # fmt: skip
    trips, feasible, seconds = round_trips()
    result += [
        Row(quantity="inverse round trip", against="100 random budgets",
            reached=f"max {max(trips):.2%}, {feasible} feasible", asked="1%, 100",
            ok=max(trips) <= 0.01 and feasible == 100),
        Row(quantity="inverse, time", against="100 random budgets", reached=f"{seconds:.2f} s of one core", asked="1 s",
            ok=seconds < 1),
    ]  # fmt: skip
    rate = estimates_a_second(200 if quick else 1000)
    result.append(
        Row(quantity="forward estimates", against="shapes not seen before", reached=f"{rate:,.0f} a second",
            asked="100 a second", ok=rate >= 100)
    )  # fmt: skip
    return result


def main() -> int:
    """Print the table; 1 where a figure falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--facts", type=Path)
    arguments = parser.parse_args()
    console = Console(highlight=False)
    detail = Table(
        "case", "estimate / published", title="Step time and device-hours, case by case", title_justify="left"
    )
    for case, error in step_time_errors().items():
        detail.add_row(f"step {case}", f"{1 + error:.3f}")
    for model, ratio in hours_ratios().items():
        detail.add_row(f"hours {model}", f"{ratio:.2f}")
    console.print(detail)
    console.print(f"device-hours assume {REALISED:g} of the speed of tuned code and a goodput of {GOODPUT:g}")
    table = Table(
        "quantity", "against", "reached", "asked", "", title="Budget estimates", title_justify="left"
    )
    measured = rows(arguments.quick, arguments.facts)
    for row in measured:
        table.add_row(row.quantity, row.against, row.reached, row.asked, "ok" if row.ok else "[red]short[/]")
    console.print(table)
    return 0 if all(row.ok for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
