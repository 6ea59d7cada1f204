"""A study in words and tables: the same sections go to the terminal, to Markdown and to the HTML report."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.formats import between, compute, count, percent, records, span
from analysis.held_back import HeldBack
from analysis.isoflop import Valleys
from analysis.study import Refused, Study

FLAGS = ("DISAGREE", "Warning", "not available")  # how sentences begin that a reader must not miss


@dataclass(frozen=True)
class Section:
    """One heading with its table (possibly empty) and its sentences."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]


def sections(study: Study) -> tuple[Section, ...]:
    """All that a study says, in reading order."""
    return (
        runs_section(study),
        valleys_section(study),
        law_section(study),
        approaches_section(study),
        plan_section(study),
        held_back_section(study.held_back),
        backtest_section(study.backtest),
        choice_section(study.laws),
    )


def refused_section(title: str, refused: Refused) -> Section:
    return Section(title, (), (), (f"not available: {refused.reason}",))


def runs_section(study: Study) -> Section:
    table = study.table
    frame = table.frame
    rows = [
        (role, stated, between(float(frame[role].min()), float(frame[role].max()), show))
        for role, stated in table.convention.items()
        if (
            show := {"params": count, "tokens": count, "flops": compute, "budget": compute}.get(
                role, lambda v: f"{v:.4g}"
            )
        )
        and role in frame
        and pd.api.types.is_numeric_dtype(frame[role])
    ]
    words = [f"{len(frame)} runs of {frame['params'].nunique()} sizes from {table.source}."]
    if len(table.excluded):
        left = ", ".join(f"{number} ({reason})" for reason, number in table.excluded_by_reason().items())
        words.append(f"{len(table.excluded)} rows of the source are not used: {left}.")
    words += [f"Note: {note}." for note in table.notes]
    return Section("Runs", ("quantity", "counted as", "range"), tuple(rows), tuple(words))


def valleys_section(study: Study) -> Section:
    title = "IsoFLOP optima"
    result = study.valleys
    if isinstance(result, Refused):
        return refused_section(title, result)
    level = f"{result.level:.0%}"
    rows: list[tuple[float, tuple[str, ...]]] = []
    for v in result.valleys:
        below, above = ("<" if v.flat_open[0] else ""), (">" if v.flat_open[1] else "")
        flat = f"{below}{count(v.flat_params[0])}–{above}{count(v.flat_params[1])}"
        rows.append(
            (
                v.budget_flops,
                (
                    compute(v.budget_flops),
                    f"{int(v.points['used'].sum())} of {len(v.points)}",
                    count(v.params_opt),
                    span(*v.params_interval, count),
                    flat,
                    count(v.tokens_opt),
                    f"{v.tokens_opt / v.params_opt:.3g}",
                    f"{v.loss_opt:.4f}",
                    span(*v.loss_interval, lambda value: f"{value:.4f}"),
                ),
            )
        )
    rows += [
        (r.budget_flops, (compute(r.budget_flops), f"0 of {len(r.points)}", "refused", *[""] * 6))
        for r in result.refused
    ]
    words = []
    for r in result.refused:
        mend = (
            f"; sizes that would show it: {', '.join(map(count, r.sizes_to_add))}" if r.sizes_to_add else ""
        )
        words.append(f"{compute(r.budget_flops)} FLOPs is refused: {r.reason}{mend}.")
    if result.params_law is not None and result.tokens_law is not None:
        words.append(
            f"N_opt ∝ C^{result.params_law.exponent:.3f} "
            f"({level} interval {between(*result.params_law.exponent_interval)}), "
            f"D_opt ∝ C^{result.tokens_law.exponent:.3f} ({between(*result.tokens_law.exponent_interval)})."
        )
    else:
        words.append(f"No exponents: {result.law_refused}.")
    words.append(
        f"Losses scatter by {percent(result.noise)} about the parabolas. A valley is flat: any size in the column "
        "“within 0.1 %” is as good as the best to 0.1 % of loss (< or >: the range runs out of the sizes tried)."
    )
    header = (
        "budget FLOPs",
        "sizes used",
        "N_opt",
        f"{level} interval",
        "within 0.1 %",
        "D_opt",
        "D/N",
        "loss",
        f"{level} interval",
    )
    return Section(title, header, tuple(cells for _, cells in sorted(rows)), tuple(words))


