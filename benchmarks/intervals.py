"""Do nominal 90 % intervals hold the truth 90 % of the time? Simulated studies of a known law, fitted as a user would.

    nice python benchmarks/intervals.py [--studies 1000] [--draws 200] [--scenario NAME] [--processes 2] [--quick]
        [--out TABLE.md]

Every scenario draws fresh noise for each study, fits it by every approach that its design allows, and asks whether the
interval of each quantity holds the truth: parameters, the exponent a, N_opt and the loss at the largest budget (1×) and
at a hundred times that (100×), and the optimum and loss of each valley. (D_opt = C/6N_opt and b = 1 − a are covered
exactly when N_opt and a are.) Scenarios are measured in rounds, all of them in each, and the table is written after
every round: an interrupted measurement leaves a smaller one. The table gives coverage in per cent, with a standard
error of 0.9 for 1000 studies. Exits with 1 when the mean over a row leaves 87–93, or more than one in ten of its
figures leaves that by more than two standard errors; rows marked * are for information, for the reason below the table.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import fit
from analysis.frontier import Envelope, envelope
from analysis.isoflop import Valleys, valleys
from analysis.laws.chinchilla import chinchilla_log_optimum
from analysis.refusals import Refusal
from analysis.result import FitResult
from analysis.table import load

LEVEL, LOWEST, HIGHEST = 0.90, 87.0, 93.0
ROUND = 20  # studies of each scenario before the table is written again
HOFFMANN = laws.CHINCHILLA.published["hoffmann2022"]
BESIROGLU = laws.CHINCHILLA.published["besiroglu2024"]


@dataclass(frozen=True)
class Scenario:
    """A design of runs, a truth and a noise.

    Attributes:
        name: in the table.
        truth: the law's parameters.
        budgets, sizes: IsoFLOP budgets and sizes on each; for clusters, trunks and branches of each.
        noise: standard deviation of the log loss.
        kind: "normal", "student" (3 degrees of freedom), "heavy one-sided" (one run in ten ends high), or "clustered"
            (a trunk shares half of the variance).
        objective: what the fit minimises.
    """

    name: str
    truth: dict[str, float]
    budgets: int
    sizes: int
    noise: float
    kind: str = "normal"
    objective: str = "huber_log"


SCENARIOS = (
    Scenario("48 runs", dict(BESIROGLU), 6, 8, 0.003),
    Scenario("48 runs, other truth", dict(HOFFMANN), 6, 8, 0.004),
    Scenario("48 runs, heavy tails", dict(BESIROGLU), 6, 8, 0.003, "student"),
    Scenario("60 runs, one in ten high", dict(HOFFMANN), 6, 10, 0.003, "heavy one-sided"),
    Scenario("24 runs", dict(BESIROGLU), 4, 6, 0.003),
    Scenario("15 runs", dict(BESIROGLU), 3, 5, 0.002),
    Scenario("20 trunks of 6", dict(BESIROGLU), 20, 6, 0.004, "clustered"),
    Scenario("48 runs, least squares", dict(BESIROGLU), 6, 8, 0.003, objective="mse_log"),
)
AS_FAR = ("1×", "100×")  # of the largest budget
INFORMATION = {
    "2 Akima": "a spline knows an optimum no better than a third of the spacing of sizes (Porian et al. 2024), a floor "
    "that covers too often where noise is low; the lowest point of a noisy spline has no interval that covers well.",
}


def design(scenario: Scenario) -> pd.DataFrame:
    """The runs of a scenario, without losses."""
    if scenario.kind == "clustered":
        params = np.repeat(np.geomspace(5e7, 5e9, scenario.budgets), scenario.sizes)
        tokens = params * np.tile(np.geomspace(5, 320, scenario.sizes), scenario.budgets)
        trunk = np.repeat(np.arange(scenario.budgets), scenario.sizes)
        return pd.DataFrame({"params": params, "tokens": tokens, "cluster": trunk})
    flops = np.repeat(np.geomspace(6e18, 3e21, scenario.budgets), scenario.sizes)
    theta = laws.CHINCHILLA.coordinates(scenario.truth)[None]
    best = np.exp(chinchilla_log_optimum(theta, np.log(flops / 6)))[0]
    params = best * np.exp(np.tile(np.linspace(-1.44, 1.44, scenario.sizes), scenario.budgets))
    return pd.DataFrame({"params": params, "tokens": flops / 6 / params})


def noise(scenario: Scenario, runs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """One draw of the noise of the log loss."""
    z = rng.standard_normal(len(runs))
    if scenario.kind == "student":
        z = rng.standard_t(3, len(runs))
    elif scenario.kind == "heavy one-sided":
        z = z + np.where(rng.random(len(runs)) < 0.1, rng.exponential(4.0, len(runs)), 0.0)
    elif scenario.kind == "clustered":
        z = np.sqrt(0.5) * (z + rng.standard_normal(scenario.budgets)[runs["cluster"]])
    return scenario.noise * np.asarray(z)


def covered(low: float, high: float, truth: float) -> float:
    """1 where the interval holds the truth, 0 where not, NaN where there is none."""
    return float(low <= truth <= high) if np.isfinite(low) and np.isfinite(high) else np.nan


def of_law(result: FitResult, truth: dict[str, float], budgets: np.ndarray) -> dict[str, float]:
    """Hits of approach 3."""
    hits = {name: covered(*result.intervals[name], truth[name]) for name in (*result.parameters, "a")}
    for label, row in zip(AS_FAR, result.optimal(budgets).to_dict("records"), strict=True):
        hits[f"N_opt {label}"] = covered(row["params_low"], row["params_high"], truth[f"N_opt {label}"])
        hits[f"L_opt {label}"] = covered(row["loss_low"], row["loss_high"], truth[f"L_opt {label}"])
    return hits


def of_line(
    found: Valleys | Envelope, scenario: Scenario, truth: dict[str, float], budgets: np.ndarray
) -> dict[str, float]:
    """Hits of approach 1 or 2: its line, and the share of its valleys that are covered."""
    hits = {}
    if found.params_law is not None:
        hits["a"] = covered(*found.params_law.exponent_interval, truth["a"])
        for label, budget in zip(AS_FAR, budgets, strict=True):
            low, high = found.params_law.interval(budget)
            hits[f"N_opt {label}"] = covered(float(low), float(high), truth[f"N_opt {label}"])
    if isinstance(found, Valleys) and found.valleys:
        true = [optimum(scenario.truth, np.array([valley.budget_flops])) for valley in found.valleys]
        both = list(zip(found.valleys, true, strict=True))
        hits["valley N"] = float(np.mean([covered(*v.params_interval, n[0]) for v, (n, _) in both]))
        hits["valley L"] = float(np.mean([covered(*v.loss_interval, loss[0]) for v, (_, loss) in both]))
    return hits


def optimum(truth: dict[str, float], flops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True N_opt and loss there at each budget."""
    theta = laws.CHINCHILLA.coordinates(truth)[None]
    params = np.exp(chinchilla_log_optimum(theta, np.log(flops / 6)))[0]
    return params, laws.CHINCHILLA.loss(truth, params=params, tokens=flops / 6 / params)


