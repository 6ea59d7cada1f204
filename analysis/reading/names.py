"""What a column's name says: which quantity it holds, in which unit, and how that is counted."""

import re
from collections.abc import Sequence

import pandas as pd

from analysis.reading.numbers import FLOP_PREFIXES, SECONDS_PER_DAY, UNITS
from analysis.refusals import BadColumn

# Role → column names that are understood without being told, compared by `plain_name`. The first is the canonical name.
_NAMES = {
    "params": "params params_total n parameters n_params num_params nparams param_count n_parameters num_parameters "
    "total_params total_parameters parameter_count params_count total_parameter_count n_params_total nb_params "
    "params_non_embedding params_no_embed non_embedding_params non_embedding_parameters n_params_non_embedding "
    "num_non_embedding_params num_non_embedding_parameters non_embedding_parameter_count non_embedding_param_size "
    "params_nonemb n_nonemb non_emb_params nonembedding_params params_without_embeddings "
    "params_active active_params n_active_params active_parameters params_active_precise activated_params n_active "
    "params_precise model_size model_params model_parameters n_model_params model_param_count num_model_params "
    "number_of_parameters number_of_params",
    "tokens": "tokens d n_tokens num_tokens training_tokens train_tokens tokens_seen total_tokens "
    "dataset_tokens data_tokens num_train_tokens n_train_tokens tokens_trained n_tokens_seen num_tokens_seen "
    "n_training_tokens num_training_tokens d_tokens dataset_size data_size token_num token_count tokens_count "
    "consumed_tokens tokens_consumed consumed_train_tokens seen_tokens processed_tokens tokens_processed "
    "total_train_tokens total_training_tokens total_tokens_seen train_total_tokens train_tokens_seen "
    "num_input_tokens_seen train_num_input_tokens_seen number_of_tokens number_of_training_tokens tokens_total "
    "trained_tokens n_toks num_toks",
    "loss": "loss loss_nats l val_loss validation_loss eval_loss valid_loss test_loss final_loss final_val_loss "
    "loss_validation best_val_loss loss_final val_loss_final lm_loss val_lm_loss eval_lm_loss "
    "train_loss training_loss final_train_loss ce_loss eval_ce_loss test_ce_loss val_ce_loss loss_val loss_eval "
    "loss_test nll cross_entropy xent val_nll eval_nll test_nll cross_entropy_loss val_cross_entropy "
    "eval_cross_entropy eval_cross_entropy_loss test_xent val_xent eval_xent "
    "perplexity ppl val_ppl val_perplexity validation_perplexity eval_ppl eval_perplexity test_ppl test_perplexity "
    "bits_per_token bpt bits_per_byte bpb val_bpb eval_bpb loss_bpb test_bpb validation_bpb bpc bits_per_character "
    "bits_per_char",
    "flops": "flops train_flops_6nd c compute train_flops training_flops total_flops n_flops training_compute "
    "train_flops_exact training_flop flop total_flop train_compute total_compute total_training_flops "
    "total_train_flops training_flops_total train_flop total_flos flos train_total_flos num_flops",
    "loss_se": "loss_se loss_se_nats loss_stderr loss_sem loss_standard_error",
    "cluster": "cluster trunk_id run run_name run_id job job_id trajectory experiment experiment_id wandb_id",
    "budget": "budget budget_flops isoflop_budget compute_budget flop_budget flops_budget",
    "unique_tokens": "unique_tokens u unique tokens_per_epoch unique_tokens_per_epoch epoch_tokens n_unique_tokens "
    "num_unique_tokens tokens_unique unique_data unique_data_tokens unique_train_tokens",
}
ALIASES: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in _NAMES.items()}
COUNTS = ("params", "tokens", "unique_tokens", "flops", "budget")
"""Roles whose columns may be in units that their names say."""
EPOCHS = (
    "epochs",
    "epoch",
    "n_epochs",
    "num_epochs",
    "passes",
    "n_passes",
    "repetitions",
    "num_train_epochs",
)
"""Names of a column that counts the passes over the unique tokens."""
STEMS = frozenset(name for role in COUNTS for name in ALIASES[role])
_NAMESPACES = (
    "config", "configs", "summary", "metrics", "metric", "params", "stats", "hparams", "hyperparameters", "model",
    "model_config", "throughput", "optim", "data", "train", "trainer", "results", "args", "run",
)  # fmt: skip
"""First parts of a name, before / or ., that say where a tool keeps it and not what it is."""

