"""Which column of a foreign table is which quantity, and what is known of how it counts."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.refusals import BadColumn, BadLoss

# Role → column names that are understood without being told, compared by `plain_name`. The first is the canonical name.
_NAMES = {
    "params": "params params_total n parameters n_params num_params nparams param_count n_parameters num_parameters "
    "total_params params_non_embedding params_no_embed non_embedding_params model_size model_params "
    "n_model_params",
    "tokens": "tokens d n_tokens num_tokens training_tokens train_tokens tokens_seen total_tokens "
    "num_train_tokens n_train_tokens tokens_trained dataset_size",
    "loss": "loss loss_nats l val_loss validation_loss eval_loss valid_loss test_loss final_loss train_loss "
    "ce_loss eval_ce_loss test_ce_loss loss_val",
    "flops": "flops train_flops_6nd c compute train_flops training_flops total_flops n_flops training_compute "
    "train_flops_exact training_flop flop total_flop",
    "loss_se": "loss_se loss_se_nats loss_stderr loss_sem loss_standard_error",
    "cluster": "cluster trunk_id",
    "budget": "budget budget_flops isoflop_budget compute_budget",
    "unique_tokens": "unique_tokens u unique",
}
ALIASES: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in _NAMES.items()}
REQUIRED = ("params", "tokens", "loss")


def plain_name(column: object) -> str:
    """A column's name for comparison: `Model Size`, `model-size` and `val/loss` as model_size and val_loss."""
    return re.sub(r"[\s/.-]+", "_", str(column).strip().lower())


def choose_columns(raw: pd.DataFrame, named: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Role → column, from what the caller named and else from well-known names; and notes on near misses.

    A column that bears the canonical name is taken; two others that fit and differ are a refusal, since parameter
    conventions must not be guessed.
    """
    unknown = [role for role in named if role not in ALIASES]
    if unknown:
        raise BadColumn(f"no role {unknown[0]!r}: name one of {', '.join(ALIASES)}")
    by_lower = {plain_name(column): str(column) for column in raw.columns}
    listing = ", ".join(map(str, raw.columns))
    mapping: dict[str, str] = {}
    notes: list[str] = []
    for role, aliases in ALIASES.items():
        if role in named:
            if named[role] not in raw.columns:
                raise BadColumn(f"{role}={named[role]}: no such column; the table has {listing}")
            mapping[role] = named[role]
            continue
        found = [by_lower[alias] for alias in aliases if alias in by_lower]
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
    for role in REQUIRED:
        if role not in mapping:
            raise BadColumn(f"no column for {role} among {listing}: say {role}=COLUMN")
    return mapping, notes


def canonical(kept: pd.DataFrame, mapping: Mapping[str, str]) -> pd.DataFrame:
    """The rows with canonical columns, numbers checked."""
    frame = pd.DataFrame({"row": kept["row"]})
    for role, column in mapping.items():
        if role == "cluster":
            frame[role] = kept[column].astype(str)
            continue
        values = pd.to_numeric(kept[column], errors="coerce").astype(float)
        optional = role in ("loss_se", "budget", "unique_tokens")
        wrong = ~(np.isfinite(values) & (values > 0))
        if optional:
            wrong &= kept[column].notna() & ~((role == "loss_se") & (values == 0))
        if wrong.any():
            row, value = int(frame.loc[wrong, "row"].iloc[0]), kept.loc[wrong, column].iloc[0]
            shown = repr(value) if isinstance(value, str) else str(value)
            where = f"row {row}" + (f" and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else "")
            if role == "loss":
                raise BadLoss(
                    f"loss {shown} in {where} (column {column!r}): a loss must be finite and above 0; "
                    "remove such runs, or mark them in a column `status` as diverged"
                )
            raise BadColumn(
                f"{role} {shown} in {where} (column {column!r}): need a number above 0, in plain units"
            )
        frame[role] = values
    for column in ("seed", "run_id"):
        if column in kept.columns and column not in frame.columns:
            frame[column] = kept[column]
    return frame


def describe(frame: pd.DataFrame, mapping: Mapping[str, str], told: dict[str, str]) -> dict[str, str]:
    """Say, for each quantity, which column it is and how it counts as far as is known."""
    unknown = [key for key in told if key not in ("params", "flops", "loss", "tokens")]
    if unknown:
        raise BadColumn(f"convention.{unknown[0]}: no such quantity; say params, tokens, loss or flops")
    stated = {}
    for role in REQUIRED:
        how = told.get(role) or name_says(role, mapping[role]) or "convention not stated"
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
    if role == "loss" and "nats" in name:
        return "nats/token"
    return ""
