"""What to train: the valleys of each budget, the approaches side by side, and the plan for more compute."""

from analysis.formats import between, compute, count, percent, span
from analysis.held_back import HeldBack
from analysis.isoflop import Valleys
from analysis.loss_unit import loss_unit
from analysis.refusals import Refusal
from analysis.regret import share_lost
from analysis.regret_words import lost
from analysis.sections.section import Section, refused_section
from analysis.study import Refused, Study
from analysis.valley import Valley
from analysis.verdict import verdict_on_plan


def valleys_section(study: Study) -> Section:
    """Each budget's best size, tokens and loss, and the powers of compute that they follow."""
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
                    within_sizes(v),
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
        sizes = f"sizes that would show it: {', '.join(map(count, r.sizes_to_add))}" if r.sizes_to_add else ""
        mend = "".join(f"; {part}" for part in (sizes, r.remedy) if part)
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
        "“within 0.1 %” is as good as the best to 0.1 % of loss (< or >: the range, or the interval, runs out of the "
        "sizes tried)."
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


def within_sizes(valley: Valley) -> str:
    """The interval of a valley's best size; an end beyond the sizes tried is open, as no run lies there."""
    smallest, largest = float(valley.points["params"].min()), float(valley.points["params"].max())
    low, high = valley.params_interval
    below = f"<{count(smallest)}" if low < smallest else count(low)
    above = f">{count(largest)}" if high > largest else count(high)
    return f"{below}–{above}"


def approaches_section(study: Study) -> Section:
    """The exponents and the optimum by each approach, and where they disagree."""
    title = "Approaches side by side"
    frame, flops = study.comparison.frame, study.comparison.flops
    rows = [
        (
            str(r["approach"]),
            f"{r['a']:.3f} ({between(r['a_low'], r['a_high'])})",
            f"{r['b']:.3f} ({between(r['b_low'], r['b_high'])})",
            f"{count(r['params_opt'])} ({span(r['params_opt_low'], r['params_opt_high'], count)})",
            f"{count(r['tokens_opt'])} ({span(r['tokens_opt_low'], r['tokens_opt_high'], count)})",
            lost_by_law(study, float(r["params_opt"])),
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
        "compute lost, if the law is true",
    )
    return Section(title, header, tuple(rows), (*verdict, *missing))


def lost_by_law(study: Study, params: float) -> str:
    """Share of the compute that a size wastes at the planned budget, by the fitted law."""
    if isinstance(study.fit, Refused):
        return "not estimated"
    try:
        return lost(share_lost(study.fit, study.comparison.flops, params))
    except Refusal:  # the law has no optimum: the plan says why
        return "not estimated"


def plan_section(study: Study) -> Section:
    """Size, tokens and loss that the law calls best at the largest budget here and at the one planned for."""
    title = "What to train next"
    plan = study.plan
    if isinstance(plan, Refused):
        return refused_section(title, plan)
    level = f"{study.level:.0%}"
    rows = tuple(
        (
            compute(r["flops"]),
            count(r["params"]),
            span(r["params_low"], r["params_high"], count),
            count(r["tokens"]),
            span(r["tokens_low"], r["tokens_high"], count),
            f"{r['tokens'] / r['params']:.3g}",
            f"{r['loss']:.4f}",
            span(r["loss_low"], r["loss_high"], lambda value: f"{value:.4f}"),
        )
        for r in plan.to_dict("records")
    )
    last = plan.iloc[-1]
    reach = study.target_flops / study.largest_flops
    words = (
        f"With {compute(study.target_flops)} FLOPs, {reach:.3g} times the largest here, the fitted law would train "
        f"{count(last['params'])} parameters on {count(last['tokens'])} tokens and expects a loss of "
        f"{last['loss']:.4f} {loss_unit(study.table.convention)}.",
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
    verdict = verdict_on_plan(study)
    return Section(title, header, rows, words, lead=verdict.words if verdict is not None else "")
