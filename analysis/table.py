"""From a file of runs to the one table that every fit reads: columns named, conventions stated, no row lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.budgets import group_budgets
from analysis.columns import canonical, choose_columns, describe, plain_name, read_numbers
from analysis.precision import PRECISION_COLUMNS, keep_float32_weights
from analysis.refusals import BadColumn, BadTable, BadValue, DuplicateRows, MixedTable

# Columns whose values must agree for one law to describe the rows.
CONDITIONS = (
    "corpus",
    "corpus_fingerprint",
    "dataset",
    "data",
    "tokenizer",
    "vocab_size",
    "vocabulary",
    "optimizer",
    "optim",
    "schedule",
    "scheduler",
    "lr_schedule",
    "lr_scheduler",
    "learning_rate_schedule",
    "precision",
    "dtype",
    "architecture",
    "arch",
    "language",
    "config",
    "configuration",
    "convention",
    "params_convention",
    "tokens_convention",
    "loss_convention",
    "flops_convention",
    "budget_convention",
)
# Words in the name of a text column that say the same: train_data, dataset_name, model_family.
CONDITION_WORDS = {
    *(
        "corpus",
        "dataset",
        "datasets",
        "data",
        "tokenizer",
        "optimizer",
        "schedule",
        "scheduler",
        "precision",
    ),
    *("dtype", "architecture", "arch", "family", "language", "config"),
}
SECOND_PASS = 1.01  # passes over the unique tokens above which a run has repeated some
FEW_VALUES = 8  # a text column with more values than this names runs
KNOWN_TEXT = ("status", "run_id", "name", "host", "commit", "device")  # of which nothing is to be noted
CURVE_POINTS = 8  # token counts a size, from which rows look like points of training curves
REPEATS = ("refuse", "keep", "best")
# What tells two runs of the same size and tokens apart without changing what they measure.
REPLICATES = ("seed", "run_id", "unique_tokens")


@dataclass(frozen=True)
class Table:
    """Runs ready to fit.

    Attributes:
        frame: one row a run, floats: `params`, `tokens`, `loss` (nats/token), `flops`, `budget` (FLOPs; NaN for a run
            of no budget); where the source has them `loss_se`, `cluster`, `unique_tokens`, `seed`, `run_id`; `row` is
            the 1-based row of the source.
        convention: for each quantity, in words, which column it is and what is known of how it counts.
        excluded: rows of the source that are not in `frame`, each with its `row` and the `reason`.
        budgets_named: whether a column names the budgets; otherwise they were inferred from shared FLOPs.
        notes: what a reader should know before trusting a fit (budgets that were inferred, replicates, copies).
        source: where the rows came from.
    """

    frame: pd.DataFrame
    convention: dict[str, str]
    excluded: pd.DataFrame
    budgets_named: bool
    notes: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.frame)

    def select(self, keep: pd.Series | np.ndarray) -> "Table":
        """The same table with only the rows where `keep` is true, for cuts in compute."""
        return replace(self, frame=self.frame[np.asarray(keep)].reset_index(drop=True))

    def excluded_by_reason(self) -> dict[str, int]:
        """How many rows were left out, for each reason."""
        return {str(reason): int(count) for reason, count in self.excluded["reason"].value_counts().items()}


def load(
    source: str | Path | pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    convention: Mapping[str, str] | None = None,
    budget_tolerance: float = 0.1,
    units: Mapping[str, float] | None = None,
    mixed: Sequence[str] = (),
    repeats: str = "refuse",
) -> Table:
    """Read a table of runs and name its columns.

    Args:
        source: a CSV, TSV, Parquet or JSON-lines file (also gzipped), a folder with `records.csv`, or a DataFrame.
        columns: role → column of the source, for roles `params`, `tokens`, `loss`, `flops`, `loss_se`, `cluster`,
            `budget` and `unique_tokens`. Roles not named are looked up among well-known names, and the choice is stated
            in `Table.convention`.
        where: column → value; only rows that match are used, the others are listed in `Table.excluded`.
        convention: what the caller knows of `params`, `tokens`, `loss` or `flops` and the file does not say, such as
            `{"params": "without embeddings"}`.
        budget_tolerance: where no column names the budgets, rows whose FLOPs lie within this fraction share one.
        units: role → what 1 stands for in its column, such as `{"tokens": 1e9}`; by default what the column's name says
            (`tokens_b`, `params (M)`), else 1.
        mixed: conditions (columns such as `optimizer`) that may differ among the rows nonetheless; "all" allows any.
        repeats: what to make of rows of the same size and tokens with different losses that nothing tells apart:
            "refuse", "keep" them all as replicates, or keep the "best".

    Raises:
        BadTable, BadColumn: no such file or format; a column that is missing, ambiguous, not numeric or not positive.
        BadLoss: a finished run whose loss is not a positive number.
        MixedTable: rows from different corpora, tokenizers, optimizers, schedules or counting conventions, or of
            precisions that change the law (see `analysis.precision`).
        DuplicateRows: the same parameters and tokens with different losses and nothing that tells the runs apart.
    """
    raw, name = (source, "table") if isinstance(source, pd.DataFrame) else (read(Path(source)), str(source))
    if raw.empty:
        raise BadTable(f"{name} has no rows; a fit needs one row a run with parameters, tokens and loss")
    chosen = choose_columns(raw, columns or {}, units)
    mapping, notes = chosen.mapping, list(chosen.notes)
    raw = raw.assign(row=np.arange(1, len(raw) + 1))
    kept, left_out = apply_filters(raw, where or {})
    kept, left_out = set_aside_unfinished(kept, left_out)
    if kept.empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in count_reasons(left_out).items())
        raise BadTable(f"{name} has no finished run to fit: {reasons}")
    notes += refuse_mixed(kept, mixed, mapping)
    frame = canonical(kept, chosen)
    frame, copies = merge_copies(frame)
    left_out = [*left_out, *([copies] if len(copies) else [])]
    frame, beaten = settle_repeats(frame, repeats)
    left_out = [*left_out, *([beaten] if len(beaten) else [])]
    stated = describe(frame, chosen, dict(convention or {}))
    if "flops" not in mapping:
        frame["flops"] = 6.0 * frame["params"] * frame["tokens"]
    named = budgets_are_named(frame)
    frame, budget_note = add_budgets(frame, budget_tolerance)
    if named:
        stated["budget"] = f"column {mapping['budget']!r}" + budget_convention(kept)
    excluded = pd.concat(left_out, ignore_index=True) if left_out else pd.DataFrame({"row": [], "reason": []})
    notes += [
        *replicate_note(frame),
        *repeated_data_note(frame),
        *curve_note(frame),
        *budget_note,
        *(convention_note(frame) if named else []),
    ]
    return Table(frame.reset_index(drop=True), stated, excluded, named, tuple(notes), name)


def read(path: Path) -> pd.DataFrame:
    """Read one file by its ending, or `records.csv` in a folder."""
    if path.is_dir():
        if not (path / "records.csv").is_file():
            raise BadTable(
                f"{path} holds no records.csv; give a sweep's folder or a CSV, Parquet or JSONL file"
            )
        path = path / "records.csv"
    if not path.is_file():
        raise BadTable(f"{path} does not exist; give a CSV, Parquet or JSONL file, or a sweep's folder")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    try:
        if kind in ("csv", "tsv"):
            return pd.read_csv(path, sep="\t" if kind == "tsv" else ",")
        if kind in ("jsonl", "ndjson"):
            return pd.read_json(path, lines=True)
        if kind == "parquet":
            return pd.read_parquet(path)
    except ImportError as error:
        raise BadTable(
            f"{path}: Parquet needs pyarrow; install it (pip install pyarrow) or give a CSV"
        ) from error
    except (ValueError, EOFError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise BadTable(f"{path} cannot be read as {kind}: {str(error).splitlines()[0]}") from error
    raise BadTable(
        f"{path}: unknown ending {path.suffix!r}; give .csv, .tsv, .parquet, .jsonl or one of these with .gz"
    )


def apply_filters(raw: pd.DataFrame, where: Mapping[str, str]) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Keep the rows that match every `column=value`, compared as text or as numbers."""
    kept, left_out = raw, []
    for column, value in where.items():
        if column not in raw.columns:
            raise BadColumn(
                f"where.{column}={value}: no such column; the table has "
                f"{', '.join(str(name) for name in raw.columns if name != 'row')}"
            )
        match = kept[column].astype(str) == str(value)
        if pd.api.types.is_numeric_dtype(kept[column]):
            match |= kept[column] == pd.to_numeric(value, errors="coerce")
        if not match.any():
            there = ", ".join(map(str, kept[column].unique()[:8]))
            raise BadColumn(f"where.{column}={value}: no row has it; values there: {there}")
        if not match.all():
            left_out.append(pd.DataFrame({"row": kept.loc[~match, "row"], "reason": f"not {column}={value}"}))
        kept = kept[match]
    return kept, left_out


