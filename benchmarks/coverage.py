"""Do nominal 90 % intervals hold the truth 90 % of the time? Simulated studies of a known law, fitted as a user would.

    nice python benchmarks/coverage.py [--studies 1000] [--draws 300] [--quick] [--out benchmarks/results/coverage.csv]

Every scenario draws fresh noise for each study, fits Chinchilla's law, and asks whether the interval of each parameter
and of what follows from it (the exponent a, N_opt and the loss at the largest budget of the design and at a hundred
times that) holds the truth. The table, printed last, gives coverage in per cent; its standard error is 0.9 for 1000
studies. Exits with 1 when a scenario's mean leaves 87–93, or when more than one in ten single figures leave it by more
than two standard errors.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import fit
from analysis.result import FitResult
from analysis.uncertainty import profile

LEVEL, LOWEST, HIGHEST = 0.90, 87.0, 93.0
PROFILED = 200  # studies of a scenario in which profiles, five times as costly, are measured too
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
        kind: "normal", "student" (3 degrees of freedom), "heteroscedastic" (2.5 times as noisy for few tokens, 0.4 for
            many), "heavy one-sided" (one run in ten ends high), or "clustered" (a trunk shares half of the variance).
        objective: what the fit minimises.
        profile: measure profile intervals too.
    """

    name: str
    truth: dict[str, float]
    budgets: int
    sizes: int
    noise: float
    kind: str = "normal"
    objective: str = "huber_log"
    profile: bool = False


SCENARIOS = (
    Scenario("225 runs", dict(BESIROGLU), 9, 25, 0.005),
    Scenario("225 runs, heavy tails", dict(BESIROGLU), 9, 25, 0.004, "student"),
    Scenario("48 runs", dict(BESIROGLU), 6, 8, 0.003, profile=True),
    Scenario("48 runs, other truth", dict(HOFFMANN), 6, 8, 0.004),
    Scenario("48 runs, little noise", dict(BESIROGLU), 6, 8, 0.0007),
    Scenario("60 runs, heteroscedastic", dict(BESIROGLU), 6, 10, 0.004, "heteroscedastic"),
    Scenario("60 runs, one in ten high", dict(HOFFMANN), 6, 10, 0.003, "heavy one-sided"),
    Scenario("24 runs", dict(BESIROGLU), 4, 6, 0.003, profile=True),
    Scenario("15 runs", dict(BESIROGLU), 3, 5, 0.002),
    Scenario("40 trunks of 5", dict(BESIROGLU), 40, 5, 0.004, "clustered"),
    Scenario("20 trunks of 6", dict(BESIROGLU), 20, 6, 0.004, "clustered"),
    Scenario("48 runs, least squares", dict(BESIROGLU), 6, 8, 0.003, objective="mse_log"),
    Scenario("24 runs, least squares", dict(BESIROGLU), 4, 6, 0.003, objective="mse_log"),
)


def design(scenario: Scenario) -> pd.DataFrame:
    """The runs of a scenario, without losses."""
    if scenario.kind == "clustered":
        params = np.repeat(np.geomspace(5e7, 5e9, scenario.budgets), scenario.sizes)
        tokens = params * np.tile(np.geomspace(5, 320, scenario.sizes), scenario.budgets)
        trunk = np.repeat(np.arange(scenario.budgets), scenario.sizes)
        return pd.DataFrame({"params": params, "tokens": tokens, "cluster": trunk})
    flops = np.repeat(np.geomspace(6e18, 3e21, scenario.budgets), scenario.sizes)
    theta = laws.CHINCHILLA.coordinates(scenario.truth)[None]
    best = np.exp(laws.chinchilla_log_optimum(theta, np.log(flops / 6)))[0]
    params = best * np.exp(np.tile(np.linspace(-1.44, 1.44, scenario.sizes), scenario.budgets))
    return pd.DataFrame({"params": params, "tokens": flops / 6 / params})


