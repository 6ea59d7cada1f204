"""Approach 2: one loss valley for each compute budget, its minimum, and how the minima follow compute.

Hoffmann et al. (2022, section 3.2) fit a parabola to loss against log N on each budget; Porian et al. (2024, appendix)
interpolate with Akima's spline in log–log instead. A valley is flat at its bottom, so each comes with the range of N
whose loss is within 0.1 % of the best, and with an interval. A budget whose runs show no minimum is refused, with the
reason.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis.powerlaw import PowerLaw, fit_power_law
from analysis.refusals import BadValue, Refusal, TooFewPoints
from analysis.table import Table
from analysis.valley import (
    MIN_SIZES,
    Parabola,
    RefusedValley,
    Valley,
    akima_valley,
    fit_parabola,
    near_bottom,
    parabola_valley,
    sizes_that_mend,
    vertex,
)

BUDGETS_APART = 2.0
"""Ratio of the largest budget to the smallest from which their lowest losses show how loss falls with compute."""
SLOPES = (-0.5, 0.0)
"""Range of d log L / d log C: more compute never raises the best loss, and Chinchilla's law falls by no more than the
exponent αβ/(α+β) of its reducible part, .18, Kaplan's by .05."""

Method = Literal["parabola", "akima"]


@dataclass(frozen=True)
class Valleys:
    """All budgets of a table.

    Attributes:
        valleys, refused: the budgets that show a minimum and those that do not, by rising compute.
        params_law, tokens_law: N_opt and D_opt against C; None with fewer than 3 minima (`law_refused` says so).
        noise: relative scatter of the losses about the curves (standard deviation), from which intervals come.
    """

    method: Method
    level: float
    noise: float
    valleys: tuple[Valley, ...]
    refused: tuple[RefusedValley, ...]
    params_law: PowerLaw | None
    tokens_law: PowerLaw | None
    law_refused: str

    def frame(self) -> pd.DataFrame:
        """One row for each budget, refused ones included with empty figures and their `reason`."""
        rows = [
            {
                "budget_flops": v.budget_flops,
                "params_opt": v.params_opt,
                "params_low": v.params_interval[0],
                "params_high": v.params_interval[1],
                "tokens_opt": v.tokens_opt,
                "tokens_low": v.tokens_interval[0],
                "tokens_high": v.tokens_interval[1],
                "loss_opt": v.loss_opt,
                "loss_low": v.loss_interval[0],
                "loss_high": v.loss_interval[1],
                "flat_low": v.flat_params[0],
                "flat_high": v.flat_params[1],
                "log_std": v.log_std,
                "sizes": len(v.points),
                "sizes_used": int(v.points["used"].sum()),
                "reason": "",
            }
            for v in self.valleys
        ]
        rows += [
            {
                "budget_flops": r.budget_flops,
                "sizes": len(r.points),
                "reason": r.reason,
                "sizes_to_add": list(r.sizes_to_add),
                "remedy": r.remedy,
            }
            for r in self.refused
        ]
        return pd.DataFrame(rows).sort_values("budget_flops", ignore_index=True) if rows else pd.DataFrame()


