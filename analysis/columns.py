"""Which column of a foreign table is which quantity, and what is known of how it counts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.refusals import BadColumn, BadLoss

# Role → column names that are understood without being told, compared by `plain_name`. The first is the canonical name.
_NAMES = {
    "params": "params params_total n parameters n_params num_params nparams param_count n_parameters num_parameters "
    "total_params total_parameters params_non_embedding params_no_embed non_embedding_params non_embedding_parameters "
    "n_params_non_embedding model_size model_params model_parameters n_model_params",
    "tokens": "tokens d n_tokens num_tokens training_tokens train_tokens tokens_seen total_tokens "
    "dataset_tokens data_tokens num_train_tokens n_train_tokens tokens_trained n_tokens_seen num_tokens_seen "
    "n_training_tokens d_tokens dataset_size",
    "loss": "loss loss_nats l val_loss validation_loss eval_loss valid_loss test_loss final_loss final_val_loss "
    "train_loss ce_loss eval_ce_loss test_ce_loss loss_val nll cross_entropy xent val_nll "
    "perplexity ppl val_ppl val_perplexity validation_perplexity eval_ppl eval_perplexity test_ppl test_perplexity "
    "bits_per_token bpt bits_per_byte bpb val_bpb",
    "flops": "flops train_flops_6nd c compute train_flops training_flops total_flops n_flops training_compute "
    "train_flops_exact training_flop flop total_flop",
    "loss_se": "loss_se loss_se_nats loss_stderr loss_sem loss_standard_error",
    "cluster": "cluster trunk_id run run_name run_id job job_id trajectory experiment experiment_id wandb_id",
    "budget": "budget budget_flops isoflop_budget compute_budget",
    "unique_tokens": "unique_tokens u unique",
}
ALIASES: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in _NAMES.items()}
REQUIRED = ("params", "tokens", "loss")
COUNTS = ("params", "tokens", "unique_tokens")
UNITS = {
    "k": 1e3, "thousand": 1e3, "thousands": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6,
    "b": 1e9, "bn": 1e9, "g": 1e9, "billion": 1e9, "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12,
}  # fmt: skip
_UNIT_ENDING = re.compile(rf"^(.+?)_(?:in_)?({'|'.join(UNITS)})(?:_tokens|_params)?$")
_WRITTEN = re.compile(
    rf"^\s*([0-9][0-9,_]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*({'|'.join(UNITS)})?\s*$", re.IGNORECASE
)
_LOSS_UNIT = re.compile(r"^(.+?)_(?:in_)?(nats|bits)(?:_(?:per_)?(token|byte))?$")
LOG2 = float(np.log(2))
SMALLEST = {"params": 1e3, "tokens": 1e4}  # the largest run of a table is larger, or its units are others


def plain_name(column: object) -> str:
    """A column's name for comparison: `Model Size`, `model-size` and `val/loss` as model_size and val_loss."""
    return re.sub(r"[\s/.()\[\],-]+", "_", str(column).strip().lower()).strip("_")


def unit_of_name(column: object) -> tuple[str, float]:
    """A column's plain name without its unit, and that unit: `Tokens (B)` and `tokens_billion` are tokens, 1e9."""
    name = plain_name(column)
    found = _UNIT_ENDING.match(name)
    if found is None or name in ALIASES["params"] + ALIASES["tokens"]:
        return name, 1.0
    return found[1], UNITS[found[2]]


def written_number(text: object) -> float:
    """A number as people write it: 70M, 1.4B, 1,000,000; NaN where it is none."""
    found = _WRITTEN.match(str(text))
    if found is None:
        return float("nan")
    return float(found[1].replace(",", "").replace("_", "")) * UNITS.get((found[2] or "").lower(), 1.0)


