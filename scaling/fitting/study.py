"""From a file of runs, or a sweep's folder, to a fitted study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.study import Refused, Study, analyse
from analysis.table import Table, load
from scaling.errors import UserError
from scaling.fitting.keys import COLUMNS, FitKeys
from scaling.fitting.missing_sizes import ladder_of, propose_from_ladder, read_design
from scaling.fitting.predict import rows_of_study
from scaling.fitting.price import usd_per_flop
from scaling.records.records import load_sweep


def fit_study(
    source: Path,
    keys: FitKeys,
    progress: Callable[[str], None] = lambda part: None,
    *,
    need_law: bool = False,
) -> Study:
    """All that the runs of a source tell.

    Args:
        source: a table of runs, or a sweep's folder.
        keys: what the user asked for.
        progress: called with the name of each part before it is fitted.
        need_law: with approach=all, the parametric law must be among the answers.

    Raises:
        UserError, Refusal: the table cannot be read, or the approach that was asked for has no answer.
    """
    rows = load_sweep(source) if source.is_dir() else None
    table = read_table(source, keys, rows)
    study = analyse(
        table,
        law=keys.law,
        objective=keys.objective,
        weights=keys.weights,
        level=keys.level,
        bootstrap=keys.bootstrap,
        seed=keys.seed,
        target_flops=keys.target_flops,
        usd_per_flop=usd_per_flop(keys.hardware, keys.price, keys.mfu),
        to_predict=rows_of_study(table, keys),
        progress=progress,
    )
    refuse_without_answer(study, keys.approach, need_law)
    if rows is None:
        return study
    ladder = ladder_of(rows.iloc[study.table.frame["row"] - 1], keys.params, read_design(source))
    if ladder is None:
        return study
    return replace(
        study,
        valleys=propose_from_ladder(study.valleys, ladder),
        akima=propose_from_ladder(study.akima, ladder),
    )


def read_table(source: Path, keys: FitKeys, rows: pd.DataFrame | None) -> Table:
    """The runs of a file, or the rows of a sweep's folder."""
    table = load(
        source if rows is None else rows,
        keys.named(COLUMNS),
        keys.where,
        keys.convention,
        units=keys.units,
        mixed=keys.mixed,
        repeats=keys.repeats,
        missing=keys.missing,
        sep=keys.sep,
        decimal=keys.decimal,
    )
    return replace(table, source=str(source))


def refuse_without_answer(study: Study, approach: str, need_law: bool) -> None:
    """Raise with the reason where the approach that was asked for has no answer; for "all", where none has."""
    parts = {"parametric": study.fit, "isoflop": study.valleys, "envelope": study.envelope}
    every = [study.fit] if need_law else list(parts.values())
    asked = every if approach == "all" else [parts[approach]]
    reasons = [part.reason for part in asked if isinstance(part, Refused)]
    if len(reasons) == len(asked):
        raise UserError(reasons[0])
