"""Measure the verdict on identifiability: how often it doubts a good fit, and how often it trusts a bad one.

    python benchmarks/identified.py [--tables 300]

Tables of IsoFLOP runs under Chinchilla's law (Besiroglu et al. 2024) with 2 to 6 budgets of 4 to 8 sizes over half a
decade to 3.5 decades of compute and .1 to 2 % of noise are fitted. A fit is off where E is wrong by over 10 % or an
exponent by over 25 %. Exits with 1 where the verdict misses more than 15 % of the fits that are off, or doubts over
25 % of the others.
"""

import argparse
import sys

import numpy as np
import pandas as pd

from analysis import laws
from analysis.fit import fit
from analysis.identified import identification
from analysis.laws.chinchilla import chinchilla_log_optimum
from analysis.refusals import Refusal

TRUTH = dict(laws.CHINCHILLA.published["besiroglu2024"])


def simulated(rng: np.random.Generator) -> pd.DataFrame:
    """One study of random extent and noise."""
    budgets, sizes = int(rng.integers(2, 7)), int(rng.integers(4, 9))
    decades, width = rng.uniform(0.5, 3.5), rng.uniform(0.5, 1.6)
    noise = np.exp(rng.uniform(np.log(0.001), np.log(0.02)))
    flops = np.repeat(10 ** np.linspace(18, 18 + decades, budgets), sizes)
    theta = laws.CHINCHILLA.coordinates(TRUTH)[None]
    best = np.exp(chinchilla_log_optimum(theta, np.log(flops / 6)))[0]
    params = best * np.exp(np.tile(np.linspace(-width, width, sizes), budgets))
    tokens = flops / 6 / params
    loss = laws.CHINCHILLA.loss(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(noise * rng.standard_normal(len(flops)))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def is_off(parameters: dict[str, float]) -> bool:
    """Whether a fit misses E by over 10 % or an exponent by over 25 %."""
    limits = {"E": 0.1, "alpha": 0.25, "beta": 0.25}
    return any(abs(parameters[name] / TRUTH[name] - 1) > limit for name, limit in limits.items())


def row(what: str, share: float, most: float) -> str:
    """One line of the table."""
    return f"| {what} | ≤ {most:.0%} | {share:.0%} | {'SHORT' if share > most else 'reached'} |"


def main(argv: list[str] | None = None) -> int:
    """Fit, judge, and print the two rates last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=300)
    tables = parser.parse_args(argv).tables
    rng = np.random.default_rng(1)
    cases = []
    for _ in range(tables):
        try:
            found = fit(simulated(rng), bootstrap=200)
        except Refusal:
            continue
        if found.intervals:
            cases.append((is_off(found.parameters), bool(identification(found).reasons)))
    off, doubted = np.array(cases).T
    missed, false = float(np.mean(~doubted[off])), float(np.mean(doubted[~off]))
    print("| verdict on identifiability | asked | measured | |\n|---|---|---|---|")
    print(row(f"fits that are off ({off.sum()}), trusted", missed, 0.15))
    print(row(f"good fits ({(~off).sum()}), doubted", false, 0.25))
    return int(missed > 0.15 or false > 0.25)


if __name__ == "__main__":
    sys.exit(main())
