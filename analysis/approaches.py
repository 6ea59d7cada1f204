"""The approaches side by side: what each says of the exponents and of a budget, and where they disagree."""

from dataclasses import dataclass
from itertools import combinations
from math import hypot

import numpy as np
import pandas as pd

from analysis.frontier import Envelope
from analysis.isoflop import Valleys
from analysis.powerlaw import PowerLaw
from analysis.result import FitResult

ENVELOPE = "1 training-curve envelope"
PARABOLA = "2 IsoFLOP valleys, parabola"
AKIMA = "2 IsoFLOP valleys, Akima"
PARAMETRIC = "3 parametric law"


@dataclass(frozen=True)
class Comparison:
    """What each approach says.

    Attributes:
        flops: the budget at which sizes are compared.
        frame: one row for each approach: `a`, `b`, `params_opt`, `tokens_opt`, each with `_low` and `_high` (NaN: not
            estimated).
        disagreements: in words, each pair and quantity that differ by more than their intervals allow.
    """

    flops: float
    frame: pd.DataFrame
    disagreements: tuple[str, ...]


def compare(flops: float, *results: Envelope | Valleys | FitResult | None) -> Comparison:
    """Put approaches beside each other at one budget; those that are None, or found no law, have no row."""
    rows = [row for result in results if result is not None and (row := summarise(result, flops)) is not None]
    frame = pd.DataFrame(rows)
    return Comparison(flops, frame, tuple(disagreements(frame)) if len(frame) else ())


def summarise(result: Envelope | Valleys | FitResult, flops: float) -> dict[str, float | str] | None:
    """One approach's exponents, and its optimum at a budget."""
    if isinstance(result, FitResult):
        if not result.exponents:
            return None
        best = result.optimal(flops).iloc[0]
        missing = (float("nan"), float("nan"))
        row: dict[str, float | str] = {"approach": f"{PARAMETRIC} ({result.law})"}
        for name in ("a", "b"):
            row[name] = result.exponents[name]
            row[f"{name}_low"], row[f"{name}_high"] = result.intervals.get(name, missing)
        for name in ("params", "tokens"):
            row[f"{name}_opt"], row[f"{name}_opt_low"], row[f"{name}_opt_high"] = (
                float(best[name]),
                float(best[f"{name}_low"]),
                float(best[f"{name}_high"]),
            )
        return row
    if result.params_law is None or result.tokens_law is None:
        return None
    name = ENVELOPE if isinstance(result, Envelope) else PARABOLA if result.method == "parabola" else AKIMA
    return {
        "approach": name,
        **law_columns("a", "params_opt", result.params_law, flops),
        **law_columns("b", "tokens_opt", result.tokens_law, flops),
    }


def law_columns(exponent: str, quantity: str, law: PowerLaw, flops: float) -> dict[str, float]:
    """Exponent and value at a budget of one power law, each with its interval."""
    low, high = law.interval(flops)
    return {
        exponent: law.exponent,
        f"{exponent}_low": law.exponent_interval[0],
        f"{exponent}_high": law.exponent_interval[1],
        quantity: float(law.predict(flops)),
        f"{quantity}_low": float(low),
        f"{quantity}_high": float(high),
    }


def disagreements(frame: pd.DataFrame) -> list[str]:
    """Pairs of approaches whose estimates differ by more than the two intervals together allow.

    The half-widths that face each other are added in quadrature: the approaches share the runs' noise, so this errs
    towards calling a difference that could be noise no disagreement.
    """
    said = []
    for name, words, as_log in (("a", "exponent a of N_opt", False), ("params_opt", "N_opt", True)):
        values = frame.set_index("approach")[[name, f"{name}_low", f"{name}_high"]]
        if as_log:
            values = values.apply(np.log)
        for (first, one), (second, other) in combinations(values.iterrows(), 2):
            small, large = sorted((one, other), key=lambda row: float(row.iloc[0]))
            gap = float(large.iloc[0] - small.iloc[0])
            allowed = hypot(small.iloc[2] - small.iloc[0], large.iloc[0] - large.iloc[1])
            if gap > allowed:
                shown = [f"{np.exp(v.iloc[0]):.3g}" if as_log else f"{v.iloc[0]:.3f}" for v in (one, other)]
                said.append(
                    f"{words}: {first} says {shown[0]}, {second} says {shown[1]}, beyond their intervals"
                )
    return said
