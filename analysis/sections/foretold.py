"""How well the law foretold the runs that were held back from it."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from analysis.formats import compute, count, percent, span
from analysis.held_back import HeldBack
from analysis.sections.section import Section, refused_section
from analysis.study import Refused


def held_back_section(held: HeldBack | Refused) -> Section:
    """The runs of the largest budget beside what a fit of the others predicts for them."""
    title = "The largest budget, predicted from the smaller ones"
    if isinstance(held, Refused):
        return refused_section(title, held)
    rows = tuple(
        (
            compute(r["flops"]),
            count(r["params"]),
            count(r["tokens"]),
            f"{r['loss']:.4f}",
            f"{r['predicted']:.4f}",
            span(r["low"], r["high"], lambda value: f"{value:.4f}"),
            f"{100 * r['error']:+.2f} %",
        )
        for r in held.runs.to_dict("records")
    )
    words = [
        f"{held.fitted} runs up to {compute(held.cut_flops)} FLOPs predict {len(held.runs)} runs above it with a mean "
        f"error of {percent(held.mean_error)} (bias {100 * held.bias:+.2f} %)"
        + (
            f"; {percent(held.covered, 0)} of them lie in their {held.level:.0%} intervals{widened(held.stretch)}."
            if np.isfinite(held.covered)
            else ". Intervals are not estimated: too few independent training jobs lie below it."
        )
    ]
    words += [optimum_sentence(r) for r in held.optimum.to_dict("records")]
    header = ("FLOPs", "params", "tokens", "loss", "predicted", f"{held.level:.0%} interval", "error")
    return Section(title, header, rows, tuple(words))


def optimum_sentence(r: dict[Hashable, Any]) -> str:
    """Where one source puts the optimum of the held-back budget, or why it shows none."""
    said = f"N_opt of that budget, {r['source']}: "
    if isinstance(r.get("refused"), str):
        return f"{said}refused, {r['refused']}."
    loss = f", loss {r['loss']:.4f}" if np.isfinite(r.get("loss", np.nan)) else ""
    return f"{said}{count(r['params'])} ({span(r['params_low'], r['params_high'], count)}){loss}."


def widened(stretch: float) -> str:
    """That intervals were stretched by what the fitted runs' own largest compute asked for, where they were."""
    return f", {stretch:.2g} times as wide as noise alone asks" if stretch > 1.005 else ""


def backtest_section(errors: pd.DataFrame | Refused) -> Section:
    """The error of predicting above each of several compute cuts."""
    title = "Backtest: fit below a compute cut, predict above it"
    if isinstance(errors, Refused):
        return refused_section(title, errors)
    rows, words = [], []
    for r in errors.to_dict("records"):
        if r["refused"]:
            words.append(f"Cut {compute(r['cut_flops'])} is refused: {r['refused']}.")
            continue
        rows.append(
            (
                compute(r["cut_flops"]),
                str(int(r["fitted"])),
                str(int(r["held"])),
                f"×{r['reach']:.3g}",
                percent(r["mean_error"]),
                f"{100 * r['bias']:+.2f} %",
                percent(r["worst_error"]),
                percent(r["covered"], 0),
                f"×{r['stretch']:.2g}",
            )
        )
    header = (
        "cut FLOPs",
        "fitted",
        "held back",
        "reach",
        "mean error",
        "bias",
        "worst error",
        "inside intervals",
        "widened",
    )
    if rows:
        words.append("Read the errors as what to expect of the plan; “Which law” has those of other laws.")
    poor = [r for r in errors.to_dict("records") if not r["refused"] and r["covered"] < 0.7]
    if poor:
        words.append(
            f"Warning: above {len(poor)} of {len(rows)} cuts fewer than 70 % of the losses lie inside their intervals. "
            "The law bends in a way that the runs below those cuts did not show: trust the errors here first."
        )
    if rows and any(r["stretch"] > 1.005 for r in errors.to_dict("records") if not r["refused"]):
        words.append(
            "Intervals are widened until they hold what the largest of the fitted runs showed (column “widened”); the "
            "noise of the runs alone would make them narrower."
        )
    return Section(title, header, tuple(rows), tuple(words))