def read_numbers(column: pd.Series) -> pd.Series:
    """A column as floats; text such as 70M is read, and what is no number is NaN."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    text = values.isna() & column.notna()
    if text.any():
        values = values.where(~text, column.where(text).map(written_number))
    return values


@dataclass(frozen=True)
class Columns:
    """Which column is which quantity.

    Attributes:
        mapping: role → column of the source.
        units: role → what 1 stands for in its column, where its name or the caller says so.
        derived: `params` or `tokens`, where C = 6ND and the other give it; else None.
        notes: what a reader should know of the choice.
    """

    mapping: dict[str, str]
    units: dict[str, float]
    derived: str | None
    notes: tuple[str, ...]


def choose_columns(
    raw: pd.DataFrame, named: Mapping[str, str], units: Mapping[str, float] | None = None
) -> Columns:
    """Columns from what the caller named and else from well-known names; and notes on near misses.

    A column that bears the canonical name is taken; two others that fit and differ are a refusal, since parameter
    conventions must not be guessed.
    """
    for given in (named, units or {}):
        unknown = [role for role in given if role not in ALIASES]
        if unknown:
            raise BadColumn(f"no role {unknown[0]!r}: name one of {', '.join(ALIASES)}")
    counts = {unit_of_name(column)[0]: str(column) for column in raw.columns}
    names = {plain_name(column): str(column) for column in raw.columns}
    listing = ", ".join(map(str, raw.columns))
    mapping: dict[str, str] = {}
    notes: list[str] = []
    for role, aliases in ALIASES.items():
        if role in named:
            if named[role] not in raw.columns:
                raise BadColumn(f"{role}={named[role]}: no such column; the table has {listing}")
            mapping[role] = named[role]
            continue
        known = {**counts, **names} if role in COUNTS else names
        if role == "loss":
            known = {loss_name(column): str(column) for column in raw.columns} | names
        found = [known[alias] for alias in aliases if alias in known]
        if role == "loss":  # a loss itself before what it could be worked out from
            found = [column for column in found if loss_kind(column) == "nats"] or found[:1]
        if role == "cluster":
            found = [column for column in found if names_training_runs(raw, column, mapping.get("params"))][
                :1
            ]
        # The project's own records hold both counts on purpose; total parameters go with their 6ND FLOPs.
        ours = {"params": "params_total", "flops": "train_flops_6nd"}.get(role)
        rivals = [column for column in found[1:] if not raw[column].equals(raw[found[0]])]
        if not found:
            continue
        if rivals and plain_name(found[0]) != aliases[0] and found[0] != ours:
            raise BadColumn(
                f"{role} could be {' or '.join(map(repr, [found[0], *rivals]))}, which differ: say {role}=COLUMN"
            )
        if rivals:
            notes.append(
                f"{role} is column {found[0]!r}; {', '.join(map(repr, rivals))} also there "
                f"({role}={rivals[0]} to use it)"
            )
        mapping[role] = found[0]
    for role, column in mapping.items():
        other = next(name for name, taken in mapping.items() if taken == column)
        if other != role and {role, other} != {"flops", "budget"}:
            raise BadColumn(f"column {column!r} cannot be both {other} and {role}: say {role}=COLUMN")
    if "flops" not in mapping and "budget" in mapping and len({"params", "tokens"} & mapping.keys()) == 1:
        mapping["flops"] = mapping["budget"]
    if "unique_tokens" not in mapping and "tokens" in mapping and "epochs" in names:
        mapping["epochs"] = names["epochs"]
        notes.append(f"unique tokens are tokens over column {names['epochs']!r}")
    missing = [role for role in REQUIRED if role not in mapping]
    derived = missing[0] if "flops" in mapping and missing in (["params"], ["tokens"]) else None
    if missing and derived is None:
        also = ""
        if "loss" not in missing:
            also = "; or flops=COLUMN, since FLOPs are 6 · params · tokens"
            if len(missing) == 1:
                alone = {"params": "kaplan_d", "tokens": "kaplan_n"}[missing[0]]
                also += f"; or law={alone}, which needs no {missing[0]}"
        raise BadColumn(f"no column for {missing[0]} among {listing}: say {missing[0]}=COLUMN{also}")
    stated = {
        role: unit for role in COUNTS if role in mapping and (unit := unit_of_name(mapping[role])[1]) != 1
    }
    return Columns(mapping, stated | dict(units or {}), derived, tuple(notes))


def names_training_runs(raw: pd.DataFrame, column: str, params: str | None) -> bool:
    """Whether rows that share a value are points of one training run: always for a cluster, else of one size each."""
    if plain_name(column) in ("cluster", "trunk_id"):
        return True
    if params is None or raw[column].nunique() in (1, len(raw)):
        return False
    return bool((raw.groupby(column)[params].nunique() == 1).all())


def loss_name(column: object) -> str:
    """A column's plain name without the unit of a loss: `val_loss (bits/token)` is val_loss."""
    name = plain_name(column)
    found = _LOSS_UNIT.match(name)
    return name if found is None else found[1]


def loss_kind(column: object) -> str:
    """What a column of losses holds by its name: nats, perplexity, bits/token or bits/byte."""
    name = plain_name(column)
    found = _LOSS_UNIT.match(name)
    if found is not None and found[2] == "bits":
        return f"bits/{found[3] or 'token'}"
    if "ppl" in name or "perplexity" in name:
        return "perplexity"
    if name in ("bits_per_token", "bpt"):
        return "bits/token"
    return "bits/byte" if name in ("bits_per_byte", "bpb", "val_bpb") else "nats"


