"""Measure what the choice of laws and its intervals are worth outside the fitted runs, on published tables.

    python benchmarks/choice.py --tables FOLDER [--only splits,rollouts,scalebench] [--out FILE]

FOLDER holds chinchilla_epoch.csv, chinchilla_kyotakano.csv, gadre_overtraining.csv, porian_rw_isoflop.csv and
scalebench_*.csv (`split` says train or test); the environment variable SCALING_TABLES names it too. Three parts:

- splits: the error of the tool's own choice on runs kept aside, beside Chinchilla's law and the κ law alone;
- rollouts: every table is cut at several compute levels; how many of the runs above lie in their 90 % intervals, whose
  three constants are learnt on the other tables each time. The last line gives the constants learnt on all of them;
- scalebench: R² in each task's target region with a fit of all candidates, beside the published mean over laws.

Exits with 1 when a figure falls short. Nothing is fitted to a kept-aside run, and no constant to one table.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import t as student

from analysis.forecast import FREEDOM, Forecast, forecaster
from analysis.refusals import Refusal

WORSE = 1.1
"""The tool's own choice may miss by this many times the better of Chinchilla's law and the κ law."""
LEVEL, LEAST_COVERED, MOST_COVERED = 0.9, 0.85, 0.95
MOST_WIDTH = 3.0
"""The median interval reaches at most this many median errors to either side."""
LEAST_PREDICTIONS = 300
CUTS = (0.5, 0.6, 0.7, 0.8, 0.9)
EPOCH_CUTS = (1e20, 3e20, 1e21)

SCALEBENCH = {
    "lr_bsz": 0.04,
    "domain_mixture": 0.81,
    "vocab": 0.93,
    "data_constrained": 0.79,
    "farseer": 0.91,
}
"""Task → mean R² over the task's laws, all candidates fitted (ScaleBench, arXiv:2604.22753)."""


@dataclass(frozen=True)
class Row:
    """One figure: what, what was asked, what was measured, and whether that is enough."""

    what: str
    asked: str
    measured: str
    passed: bool


def best_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """The run of lowest loss at each size and number of tokens."""
    return frame.loc[frame.groupby(["params", "tokens"])["loss"].idxmin()].reset_index(drop=True)


def scalebench(folder: Path, task: str) -> pd.DataFrame:
    """A task's table, columns named by the laws' variables."""
    frame = pd.read_csv(folder / f"scalebench_{task}.csv")
    if task == "lr_bsz":
        frame["batch_tokens"] = frame["bsz"] * 2048.0
    return frame.rename(
        columns={
            "N": "params",
            "D": "tokens",
            "lr": "learning_rate",
            "data_size": "tokens",
            "non_embedding_param_size": "params",
            "lm_loss": "loss",
            "non_vocab_parameters": "params_non_vocab",
            "num_characters": "characters",
            "unigram_normalized_loss": "normalized_loss",
        }
        | {f"proportion_domain_{k}": f"proportion_{k}" for k in range(1, 6)}
    )


