"""The fitted law, and how it compares with other laws."""

import numpy as np

from analysis.certificate import AT_BOUND
from analysis.formats import between, count, percent
from analysis.identified import identification
from analysis.loss_unit import loss_unit
from analysis.result import FitResult
from analysis.sections.lack_of_fit import lack_of_fit_words
from analysis.sections.section import Section, refused_section
from analysis.study import Refused, Study

ZERO = 1e-9
"""Amplitudes and exponents below this are the bound of zero that the solver never quite reaches."""


def law_section(study: Study) -> Section:
    """The fitted law's parameters and exponents, how sure they are, and the runs that it cannot explain."""
    title = "Fitted law"
    result = study.fit
    if isinstance(result, Refused):
        return refused_section(title, result)
    others = None if isinstance(study.outliers, Refused) else study.outliers.without
    header = ["parameter", "estimate", "std. error", f"{result.level:.0%} interval"]
    if others is not None:
        header.append("without outliers")
    rows = []
    bare = {} if others is None else {**others.parameters, **others.exponents}
    for name, row in result.frame().iterrows():
        cells = [
            str(name),
            "at its bound of 0" if name in result.at_bound else f"{row['estimate']:.5g}",
            f"{row['standard_error']:.3g}" if np.isfinite(row["standard_error"]) else "not estimated",
            between(row["low"], row["high"], lambda value: "0" if value < ZERO else f"{value:.4g}"),
        ]
        rows.append(tuple([*cells, f"{bare[str(name)]:.5g}"] if others is not None else cells))
    formula, *_ = result.summary().splitlines()
    proof = result.certificate
    words = [
        " ".join(formula.split()) + ".",
        f"Objective {result.objective_name} = {result.objective:.8g}, summed over {len(result.points)} points; "
        f"root-mean-square residual {percent(float(np.sqrt(np.mean(result.residuals**2))))} of the loss.",
        f"Certificate: {'converged' if proof.converged else 'NOT CONVERGED'}, {proof.starts_at_best} of {proof.starts} "
        f"starts reached the best of {proof.distinct_optima} distinct optima, scaled gradient "
        f"{proof.gradient_norm:.1g}, Hessian condition {proof.hessian_condition:.3g}.",
    ]
    words += in_words(result)
    words += lack_of_fit_words(study.table, result)
    words += [f"Warning: {warning}." for warning in proof.warnings]
    if isinstance(study.outliers, Refused):
        words.append(f"Outliers not examined: {study.outliers.reason}.")
    elif len(study.outliers.runs):
        named = ", ".join(
            f"row {int(r['row'])} (N {count(r['params'])}, D {count(r['tokens'])}, loss {r['loss']:.4g}, "
            f"{r['residual']:+.1%})"
            for r in study.outliers.runs.head(5).to_dict("records")
        )
        more = f" and {len(study.outliers.runs) - 5} more" if len(study.outliers.runs) > 5 else ""
        words.append(
            f"More than 6 robust standard deviations from the law: {named}{more}. "
            "In the fit nonetheless; the last column shows it without."
        )
    return Section(title, tuple(header), tuple(rows), tuple(words), lead=identification(result).words)


def in_words(result: FitResult) -> list[str]:
    """What E and the exponents mean, as far as the runs determine them; nothing for a law without them."""
    if not {"E", "a"} <= {*result.parameters, *result.exponents}:
        return []
    lowest = float(result.points["loss"].min())
    low, high = result.intervals.get("E", (np.nan, np.nan))
    if "E" in identification(result).doubtful and low >= AT_BOUND * lowest:
        said = (
            f"these runs do not determine E, the loss that no model of this family goes below: anything from {low:.3g} "
            f"to {high:.3g} {loss_unit(result.convention)} fits them"
        )
    elif "E" in result.at_bound or low < AT_BOUND * lowest:
        at = "its estimate" if "E" in result.at_bound else "its interval"
        said = (
            f"these runs do not determine E, the loss that no model of this family goes below ({at} reaches the bound "
            "of zero): runs at more compute, or over a wider range of it, would"
        )
    else:
        said = (
            f"no model of this family goes below {result.parameters['E']:.3g} {loss_unit(result.convention)} "
            f"on this text ({result.level:.0%} interval {between(low, high, lambda value: f'{value:.3g}')})"
        )
    if set(result.at_bound) - {"E"}:
        return [f"In words: {said}."]
    return [
        f"In words: {said}. When compute grows tenfold the best size grows ×{10 ** result.exponents['a']:.2g} and the "
        f"tokens ×{10 ** result.exponents['b']:.2g}."
    ]
