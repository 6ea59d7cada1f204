"""Loading runs: nothing guessed in silence, nothing dropped in silence, and one clear line for what cannot be used."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.budgets import group_budgets
from analysis.refusals import BadColumn, BadLoss, BadTable, DuplicateRows, MixedTable
from analysis.table import load


@pytest.fixture
def runs() -> pd.DataFrame:
    params = np.array([1e6, 2e6, 4e6, 8e6])
    return pd.DataFrame({"params": params, "tokens": 1e8 / params * 1e6, "loss": [3.0, 2.9, 2.95, 3.1]})


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_gives_the_same_table(tmp_path: Path, runs: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"runs.{ending}"
    if ending == "parquet":
        runs.to_parquet(path)
    elif ending.startswith("jsonl"):
        runs.to_json(path, orient="records", lines=True)
    else:
        runs.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    pd.testing.assert_frame_equal(load(path).frame, load(runs).frame)


def test_columns_are_mapped_and_the_choice_is_stated(runs: pd.DataFrame) -> None:
    foreign = runs.rename(columns={"params": "N", "tokens": "D", "loss": "final"})
    table = load(foreign, {"loss": "final"})
    assert table.frame["params"].tolist() == runs["params"].tolist()
    assert table.convention["params"] == "column 'N', convention not stated"
    assert table.convention["loss"] == "column 'final', convention not stated"
    assert "6 · params · tokens" in table.convention["flops"]
    np.testing.assert_allclose(table.frame["flops"], 6 * runs["params"] * runs["tokens"])


def test_names_are_compared_without_case_spaces_and_slashes(runs: pd.DataFrame) -> None:
    foreign = runs.rename(columns={"params": "Model Size", "tokens": "Training-Tokens", "loss": "val/loss"})
    assert load(foreign).convention["params"] == "column 'Model Size', convention not stated"


def test_what_the_caller_knows_is_stated(runs: pd.DataFrame) -> None:
    assert (
        "without embeddings" in load(runs, convention={"params": "without embeddings"}).convention["params"]
    )
    with pytest.raises(BadColumn, match="no such quantity"):
        load(runs, convention={"parms": "total"})


def test_a_column_name_can_state_the_convention(runs: pd.DataFrame) -> None:
    table = load(runs.rename(columns={"params": "params_non_embedding"}))
    assert table.convention["params"] == "column 'params_non_embedding', without embeddings"


def test_flops_are_compared_with_6nd(runs: pd.DataFrame) -> None:
    six = 6 * runs["params"] * runs["tokens"]
    assert "6 · params · tokens to 1 %" in load(runs.assign(flops=six)).convention["flops"]
    assert "1.2 to 1.2 times" in load(runs.assign(flops=1.2 * six)).convention["flops"]


def test_two_columns_that_could_be_the_parameters_are_refused(runs: pd.DataFrame) -> None:
    both = runs.rename(columns={"params": "n_params"}).assign(params_non_embedding=runs["params"] * 0.9)
    with pytest.raises(
        BadColumn, match="'n_params' or 'params_non_embedding', which differ: say params=COLUMN"
    ):
        load(both)
    assert load(both, {"params": "n_params"}).frame["params"].tolist() == runs["params"].tolist()
    same = runs.assign(N=runs["params"])
    assert load(same).frame["params"].tolist() == runs["params"].tolist()


def test_a_canonical_name_wins_and_the_other_is_mentioned(runs: pd.DataFrame) -> None:
    table = load(runs.assign(params_no_embed=runs["params"] * 0.9))
    assert any("params_no_embed" in note for note in table.notes)


@pytest.mark.parametrize(
    ("columns", "message"), [({"params": "M"}, "no such column"), ({"parms": "params"}, "no role 'parms'")]
)
def test_bad_mapping(runs: pd.DataFrame, columns: dict[str, str], message: str) -> None:
    with pytest.raises(BadColumn, match=message):
        load(runs, columns)


def test_a_missing_quantity_names_the_remedy(runs: pd.DataFrame) -> None:
    with pytest.raises(BadColumn, match="no column for loss among params, tokens: say loss=COLUMN"):
        load(runs[["params", "tokens"]])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0, "diverged"])
def test_a_loss_that_is_none_is_refused_with_its_row(runs: pd.DataFrame, bad: float | str) -> None:
    broken = runs.assign(loss=[*runs["loss"].head(2), bad, *runs["loss"].tail(-3)])
    with pytest.raises(BadLoss, match="row 3"):
        load(broken)


def test_one_column_cannot_be_two_quantities(runs: pd.DataFrame) -> None:
    with pytest.raises(BadColumn, match="'tokens' cannot be both params and tokens"):
        load(runs, {"params": "tokens"})


def test_text_for_a_number_is_refused(runs: pd.DataFrame) -> None:
    with pytest.raises(BadColumn, match="params 'large' in row 1"):
        load(runs.assign(params=["large", "2e6", "4e6", "8e6"]))


def test_numbers_as_people_write_them(runs: pd.DataFrame) -> None:
    written = runs.assign(
        params=["1M", "2,000,000", "0.004B", "8e6"], tokens=["100 M", "50M", "25m", "12_500_000"]
    )
    table = load(written)
    assert np.allclose(table.frame["params"], runs["params"])
    assert np.allclose(table.frame["tokens"], runs["tokens"])


@pytest.mark.parametrize(
    "name", ["tokens_b", "Tokens (B)", "train_tokens_in_billions", "tokens_billion", "D [B]"]
)
def test_a_unit_in_a_name_is_read_and_stated(runs: pd.DataFrame, name: str) -> None:
    table = load(runs.assign(**{name: runs["tokens"] / 1e9}).drop(columns="tokens"))
    assert np.allclose(table.frame["tokens"], runs["tokens"])
    assert "units of 1e+09" in table.convention["tokens"]


def test_counts_in_other_units_are_refused_until_said(runs: pd.DataFrame) -> None:
    billions = runs.assign(tokens=runs["tokens"] / 1e9)
    with pytest.raises(BadColumn, match=r"tokens run from 0.0125 to 0.1 .*units.tokens=1e9"):
        load(billions)
    assert np.allclose(load(billions, units={"tokens": 1e9}).frame["tokens"], runs["tokens"])
    assert len(load(billions, units={"tokens": 1})) == 4  # as they are, if the user insists
    with pytest.raises(BadColumn, match="no role 'token'"):
        load(billions, units={"token": 1e9})


def test_perplexity_and_bits_become_nats(runs: pd.DataFrame) -> None:
    bare = runs.drop(columns="loss")
    for name, values in {"val_ppl": np.exp(runs["loss"]), "bits_per_token": runs["loss"] / np.log(2)}.items():
        table = load(bare.assign(**{name: values}))
        assert np.allclose(table.frame["loss"], runs["loss"])
        assert "nats/token" in table.convention["loss"]
        both = load(runs.assign(**{name: values}))  # a loss is taken before what it could be worked out from
        assert "column 'loss'" in both.convention["loss"]
    assert "bits/byte, not nats" in load(bare.assign(bpb=1.1)).convention["loss"]
    with pytest.raises(BadLoss, match="perplexity must be finite and above 1"):
        load(bare.assign(ppl=[20.0, 18.0, 0.9, 17.0]))


@pytest.mark.parametrize("gone", ["params", "tokens"])
def test_a_count_that_is_missing_follows_from_flops(runs: pd.DataFrame, gone: str) -> None:
    flops = 6 * runs["params"] * runs["tokens"]
    table = load(runs.drop(columns=gone).assign(flops=flops))
    assert np.allclose(table.frame[gone], runs[gone])
    assert "flops / (6 ·" in table.convention[gone]
    assert f"gives the {gone}" in table.convention["flops"]
    with pytest.raises(BadColumn, match=f"no column for {gone} .*or flops=COLUMN"):
        load(runs.drop(columns=gone))


def test_points_of_one_training_run_are_one_cluster(runs: pd.DataFrame) -> None:
    curves = pd.concat(
        [runs.assign(tokens=runs["tokens"] / k, loss=runs["loss"] + 0.1 * k) for k in (1, 2, 3)]
    )
    named = curves.assign(run_name=[f"size{n:g}" for n in curves["params"]])
    assert load(named).frame["cluster"].nunique() == 4
    repeated = curves.assign(run=curves["loss"].rank() % 3)  # says which repetition, not which training run
    assert "cluster" not in load(repeated).frame
    assert "cluster" not in load(named.assign(run_name=range(12))).frame
    many = pd.concat(
        [runs.assign(tokens=runs["tokens"] / k, loss=runs["loss"] + 0.1 * k) for k in range(1, 10)]
    )
    assert load(many).frame["cluster"].nunique() == 4
    assert any("cluster=COLUMN names the runs" in note for note in load(many).notes)
    assert "cluster" not in load(many, {"cluster": "none"}).frame


def test_mixed_conditions_can_be_asked_for(runs: pd.DataFrame) -> None:
    mixed = runs.assign(optimizer=["adamw", "muon"] * 2, precision=["bf16-mixed"] * 2 + ["bf16-true"] * 2)
    with pytest.raises(MixedTable, match=r"'optimizer' .*mixed=\[optimizer\]"):
        load(mixed)
    with pytest.raises(MixedTable, match="precision"):
        load(mixed, mixed=["optimizer"])
    for asked in (["optimizer", "precision"], ["all"]):
        notes = load(mixed, mixed=asked).notes
        assert sum(note.startswith("mixed as asked") for note in notes) == 2
    with pytest.raises(BadColumn, match="mixed=optimiser: no such column"):
        load(mixed, mixed=["optimiser"])


def test_precisions_that_keep_float32_weights_are_fitted_together_without_a_warning(
    runs: pd.DataFrame,
) -> None:
    table = load(runs.assign(precision=["32-true", "32-true", "bf16-mixed", "bf16-mixed"]))
    assert len(table) == 4
    assert not any("precision" in note for note in table.notes)
    unstated = load(runs.assign(precision=np.array(["32-true", "32-true", "bf16-mixed", None])))
    assert any("'precision' holds 32-true (2 rows), bf16-mixed (1 rows)" in note for note in unstated.notes)
    for changed in ("bf16-true", "fp8", "int4", "something else"):
        with pytest.raises(MixedTable, match=rf"'precision' .*{changed}.*mixed=\[precision\]"):
            load(runs.assign(precision=["32-true", "32-true", "32-true", changed]))


def test_repeats_are_settled_as_asked(runs: pd.DataFrame) -> None:
    again = pd.concat([runs, runs.head(1).assign(loss=2.9)], ignore_index=True)
    with pytest.raises(DuplicateRows, match="repeats=best"):
        load(again)
    best = load(again, repeats="best")
    assert len(best) == 4
    assert best.frame["loss"].iloc[-1] == 2.9
    assert best.excluded["row"].tolist() == [1]
    assert len(load(again, repeats="keep")) == 5
    with pytest.raises(ValueError, match="repeats=median: choose one of"):
        load(again, repeats="median")


def test_unfinished_runs_are_listed_by_status(runs: pd.DataFrame) -> None:
    more = pd.concat([runs, runs.head(2).assign(tokens=5e9, loss=np.nan)], ignore_index=True)
    more["status"] = ["done"] * 4 + ["diverged", "failed"]
    table = load(more)
    assert len(table) == 4
    assert table.excluded_by_reason() == {"status diverged": 1, "status failed": 1}
    assert table.excluded["row"].tolist() == [5, 6]
    with pytest.raises(BadTable, match="no finished run to fit: 4 status failed"):
        load(runs.assign(status="failed"))


@pytest.mark.parametrize(
    "column", ["corpus", "dataset", "optimizer", "schedule", "tokenizer", "params_convention"]
)
def test_mixed_conditions_are_refused_and_can_be_filtered(runs: pd.DataFrame, column: str) -> None:
    mixed = runs.assign(**{column: ["x", "x", "x", "y"]})
    with pytest.raises(MixedTable, match=rf"x \(3 rows\), y \(1 rows\).*where.{column}=x"):
        load(mixed)
    table = load(mixed, where={column: "x"})
    assert len(table) == 3
    assert table.excluded_by_reason() == {f"not {column}=x": 1}


def test_filters_on_numbers_and_wrong_values(runs: pd.DataFrame) -> None:
    kept = runs.assign(kept=[1, 1, 0, 1])
    assert len(load(kept, where={"kept": "1"})) == 3
    with pytest.raises(BadColumn, match="no row has it; values there: 1, 0"):
        load(kept, where={"kept": "2"})


def test_duplicates(runs: pd.DataFrame) -> None:
    again = pd.concat([runs, runs.head(1)], ignore_index=True)
    table = load(again)
    assert len(table) == 4
    assert table.excluded_by_reason() == {"exact copy of an earlier row": 1}
    again.loc[4, "loss"] = 3.3
    with pytest.raises(DuplicateRows, match="rows 1, 5 have the same params"):
        load(again)
    table = load(again.assign(seed=[0, 0, 0, 0, 1]))
    assert len(table) == 5
    assert any("replicates" in note for note in table.notes)


@pytest.mark.parametrize("name", ["missing.csv", "runs.xlsx"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    if name != "missing.csv":
        (tmp_path / name).write_bytes(b"\x00\x01")
    with pytest.raises(BadTable, match=r"CSV|csv"):
        load(tmp_path / name)


def test_binary_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("params,tokens,loss\n")
    (tmp_path / "bad.jsonl").write_text(json.dumps({"params": 1}) + "\n{oops\n")
    for name in ("binary.csv", "empty.csv", "header.csv", "bad.jsonl"):
        with pytest.raises(BadTable):
            load(tmp_path / name)
    with pytest.raises(BadTable, match=r"holds no records\.csv"):
        load(tmp_path)


def test_budgets_are_inferred_where_flops_agree() -> None:
    rng = np.random.default_rng(0)
    near = np.concatenate([budget * (1 + 0.03 * rng.uniform(-1, 1, 6)) for budget in (1e18, 1e19)])
    budgets = group_budgets(np.append(near, 5e18), 0.1)
    assert len(np.unique(budgets[:6])) == 1
    assert len(np.unique(budgets[6:12])) == 1
    assert np.isnan(budgets[12])
    np.testing.assert_allclose(budgets[[0, 6]], [1e18, 1e19], rtol=0.03)


def test_a_chain_of_runs_is_not_one_budget() -> None:
    budgets = group_budgets(np.geomspace(1e18, 1e20, 60), 0.1)
    for budget in np.unique(budgets[np.isfinite(budgets)]):
        members = np.geomspace(1e18, 1e20, 60)[budgets == budget]
        assert members.max() / members.min() <= 1.1 + 1e-6


def test_named_budgets_are_kept_and_a_different_convention_is_noted(runs: pd.DataFrame) -> None:
    flops = 6 * runs["params"] * runs["tokens"]
    assert load(runs.assign(budget_flops=flops)).budgets_named
    table = load(runs.assign(budget_flops=2 * flops, budget_convention="exact"))
    assert table.convention["budget"] == "column 'budget_flops', FLOPs counted as exact"
    assert any("another way of counting" in note for note in table.notes)


@pytest.mark.parametrize("miss", [0.03, 0.08, 0.13])
def test_budgets_that_stand_apart_are_found_however_their_runs_missed_them(miss: float) -> None:
    rng = np.random.default_rng(0)
    flops = np.repeat(1e18 * 4.0 ** np.arange(5), 7) * np.exp(rng.uniform(-miss, miss, 35))
    budgets = group_budgets(rng.permutation(flops), 0.1)
    assert np.isfinite(budgets).all()
    assert len(np.unique(budgets)) == 5


@pytest.mark.parametrize("column", ["train_data", "Dataset Name", "model_family"])
def test_text_columns_whose_name_says_a_condition_are_refused(runs: pd.DataFrame, column: str) -> None:
    mixed = runs.assign(**{column: np.where(np.arange(len(runs)) % 2, "one", "other")})
    with pytest.raises(MixedTable, match=r"holds 2 values"):
        load(mixed)
    assert any("mixed as asked" in note for note in load(mixed, mixed=[column]).notes)
    # The config of each size names the size.
    assert len(load(runs.assign(model_config=runs["params"].map("d{:.0f}".format)))) == len(runs)


def test_other_text_columns_are_noted(runs: pd.DataFrame) -> None:
    notes = load(runs.assign(site=np.where(np.arange(len(runs)) % 2, "here", "there"))).notes
    assert any("column 'site' holds" in note for note in notes)


def test_the_standard_error_is_in_the_units_of_the_loss(runs: pd.DataFrame) -> None:
    nats = load(runs.assign(loss_se=0.01)).frame
    bits = runs.assign(loss_bits=runs["loss"] / np.log(2), loss_se=0.01 / np.log(2)).drop(columns="loss")
    pd.testing.assert_frame_equal(load(bits).frame, nats, check_like=True)
    perplexity = runs.assign(ppl=np.exp(runs["loss"]), loss_se=0.01 * np.exp(runs["loss"])).drop(
        columns="loss"
    )
    pd.testing.assert_frame_equal(load(perplexity).frame, nats, check_like=True)
