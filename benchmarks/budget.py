"""How right and how fast the budget estimates are: every error beside what is asked of it, and exit status 1 if short.

    python benchmarks/budget.py [--quick] [--facts FILE] [--out FILE]

Without `--facts` the published figures typed into tests/published/ are used; FILE adds a table of further facts
(columns case, quantity, value, unit, source, status). --quick takes under two minutes on two cores. --out writes the
table as Markdown; benchmarks/results/budget.md is the one that README shows.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import product
from pathlib import Path
from statistics import median

from budget_memory import memory_rows
from budget_rows import Row, markdown
from budget_shapes import shape_rows
from budget_speed import case_by_case, read, speed_rows
from rich.console import Console
from rich.table import Table

from scaling.accounting.budget import estimate
from scaling.accounting.cost import GOODPUT, REALISED
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.budget.history import HISTORY
from scaling.budget.keys import ModelKeys, SolveKeys
from scaling.budget.layout_search import best_candidate, candidates
from scaling.budget.setup import TrainingSetup
from scaling.budget.solve import solve
from scaling.shape.flops import train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.published import published_shape
from scaling.shape.published_models import CHINCHILLA_TABLE_A9, PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape

PUBLISHED_FACTS = Path(__file__).parent.parent / "tests" / "published"


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

    from scaling.model.decoder import Decoder

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


def random_model(source: random.Random, experts: float) -> ModelKeys:
    """What is asked of a plan's model; a share of `experts` are mixtures, some with a window."""
    if source.random() >= experts:
        return ModelKeys()
    routed, shared = source.choice([4, 8, 16, 64]), source.choice([None, 1, 2])
    window, full_every = source.choice([(None, None), (512, None), (256, 4)])
    active = source.choice([1, 2, 4])
    return ModelKeys(
        experts=routed, experts_active=active, shared_experts=shared, window=window, full_every=full_every
    )


def random_budget(
    source: random.Random, experts: float = 0.0
) -> tuple[SolveKeys, Callable[[object], float], float]:
    """(keys, how to read the budget off the forward estimate, its amount)."""
    keys, read_off, amount = _random_amount(source)
    return (replace(keys, model=random_model(source, experts)) if experts else keys), read_off, amount


def _random_amount(source: random.Random) -> tuple[SolveKeys, Callable[[object], float], float]:
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


def round_trips(count: int = 100, seed: int = 0, experts: float = 0.0) -> tuple[list[float], int, float]:
    """(errors of the inverse fed to the forward model, plans that are feasible, seconds of one core to solve all)."""
    source = random.Random(seed)
    budgets = [random_budget(source, experts) for _ in range(count)]
    solve(SolveKeys(flops=1e20))  # imports
    start = time.process_time()
    plans = [solve(keys) for keys, _, _ in budgets]
    seconds = time.process_time() - start
    errors, feasible = [], 0
    for plan, (keys, read_off, amount) in zip(plans, budgets, strict=True):
        given = plan.budget
        run = estimate(given.shape, given.tokens, given.layout, get_device(keys.hardware), given.recipe)
        errors.append(abs(read_off(run) / amount - 1))
        feasible += run.fits and run.steps >= 1
    return errors, feasible, seconds


LAYOUT_MODELS = (
    "gpt2", "gpt2-xl", "pythia-6.9b", "llama-2-7b", "llama-2-70b", "falcon-180b", "bloom-176b", "llama-3.1-405b",
    "mixtral-8x7b", "deepseek-v3",
)  # fmt: skip
LAYOUT_DEVICES = ("a100-40gb", "a100-80gb", "h100-sxm", "b200")
LAYOUT_COUNTS = (1, 8, 64, 256, 512, 4096)


def automatic_layout_row(quick: bool) -> Row:
    """The layout chosen unasked beside the fastest that fits of all that `fits` lists, at a batch of 4M tokens."""
    slower, cases, seconds = 0.0, 0, []
    for name, hardware, devices in product(
        LAYOUT_MODELS, LAYOUT_DEVICES, LAYOUT_COUNTS[:: 3 if quick else 1]
    ):
        setup = TrainingSetup(device=get_device(hardware), recipe=TrainingRecipe(precision="bf16-mixed"))
        start = time.process_time()
        chosen = best_candidate(published_shape(name), setup, devices, 4e6)
        seconds.append(time.process_time() - start)
        fitting = [c for c in candidates(published_shape(name), setup, devices, 4e6) if c.fits]
        if chosen is not None and fitting:
            cases += 1
            fastest = min(candidate.seconds_per_token for candidate in fitting)
            slower = max(slower, chosen.seconds_per_token / fastest - 1)
    return Row(
        quantity="automatic layout",
        against=f"the fastest row of fits, {cases} cases that fit",
        reached=f"at most {slower:.1%} slower; median {median(seconds):.2f} s, max {max(seconds):.2f} s",
        asked="never slower, 0.2 s",
        ok=slower <= 0 and median(seconds) < 0.2,
    )


