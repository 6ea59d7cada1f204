"""Studies side by side, in words and tables."""

from math import isfinite, isnan

import pandas as pd

from analysis.compare import Pair, StudiesCompared
from analysis.formats import between, compute
from analysis.joint import Joint, factors
from analysis.sections.section import Section, refused_section
from analysis.study import Refused

AGREES = 0.05
"""p below which a test is said to find a difference, as is usual; the p itself stands beside."""


def compared_sections(found: StudiesCompared) -> tuple[Section, ...]:
    """All that a comparison says, in reading order."""
    parts = [studies_section(found)]
    for pair in found.pairs:
        parts += [multiplier_section(found, pair), differences_section(found, pair)]
    return (*parts, joint_section(found.joint))


def studies_section(found: StudiesCompared) -> Section:
    """Each study's runs and its law."""
    names = [str(name) for name in next(iter(found.fits.values())).frame().index]
    rows = []
    for study, result in found.fits.items():
        table, frame = found.tables[study], result.frame()
        flops = table.frame["flops"]
        cells = [
            f"{row['estimate']:.4g} ({between(row['low'], row['high'], lambda v: f'{v:.4g}')})"
            for _, row in frame.iterrows()
        ]
        rows.append((study, str(len(table)), f"{compute(flops.min())} to {compute(flops.max())}", *cells))
    words = [f"Law {found.law}, losses in {found.unit}; {found.level:.0%} intervals in parentheses."]
    words += [f"{note}." for note in found.notes]
    for study, result in found.fits.items():
        words += [f"Warning: {study}: {warning}." for warning in result.certificate.warnings]
    return Section("The studies side by side", ("study", "runs", "FLOPs", *names), tuple(rows), tuple(words))


def times(value: float) -> str:
    """A factor, as ×1.32; what lies beyond what is told apart in words."""
    if isnan(value):
        return "not estimated"
    if value == 0:
        return "< ×0.0001"
    return f"×{value:.3g}" if isfinite(value) else "never"


def multiplier_section(found: StudiesCompared, pair: Pair) -> Section:
    """How much more compute the first study needs for the second's loss."""
    title = f"Compute that {pair.first} needs for the loss of {pair.second}"
    if isinstance(pair.multipliers, Refused):
        return refused_section(title, pair.multipliers)
    rows = tuple(
        (
            compute(r["flops"]),
            f"{r['loss']:.4f}",
            times(r["multiplier"]),
            "not estimated" if isnan(r["low"]) else f"{times(r['low'])} to {times(r['high'])}",
            "yes" if r["extrapolated"] else "",
        )
        for r in pair.multipliers.to_dict("records")
    )
    words = [multiplier_in_words(pair)]
    growth, low, high = pair.trend
    if not isnan(growth):
        sure = (low > 1) == (high > 1) and not isnan(low)
        words.append(
            f"When compute grows tenfold the multiplier becomes {times(growth)} of what it was "
            f"({between(low, high, lambda v: f'×{v:.3g}')})"
            + (": the gap changes with scale." if sure else ": no trend beyond the noise.")
        )
    words.append(
        "Warning: rows marked as extrapolated rest on laws beyond the runs of one study or both; a gain at small "
        "scale often shrinks."
    )
    header = (
        f"FLOPs of {pair.second}",
        "its best loss",
        "multiplier",
        f"{found.level:.0%} interval",
        "extrapolated",
    )
    return Section(title, header, rows, tuple(words))