def set_aside_unfinished(
    raw: pd.DataFrame, left_out: list[pd.DataFrame]
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Move rows whose `status` is not `done` to the excluded ones, by status."""
    if "status" not in raw.columns:
        return raw, left_out
    status = raw["status"].fillna("unknown").astype(str)
    unfinished = raw[status != "done"]
    if unfinished.empty:
        return raw, left_out
    reasons = "status " + status[status != "done"]
    return raw[status == "done"], [*left_out, pd.DataFrame({"row": unfinished["row"], "reason": reasons})]


def refuse_mixed(kept: pd.DataFrame, allowed: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Raise when a condition that one law must share takes several values among the rows; a note where it may."""
    unknown = [name for name in allowed if name not in kept.columns and name != "all"]
    if unknown:
        raise BadColumn(
            f"mixed={unknown[0]}: no such column; the table has "
            f"{', '.join(str(name) for name in kept.columns if name != 'row')}"
        )
    notes = []
    for column in kept.columns:
        if column in (*mapping.values(), "row"):
            continue
        counts = kept[column].fillna("not given").value_counts()
        # A column with another value in every row names runs, not conditions.
        if not 1 < len(counts) < len(kept):
            continue
        refused = is_condition(kept, column, mapping)
        values = ", ".join(f"{clip(value)} ({count} rows)" for value, count in counts.head(6).items())
        more = f" and {len(counts) - 6} more" if len(counts) > 6 else ""
        if column in allowed or (refused and "all" in allowed):
            notes.append(f"mixed as asked: column {column!r} holds {values}{more}")
        elif refused:
            raise MixedTable(
                f"column {column!r} holds {len(counts)} values, {values}{more}: one law describes one of them; "
                f"choose it with where.{column}={counts.index[0]}, or fit them together with mixed=[{column}]"
            )
        elif is_text(kept[column]) and len(counts) <= FEW_VALUES and plain_name(column) not in KNOWN_TEXT:
            notes.append(
                f"column {column!r} holds {values}{more}, fitted together as one; where.{column}={counts.index[0]} "
                "chooses"
            )
    return notes


def is_text(column: pd.Series) -> bool:
    """Whether a column holds words rather than numbers."""
    return bool(read_numbers(column).isna().all())


def is_condition(kept: pd.DataFrame, column: str, mapping: Mapping[str, str]) -> bool:
    """Whether rows that differ in a column were trained or counted differently, by its name."""
    name = plain_name(column)
    if name in PRECISION_COLUMNS and keep_float32_weights(kept[column].dropna()):
        return False  # noted, not refused
    if name in CONDITIONS:
        return True
    if not CONDITION_WORDS & set(name.split("_")) or not is_text(kept[column]):
        return False
    # A value that goes with one size only, such as the path of its config, names the size.
    return "params" not in mapping or bool((kept.groupby(column)[mapping["params"]].nunique() > 1).any())


def clip(value: object) -> str:
    """A value short enough for a message."""
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def merge_copies(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep one of rows that are the same in everything; refuse the same size and tokens with different losses."""
    measured = [column for column in frame.columns if column not in ("row", "run_id")]
    copy = frame.duplicated(measured, keep="first")
    copies = pd.DataFrame({"row": frame.loc[copy, "row"], "reason": "exact copy of an earlier row"})
    return frame[~copy], copies


def settle_repeats(frame: pd.DataFrame, repeats: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows without, and those set aside among, the same size and tokens with different losses."""
    if repeats not in REPEATS:
        raise BadValue(f"repeats={repeats}: choose one of {', '.join(REPEATS)}")
    key = ["params", "tokens", *(column for column in REPLICATES if column in frame.columns)]
    clash = frame.duplicated(key, keep=False)
    none = pd.DataFrame({"row": [], "reason": []})
    if repeats == "keep":
        return frame, none
    if repeats == "best":
        worse = frame.sort_values("loss", kind="stable").duplicated(key).sort_index()
        reason = "another run of this size and tokens has a lower loss"
        return frame[~worse], pd.DataFrame({"row": frame.loc[worse, "row"], "reason": reason})
    if clash.any():
        first = frame[clash].iloc[0]
        same = frame[clash & (frame["params"] == first["params"]) & (frame["tokens"] == first["tokens"])]
        rows, losses = (
            ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
            for words in (same["row"].astype(str).tolist(), [f"{loss:g}" for loss in same["loss"]])
        )
        raise DuplicateRows(
            f"rows {rows} have the same params ({first['params']:g}) and tokens ({first['tokens']:g}) "
            f"but losses {losses} ({int(clash.sum())} such rows): keep the one that counts, "
            "or add a column `seed` that tells replicates apart; repeats=best fits the lowest loss of each, "
            "repeats=keep all of them"
        )
    return frame, none


def best_at_each(table: Table, variable: str) -> Table:
    """The run of lowest loss at each value of `params`, `tokens` or `flops` (there: each budget), the others set aside.

    That is what a law of one variable describes: Kaplan et al. (2020) fit L(N) to models limited by nothing but their
    size, and L(C) to the best size at each compute.
    """
    frame = table.frame
    value = frame["budget"].fillna(frame["flops"]) if variable == "flops" else frame[variable]
    best = frame.index.isin(frame.groupby(value)["loss"].idxmin())
    worse = pd.DataFrame({"row": frame.loc[~best, "row"], "reason": f"not the lowest loss at its {variable}"})
    return replace(table.select(best), excluded=pd.concat([table.excluded, worse], ignore_index=True))


def budgets_are_named(frame: pd.DataFrame) -> bool:
    """Whether the source says which budget its runs belong to."""
    return "budget" in frame.columns and bool(frame["budget"].notna().any())


def budget_convention(kept: pd.DataFrame) -> str:
    """How the source says that its budgets count FLOPs; empty where it does not."""
    if "budget_convention" not in kept.columns or kept["budget_convention"].isna().all():
        return ", convention not stated"
    return f", FLOPs counted as {kept['budget_convention'].dropna().iloc[0]}"


def add_budgets(frame: pd.DataFrame, tolerance: float) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give each row the FLOP budget that it belongs to (NaN: none), inferred from shared FLOPs where no column says."""
    if budgets_are_named(frame):
        return frame, ()
    frame = frame.assign(budget=group_budgets(frame["flops"].to_numpy(), tolerance))
    count, members = frame["budget"].nunique(), int(frame["budget"].notna().sum())
    if count == 0:
        return frame, (f"no IsoFLOP budgets: no 4 runs have FLOPs within {tolerance:.0%} of each other",)
    spread = frame.groupby("budget")["flops"].agg(lambda flops: flops.max() / flops.min() - 1).max()
    agree = "exactly" if spread < 1e-6 else f"within {spread:.2g}"
    note = f"{count} budgets inferred from {members} of {len(frame)} runs whose FLOPs agree {agree}"
    return frame, (note,)


def replicate_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when some size and tokens were trained more than once."""
    again = int(frame.duplicated(["params", "tokens"]).sum())
    return (f"{again} runs repeat the size and tokens of another (replicates)",) if again else ()


def repeated_data_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when runs saw their data more than once, which most laws do not know of."""
    if "unique_tokens" not in frame:
        return ()
    passes = frame["tokens"] / frame["unique_tokens"]
    again = int((passes > SECOND_PASS).sum())
    if not again:
        return ()
    return (
        f"{again} runs pass over their unique tokens more than once (up to {passes.max():.3g} times): law=muennighoff "
        "knows what repeats are worth, the others take them as new",
    )


def curve_note(frame: pd.DataFrame) -> tuple[str, ...]:
    """A note when sizes have so many token counts that they look like points of training curves, not told apart."""
    counts = frame.groupby("params")["tokens"].nunique()
    if "cluster" in frame or counts.median() < CURVE_POINTS:
        return ()
    return (
        f"{len(counts)} sizes have {counts.median():.0f} token counts each (median): if those are points of one "
        "training run, name it with cluster=COLUMN, since intervals count every row as independent",
    )


def convention_note(frame: pd.DataFrame) -> list[str]:
    """A note when named budgets count FLOPs differently from the FLOP column."""
    ratio = (frame["budget"] / frame["flops"]).dropna()
    if ratio.between(0.9, 1.1).all():
        return []
    return [
        f"budgets are {ratio.min():.3g} to {ratio.max():.3g} times the FLOPs of their runs: another way of counting"
    ]


def count_reasons(left_out: list[pd.DataFrame]) -> dict[str, int]:
    """Rows left out so far, for each reason."""
    reasons = pd.concat(left_out)["reason"].value_counts() if left_out else pd.Series(dtype=int)
    return {str(reason): int(count) for reason, count in reasons.items()}
