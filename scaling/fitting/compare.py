"""From two or more studies, files, or groups of one file to a comparison of their laws."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from analysis.compare import StudiesCompared, compare_studies
from analysis.compare_report import joint_dict, to_json, write
from analysis.joint import fit_jointly
from analysis.loss_unit import loss_unit
from analysis.reading.files import read
from analysis.reading.filters import apply_filters, condition
from analysis.reading.own_records import are_own
from analysis.reading.rows import numbered
from analysis.report import finite, plain
from analysis.sections.compared import compared_sections, joint_section
from analysis.table import Table, load
from scaling.errors import UserError
from scaling.fitting.keys import COLUMNS, CompareKeys, FitKeys
from scaling.fitting.report import print_sections, refuse_file, stem
from scaling.records.records import load_sweep

BITS_PER_BYTE = "bits_per_byte"
"""The column of this project's records that compares across tokenizers."""
TOKENIZERS = ("tokenizer", "tokenizer_name", "vocab_size", "vocabulary")
CONDITIONS = {
    "corpus_fingerprint": "their corpora differ, so that their losses are of different texts",
    "corpus": "their corpora differ, so that their losses are of different texts",
    "dataset": "their data differ, so that their losses may be of different texts",
    "optimizer": "their optimizers differ",
    "schedule": "their learning-rate schedules differ",
    "precision": "their precisions differ",
    "context": "their contexts differ",
    "budget_convention": "their budgets are counted differently",
}
"""Column → what is said where two studies hold different values of it."""


@dataclass(frozen=True)
class Source:
    """The rows of one study, before its columns are read."""

    name: str
    rows: pd.DataFrame


def compare_and_report(paths: list[Path], keys: CompareKeys, *, as_json: bool) -> None:
    """Compare, print, and write the report.

    Args:
        paths: folders of sweeps or tables of runs; one alone where `keys.by` splits it.
        keys: what the user asked for.
        as_json: print JSON alone, and write files only where `keys.out` says.

    Raises:
        UserError, Refusal: what was given cannot be compared.
    """
    messages = Console(stderr=True)
    with messages.status("comparing"):
        found = compare(paths, keys)
    if as_json:
        print(to_json(found))
    else:
        print_sections(compared_sections(found), Console())
    if not keys.out and as_json:
        return
    folder = Path(keys.out or f"compare_{'_'.join(name.replace('/', '_') for name in found.fits)}")
    refuse_file(folder)
    write(found, folder, f"{' and '.join(found.fits)} compared", keys.figures)
    messages.print(f"\n{folder}/report.html has all of this; compare.json lies beside it", markup=False)


def compare(paths: list[Path], keys: CompareKeys) -> StudiesCompared:
    """The comparison of the studies, files or groups that the user named."""
    sources = read_sources(paths, keys)
    column, notes = loss_column(sources, keys)
    tables = {source.name: read_one(source, keys, column) for source in sources}
    units = {name: loss_unit(table.convention) for name, table in tables.items()}
    if len(set(units.values())) > 1:
        raise UserError(
            "the losses have different units ("
            + "; ".join(f"{name}: {unit}" for name, unit in units.items())
            + "): name a column that both measure alike, with loss=COLUMN"
        )
    return compare_studies(
        tables,
        keys.law,
        keys.objective,
        level=keys.level,
        bootstrap=keys.bootstrap,
        seed=keys.seed,
        unit=next(iter(units.values())),
        notes=(*notes, *conditions_that_differ(sources, keys.by)),
    )


def report_joint(path: Path, keys: FitKeys, as_json: bool) -> None:
    """`scaling fit FILE joint=COLUMN`: one law over the groups of a file that shares exponents, and its tests.

    Raises:
        UserError, Refusal: the file cannot be split so, or a group does not carry the law.
    """
    named = {item.name: getattr(keys, item.name) for item in fields(FitKeys)}
    split = CompareKeys(**named, by=keys.joint)
    sources = read_sources([path], split)
    column, _ = loss_column(sources, split)
    joint = fit_jointly(
        {source.name: read_one(source, split, column) for source in sources},
        keys.law,
        keys.objective,
        seed=keys.seed,
    )
    text = json.dumps(finite(joint_dict(joint)), indent=2, allow_nan=False, default=plain)
    if as_json:
        print(text)
    else:
        print_sections((joint_section(joint),), Console())
    if keys.out:
        refuse_file(Path(keys.out))
        Path(keys.out).mkdir(parents=True, exist_ok=True)
        (Path(keys.out) / "joint.json").write_text(text + "\n", encoding="utf-8")


