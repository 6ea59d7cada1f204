"""What choosing runs is worth: on published tables replayed, on published designs, and on simulated studies.

    nice python benchmarks/designs.py TABLES [--quick] [--out TABLE.md]

TABLES is a folder with scalebench_*.csv (ScaleBench's tasks, arXiv:2604.22753, both splits in one file, column
`split`), chinchilla_epoch.csv (Epoch AI's digitisation of Hoffmann et al. 2022; 240 rows with kept=1) and
porian_rw_isoflop.csv (Porian et al. 2024). Rows: ScaleBench at each budget beside its published table; subsets of the
240 points beside random ones of equal cost; designs chosen on the laws of both studies beside their own at equal cost;
coverage of nominal 90 % intervals on chosen designs; simulated tables without noise refitted; the time of a choice.
`--quick` takes fewer tasks, seeds and studies, and says so. Exits with 1 when a row is short of what it should reach.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws, objectives
from analysis.fit import fit
from analysis.table import load
from scaling.simulate.candidates import Prices, candidate_runs
from scaling.simulate.choose import choose
from scaling.simulate.cost import Tariff
from scaling.simulate.design import Design, listed, read_design
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.noise import Noise
from scaling.simulate.optimize import best_within, pose
from scaling.simulate.pool import pools_of, read_both
from scaling.simulate.replay import play
from scaling.simulate.target import Target
from scaling.simulate.teaching import teach
from scaling.simulate.truth import Truth, truth_of

FAR = 5.76e23
"""Compute of Gopher and Chinchilla, at which Hoffmann et al. 2022 name their optimum."""
HUBER = objectives.get("huber_log")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    got: str
    asked: str
    short: bool


@dataclass(frozen=True)
class Task:
    """A task of ScaleBench, with laws of this project in place of its own; published: budget → (V-optimal, theirs)."""

    name: str
    laws: tuple[str, ...]
    columns: dict[str, str]
    cost: str | None
    published: dict[float, tuple[float, float]]
    outputs: tuple[str, ...] = ()
    group: str | None = None
    units: tuple[tuple[str, float], ...] = ()


DOMAINS = range(1, 6)
TASKS = (
    Task(
        "farseer", ("farseer", "kappa"), {"params": "N", "tokens": "D"}, None,
        {0.05: (0.87, 0.88), 0.1: (0.92, 0.93)},
    ),
    Task(
        "data_constrained", ("muennighoff", "unique_additive", "unique_saturating"), {}, None,
        {0.05: (0.83, 0.85), 0.1: (0.85, 0.86)},
    ),
    Task(
        "vocab", ("vocabulary_tao", "vocabulary_matched"),
        {
            "params_non_vocab": "non_vocab_parameters", "characters": "num_characters",
            "normalized_loss": "unigram_normalized_loss",
        },
        "non_vocab_parameters*num_characters", {0.05: (0.97, 0.98), 0.1: (0.98, 0.98)},
    ),
    Task(
        "domain_mixture", ("mixture_ye[5]",), {f"proportion_{i}": f"proportion_domain_{i}" for i in DOMAINS}, "1",
        {0.35: (0.91, 0.89), 0.5: (0.95, 0.95)}, tuple(f"loss_domain_{i}" for i in DOMAINS), "group",
    ),
    Task(
        "lr_bsz", ("valley",),
        {
            "params": "non_embedding_param_size", "tokens": "data_size", "learning_rate": "lr",
            "batch_tokens": "bsz", "loss": "lm_loss",
        },
        None, {0.05: (-0.06, 0.00), 0.1: (0.18, 0.22)}, units=(("batch_tokens", 2048.0),),
    ),
)  # fmt: skip


def scalebench(tables: Path, quick: bool) -> list[Row]:
    """Mean R² over laws and seeds of the runs chosen, beside the published methods."""
    rows: list[Row] = []
    means: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for task in TASKS[:2] if quick else TASKS:
        frame, region = read_both(str(tables / f"scalebench_{task.name}.csv"), "", {})
        for place, (spend, (v_optimal, theirs)) in enumerate(task.published.items()):
            found = []
            for name in task.laws[:1] if quick else task.laws:
                law = laws.get(name)
                pools = pools_of(
                    frame,
                    region,
                    law,
                    task.columns,
                    list(task.outputs),
                    task.cost,
                    task.group,
                    dict(task.units),
                )
                found.append(
                    np.mean(
                        [
                            play(pools, law, HUBER, spend, "chosen", seed).r2
                            for seed in range(1 if quick else 5)
                        ]
                    )
                )
            mean = float(np.mean(found))
            means[place].append((mean, theirs))
            rows.append(
                Row(
                    f"ScaleBench {task.name}, {spend:.0%} of the cost: R²",
                    f"{mean:.3f}",
                    f">= {v_optimal}",
                    mean < v_optimal,
                )
            )
    for place, label in ((0, "5 % (35 %)"), (1, "10 % (50 %)")):
        ours, theirs = np.mean(means[place], axis=0)
        rows.append(
            Row(f"ScaleBench, mean at {label}", f"{ours:.3f}", f"> {theirs:.3f}", bool(ours <= theirs))
        )
    return rows


def epoch(tables: Path, quick: bool) -> list[Row]:
    """Subsets of Hoffmann's points at 10 and 25 % of their cost, beside random ones: how near the fit of them all."""
    frame = pd.read_csv(tables / "chinchilla_epoch.csv")
    frame = frame[frame["kept"] == 1].reset_index(drop=True)
    whole = fit(frame[["params", "tokens", "loss"]], bootstrap=0)
    law = laws.get("chinchilla")
    target = Target("n_opt", FAR)
    truth = truth_of("hoffmann2022")
    runs = listed("the 240 points", frame["params"].to_numpy(), frame["tokens"].to_numpy(), trunks=False)
    order = np.lexsort((np.zeros(len(frame)), frame["tokens"], frame["params"]))
    loss = frame["loss"].to_numpy()[order]
    laboratory = Laboratory(law, Noise(scatter=0.005), truth.middle)
    problem = pose(truth, laboratory, target, "v", Tariff(), "flops", HUBER, runs, 0.9)
    best = target.values(law, whole.theta[None])[0]
    rows = []

    def estimates(subset: np.ndarray) -> tuple[float, float]:
        some = pd.DataFrame(
            {"params": runs.params[subset], "tokens": runs.tokens[subset], "loss": loss[subset]}
        )
        theta = fit(some, bootstrap=0, starts=4).theta[None]
        slope = Target("exponent", FAR).values(law, theta)[0]
        return abs(float(target.values(law, theta)[0]) - float(best)), abs(
            float(slope) - whole.exponents["a"]
        )

    for share in (0.1, 0.25):
        limit = share * float(runs.flops.sum())
        choice = choose(
            problem.candidates,
            problem.question,
            problem.precision,
            Prices(runs.flops, None),
            limit,
            240,
            passes=1,
        )
        ours = estimates(np.array(choice.runs))
        rng = np.random.default_rng(0)
        random = []
        for _ in range(60 if quick else 200):
            left, subset = limit, []
            for run in rng.permutation(len(runs)):
                if runs.flops[run] <= left:
                    subset.append(run)
                    left -= runs.flops[run]
            random.append(estimates(np.array(subset)))
        for what, mine, others in zip(
            ("N_opt at 5.76e23", "exponent a"), ours, np.array(random).T, strict=True
        ):
            nearer = float(np.mean(~(others <= mine)))
            rows.append(
                Row(
                    f"Epoch, {share:.0%} of the cost: {what} nearer to the fit of all than random subsets",
                    f"{nearer:.1%} (off by {mine:.3f}; random {np.nanmedian(others):.3f})", ">= 95%", nearer < 0.95,
                )
            )  # fmt: skip
    return rows