def noise(scenario: Scenario, runs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """One draw of the noise of the log loss."""
    z = rng.standard_normal(len(runs))
    if scenario.kind == "student":
        z = rng.standard_t(3, len(runs))
    elif scenario.kind == "heteroscedastic":
        log_d = np.log(runs["tokens"])
        z = z * 2.5 * (0.4 / 2.5) ** ((log_d - log_d.min()) / (log_d.max() - log_d.min()))
    elif scenario.kind == "heavy one-sided":
        z = z + np.where(rng.random(len(runs)) < 0.1, rng.exponential(4.0, len(runs)), 0.0)
    elif scenario.kind == "clustered":
        z = np.sqrt(0.5) * (z + rng.standard_normal(scenario.budgets)[runs["cluster"]])
    return scenario.noise * np.asarray(z)


def quantities(result: FitResult, budgets: np.ndarray) -> dict[str, tuple[float, float]]:
    """The interval of everything that is checked."""
    found = dict(result.intervals)
    found.pop("b")  # the mirror image of a
    for label, row in zip(("1×", "100×"), result.optimal(budgets).itertuples(), strict=True):
        found[f"N_opt {label}"] = (row.params_low, row.params_high)
        found[f"L_opt {label}"] = (row.loss_low, row.loss_high)
    return found


def truths(scenario: Scenario, budgets: np.ndarray) -> dict[str, float]:
    """The true value of each of them."""
    value = dict(scenario.truth)
    value["a"] = value["beta"] / (value["alpha"] + value["beta"])
    theta = laws.CHINCHILLA.coordinates(scenario.truth)[None]
    params = np.exp(laws.chinchilla_log_optimum(theta, np.log(budgets / 6)))[0]
    loss = laws.CHINCHILLA.loss(scenario.truth, params=params, tokens=budgets / 6 / params)
    for i, label in enumerate(("1×", "100×")):
        value[f"N_opt {label}"], value[f"L_opt {label}"] = params[i], loss[i]
    return value


def cover(scenario: Scenario, studies: int, draws: int) -> pd.DataFrame:
    """One row a method: coverage of each quantity in per cent."""
    runs = design(scenario)
    clean = np.log(laws.CHINCHILLA.loss(scenario.truth, params=runs["params"], tokens=runs["tokens"]))
    top = float(6 * (runs["params"] * runs["tokens"]).max())
    budgets = np.array([top, 100 * top])
    truth = truths(scenario, budgets)
    hits: dict[str, list[dict[str, bool]]] = {"bootstrap": []}
    for study in range(studies):
        rng = np.random.default_rng([SCENARIOS.index(scenario), study])
        table = runs.assign(loss=np.exp(clean + noise(scenario, runs, rng)))
        result = fit(table, objective=scenario.objective, bootstrap=draws, level=LEVEL, seed=study, starts=4)
        spans = quantities(result, budgets)
        hits["bootstrap"].append({k: bool(low <= truth[k] <= high) for k, (low, high) in spans.items()})
        if scenario.profile and study < PROFILED:
            curves = [profile(result, name, draws=100) for name in result.parameters]
            hits.setdefault("profile", []).append(
                {c.name: bool(c.low <= truth[c.name] <= c.high) for c in curves}
            )
    rows = [
        {
            "scenario": scenario.name,
            "method": method,
            "studies": len(found),
            **(100 * pd.DataFrame(found).mean()).to_dict(),
        }
        for method, found in hits.items()
    ]
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Simulate, write the table, print it last, and say with the exit status whether coverage is as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=300, help="bootstrap refits a study")
    parser.add_argument(
        "--quick", action="store_true", help="60 studies a scenario: a smoke test, under two minutes"
    )
    parser.add_argument("--out", type=Path, help="CSV to write")
    options = parser.parse_args(argv)
    studies = 60 if options.quick else options.studies
    parts = []
    for scenario in SCENARIOS:
        begin = time.perf_counter()
        parts.append(cover(scenario, studies, options.draws))
        print(
            f"{scenario.name}: {studies} studies in {time.perf_counter() - begin:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        table = pd.concat(parts, ignore_index=True).round(1)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(options.out, index=False)
    default = table[table["method"] == "bootstrap"].drop(columns=["scenario", "method", "studies"]).to_numpy()
    slack = 2 * 100 * np.sqrt(LEVEL * (1 - LEVEL) / studies)
    inside = (default >= LOWEST) & (default <= HIGHEST)
    outside = (default < LOWEST - slack) | (default > HIGHEST + slack)
    means = default.mean(axis=1)
    print(table.to_string(index=False))
    print(
        f"mean of all figures {default.mean():.1f} %; {inside.mean():.0%} of them within {LOWEST:.0f}–{HIGHEST:.0f} %, "
        f"{outside.mean():.0%} outside by more than two standard errors; "
        f"scenario means {means.min():.1f} to {means.max():.1f} %"
    )
    astray = bool(((means < LOWEST) | (means > HIGHEST)).any())
    return int(outside.mean() > 0.1 or (astray and not options.quick))


if __name__ == "__main__":
    sys.exit(main())
