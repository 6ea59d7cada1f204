"""`scaling fit` of one law alone: of columns that no study has, of the best learning rate or batch, of one variable."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis import laws
from analysis.best_values import best_values
from analysis.fit import FitOptions, fit
from analysis.reading import few_columns
from analysis.reading.files import read
from analysis.result import FitResult
from scaling.errors import UserError
from scaling.fitting.keys import COLUMNS, FitKeys
from scaling.records.records import load_sweep


def fit_hyperparameters(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """A power law through the best learning rate or batch at each scale; and notes.

    A table with one row for each scale holds the best values themselves. One with a loss and several values for a scale
    is a sweep: the best value is the minimum of a parabola at each scale, and notes name the scales without one.

    Raises:
        Refusal: columns are missing, or the fit is refused.
    """
    law = laws.get(keys.law)
    frame, stated = read_few_columns(source, keys, law)
    notes: list[str] = []
    if {"params", "tokens", "loss"} <= set(frame.columns) and frame.duplicated(["params", "tokens"]).any():
        tried = len(frame)
        others = [name for name in few_columns.HYPERPARAMETERS if name in frame]
        frame, refused, varying = best_values(frame, law.target, others)
        notes.append(
            f"a sweep of {tried} runs: the best {law.target} of {len(frame)} scales, each from a parabola"
        )
        if varying:
            notes.append(
                f"{' and '.join(varying)} {'vary' if len(varying) > 1 else 'varies'} too at one scale: each "
                f"{law.target} counts by the lowest loss over {'them' if len(varying) > 1 else 'it'}"
            )
        notes += [f"left out, {reason}" for reason in refused]
    objective = "mse_log" if keys.objective == FitKeys().objective else keys.objective
    return fit(frame, law, objective, **fit_options(keys, stated)), notes


def fit_any_law(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """A law of any columns, fitted to a table that has them; and notes.

    Raises:
        Refusal: columns are missing, or the fit is refused.
    """
    law = laws.get(keys.law)
    frame, stated = read_few_columns(source, keys, law)
    notes: list[str] = []
    if keys.repeats == "best":
        best = frame.loc[frame.groupby(list(law.variables))[law.target].idxmin()].sort_values("row")
        if len(best) < len(frame):
            notes.append(f"the {len(best)} rows of lowest {law.target} at each setting, of {len(frame)}")
        frame = best
    elif keys.repeats == "keep":
        frame["replicate"] = frame["row"]
    return fit(frame, law, keys.objective, **fit_options(keys, stated)), notes


def fit_one_variable(source: Path, keys: FitKeys) -> tuple[FitResult, list[str]]:
    """Kaplan's L(N), L(D) or L(C) of a table that has no more than that; and notes.

    Raises:
        Refusal: columns are missing, or the fit is refused.
    """
    law = laws.get(keys.law)
    frame, stated = read_few_columns(source, keys, law)
    notes: list[str] = []
    best = frame.loc[frame.groupby(law.variables[0])["loss"].idxmin()]
    if len(best) < len(frame):
        notes.append(f"the {len(best)} runs of lowest loss, one at each {law.variables[0]}, of {len(frame)}")
    return fit(best, law, keys.objective, **fit_options(keys, stated)), notes


def with_columns_counted(source: Path, keys: FitKeys) -> FitKeys:
    """The keys with the law of as many columns as the table has, for a law of any number: mixture_ye[5]."""
    if keys.law not in laws.FAMILIES:
        return keys
    count = few_columns.count_proportions(
        load_sweep(source) if source.is_dir() else read(source, keys.sep, keys.decimal)
    )
    if count < 2:
        raise UserError(
            f"law={keys.law} needs a column for the share of each domain: call them proportion_1, proportion_2, …, "
            "or say proportion=[COLUMN,COLUMN,…]"
        )
    return replace(keys, law=laws.fix(laws.get(f"{keys.law}[{count}]"), keys.fixed).name)


def has_one_variable(source: Path, keys: FitKeys) -> bool:
    """Whether a law of one variable is asked of a file that has too little for a study of all approaches."""
    if source.is_dir() or len(laws.get(keys.law).variables) > 1:
        return False
    return few_columns.has_one_variable(read(source, keys.sep, keys.decimal), keys.named(COLUMNS))


def read_few_columns(source: Path, keys: FitKeys, law: laws.Law) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns that the law reads, of a file or a sweep's folder, and how each is counted, in words."""
    told = few_columns.Told(
        columns=keys.named(
            dict.fromkeys((law.target, *law.variables, *few_columns.HYPERPARAMETERS, *COLUMNS))
        ),
        units=keys.units,
        where=keys.where,
        convention=keys.convention,
    )
    table = load_sweep(source) if source.is_dir() else read(source, keys.sep, keys.decimal)
    return few_columns.read_few_columns(table, law, told)


def fit_options(keys: FitKeys, convention: dict[str, str]) -> FitOptions:
    """What such a fit takes beside the table, the law and the objective."""
    return {"bootstrap": keys.bootstrap, "level": keys.level, "seed": keys.seed, "convention": convention}