_POWER = re.compile(r"^(.+?)_(?:in_)?(?:x_?)?(?:10\^|1e_?|10e_?)([0-9]+)(?:_?(?:flops?|tokens?|params?))?$")
_UNIT_ENDING = re.compile(rf"^(.+?)_(?:in_)?({'|'.join(UNITS)})(?:_tokens|_params|_parameters)?$")
_FLOP_UNIT = re.compile(
    rf"^(?:(.+?)_)?(?:in_)?({'|'.join(sorted(FLOP_PREFIXES, key=len, reverse=True))})_?"
    r"(?:flops?(?:_?s(?=_day))?(_?days?)?|fs?(?:_s)?(_?days?))$"
)
_FLOP_LETTER = re.compile(rf"^(.+?)_(?:in_)?({'|'.join(name for name in FLOP_PREFIXES if len(name) == 1)})$")
_LOSS_UNIT = re.compile(r"^(.+?)_(?:in_)?(nats|bits)(?:_(?:per_)?(token|byte|character|char))?$")
_LOSS_WORDS = (
    r"loss|losses|crossentropyloss|cross_entropy|cross_entropy_loss|ce_loss|xent|nll|ppl|perplexity|bpb"
)
_SOME_LOSS = re.compile(rf"^(?:.+_)?(?:{_LOSS_WORDS})$|^loss_.+$")
"""A loss on some text, by its name: `eval/c4/loss`, `pile test xent`, `eval/lm/c4-validation/CrossEntropyLoss`."""
_NOT_A_LOSS = frozenset(
    {
        "aux",
        "z",
        "router",
        "balance",
        "balancing",
        "scale",
        "se",
        "std",
        "stderr",
        "sem",
        "min",
        "max",
        "convention",
        "lo",
        "hi",
        "low",
        "high",
    }
)


def plain_name(column: object) -> str:
    """A column's name for comparison: `Model Size`, `model-size`, `modelSize` as model_size; `val/loss` as val_loss."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(column).strip())
    name = name.lower().replace("e+", "e").replace("**", "^").replace("×", "x")
    return re.sub(r"[^\w^%]+", "_", name).strip("_")


def short_name(column: object) -> str:
    """A column's plain name without where a tool keeps it: `config/n_params` and `model.n_params` are n_params."""
    parts = re.split(r"[/.]", str(column).strip())
    while len(parts) > 1 and plain_name(parts[0]) in _NAMESPACES:
        parts = parts[1:]
    return plain_name("/".join(parts))


def unit_of_name(column: object) -> tuple[str, float]:
    """A column's plain name without its unit, and that unit: `Tokens (B)` and `tokens_billion` are tokens, 1e9.

    FLOPs as well: `GFLOPs` is flops, 1e9; `compute (ZFLOPs)` compute, 1e21; `PF-days` flops, 8.64e19.
    """
    return _unit_of(plain_name(column))


def _unit_of(name: str) -> tuple[str, float]:
    if name in STEMS:
        return name, 1.0
    if found := _POWER.match(name):
        return found[1], 10.0 ** int(found[2])
    if found := _FLOP_UNIT.match(name):
        unit = FLOP_PREFIXES[found[2]] * (SECONDS_PER_DAY if found[3] or found[4] else 1)
        before = found[1] or ""
        stem = next(
            (stem for stem in (before, f"{before}_flops") if stem in ALIASES["flops"]), f"{before}_flops"
        )
        return stem.strip("_"), unit
    if (found := _FLOP_LETTER.match(name)) and found[1] in ALIASES["flops"] + ALIASES["budget"]:
        return found[1], FLOP_PREFIXES[found[2]]
    found = _UNIT_ENDING.match(name)
    return (name, 1.0) if found is None else (found[1], UNITS[found[2]])