def canonical(kept: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The rows with canonical columns, numbers checked."""
    frame = pd.DataFrame({"row": kept["row"]})
    mapping = columns.mapping
    for role, column in mapping.items():
        if role == "cluster":
            frame[role] = (
                kept[column].where(kept[column].notna(), "alone " + kept["row"].astype(str)).astype(str)
            )
            continue
        values = read_numbers(kept[column])
        optional = role in ("loss_se", "budget", "unique_tokens", "epochs")
        wrong = ~(np.isfinite(values) & (values > 0))
        if optional:
            wrong &= kept[column].notna() & ~((role == "loss_se") & (values == 0))
        kind = loss_kind(column)
        if role == "loss" and kind == "perplexity":
            wrong |= ~(values > 1)
        if wrong.any():
            row, value = int(frame.loc[wrong, "row"].iloc[0]), kept.loc[wrong, column].iloc[0]
            shown = repr(value) if isinstance(value, str) else str(value)
            where = f"row {row}" + (f" and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else "")
            if role == "loss":
                least = "a perplexity must be finite and above 1" if kind == "perplexity" else ""
                raise BadLoss(
                    f"loss {shown} in {where} (column {column!r}): "
                    f"{least or 'a loss must be finite and above 0'}; "
                    "remove such runs, or mark them in a column `status` as diverged"
                )
            raise BadColumn(
                f"{role} {shown} in {where} (column {column!r}): need a number above 0, in plain units"
            )
        if role == "loss" and kind == "perplexity":
            values = np.log(values)
        elif role == "loss" and kind == "bits/token":
            values = values * LOG2
        elif role == "loss_se":  # as the loss, so that both are in nats
            values = values * {"perplexity": np.exp(-frame["loss"]), "bits/token": LOG2}.get(
                loss_kind(mapping["loss"]), 1.0
            )
        frame[role] = values * columns.units.get(role, 1.0)
    if "epochs" in frame:  # fewer than one pass leaves the tokens seen as the unique ones
        frame["unique_tokens"] = frame["tokens"] / frame.pop("epochs").clip(lower=1)
    if columns.derived is not None:
        other = "params" if columns.derived == "tokens" else "tokens"
        frame[columns.derived] = frame["flops"] / (6 * frame[other])
    for role in ("params", "tokens"):
        if role not in columns.units:
            refuse_small(frame, role, mapping)
    for column in ("seed", "run_id"):
        if column in kept.columns and column not in frame.columns:
            frame[column] = kept[column]
    return frame


def refuse_small(frame: pd.DataFrame, role: str, mapping: Mapping[str, str]) -> None:
    """Raise where a count is so small that it must be in other units: 70 (million) parameters, 300 (billion) tokens."""
    high = float(frame[role].max())
    if role not in mapping or high >= SMALLEST[role]:
        return
    low = float(frame[role].min())
    raise BadColumn(
        f"{role} run from {low:.3g} to {high:.3g} (column {mapping[role]!r}): too few to be plain counts; "
        f"say what 1 stands for, such as units.{role}=1e9 for billions (units.{role}=1 if they are right)"
    )


def describe(frame: pd.DataFrame, columns: Columns, told: dict[str, str]) -> dict[str, str]:
    """Say, for each quantity, which column it is and how it counts as far as is known."""
    unknown = [key for key in told if key not in ("params", "flops", "loss", "tokens")]
    if unknown:
        raise BadColumn(f"convention.{unknown[0]}: no such quantity; say params, tokens, loss or flops")
    mapping, stated = columns.mapping, {}
    for role in REQUIRED:
        if role == columns.derived:
            other = "params" if role == "tokens" else "tokens"
            stated[role] = f"flops / (6 · {other}), as no column holds them"
            continue
        how = told.get(role) or name_says(role, mapping[role]) or "convention not stated"
        if columns.units.get(role, 1) != 1:
            how = f"in units of {columns.units[role]:g}, {how}"
        stated[role] = f"column {mapping[role]!r}, {how}"
    if "flops" not in mapping:
        stated["flops"] = "6 · params · tokens (no FLOP column given)"
    else:
        ratio = frame["flops"] / (6 * frame["params"] * frame["tokens"])
        low, high = float(ratio.min()), float(ratio.max())
        how = (
            "6 · params · tokens to 1 %"
            if low > 0.99 and high < 1.01
            else f"{low:.3g} to {high:.3g} times 6 · params · tokens"
        )
        if columns.derived is not None:
            how = f"taken as 6 · params · tokens, which gives the {columns.derived}"
        extra = told.get("flops")
        stated["flops"] = f"column {mapping['flops']!r}, {how}" + (f"; {extra}" if extra else "")
    if "loss_se" in mapping:
        stated["loss_se"] = f"column {mapping['loss_se']!r}, standard error of each loss"
    if "cluster" in mapping:
        stated["cluster"] = f"column {mapping['cluster']!r}: runs that share it count as one for intervals"
    return stated


def name_says(role: str, column: str) -> str:
    """What a column's own name states of its convention; empty when nothing."""
    name = column.lower()
    if role == "params" and any(word in name for word in ("non_emb", "no_emb", "nonemb", "non-emb")):
        return "without embeddings"
    if role == "params" and "total" in name:
        return "total, embeddings included"
    if role != "loss":
        return ""
    return {
        "perplexity": "nats/token, as the natural logarithm of perplexity",
        "bits/token": "nats/token, from bits/token",
        "bits/byte": "in bits/byte, not nats/token",
        "nats": "nats/token" if "nats" in name else "",
    }[loss_kind(column)]