def published_designs(tables: Path) -> list[tuple[str, Truth, Design, float]]:
    """The designs of Hoffmann and of Porian, with the laws and scatter that were fitted to each."""
    frame = pd.read_csv(tables / "chinchilla_epoch.csv")
    frame = frame[frame["kept"] == 1]
    porian = pd.read_csv(tables / "porian_rw_isoflop.csv")
    porian = porian[porian["config"] == porian["config"].iloc[-1]]
    found = []
    for name, runs in (("Hoffmann et al.", frame), ("Porian et al.", porian)):
        result = fit(runs[["params", "tokens", "loss"]].drop_duplicates(["params", "tokens"]), bootstrap=200)
        flops = 6 * runs["params"] * runs["tokens"]
        truth = Truth(
            laws.get("chinchilla"), result.theta, result.draws, (float(flops.min()), float(flops.max())), name
        )
        scatter = 1.4826 * float(np.median(np.abs(result.residuals)))
        design = listed(name, runs["params"].to_numpy(), runs["tokens"].to_numpy(), trunks=False)
        found.append((name, truth, design, scatter))
    return found


def better_designs(tables: Path, quick: bool) -> list[Row]:
    """Standard error of N_opt at 100 × compute of a chosen design beside the study's own at equal cost; coverage."""
    rows = []
    studies = 300 if quick else 1000
    for name, truth, own, scatter in published_designs(tables):
        laboratory = Laboratory(truth.law, Noise(scatter=scatter), truth.middle)
        target = Target("n_opt", 100 * float(own.flops.max()))
        runs = candidate_runs(truth, float(own.flops.max()), 1500, 1, 256, 1024, False)
        problem = pose(truth, laboratory, target, "v", Tariff(), "flops", HUBER, runs, 0.9)
        answer = best_within(problem, float(own.flops.sum()), len(own), lambda what: None)
        theta = np.repeat(truth.theta[None], studies, axis=0)
        told = {
            design.name: teach(
                laboratory, theta, design, target.flops, HUBER, valley_studies=0, envelope_studies=0,
                draws=60 if design is answer.design else 0,
            )
            for design in (own, answer.design)
        }  # fmt: skip
        spread = {
            key: next(x.spread for x in each.lessons if x.target is not None and x.target.kind == "n_opt")
            for key, each in told.items()
        }
        cut = 1 - spread[answer.design.name] / spread[own.name]
        rows.append(
            Row(
                f"{name}: standard error of N_opt at 100 × compute, {len(answer.design)} runs for their {len(own)}",
                f"cut by {cut:.0%} (from {spread[own.name]:.3f} of the logarithm)", ">= 30%", cut < 0.3,
            )
        )  # fmt: skip
        rows += [
            Row(
                f"{name}: coverage of 90 % intervals of {lesson.quantity}, {studies} studies",
                f"{lesson.coverage:.1%}",
                "87-93%",
                not 0.87 <= lesson.coverage <= 0.93,
            )
            for lesson in told[answer.design.name].lessons
            if np.isfinite(lesson.coverage)
        ]
    return rows