def tables(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and runs of every table of sizes and tokens."""
    epoch = pd.read_csv(folder / "chinchilla_epoch.csv")
    yield "Epoch", epoch[epoch["kept"] == 1]
    yield "Kyo Takano", pd.read_csv(folder / "chinchilla_kyotakano.csv")
    for name, group in pd.read_csv(folder / "gadre_overtraining.csv").groupby("dataset"):
        yield f"Gadre {name}", group
    for name, group in pd.read_csv(folder / "porian_rw_isoflop.csv").groupby("config"):
        yield f"Porian {name}", group
    yield "Farseer", scalebench(folder, "farseer")
    yield "StepLaw, best rates", best_rates(scalebench(folder, "lr_bsz"))


def runs_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Sizes, tokens, FLOPs and losses as numbers, one run for each size and number of tokens, cheapest first."""
    flops = (
        frame["flops"]
        if "flops" in frame
        else 6 * frame["params"].astype(float) * frame["tokens"].astype(float)
    )
    runs = frame.assign(flops=flops)[["params", "tokens", "flops", "loss"]].astype(float)
    return (
        runs.drop_duplicates(["params", "tokens"]).sort_values("flops", kind="stable").reset_index(drop=True)
    )


def splits(folder: Path) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Name, fitted runs and kept-aside runs of each public split."""
    farseer, rates = scalebench(folder, "farseer"), scalebench(folder, "lr_bsz")
    train, test = farseer["split"] == "train", farseer["split"] == "test"
    yield "Farseer, 404 runs → 7 larger", runs_of(farseer[train]), runs_of(farseer[test])
    train, test = rates["split"] == "train", rates["split"] == "test"
    yield "StepLaw, best rates", runs_of(best_rates(rates[train])), runs_of(best_rates(rates[test]))
    epoch = runs_of(dict(tables(folder))["Epoch"])
    for cut in EPOCH_CUTS:
        below = epoch["flops"] <= cut
        yield f"Epoch above {cut:.0e}", pd.DataFrame(epoch[below]), pd.DataFrame(epoch[~below])


def mean_error(predicted: np.ndarray, observed: pd.Series) -> float:
    """Mean |predicted / observed − 1| in per cent."""
    return float(100 * np.mean(np.abs(predicted / observed.to_numpy() - 1)))


def split_rows(folder: Path) -> list[Row]:
    """The choice beside the two laws, on each split and in the mean."""
    rows, errors = [], []
    for name, fitted, held in splits(folder):
        foretold = forecaster(fitted).predict(held)
        own = mean_error(foretold.loss, held["loss"])
        alone = {law: mean_error(loss, held["loss"]) for law, loss in foretold.by_law.items()}
        most = WORSE * min(alone["chinchilla"], alone["kappa"])
        shares = ", ".join(f"{law} {w:.2f}" for law, w in foretold.choice.weights.items() if w >= 0.005)
        said = f"{own:.3f} % ({shares}); Chinchilla {alone['chinchilla']:.3f}, κ {alone['kappa']:.3f} %"
        rows.append(Row(name, f"≤ {most:.3f} %", said, own <= most))
        errors.append((own, alone["chinchilla"], alone["kappa"]))
    own, chinchilla, kappa = np.mean(errors, axis=0)
    said = f"{own:.3f} %; Chinchilla {chinchilla:.3f}, κ {kappa:.3f} %"
    rows.append(Row("Mean over splits", "below both", said, bool(own < min(chinchilla, kappa))))
    return rows


def inside(foretold: Forecast, observed: np.ndarray) -> np.ndarray:
    """Which observed losses lie in their intervals."""
    return (foretold.low < observed) & (observed < foretold.high)


def rollout_errors(folder: Path) -> pd.DataFrame:
    """One row for each run above a cut of a table: its log error, the parts of its scale, and whether it was inside."""
    found = []
    for name, table in tables(folder):
        runs, done = runs_of(table), set[int]()
        for share in CUTS:
            seen = (runs["flops"] <= runs["flops"].quantile(share, interpolation="lower") * 1.1).to_numpy()
            if seen.all() or seen.sum() in done:
                continue
            done.add(int(seen.sum()))
            try:
                known = forecaster(runs[seen])
            except Refusal as reason:
                print(f"{name}, {share:.0%}: {reason}", file=sys.stderr)
                continue
            held = runs[~seen]
            foretold = known.predict(held, LEVEL)
            error = np.log(held["loss"].to_numpy() / foretold.loss)
            spread = np.std(np.log(np.stack(list(foretold.by_law.values()))), axis=0)
            found.append(
                pd.DataFrame(
                    {
                        "table": name,
                        "cut": share,
                        "error": error,
                        "scatter": known.scatter,
                        "disagreement": spread,
                        "missed": known.growth * foretold.distance,
                        "half": np.log(foretold.high / foretold.loss),
                        "inside": inside(foretold, held["loss"].to_numpy()),
                    }
                )
            )
            print(f"{name}, {share:.0%}: {found[-1]['inside'].mean():.0%} inside", file=sys.stderr)
    return pd.concat(found, ignore_index=True)


def learn(errors: pd.DataFrame) -> np.ndarray:
    """The three constants under which the errors are likeliest, each cut of each table counted alike."""
    parts = errors[["scatter", "disagreement", "missed"]].to_numpy() ** 2
    error = errors["error"].to_numpy()
    weight = 1 / errors.groupby(["table", "cut"])["error"].transform("size").to_numpy()

    def cost(logs: np.ndarray) -> float:
        scale = np.sqrt(parts @ np.exp(logs))
        likelihood = student.logpdf(error / scale, FREEDOM) - np.log(scale)
        # A weak pull to 1, for a constant that the tables do not tell.
        return float(-(weight * likelihood).sum() + 0.01 * (logs**2).sum())

    return np.asarray(np.exp(minimize(cost, np.zeros(3), method="L-BFGS-B", bounds=[(-6, 3)] * 3).x))


def rollout_rows(folder: Path) -> list[Row]:
    """Coverage and width of the intervals over every rollout, by constants of the other tables and by the tool's."""
    errors = rollout_errors(folder)
    half = np.empty(len(errors))
    for name in errors["table"].unique():
        own = (errors["table"] == name).to_numpy()
        parts = errors.loc[own, ["scatter", "disagreement", "missed"]].to_numpy() ** 2
        half[own] = np.sqrt(parts @ learn(errors[~own])) * student.ppf(0.5 * (1 + LEVEL), FREEDOM)
    rows = []
    for what, reach in (
        ("constants learnt on the other tables", half),
        ("the tool's constants", errors["half"].to_numpy()),
    ):
        covered = float(np.mean(np.abs(errors["error"]) < reach))
        ratio = float(np.median(reach) / errors["error"].abs().median())
        by_table = (errors["error"].abs() < reach).groupby(errors["table"]).mean()
        rows.append(
            Row(
                f"Inside 90 % intervals, {what}",
                f"{LEAST_COVERED:.0%} to {MOST_COVERED:.0%} of ≥ {LEAST_PREDICTIONS}",
                f"{covered:.1%} of {len(errors)}; mean over {len(by_table)} tables {by_table.mean():.0%}, "
                f"least {by_table.min():.0%} ({by_table.idxmin()})",
                LEAST_COVERED <= covered <= MOST_COVERED and len(errors) >= LEAST_PREDICTIONS,
            )
        )
        rows.append(
            Row(
                f"Median half-width over median error, {what}",
                f"≤ {MOST_WIDTH}",
                f"{ratio:.2f} (the exact interval of normal errors has 2.44)",
                ratio <= MOST_WIDTH,
            )
        )
    learnt = ", ".join(f"{value:.2f}" for value in learn(errors))
    rows.append(Row("SCATTER, DISAGREEMENT, MISSED learnt on all", "", learnt, True))
    return rows


def r_squared(predicted: np.ndarray, observed: np.ndarray) -> float:
    """R² clipped to [−1, 1], as ScaleBench does."""
    unexplained = np.sum((observed - predicted) ** 2) / np.sum((observed - observed.mean()) ** 2)
    return float(np.clip(1 - unexplained, -1, 1))


def scalebench_rows(folder: Path) -> list[Row]:
    """R² of the choice in each task's target region."""
    asked = {
        "lr_bsz": "valley",
        "vocab": "vocabulary_tao",
        "data_constrained": "muennighoff",
        "farseer": "chinchilla",
        "domain_mixture": "mixture_ye[5]",
    }
    rows = []
    for task, published in SCALEBENCH.items():
        frame = scalebench(folder, task)
        found, said = [], ""
        for _, group in frame.groupby("group"):
            targets = [name for name in frame.columns if name.startswith("loss_domain")]
            for runs in [group.assign(loss=group[target]) for target in targets] or [group]:
                fitted, held = runs[runs["split"] == "train"], runs[runs["split"] == "test"]
                if len(held) < 2:
                    continue
                foretold = forecaster(fitted.reset_index(drop=True), asked[task]).predict(held)
                observed = held[foretold.target].to_numpy()
                found.append(r_squared(foretold.loss, observed))
                said = ", ".join(
                    f"{law} alone {r_squared(loss, observed):.3f} (weight {foretold.choice.weights.get(law, 0):.2f})"
                    for law, loss in foretold.by_law.items()
                )
        measured = f"{np.mean(found):.3f}" + (f" (mean of {len(found)})" if len(found) > 1 else f" ({said})")
        rows.append(
            Row(f"ScaleBench {task}, R²", f"≥ {published}", measured, bool(np.mean(found) >= published))
        )
        print(rows[-1], file=sys.stderr)
    return rows


PARTS = {"splits": split_rows, "rollouts": rollout_rows, "scalebench": scalebench_rows}


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table last, and say with the exit status whether every figure was reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tables", type=Path, default=os.environ.get("SCALING_TABLES"), help="folder of published tables"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="which parts, separated by commas")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args(argv)
    if options.tables is None:
        parser.error("--tables FOLDER is needed: the published tables are not part of this project")
    rows = [row for part in options.only.split(",") for row in PARTS[part](Path(options.tables))]
    lines = ["| | asked | measured | |", "|---|---|---|---|"]
    lines += [f"| {r.what} | {r.asked} | {r.measured} | {'reached' if r.passed else 'SHORT'} |" for r in rows]
    text = "\n".join([*lines, ""])
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    print(text)
    return int(any(not row.passed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
