"""How optima that somebody else found follow compute: N_opt ∝ C^a and D_opt ∝ C^b through a table of them."""

import json
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from analysis.formats import between, compute, count
from analysis.powerlaw import PowerLaw, fit_power_law
from analysis.reading.few_columns import Told
from analysis.reading.optima import OptimaTable, read_optima
from analysis.table import rows_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLAN_FACTOR = 10
"""What a summary plans for: this many times the largest compute."""


@dataclass(frozen=True)
class Optima:
    """Lines through optima, in log–log.

    Attributes:
        table: the optima.
        params_law: N_opt against compute; its exponent is a.
        tokens_law: D_opt against compute; its exponent is b. Without a column of tokens D_opt is C / (6 · N_opt).
        target_flops: the compute to plan for.
    """

    table: OptimaTable
    params_law: PowerLaw
    tokens_law: PowerLaw
    target_flops: float

    @property
    def exponents(self) -> dict[str, float]:
        """a and b."""
        return {"a": self.params_law.exponent, "b": self.tokens_law.exponent}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Interval of a and b at the lines' level."""
        return {"a": self.params_law.exponent_interval, "b": self.tokens_law.exponent_interval}

    def optimal(self, flops: ArrayLike) -> pd.DataFrame:
        """Size and tokens at each budget in FLOPs, each with the interval of its line."""
        budgets = np.atleast_1d(np.asarray(flops, dtype=float))
        frame = pd.DataFrame({"flops": budgets})
        for name, line in (("params", self.params_law), ("tokens", self.tokens_law)):
            frame[name] = line.predict(budgets)
            frame[f"{name}_low"], frame[f"{name}_high"] = line.interval(budgets)
        return frame

    def summary(self) -> str:
        """The lines in readable text."""
        frame, level = self.table.frame, f"{self.params_law.level:.0%}"
        plan = self.optimal(self.target_flops).iloc[0]
        lines = [
            "N_opt = k·C^a, D_opt = m·C^b    (a weighted straight line in log–log; Porian et al. 2024, section 3)",
            f"{len(frame)} optima between {compute(float(frame['flops'].min()))} and "
            f"{compute(float(frame['flops'].max()))} FLOPs",
            "convention: " + "; ".join(f"{k}: {v}" for k, v in self.table.convention.items()),
            "",
        ]
        for name, (low, high) in self.intervals.items():
            lines.append(f"{name} = {self.exponents[name]:.4f}   ({level} interval {low:.4f} to {high:.4f})")
        lines += [
            "",
            f"At {compute(self.target_flops)} FLOPs: {count(plan['params'])} parameters "
            f"({between(plan['params_low'], plan['params_high'], count)}) on {count(plan['tokens'])} tokens "
            f"({between(plan['tokens_low'], plan['tokens_high'], count)}).",
        ]
        if self.target_flops > float(frame["flops"].max()):
            lines.append(
                "That is beyond the optima: the intervals hold their scatter, not that the line bends."
            )
        return "\n".join(lines)

    def to_json(self, indent: int | None = 2) -> str:
        """Exponents, intervals, lines, plan and optima as JSON."""
        lines = {"params": self.params_law, "tokens": self.tokens_law}
        return json.dumps(
            {
                "law": "optimum",
                "exponents": self.exponents,
                "intervals": {name: list(ends) for name, ends in self.intervals.items()},
                "level": self.params_law.level,
                "coefficients": {name: float(np.exp(line.log_coefficient)) for name, line in lines.items()},
                "convention": self.table.convention,
                "plan": self.optimal(self.target_flops).to_dict("records"),
                "optima": self.table.frame.to_dict("records"),
            },
            indent=indent,
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """The optimal size against compute, its line and the line's interval."""
        from analysis.style import COLOURS, axes, log_axis  # matplotlib is slow to import

        ax = axes(ax)
        frame = self.table.frame
        budgets = np.geomspace(frame["flops"].min(), max(frame["flops"].max(), self.target_flops), 100)
        line = self.optimal(budgets)
        ax.plot(budgets, line["params"], color=COLOURS["law"])
        ax.fill_between(
            budgets, line["params_low"], line["params_high"], color=COLOURS["law"], alpha=0.16, lw=0
        )
        ax.plot(frame["flops"], frame["params"], "o", color="#222222", ms=4, zorder=3)
        ax.set(yscale="log")
        log_axis(ax, "x", compute)
        log_axis(ax, "y")
        ax.set(
            xlabel="compute C (FLOPs)",
            ylabel="parameters N",
            title=f"N_opt ∝ C^{self.params_law.exponent:.3f}",
        )
        return ax


def fit_optima(
    table: OptimaTable | pd.DataFrame | str | PathLike[str],
    level: float = 0.9,
    target_flops: float | None = None,
) -> Optima:
    """Straight lines in log–log through optima, weighted by their errors where the table has them.

    Args:
        table: the optima, from `analysis.reading.optima.read_optima`; or a file or DataFrame whose columns have
            well-known names.
        level: probability of the intervals.
        target_flops: the compute to plan for; by default 10 times the largest.

    Raises:
        TooFewPoints: fewer than three optima, or all at one compute.
        Refusal: the table cannot be read.
    """
    if not isinstance(table, OptimaTable):
        table = read_optima(rows_of(table, None, None)[0], Told())
    frame = table.frame
    flops = frame["flops"].to_numpy()
    known = "log_std" in frame
    std = frame["log_std"].to_numpy() if known else np.ones(len(frame))
    params = frame["params"].to_numpy()
    tokens = (
        frame["tokens"].to_numpy() if "tokens" in frame else flops / (TRAIN_FLOPS_PER_PARAM_TOKEN * params)
    )
    lines = [fit_power_law(flops, y, std, level, only_ratios=not known) for y in (params, tokens)]
    return Optima(table, lines[0], lines[1], target_flops or PLAN_FACTOR * float(flops.max()))