def without_noise() -> Row:
    """The law refitted to simulated tables without noise."""
    worst = 0.0
    for name in ("besiroglu2024", "hoffmann2022"):
        truth = truth_of(name)
        for rule in ("isoflop", "grid", "trunks", "random"):
            design = read_design(f"{rule}:max_flops=1e21", truth.best, truth.flops)
            frame = Laboratory(truth.law, Noise(scatter=0.0), truth.middle).table(
                design, truth.theta, 0, Tariff().of(design), name
            )
            worst = max(worst, float(np.abs(fit(load(frame), bootstrap=0).theta / truth.theta - 1).max()))
    return Row(
        "simulated tables without noise, refitted: largest relative error",
        f"{worst:.1e}",
        "<= 1e-6",
        worst > 1e-6,
    )


def speed() -> list[Row]:
    """Time of a choice among 500 candidates, and of a million simulated runs."""
    truth = truth_of("besiroglu2024")
    laboratory = Laboratory(truth.law, Noise(), truth.middle)
    began = time.perf_counter()
    runs = candidate_runs(truth, 1e20, 1000, 1, 256, 1024, True)
    problem = pose(truth, laboratory, Target("n_opt", 1e22), "v", Tariff(), "flops", HUBER, runs, 0.9)
    best_within(problem, 5e20, 48, lambda what: None)
    took = time.perf_counter() - began
    many = read_design("random:runs=1000000", truth.best, truth.flops)
    began = time.perf_counter()
    laboratory.log_losses(many, truth.theta[None], np.zeros((1, 3)), np.random.default_rng(0))
    million = time.perf_counter() - began
    return [
        Row(
            f"choice among {len(runs)} candidates",
            f"{took:.0f} s",
            "< 60 s, >= 500 candidates",
            took > 60 or len(runs) < 500,
        ),
        Row("a million runs simulated", f"{million:.1f} s", "< 30 s", million > 30),
    ]


def main() -> int:
    """Print the table, and write it; the exit status says whether a row is short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/designs.md")
    given = parser.parse_args()
    rows = [without_noise(), *speed()]
    for part in (better_designs, epoch, scalebench):
        print(part.__name__, file=sys.stderr)
        rows += part(given.tables, given.quick)
    how = "fewer tasks, seeds and studies (--quick)" if given.quick else "in full"
    lines = [f"Measured {how}.", "", "| what | got | asked | |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.got} | {row.asked} | {'SHORT' if row.short else ''} |" for row in rows]
    text = "\n".join(lines) + "\n"
    if not given.quick:
        given.out.write_text(text, encoding="utf-8")
    print(text)
    return int(any(row.short for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