def law_section(study: Study) -> Section:
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
            f"{row['estimate']:.5g}",
            f"{row['standard_error']:.3g}" if np.isfinite(row["standard_error"]) else "not estimated",
            between(row["low"], row["high"], lambda value: f"{value:.4g}"),
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
    if {"E", "a"} <= {*result.parameters, *result.exponents}:
        words.append(
            f"In words: no model of this family goes below {result.parameters['E']:.3g} nats/token on this text, and "
            f"when compute grows tenfold the best size grows ×{10 ** result.exponents['a']:.2g} and the tokens "
            f"×{10 ** result.exponents['b']:.2g}."
        )
    words += [f"Warning: {warning}." for warning in proof.warnings]
    if isinstance(study.outliers, Refused):
        words.append(f"Outliers not examined: {study.outliers.reason}.")
    elif len(study.outliers.runs):
        named = ", ".join(
            f"row {int(r.row)} (N {count(r.params)}, D {count(r.tokens)}, loss {r.loss:.4g}, {r.residual:+.1%})"
            for r in records(study.outliers.runs.head(5))
        )
        more = f" and {len(study.outliers.runs) - 5} more" if len(study.outliers.runs) > 5 else ""
        words.append(
            f"More than 6 robust standard deviations from the law: {named}{more}. "
            "In the fit nonetheless; the last column shows it without."
        )
    return Section(title, tuple(header), tuple(rows), tuple(words))


def approaches_section(study: Study) -> Section:
    title = "Approaches side by side"
    frame, flops = study.comparison.frame, study.comparison.flops
    rows = [
        (
            str(r["approach"]),
            f"{r['a']:.3f} ({between(r['a_low'], r['a_high'])})",
            f"{r['b']:.3f} ({between(r['b_low'], r['b_high'])})",
            f"{count(r['params_opt'])} ({span(r['params_opt_low'], r['params_opt_high'], count)})",
            f"{count(r['tokens_opt'])} ({span(r['tokens_opt_low'], r['tokens_opt_high'], count)})",
        )
        for _, r in frame.iterrows()
    ]
    missing = [
        f"{name} is not available: {part.reason}."
        for name, part in (
            ("Approach 1 (training-curve envelope)", study.envelope),
            ("Approach 2 (IsoFLOP valleys)", study.valleys),
            ("Approach 3 (parametric law)", study.fit),
        )
        if isinstance(part, Refused)
    ]
    if isinstance(study.valleys, Valleys) and study.valleys.params_law is None:
        missing.append(f"Approach 2 gives no exponents: {study.valleys.law_refused}.")
    if study.comparison.disagreements:
        verdict = [f"DISAGREE on {said}." for said in study.comparison.disagreements]
    elif len(rows) > 1:
        verdict = ["The approaches agree within their intervals."]
    else:
        verdict = ["Fewer than two approaches could be used: there is nothing to check one against."]
    header = (
        "approach",
        "a (N_opt ∝ C^a)",
        "b (D_opt ∝ C^b)",
        f"N_opt at {compute(flops)}",
        f"D_opt at {compute(flops)}",
    )
    return Section(title, header, tuple(rows), (*verdict, *missing))


