"""Measure the analysis around the fitter on published studies: IsoFLOP exponents, and prediction above a compute cut.

    python benchmarks/published.py --tables FOLDER [--quick]

FOLDER holds porian_rw_isoflop.csv (params, tokens, flops, loss, config), porian_rw_optima_published.csv (config,
flops, n_star, n_star_std), chinchilla_epoch.csv (params, tokens, flops, loss, kept) and clark_routing.csv (the last
step of each run of Clark et al. 2022: dense_parameter_count, num_experts, loss_validation, router_type, k, seed,
routing_frequency). The environment variable
SCALING_TABLES names it too. A row whose table is absent says "not run". Exits with 1 when a figure falls short.
`--quick` leaves out the intervals, which are not asked for.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import fit
from analysis.forecast import forecaster
from analysis.held_back import predict_above
from analysis.isoflop import valleys
from analysis.powerlaw import fit_power_law
from analysis.predictions import predict_rows
from analysis.table import load

# Porian et al. 2024 (arXiv:2406.19146), exponent a of N_opt on RefinedWeb, from Kaplan's setting to the tuned one.
PORIAN = {
    "base/long/kaplan/kaplan/train": 0.8353,
    "base/long/kaplan/standard/val": 0.7065,
    "base/short/kaplan/standard/val": 0.6020,
    "base/short/chinchilla/standard/val": 0.5715,
    "tuned/short/const/standard/val": 0.4969,
}
FROM_OPTIMA, FROM_POINTS = 0.0005, 0.01  # how near each exponent must come

# Mean |error| of a plain fit of Chinchilla's law on Epoch's 240 points, fitted below the cut, predicted above it.
EPOCH_CUTS = {1e20: 0.83, 3e20: 1.13, 1e21: 0.95}


@dataclass(frozen=True)
class Row:
    """One figure: what, what was asked, what was measured, and whether that is enough (None: not run)."""

    what: str
    asked: str
    measured: str
    passed: bool | None


def read(folder: Path | None, name: str) -> pd.DataFrame | None:
    """A published table, or None where it is not there."""
    return pd.read_csv(folder / name) if folder is not None and (folder / name).is_file() else None


def porian_rows(folder: Path | None) -> list[Row]:
    """Exponents from the stored optima, and from the points themselves."""
    optima, points = read(folder, "porian_rw_optima_published.csv"), read(folder, "porian_rw_isoflop.csv")
    rows = []
    for config, published in PORIAN.items():
        what, asked = f"Porian {config}, stored optima", f"{published:.4f} ± {FROM_OPTIMA}"
        if optima is None:
            rows.append(Row(what, asked, "not run: no porian_rw_optima_published.csv", None))
            continue
        mine = optima[(optima["config"] == config) & optima["n_star"].notna()]
        law = fit_power_law(mine["flops"], mine["n_star"], mine["n_star_std"])
        low, high = law.exponent_interval
        passed = abs(law.exponent - published) <= FROM_OPTIMA
        rows.append(Row(what, asked, f"{law.exponent:.4f} ({low:.3f} to {high:.3f})", passed))
    for config, published in PORIAN.items():
        what, asked = f"Porian {config}, points", f"{published:.4f} ± {FROM_POINTS}"
        if points is None:
            rows.append(Row(what, asked, "not run: no porian_rw_isoflop.csv", None))
            continue
        result = valleys(load(points, {"budget": "flops"}, {"config": config}), "akima")
        assert result.params_law is not None, result.law_refused
        low, high = result.params_law.exponent_interval
        measured = (
            f"{result.params_law.exponent:.4f} ({low:.3f} to {high:.3f}), {len(result.valleys)} budgets"
        )
        if result.refused:
            measured += f", {len(result.refused)} refused"
        rows.append(Row(what, asked, measured, abs(result.params_law.exponent - published) <= FROM_POINTS))
    return rows


def epoch_rows(folder: Path | None, quick: bool) -> list[Row]:
    """Prediction above each cut by the laws weighed, beside Chinchilla's law alone and the law that saw every run."""
    raw = read(folder, "chinchilla_epoch.csv")
    if raw is None:
        why = "not run: no chinchilla_epoch.csv"
        return [Row(f"Epoch, cut {cut:.0e}", f"≤ {asked} %", why, None) for cut, asked in EPOCH_CUTS.items()]
    table = load(raw, where={"kept": "1"})
    full = fit(table, bootstrap=0)
    seen_all = np.abs(np.expm1(-full.residuals))
    rows = []
    for cut, asked in EPOCH_CUTS.items():
        below = (table.frame["flops"] <= cut).to_numpy()
        known = forecaster(table.frame[below])
        told = predict_rows(known, table.frame[~below])
        error = 100 * told.mean_error
        alone = predict_above(table, cut, bootstrap=0 if quick else 500)
        weights = ", ".join(f"{law} {w:.2f}" for law, w in known.choice.weights.items() if w >= 0.005)
        floor = 100 * float(seen_all[~below].mean())
        measured = (
            f"{error:.3f} % ({weights}), {told.covered:.0%} inside its 90% intervals; Chinchilla's law alone "
            f"{100 * alone.mean_error:.3f} %; a law fitted on these very runs too {floor:.3f} %"
        )
        rows.append(Row(f"Epoch, mean error above {cut:.0e}", f"≤ {asked} %", measured, error <= asked))
    return rows


def clark_rows(folder: Path | None) -> list[Row]:
    """Each router's law of active size and experts, of the runs that its authors took: all six printed coefficients."""
    raw, law = read(folder, "clark_routing.csv"), laws.get("moe_clark")
    rows = []
    for router, study in {"S-Base": "s_base", "RL-R": "rl_r", "Hash": "hash"}.items():
        printed = law.published[f"clark2022_{study}"]
        what = f"Clark {router}, law of experts"
        asked = (
            ", ".join(f"{name} {value:g}" for name, value in printed.items()) + ", each within its interval"
        )
        if raw is None:
            rows.append(Row(what, asked, "not run: no clark_routing.csv", None))
            continue
        runs = raw[raw["router_type"].isin([router, "Dense"])]
        runs = runs[(runs["k"] == 1) & (runs["routing_frequency"] == 0.5) & (runs["seed"] == 42)]
        table = runs.rename(
            columns={
                "dense_parameter_count": "params_active",
                "num_experts": "experts",
                "loss_validation": "loss",
            }
        )
        found = fit(table.reset_index(drop=True), law, "mse_log", cluster=None)
        inside = {name: low <= printed[name] <= high for name, (low, high) in found.intervals.items()}
        measured = ", ".join(
            f"{name} {found.parameters[name]:.4g} ({low:.4g} to {high:.4g})"
            for name, (low, high) in found.intervals.items()
        )
        rows.append(Row(what, asked, f"{measured}; {len(table)} runs", all(inside.values())))
    return rows


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table last, and say with the exit status whether every figure was reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables", type=Path, default=os.environ.get("SCALING_TABLES"), help="folder of published tables"
    )
    parser.add_argument("--quick", action="store_true", help="leave out intervals")
    options = parser.parse_args(argv)
    folder = Path(options.tables) if options.tables else None
    rows = [*porian_rows(folder), *epoch_rows(folder, options.quick), *clark_rows(folder)]
    print("| | asked | measured | |\n|---|---|---|---|")
    for row in rows:
        verdict = "" if row.passed is None else "reached" if row.passed else "SHORT"
        print(f"| {row.what} | {row.asked} | {row.measured} | {verdict} |")
    return int(any(row.passed is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