def multiplier_in_words(pair: Pair) -> str:
    """The multiplier at the largest budget that both studies cover, in a sentence."""
    assert not isinstance(pair.multipliers, Refused)
    inside = pair.multipliers[~pair.multipliers["extrapolated"]]
    if inside.empty:
        return (
            "Warning: the two studies cover no compute in common, so every multiplier here is extrapolated."
        )
    last = inside.iloc[-1]
    value, low, high = (float(last[name]) for name in ("multiplier", "low", "high"))
    if value == 0 or not isfinite(value):
        reach = (
            "far less compute"
            if value == 0
            else "a loss that it does not reach with 10,000 times the compute"
        )
        return f"At {compute(last['flops'])} FLOPs of {pair.second}, {pair.first} needs {reach}."
    sure = not isnan(low) and (low > 1 or high < 1)
    verdict = (
        f"{pair.second if value > 1 else pair.first} is the more efficient"
        if sure
        else "the noise allows either to be the more efficient"
    )
    return (
        f"At {compute(last['flops'])} FLOPs, {pair.first} needs {times(value)} the compute of {pair.second} for the "
        f"same loss ({times(low)} to {times(high)}): {verdict}."
    )


def differences_section(found: StudiesCompared, pair: Pair) -> Section:
    """Each parameter of the two laws, and whether they differ."""
    rows = []
    for r in pair.differences.to_dict("records"):
        unknown = isnan(r["low"])
        differs = "not estimated" if unknown else "yes" if r["low"] > 0 or r["high"] < 0 else "no"
        rows.append(
            (
                str(r["quantity"]),
                f"{r['first']:.4g}",
                f"{r['second']:.4g}",
                f"{r['difference']:+.3g}",
                between(r["low"], r["high"], lambda v: f"{v:+.3g}"),
                differs,
            )
        )
    words = [
        f"{pair.matched} training jobs of {pair.first} have their match in {pair.second} (size, tokens and seed) and "
        "were resampled together with it."
        if pair.matched
        else "No job of one has its match in the other: the two were resampled independently.",
        "E, amplitudes and exponents of a separate fit trade against each other: read their differences beside the "
        "joint fit below.",
    ]
    header = ("quantity", pair.first, pair.second, "difference", f"{found.level:.0%} interval", "differs")
    return Section(f"Differences of {pair.first} and {pair.second}", header, tuple(rows), tuple(words))


def joint_section(joint: Joint | Refused) -> Section:
    """The joint fits, and what the tests between them say."""
    title = "One law for all: what do they share?"
    if isinstance(joint, Refused):
        return refused_section(title, joint)
    names = ["nothing shared" if not m.shared else ", ".join(m.shared) + " shared" for m in joint.models]
    rows = []
    for k, model in enumerate(joint.models):
        test = joint.tests[k] if k < len(joint.tests) else None
        rows.append(
            (
                names[k],
                str(model.parameters),
                f"{model.objective:.6g}",
                "" if test is None else test.question,
                "" if test is None else p_value(test.p),
            )
        )
    words = [
        f"Do the exponents differ? {answer(joint.exponents.p)} A small p says that the next model, with fewer "
        "parameters shared, gains more than chance: it is the share of tables simulated under the smaller model that "
        "gain as much."
    ]
    words += factor_words(joint)
    header = ("model", "parameters", "objective", "question", "p")
    return Section(title, header, tuple(rows), tuple(words))


def p_value(p: float) -> str:
    """A probability to two digits."""
    return "not estimated" if isnan(p) else f"{p:.2g}"


def answer(p: float) -> str:
    """What the test of the exponents says."""
    if isnan(p):
        return "Not estimated: there are too few training jobs."
    if p < AGREES:
        return f"Yes, p = {p:.2g}: one factor cannot describe the gap, which changes with scale."
    return f"The runs do not show it, p = {p:.2g}: shared exponents describe them as well."


def factor_words(joint: Joint) -> list[str]:
    """Each group's factor against the first, under the model of shared exponents and E; nothing for other laws."""
    shared = [model for model in joint.models if "E" in model.shared and "A" not in model.shared]
    if not shared or not {"A", "B", "alpha", "beta"} <= set(shared[0].frame().columns):
        return []
    model = shared[0]
    first = model.groups[0]
    frame: pd.DataFrame = factors(model, first)
    return [
        f"With E and exponents shared, {group} needs {times(float(row['params_factor']))} the parameters and "
        f"{times(float(row['tokens_factor']))} the tokens of {first} for the same terms of the loss."
        for group, row in frame.iterrows()
        if group != first
    ]
