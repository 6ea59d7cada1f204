"""What a column's name says: which quantity it holds, in which unit, and how that is counted."""

import re
from collections.abc import Sequence

import pandas as pd

from analysis.reading.numbers import UNITS
from analysis.refusals import BadColumn

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
COUNTS = ("params", "tokens", "unique_tokens")
_UNIT_ENDING = re.compile(rf"^(.+?)_(?:in_)?({'|'.join(UNITS)})(?:_tokens|_params)?$")
_LOSS_UNIT = re.compile(r"^(.+?)_(?:in_)?(nats|bits)(?:_(?:per_)?(token|byte))?$")


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


def columns_named(table: pd.DataFrame, known: Sequence[str], role: str = "") -> list[str]:
    """The columns whose names are among the known ones, in the order of those.

    Where the role is a count or the loss, a name may end in a unit: `tokens (B)`, `val_loss (bits/token)`.
    """
    names = {plain_name(column): str(column) for column in table.columns}
    if role in COUNTS:
        names = {unit_of_name(column)[0]: str(column) for column in table.columns} | names
    elif role == "loss":
        names = {loss_name(column): str(column) for column in table.columns} | names
    return [names[name] for name in known if name in names]


def different(table: pd.DataFrame, found: Sequence[str]) -> list[str]:
    """Those of several columns for one role that do not hold the same as the first."""
    return [column for column in found[1:] if not table[column].equals(table[found[0]])]


def listing(table: pd.DataFrame) -> str:
    """The table's columns, for a message."""
    return ", ".join(str(name) for name in table.columns if name != "row")


def refuse_missing(table: pd.DataFrame, role: str, column: str) -> None:
    """Raise where a column that the caller named is not there."""
    if column not in table.columns:
        raise BadColumn(f"{role}={column}: no such column; the table has {listing(table)}")


def ambiguous(role: str, columns: Sequence[str]) -> BadColumn:
    """The refusal of a role for which several columns with different contents could be meant."""
    return BadColumn(f"{role} could be {' or '.join(map(repr, columns))}, which differ: say {role}=COLUMN")