def plan_section(study: Study) -> Section:
    title = "What to train next"
    plan = study.plan
    if isinstance(plan, Refused):
        return refused_section(title, plan)
    level = f"{study.level:.0%}"
    rows = tuple(
        (
            compute(r.flops),
            count(r.params),
            span(r.params_low, r.params_high, count),
            count(r.tokens),
            span(r.tokens_low, r.tokens_high, count),
            f"{r.tokens / r.params:.3g}",
            f"{r.loss:.4f}",
            span(r.loss_low, r.loss_high, lambda value: f"{value:.4f}"),
        )
        for r in records(plan)
    )
    last = plan.iloc[-1]
    reach = study.target_flops / study.largest_flops
    words = (
        f"With {compute(study.target_flops)} FLOPs, {reach:.3g} times the largest here, the fitted law would train "
        f"{count(last['params'])} parameters on {count(last['tokens'])} tokens and expects a loss of "
        f"{last['loss']:.4f}.",
        "The intervals hold the scatter of the runs, not the chance that the law bends beyond them: "
        "read the errors on held-back compute below"
        + (
            f", where intervals had to be {study.held_back.stretch:.2g} times as wide."
            if isinstance(study.held_back, HeldBack) and study.held_back.stretch > 1.005
            else "."
        ),
    )
    header = (
        "compute FLOPs",
        "N_opt",
        f"{level} interval",
        "D_opt",
        f"{level} interval",
        "D/N",
        "loss",
        f"{level} interval",
    )
    return Section(title, header, rows, words)


def held_back_section(held: HeldBack | Refused) -> Section:
    title = "The largest budget, predicted from the smaller ones"
    if isinstance(held, Refused):
        return refused_section(title, held)
    rows = tuple(
        (
            compute(r.flops),
            count(r.params),
            count(r.tokens),
            f"{r.loss:.4f}",
            f"{r.predicted:.4f}",
            span(r.low, r.high, lambda value: f"{value:.4f}"),
            f"{100 * r.error:+.2f} %",
        )
        for r in records(held.runs)
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
    words += [
        f"N_opt of that budget, {r.source}: {count(r.params)} ({span(r.params_low, r.params_high, count)})"
        + (f", loss {r.loss:.4f}." if np.isfinite(getattr(r, "loss", np.nan)) else ".")
        for r in records(held.optimum)
    ]
    header = ("FLOPs", "params", "tokens", "loss", "predicted", f"{held.level:.0%} interval", "error")
    return Section(title, header, rows, tuple(words))


def widened(stretch: float) -> str:
    """That intervals were stretched by what the fitted runs' own largest compute asked for, where they were."""
    return f", {stretch:.2g} times as wide as noise alone asks" if stretch > 1.005 else ""


def backtest_section(errors: pd.DataFrame | Refused) -> Section:
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
                percent(r["combined_error"]),
            )
        )
    header = (
        "cut FLOPs",
        "fitted",
        "predicted",
        "reach",
        "mean error",
        "bias",
        "worst error",
        "inside intervals",
        "widened",
        "laws combined",
    )
    if rows:
        words.append(
            "Read the errors as what to expect of the plan. “Laws combined” averages Chinchilla's law and its form "
            "with tied exponents, each weighed by its error on the largest runs below the cut."
        )
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


def choice_section(choice: pd.DataFrame | Refused) -> Section:
    title = "Which law"
    if isinstance(choice, Refused):
        return refused_section(title, choice)
    rows, words = [], []
    for r in choice.to_dict("records"):
        if r["refused"]:
            words.append(f"{r['law']} cannot be judged: {r['refused']}.")
        else:
            rows.append(
                (r["law"], str(r["parameters"]), f"{r['delta_aicc']:.1f}", percent(r["held_out_error"]))
            )
    if rows:
        words.insert(
            0,
            "ΔAICc counts against a law on all runs (0 is best; above 10 there is hardly support); the held-out error "
            "is on the runs with the most compute, predicted from the others, and is what counts for extrapolation.",
        )
    return Section(title, ("law", "parameters", "ΔAICc", "held-out error"), tuple(rows), tuple(words))


def markdown(study: Study) -> str:
    """The whole study as Markdown."""
    parts = []
    for section in sections(study):
        lines = [f"## {section.title}", ""]
        if section.rows:
            lines += ["| " + " | ".join(section.header) + " |", "|" + "---|" * len(section.header)]
            lines += ["| " + " | ".join(row) + " |" for row in section.rows]
            lines.append("")
        lines += [f"{words}\n" for words in section.words]
        parts.append("\n".join(lines))
    return "\n".join(parts)
