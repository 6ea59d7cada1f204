"""This project's own records say how they count; no other table is taken for one."""

import pandas as pd
import pytest
from simulated_isoflop import isoflop_study

from analysis import laws
from analysis.reading.few_columns import Told, read_few_columns
from analysis.reading.own_records import SIGNS, own_record_says
from analysis.table import load
from scaling.records.records import KEYS


@pytest.fixture
def records() -> pd.DataFrame:
    frame = isoflop_study(noise=0.002)
    return pd.DataFrame({
        "params_total": frame["params"],
        "params_non_embedding": 0.8 * frame["params"],
        "tokens": frame["tokens"],
        "tokens_spent": frame["tokens"],
        "unique_tokens": frame["tokens"],
        "loss_nats": frame["loss"],
        "train_flops_6nd": frame["budget"],
        "train_flops_exact": 1.3 * frame["budget"],
        "budget_flops": frame["budget"],
        "budget_convention": "6nd",
        "schema_version": 2,
        "status": "done",
    })  # fmt: skip


def test_the_signs_are_columns_of_the_records() -> None:
    assert set(SIGNS) <= set(KEYS)


@pytest.mark.parametrize("columns", [{}, {"flops": "train_flops_exact"}, {"params": "params_non_embedding"}])
def test_own_records_state_every_convention(records: pd.DataFrame, columns: dict[str, str]) -> None:
    stated = load(records, columns).convention
    assert not [role for role, words in stated.items() if "not stated" in words]
    assert stated["tokens"] == "column 'tokens', all tokens trained on, repeats included"
    assert ("exact" if "flops" in columns else "6nd") in stated["flops"]
    assert ("without embeddings" if "params" in columns else "embeddings included") in stated["params"]
    assert stated["budget"].endswith("FLOPs counted as 6nd")
    _, few = read_few_columns(
        records, laws.get("kaplan_n"), Told(columns={"params": "params_total", **columns})
    )
    assert not [role for role, words in few.items() if "not stated" in words]


def test_what_the_caller_says_goes_first_and_other_tables_are_not_taken_for_records(
    records: pd.DataFrame,
) -> None:
    assert "tokens', of wikitext" in load(records, convention={"tokens": "of wikitext"}).convention["tokens"]
    foreign = records.drop(columns="schema_version")
    assert own_record_says(foreign, "tokens") == ""
    assert load(foreign).convention["tokens"] == "column 'tokens', convention not stated"