def loss_name(column: object) -> str:
    """A column's plain name without the unit of a loss: `val_loss (bits/token)` is val_loss."""
    name = plain_name(column)
    found = _LOSS_UNIT.match(name)
    return name if found is None else found[1]


def loss_kind(column: object) -> str:
    """What a column of losses holds by its name: nats, perplexity, bits/token, bits/byte, bits/character, nats/byte."""
    name = plain_name(column)
    found = _LOSS_UNIT.match(name)
    if found is not None and (found[2] == "bits" or found[3] not in (None, "token")):
        return (
            f"{found[2]}/{(found[3] or 'token').replace('char', 'character').replace('acteracter', 'acter')}"
        )
    if "ppl" in name or "perplexity" in name:
        return "perplexity"
    for ending, kind in (
        (("bits_per_token", "bpt"), "bits/token"),
        (("bits_per_byte", "bpb"), "bits/byte"),
        (("bits_per_character", "bits_per_char", "bpc"), "bits/character"),
    ):
        if name in ending or name.endswith(tuple(f"_{word}" for word in ending)):
            return kind
    return "nats"


def name_says(role: str, column: str) -> str:
    """What a column's own name states of its convention; empty when nothing."""
    name = column.lower()
    if role == "params" and any(
        word in name for word in ("non_emb", "no_emb", "nonemb", "non-emb", "without_emb")
    ):
        return "without embeddings"
    if role == "params" and "activ" in name:
        return "active for each token"
    if role == "params" and "total" in name:
        return "total, embeddings included"
    if role != "loss":
        return ""
    kind = loss_kind(column)
    return {
        "perplexity": "nats/token, as the natural logarithm of perplexity",
        "bits/token": "nats/token, from bits/token",
        "nats": "nats/token" if "nats" in name else "",
    }.get(kind, f"in {kind}, not nats/token")


def columns_named(table: pd.DataFrame, known: Sequence[str], role: str = "") -> list[str]:
    """The columns whose names are among the known ones, in the order of those.

    Where the role is a count or the loss, a name may end in a unit: `tokens (B)`, `val_loss (bits/token)`. Names in
    full come before those that a tool's prefix or a unit is taken from.
    """
    names: dict[str, list[str]] = {}
    for column in map(str, table.columns):
        for name in dict.fromkeys(readings(column, role)):
            names.setdefault(name, []).append(column)
    found = [column for name in known for column in names.get(name, ())]
    if role == "loss" and not found:
        found = [str(column) for column in table.columns if is_some_loss(column)]
    return list(dict.fromkeys(found))


def readings(column: str, role: str) -> list[str]:
    """The plain names that a column's name may stand for in a role."""
    plain = plain_name(column)
    if role == "loss":  # without the first parts stripped, as train/loss is no val/loss
        return [plain, loss_name(column), plain_name(re.sub(r"^(?:summary|metrics)[/.]", "", column))]
    short = short_name(column)
    return [plain, short, _unit_of(plain)[0], _unit_of(short)[0]] if role in COUNTS else [plain, short]


def is_some_loss(column: object) -> bool:
    """Whether a name says that the column is a loss on some text."""
    name = loss_name(column)
    return _SOME_LOSS.match(name) is not None and not _NOT_A_LOSS & set(name.split("_"))


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
    shown = " or ".join(map(repr, columns[:4])) + (f" or {len(columns) - 4} more" if len(columns) > 4 else "")
    return BadColumn(f"{role} could be {shown}, which differ: say {role}=COLUMN")