def one_study(task: tuple[int, int, int]) -> list[dict[str, float | str]]:
    """One row an approach, for (scenario, study, draws)."""
    index, study, draws = task
    scenario = SCENARIOS[index]
    runs = design(scenario)
    params, tokens = runs["params"].to_numpy(), runs["tokens"].to_numpy()
    clean = np.log(laws.CHINCHILLA.loss(scenario.truth, params=params, tokens=tokens))
    top = float(6 * (params * tokens).max())
    budgets = np.array([top, 100 * top])
    optimal_params, optimal_losses = optimum(scenario.truth, budgets)
    truth = dict(scenario.truth) | {
        "a": scenario.truth["beta"] / (scenario.truth["alpha"] + scenario.truth["beta"])
    }
    for i, label in enumerate(AS_FAR):
        truth[f"N_opt {label}"], truth[f"L_opt {label}"] = optimal_params[i], optimal_losses[i]
    rng = np.random.default_rng([index, study])
    table = load(runs.assign(loss=np.exp(clean + noise(scenario, runs, rng))))
    result = fit(table, objective=scenario.objective, bootstrap=draws, level=LEVEL, seed=study, starts=4)
    rows: list[dict[str, float | str]] = [
        {"scenario": scenario.name, "approach": "3 law"} | of_law(result, truth, budgets)
    ]
    lines: dict[str, Callable[[], Valleys | Envelope]] = {}
    if scenario.kind == "clustered":
        lines["1 envelope"] = lambda: envelope(table, LEVEL)
    elif scenario.objective == "huber_log":  # valleys know of no objective: once for the same runs is enough
        lines["2 parabola"] = lambda: valleys(table, "parabola", LEVEL)
        if study % 4 == 0:  # a thousand splines a budget
            lines["2 Akima"] = lambda: valleys(table, "akima", LEVEL, seed=study)
    for name, approach in lines.items():
        try:
            hits = of_line(approach(), scenario, truth, budgets)
        except Refusal:
            hits = {}
        rows.append({"scenario": scenario.name, "approach": name} | hits)
    return rows


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage in per cent, one row a scenario and approach; `mean` over its figures."""
    groups = rows.groupby(["scenario", "approach"], sort=False)
    table = 100 * groups.mean()
    table.insert(0, "mean", table.mean(axis=1))
    table.insert(0, "studies", groups.size())
    return table.reset_index()


def verdict(table: pd.DataFrame) -> pd.Series:
    """Which rows keep the promise."""
    figures = table.drop(columns=["scenario", "approach", "studies", "mean"])
    slack = 200 * np.sqrt(LEVEL * (1 - LEVEL) / table["studies"])
    outside = figures.lt(LOWEST - slack, axis=0) | figures.gt(HIGHEST + slack, axis=0)
    share = outside.sum(axis=1) / figures.notna().sum(axis=1)
    off = (table["mean"] < LOWEST - slack / 2) | (table["mean"] > HIGHEST + slack / 2)
    kept: pd.Series = ~off & (share <= 0.1)
    return kept


def markdown(table: pd.DataFrame) -> str:
    """The table with its verdicts."""
    kept = verdict(table)
    shown = table.copy()
    shown.insert(
        3, "kept", np.where(kept, "yes", np.where(shown["approach"].isin(INFORMATION), "*", "SHORT"))
    )
    columns = list(shown.columns)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in shown.itertuples(index=False):
        cells = [
            "" if isinstance(v, float) and np.isnan(v) else f"{v:.1f}" if isinstance(v, float) else str(v)
            for v in row
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return (
        "\n".join(lines)
        + "\n\n"
        + "\n".join(f"\\* {name}: {why}" for name, why in INFORMATION.items())
        + "\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Simulate, write the table, print it last, and say with the exit status whether coverage is as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="of each scenario")
    parser.add_argument("--draws", type=int, default=200, help="bootstrap refits a study")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="40 studies a scenario: a smoke test, under two minutes"
    )
    parser.add_argument(
        "--scenario", choices=[scenario.name for scenario in SCENARIOS], help="this one alone"
    )
    parser.add_argument("--out", type=Path, help="Markdown table to write")
    options = parser.parse_args(argv)
    studies = 40 if options.quick else options.studies
    chosen = [i for i, scenario in enumerate(SCENARIOS) if options.scenario in (None, scenario.name)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes started below: matrices are small
    rows: list[dict[str, float | str]] = []
    begin = time.perf_counter()
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for first in range(0, studies, ROUND):
            some = range(first, min(first + ROUND, studies))
            tasks = [(index, study, options.draws) for index in chosen for study in some]
            for found in pool.map(one_study, tasks, chunksize=5):
                rows += found
            table = summarise(pd.DataFrame(rows))
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(markdown(table))
            done = f"{some.stop} of {studies} studies of each scenario"
            print(f"{done}, {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    print(markdown(table))
    binding = table[~table["approach"].isin(INFORMATION)]
    return int(not verdict(binding).all())


if __name__ == "__main__":
    sys.exit(main())
