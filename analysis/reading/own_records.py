"""How this project's own records count: what each of their columns holds, in words."""

import pandas as pd

SIGNS = (
    "schema_version",
    "budget_convention",
    "params_total",
    "train_flops_6nd",
    "loss_nats",
    "tokens_spent",
)
"""Columns that together no other table has: rows with all of them are records that `scaling sweep` wrote."""
_COUNTED = {
    "params_total": "total, embeddings included, a tied head counted once",
    "params_non_embedding": "without embeddings",
    "tokens": "all tokens trained on, repeats included",
    "unique_tokens": "different tokens of the corpus",
    "loss_nats": "nats/token on the validation text",
    "train_flops_6nd": "6 · params_total · tokens (6nd)",
    "train_flops_exact": "every matrix product, attention and head included (exact)",
}


def are_own(table: pd.DataFrame) -> bool:
    """Whether the rows are this project's own records."""
    return set(SIGNS) <= set(table.columns)


def own_record_says(table: pd.DataFrame, column: str) -> str:
    """How a column of this project's own records counts; empty for another table or column."""
    return _COUNTED.get(column, "") if are_own(table) else ""
