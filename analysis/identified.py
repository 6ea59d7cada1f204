"""Do the runs determine the law? From the widths of its intervals, its bounds, starts and curvature, in words.

A fit always gives numbers. Where the runs cover little compute or scatter much, quite other numbers fit as well, and
the loss and the best size beyond the runs, which hang on E and the exponents, are then a choice and not a finding.
"""

from dataclasses import dataclass

import numpy as np

from analysis import laws
from analysis.certificate import AT_BOUND
from analysis.result import FitResult

WIDE_FLOOR = 0.4
"""Width of E's interval, as a share of E, from which E is not identified."""
WIDE_EXPONENT = 0.5
"""The same for an exponent. With both, over tables of 2 to 6 budgets, half a decade to 3.5 decades of compute and .1 to
2 % of noise, 91 % of the fits whose E is off by over 10 %, or an exponent by over 25 %, are found out, and 15 % of the
others are doubted (benchmarks/identified.py)."""
AGREEING_STARTS = 0.5
"""Share of starts that must reach the best optimum: where fewer do, the objective is a long flat valley."""
COLLINEAR = 1e7
"""Condition of the scaled Hessian beyond which parameters change together without any run noticing: 1 % of those tables
go beyond 1e7, and Epoch's 240 points of Chinchilla's runs have 1.3e5."""
SYMBOLS = {"alpha": "α", "beta": "β", "eta": "η"}


@dataclass(frozen=True)
class Identification:
    """Whether the runs determine the law's parameters.

    Attributes:
        doubtful: the parameters that they do not determine.
        reasons: why, in words; empty where they determine all.
        judged: whether intervals were there to judge by.
    """

    doubtful: tuple[str, ...]
    reasons: tuple[str, ...]
    judged: bool

    @property
    def identified(self) -> bool:
        return self.judged and not self.reasons

    @property
    def words(self) -> str:
        """The verdict as one sentence."""
        if self.reasons:
            return (
                f"Not identified by these runs: {'; '.join(self.reasons)}. Quite other parameters fit them as well: "
                "runs over a wider range of compute, or with less noise, would tell them apart."
            )
        if not self.judged:
            return "Whether these runs identify the law cannot be said: intervals are not estimated."
        return (
            "Identified by these runs: the intervals of its floor and exponents are narrow, none is at a bound, and "
            "the starts agree on the optimum."
        )


def identification(fit: FitResult) -> Identification:
    """Judge a fit by the relative widths of E and its exponents, bounds, agreeing starts and collinearity."""
    law, proof = laws.get(fit.law), fit.certificate
    doubtful: list[str] = []
    reasons: list[str] = []
    limits = dict.fromkeys(law.box, WIDE_EXPONENT) | ({"E": WIDE_FLOOR} if "E" in law.parameters else {})
    for name, limit in limits.items():
        if name not in fit.intervals:
            continue
        low, high = fit.intervals[name]
        value = fit.parameters[name]
        if not high - low <= limit * abs(value):
            doubtful.append(name)
            symbol = SYMBOLS.get(name, name)
            reasons.append(f"{symbol} = {value:.3g} could be anything from {low:.3g} to {high:.3g}")
    for name in fit.at_bound:
        doubtful.append(name)
        reasons.append(f"{name} is at its bound of 0")
    if "E" in fit.intervals and "E" not in fit.at_bound and law.target in fit.points:
        low = fit.intervals["E"][0]
        if low < AT_BOUND * float(np.min(fit.points[law.target])):
            reasons.append("E has no lower bound: the runs fit as well without a floor")
    if proof.starts_at_best < AGREEING_STARTS * proof.starts:
        reasons.append(f"only {proof.starts_at_best} of {proof.starts} starts reached the best optimum")
    if not proof.hessian_condition < COLLINEAR:
        reasons.append(f"parameters change together (Hessian condition {proof.hessian_condition:.1e})")
    return Identification(tuple(dict.fromkeys(doubtful)), tuple(reasons), bool(fit.intervals))