def estimates_a_second(count: int) -> float:
    """Forward estimates (parameters, FLOPs, memory, time, cost) of shapes never seen before, one after another."""
    device, recipe = get_device("a100-80gb"), TrainingRecipe(precision="bf16-mixed")
    shapes = [replace(published_shape("gpt2"), vocab_size=50_000 + k) for k in range(count)]
    start = time.process_time()
    for shape in shapes:
        estimate(shape, 1e10, Layout(), device, recipe)
    return count / (time.process_time() - start)


# --- facts of one's own ----------------------------------------------------------------------------------------------


def facts_rows(path: Path) -> list[Row]:
    """Exact parameter counts in a table of facts, matched to shapes by name."""
    exact, wrong = 0, []
    with path.open() as file:
        for fact in csv.DictReader(file):
            name = fact["case"].split(" (")[0].split(" L")[0].strip().lower().replace(" ", "-")
            name = name.replace("-v0.1", "").removesuffix("-total")
            if fact["unit"] != "params" or name not in PUBLISHED:
                continue
            counts = count_params(published_shape(name))
            ours = counts.non_embedding if fact["quantity"].startswith("non_embedding") else counts.total
            exact += 1
            if ours != int(fact["value"]):
                wrong.append(name)
    return [equal_rows(f"{exact} exact counts of {path.name}", exact, wrong)]


def parameter_rows() -> list[Row]:
    """Counts of published models, and the models of the Chinchilla study."""
    exact = {row["model"]: int(row["params_total"]) for row in read("params_exact.csv")}
    exact |= {row["model"]: int(row["params_total"]) for row in read("pythia_params.csv")}
    wrong = [name for name, count in exact.items() if count_params(published_shape(name)).total != count]
    chinchilla = [
        abs(count_params(published_shape(f"chinchilla-{millions}m")).total / (1e6 * millions) - 1)
        for millions, *_ in CHINCHILLA_TABLE_A9
    ]
    return [
        equal_rows(f"{len(exact)} exact published counts", len(exact), wrong),
        Row(
            quantity="parameters",
            against=f"{len(chinchilla)} rows of Chinchilla table A9",
            reached=f"max {max(chinchilla):.2%}",
            asked="1%",
            ok=max(chinchilla) <= 0.01,
        ),
    ]


def equal_rows(against: str, count: int, wrong: list[str]) -> Row:
    reached = f"{count - len(wrong)} equal" + (f" (not {', '.join(wrong)})" if wrong else "")
    return Row(
        quantity="parameters", against=against, reached=reached, asked="all equal", ok=count > 0 and not wrong
    )


def rows(quick: bool, facts: Path | None) -> list[Row]:
    """Every figure, measured."""
    result = parameter_rows() + (facts_rows(facts) if facts else []) + shape_rows(quick)
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
    result += speed_rows()
    result += memory_rows(100 if quick else 200, processes=2)
    trips, feasible, seconds = round_trips()
    # Other budgets, so that nothing is remembered; the fastest of three is least disturbed by what else runs.
    seconds = min(seconds, *(round_trips(seed=seed)[2] for seed in (1, 2)))
    result += [
        Row(quantity="inverse round trip", against="100 random budgets",
            reached=f"max {max(trips):.2%}, {feasible} feasible", asked="1%, 100",
            ok=max(trips) <= 0.01 and feasible == 100),
        Row(quantity="inverse, time", against="100 random budgets",
            reached=f"{seconds / 100:.3f} s each, of one core", asked="0.2 s", ok=seconds < 20),
        automatic_layout_row(quick),
    ]  # fmt: skip
    mixed = round_trips(60 if quick else 200, seed=3, experts=1 / 3)[0]
    result.append(
        Row(quantity="inverse round trip", against=f"{len(mixed)} random budgets, a third with experts",
            reached=f"ratio within {max(mixed):.1e} of 1", asked="1.0000", ok=max(mixed) < 5e-5)
    )  # fmt: skip
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
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console(highlight=False)
    console.print(case_by_case())
    console.print(f"device-hours assume {REALISED:g} of the speed of tuned code and a goodput of {GOODPUT:g}")
    table = Table(
        "quantity", "against", "reached", "asked", "", title="Budget estimates", title_justify="left"
    )
    measured = rows(arguments.quick, arguments.facts)
    for row in measured:
        table.add_row(row.quantity, row.against, row.reached, row.asked, "ok" if row.ok else "[red]short[/]")
    console.print(table)
    if arguments.out is not None:
        arguments.out.write_text(markdown(measured))
    return 0 if all(row.ok for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
