"""Names of columns: which quantity, in which unit."""

import pandas as pd
import pytest

from analysis.reading.names import columns_named, loss_kind, plain_name, unit_of_name


@pytest.mark.parametrize(
    ("name", "stem", "unit"),
    [
        ("GFLOPs", "flops", 1e9),
        ("compute (ZFLOPs)", "compute", 1e21),
        ("PF-days", "flops", 8.64e19),
        ("pflops_days", "flops", 8.64e19),
        ("Compute (petaflop/s-days)", "compute", 8.64e19),
        ("flops (1e18)", "flops", 1e18),
        ("FLOPs (x10^21)", "flops", 1e21),
        ("flops_g", "flops", 1e9),
        ("train_gflops", "train_flops", 1e9),
        ("training FLOPs", "training_flops", 1),
        ("Tokens (B)", "tokens", 1e9),
        ("N (x1e6)", "n", 1e6),
        ("tokens", "tokens", 1),
        ("tflops_per_gpu", "tflops_per_gpu", 1),
    ],
)
def test_units_in_names(name: str, stem: str, unit: float) -> None:
    found, factor = unit_of_name(name)
    assert found == stem
    assert factor == pytest.approx(unit)


@pytest.mark.parametrize(
    ("role", "known", "name"),
    [
        ("params", ["params", "n_params"], "config/n_params"),
        ("params", ["num_params"], "numParams"),
        ("loss", ["loss"], "eval/lm/c4-validation/CrossEntropyLoss"),
        ("loss", ["loss"], "pile test xent"),
        ("loss", ["val_loss"], "val/loss"),
    ],
)
def test_names_of_other_tools(role: str, known: list[str], name: str) -> None:
    assert columns_named(pd.DataFrame({name: [1.0], "other": [2.0]}), known, role) == [name]


def test_what_is_no_loss_is_not_taken_for_one() -> None:
    table = pd.DataFrame({"aux_loss": [1.0], "z_loss": [1.0], "loss_std": [1.0], "accuracy": [1.0]})
    assert columns_named(table, ["loss"], "loss") == []


def test_columns_of_one_plain_name_are_all_found() -> None:
    assert columns_named(pd.DataFrame({"Val Loss": [1], "val_loss": [2]}), ["val_loss"], "loss") == [
        "Val Loss",
        "val_loss",
    ]


def test_plain_names_and_kinds_of_losses() -> None:
    assert plain_name(" Model-Size (M) ") == "model_size_m"
    kinds = {
        "loss": "nats",
        "c4_bpb": "bits/byte",
        "loss (bits/char)": "bits/character",
        "val_ppl": "perplexity",
    }
    assert {name: loss_kind(name) for name in kinds} == kinds
    assert loss_kind("loss_nats_per_byte") == "nats/byte"