def read_sources(paths: list[Path], keys: CompareKeys) -> list[Source]:
    """The rows of each study.

    Raises:
        UserError: there is one source and nothing splits it, or a column that has one value, or none of that name.
    """
    frames = [load_sweep(path) if path.is_dir() else read(path, keys.sep, keys.decimal) for path in paths]
    if keys.by is None:
        if len(paths) < 2:
            raise UserError(
                f"scaling compare {paths[0]}: one source alone; name another, or split it by a column: by=optimizer"
            )
        names = [path.name if path.is_dir() else stem(path) for path in paths]
        if len(set(names)) < len(names):
            names = [str(path) for path in paths]
        if len(set(names)) < len(names):
            raise UserError(f"{names[0]} is named twice: a study does not differ from itself")
        return [Source(name, rows) for name, rows in zip(names, frames, strict=True)]
    if len(paths) > 1:
        raise UserError(f"by={keys.by} splits one table; {len(paths)} were named")
    rows = frames[0]
    if keys.by not in rows.columns:
        raise UserError(f"by={keys.by}: no such column; the table has {', '.join(map(str, rows.columns))}")
    rows, _ = apply_filters(numbered(rows), conditions_on(keys, keys.by))
    groups = [
        Source(str(value), group.drop(columns="row")) for value, group in rows.groupby(keys.by, sort=False)
    ]
    if len(groups) < 2:
        raise UserError(
            f"by={keys.by}: every row holds {rows[keys.by].iloc[0]!r}; name a column of several values"
        )
    return groups


def conditions_on(keys: CompareKeys, column: str) -> dict[str, Any]:
    """The conditions on a column: those on the one that splits a table choose the studies, before it is split."""
    return {key: value for key, value in keys.where.items() if condition(key, value).column == column}


def loss_column(sources: list[Source], keys: CompareKeys) -> tuple[str | None, list[str]]:
    """The column of losses that compares, and what is to be said of it; None leaves it to the reader of tables.

    Raises:
        UserError: tokenizers differ and nothing measures the loss by byte.
    """
    differing = [
        column
        for column in TOKENIZERS
        if len({values(source.rows, column) for source in sources}) > 1
        and all(column in source.rows for source in sources)
    ]
    if not differing or keys.loss is not None:
        return keys.loss, []
    if all(are_own(source.rows) and source.rows[BITS_PER_BYTE].notna().any() for source in sources):
        return BITS_PER_BYTE, [f"Their tokenizers differ ({differing[0]}), so that losses are in bits/byte"]
    said = "; ".join(f"{source.name}: {', '.join(values(source.rows, differing[0]))}" for source in sources)
    raise UserError(
        f"the tokenizers differ ({differing[0]}: {said}), and a loss a token of one says nothing of the other: name a "
        "column of bits/byte, as loss=bpb"
    )


def values(rows: pd.DataFrame, column: str) -> tuple[str, ...]:
    """The different values of a column, as text; empty where there is no such column."""
    return tuple(sorted({str(value) for value in rows[column].dropna()})) if column in rows else ()


def read_one(source: Source, keys: CompareKeys, loss: str | None) -> Table:
    """The runs of one study as a table."""
    columns: Mapping[str, str] = keys.named(COLUMNS) | ({} if loss is None else {"loss": loss})
    chosen = {} if keys.by is None else conditions_on(keys, keys.by)
    table = load(
        source.rows.reset_index(drop=True),
        columns,
        {key: value for key, value in keys.where.items() if key not in chosen},
        keys.convention,
        units=keys.units,
        mixed=keys.mixed,
        repeats=keys.repeats,
        missing=keys.missing,
    )
    return replace(table, source=source.name)


def conditions_that_differ(sources: list[Source], by: str | None) -> list[str]:
    """What else differs between the studies than what they were split by, in words."""
    notes: dict[str, str] = {}
    for column, words in CONDITIONS.items():
        found = {source.name: values(source.rows, column) for source in sources}
        if column == by or len(set(found.values())) < 2 or words in notes:
            continue
        each = "; ".join(f"{name}: {', '.join(held) or 'not said'}" for name, held in found.items())
        grave = "texts" in words or "counted" in words
        notes[words] = f"{'Warning: ' if grave else ''}{words if grave else words.capitalize()} ({each})"
    return list(notes.values())
