"""Do nominal 90 % intervals hold for tables of few sizes and many checkpoints? Simulated tables of a known law.

    nice python benchmarks/clusters.py [--tables 300] [--draws 200] [--processes 2] [--quick] [--out TABLE.md]

Each table has 5 to 16 sizes from 20M to 4B parameters, one training run a size, of 41 checkpoints from 1 to 100 billion
tokens. Each run is off by its own .4 % in log loss and its checkpoints are smooth (Chinchilla's law as Besiroglu et al.
2024 fitted it). Tables are read and fitted as a user would. Prints the share of tables whose interval holds the truth,
and the median width, of the exponents, E and the loss at the largest run (1×) and at ten times its size and tokens
(100×). Exits with 1 where a share leaves 85–95 %, or where too few runs get an interval (5 sizes: not estimated).
"""

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import fit
from analysis.table import load

TRUTH = dict(laws.CHINCHILLA.published["besiroglu2024"])
SIZES, CHECKPOINTS, RUN_ERROR = (5, 6, 8, 10, 16), 41, 0.004
NOT_ESTIMATED = (5,)
"""Sizes that leave two degrees of freedom between runs beside E, A and alpha."""
LOWEST, HIGHEST = 85.0, 95.0
PARAMS, TOKENS = np.array([4e9, 4e10]), np.array([1e11, 1e12])
QUANTITIES = ("a", "alpha", "beta", "E", "loss 1×", "loss 100×")
RESULT = Path(__file__).parent / "results" / "clusters.md"


def simulated(sizes: int, seed: int) -> pd.DataFrame:
    """Checkpoints of one run of each size, each off by its own error."""
    rng = np.random.default_rng([sizes, seed])
    params = np.repeat(np.geomspace(2e7, 4e9, sizes), CHECKPOINTS)
    tokens = np.tile(np.geomspace(1e9, 1e11, CHECKPOINTS), sizes)
    error = np.repeat(RUN_ERROR * rng.standard_normal(sizes), CHECKPOINTS)
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=tokens) * np.exp(error)
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def one_table(task: tuple[int, int, int]) -> dict[str, tuple[float, float]] | None:
    """The interval of each quantity over its truth, as (low, high); None where intervals were not estimated."""
    sizes, seed, draws = task
    found = fit(load(simulated(sizes, seed)), bootstrap=draws, seed=seed, starts=2)
    if not found.intervals:
        return None
    truth = TRUTH | {"a": TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])}
    ends = {
        name: (found.intervals[name][0] / truth[name], found.intervals[name][1] / truth[name])
        for name in ("a", "alpha", "beta", "E")
    }
    losses = laws.CHINCHILLA.loss(TRUTH, params=PARAMS, tokens=TOKENS)
    predicted = found.predict(PARAMS, TOKENS)
    for i, name in enumerate(("loss 1×", "loss 100×")):
        ends[name] = (predicted["loss_low"][i] / losses[i], predicted["loss_high"][i] / losses[i])
    return ends


def row(sizes: int, tables: list[dict[str, tuple[float, float]] | None]) -> tuple[str, bool]:
    """One line of the table, and whether the promise is kept."""
    given = [ends for ends in tables if ends is not None]
    if sizes in NOT_ESTIMATED or not given:
        kept = (sizes in NOT_ESTIMATED) and not given
        cells = ["not estimated" if not given else "estimated"] * len(QUANTITIES)
    else:
        cells, kept = [], len(given) == len(tables)
        # The promise is asked of the share itself; a smoke test of few tables allows two standard errors.
        slack = 0.0 if len(given) >= 300 else 200 * np.sqrt(0.09 / len(given))
        for name in QUANTITIES:
            low, high = np.array([ends[name] for ends in given]).T
            share = 100 * float(np.mean((low <= 1) & (high >= 1)))
            kept &= LOWEST - slack <= share <= HIGHEST + slack
            cells.append(f"{share:.1f} ({100 * float(np.median(high - low)):.2g} %)")
    return f"| {sizes} | {len(tables)} | " + " | ".join(cells) + f" | {'yes' if kept else 'SHORT'} |", kept


def main(argv: list[str] | None = None) -> int:
    """Simulate, write the table, print it last, and say with the exit status whether intervals cover as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=300, help="of each number of sizes")
    parser.add_argument("--draws", type=int, default=200, help="simulated tables behind each interval")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="40 tables each: a smoke test")
    parser.add_argument("--out", type=Path, default=RESULT, help="Markdown table to write")
    options = parser.parse_args(argv)
    count = 40 if options.quick else options.tables
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes started below: matrices are small
    lines = [
        "Share of simulated tables whose 90 % interval holds the truth, in per cent (median width, of the truth)",
        "",
        f"| sizes × {CHECKPOINTS} checkpoints | tables | " + " | ".join(QUANTITIES) + " | kept |",
        "|" + "---|" * (len(QUANTITIES) + 3),
    ]
    all_kept = True
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn")) as pool:
        for sizes in SIZES:
            tables = count if sizes not in NOT_ESTIMATED else min(count, 40)
            tasks = [(sizes, seed, options.draws) for seed in range(tables)]
            line, kept = row(sizes, list(pool.map(one_table, tasks, chunksize=5)))
            lines.append(line)
            all_kept &= kept
            print(line, file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    if not options.quick:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    print(text)
    return int(not all_kept)


if __name__ == "__main__":
    sys.exit(main())