def valleys(
    table: Table,
    method: Method = "parabola",
    level: float = 0.9,
    loss_noise: float | None = None,
    seed: int = 0,
) -> Valleys:
    """Find the best size of every budget, and the power laws that the optima follow.

    Args:
        table: runs with a `budget`; runs of no budget are not used here.
        method: "parabola" in log N (Hoffmann) or "akima" in log–log (Porian).
        level: probability of the intervals.
        loss_noise: relative standard deviation of a run's loss, for "akima"; by default the scatter about parabolas.
        seed: of the noisy copies that "akima" draws.

    Raises:
        TooFewPoints: no run belongs to a budget.
        BadValue: an unknown method.
    """
    if method not in ("parabola", "akima"):
        raise BadValue(f"method {method!r}: say parabola or akima")
    frame = table.frame[table.frame["budget"].notna()]
    if frame.empty:
        raise TooFewPoints(
            "no IsoFLOP budgets in the table: approach 2 needs at least 4 sizes trained with the same compute, "
            "or a column that names each run's budget (budget=COLUMN)"
        )
    if table.budgets_named:  # whatever convention the budgets count in, their runs spent the same
        frame = frame.assign(flops=frame["budget"])
    named = frame["budget"].to_numpy()
    groups = to_exact_budget(
        {budget: average_replicates(frame[named == budget]) for budget in np.unique(named)}
    )
    bottoms = {budget: fit_parabola(points) for budget, points in groups.items()}
    noise, dof = pooled_noise(list(bottoms.values()))
    if loss_noise is not None:
        noise, dof = loss_noise, np.inf
    found: list[Valley] = []
    reasons: dict[float, str] = {}
    rng = np.random.default_rng(seed)
    for budget, points in groups.items():
        try:
            if method == "parabola":
                found.append(parabola_valley(budget, points, bottoms[budget], noise, dof, level))
            else:
                found.append(akima_valley(budget, points, noise, level, rng))
        except Refusal as reason:
            reasons[budget] = str(reason)
    params_law: PowerLaw | None = None
    tokens_law: PowerLaw | None = None
    law_refused = ""
    try:
        compute = [v.budget_flops for v in found]
        std = [v.log_std for v in found]
        # Akima's deviations have a floor, so they weigh the optima but do not say how far these scatter.
        floored = method == "akima"
        params_law, tokens_law = (
            fit_power_law(compute, optima, std, level, dof, only_ratios=floored)
            for optima in ([v.params_opt for v in found], [v.tokens_opt for v in found])
        )
    except TooFewPoints as reason:
        law_refused = str(reason)
    refused = []
    for budget, why in reasons.items():
        # Where the minimum should be: by the line through the other budgets, or else by this one's own parabola.
        expected = float(params_law.predict(budget)) if params_law is not None else vertex(bottoms[budget])
        refused.append(RefusedValley(budget, groups[budget], why, sizes_that_mend(groups[budget], expected)))
    return Valleys(method, level, noise, tuple(found), tuple(refused), params_law, tokens_law, law_refused)


def average_replicates(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each size: the geometric mean of what its runs gave."""
    sizes, member, runs = np.unique(rows["params"].to_numpy(), return_inverse=True, return_counts=True)
    means = {
        name: np.exp(np.bincount(member, np.log(rows[name].to_numpy())) / runs)
        for name in ("tokens", "loss", "flops")
    }
    return pd.DataFrame({"params": sizes, **means, "runs": runs, "used": True})


def to_exact_budget(groups: dict[float, pd.DataFrame]) -> dict[float, pd.DataFrame]:
    """Bring losses to their budget's exact compute where FLOPs differ within a budget.

    One slope d log L / d log C for the whole table. On a valley that is flat to 0.1 %, a few per cent of compute is not
    negligible. Where budgets lie apart, the slope is that of their lowest losses; else it comes from what each budget's
    parabola leaves unexplained (Frisch–Waugh), which noise can drown, so that a slope no law has is not believed.
    """
    spread = max(points["flops"].max() / points["flops"].min() for points in groups.values())
    if spread < 1.005:
        return groups
    above = below = 0.0
    for budget, points in groups.items():
        near = near_bottom(points)
        if near.sum() < MIN_SIZES:
            continue
        log_params = np.log(points["params"].to_numpy()[near])
        design = np.vander(log_params - log_params.mean(), 3)
        project = np.eye(int(near.sum())) - design @ np.linalg.pinv(design)
        offset = project @ np.log(points["flops"].to_numpy()[near] / budget)
        above += float(offset @ (project @ np.log(points["loss"].to_numpy()[near])))
        below += float(offset @ offset)
    slope = float(np.clip(above / below, *SLOPES)) if below > 0 else 0.0
    budgets = np.array(list(groups))
    if budgets.max() / budgets.min() >= BUDGETS_APART:
        lowest = [points["loss"].min() for points in groups.values()]
        slope = float(np.clip(np.polyfit(np.log(budgets), np.log(lowest), 1)[0], *SLOPES))
    return {
        budget: points.assign(loss=points["loss"] * (points["flops"] / budget) ** -slope)
        for budget, points in groups.items()
    }


def pooled_noise(bottoms: list[Parabola | None]) -> tuple[float, float]:
    """Relative scatter of losses about their parabolas over all budgets, and its degrees of freedom."""
    fitted = [bottom for bottom in bottoms if bottom is not None]
    dof = sum(bottom.spare for bottom in fitted)
    squares = sum(bottom.residual_squares for bottom in fitted)
    return (float(np.sqrt(squares / dof)), float(dof)) if dof else (0.0, 1.0)
