"""The speed of the user's own runs comes back in the estimate of a job like them."""

import csv
import json
from pathlib import Path

import pytest

from scaling.accounting.hardware import get_device
from scaling.budget.estimate import training_budget
from scaling.budget.keys import BudgetKeys, parse_keys
from scaling.budget.measured_speed import measured_speed
from scaling.errors import UserError

REFERENCE = Path(__file__).resolve().parents[3] / "runs" / "reference" / "quickstart"
CPU = get_device("cpu")


def runs() -> list[dict[str, str]]:
    with (REFERENCE / "records.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_speed_of_ones_own_runs_comes_back() -> None:
    largest = max(runs(), key=lambda row: int(row["params_total"]))
    keys = ("width", "depth", "heads", "kv_heads", "ffn_width", "context", "vocab_size")
    words = [f"model.{key}={largest[key]}" for key in keys]
    sequences = int(largest["batch_tokens"]) // int(largest["context"])
    words += ["hardware=cpu", f"batch_tokens={largest['batch_tokens']}", "tokens=1e7", "recompute=none"]
    words += [f"optimizer={largest['optimizer']}", f"layout.micro_batch={sequences}"]
    budget = training_budget(parse_keys([*words, f"measured_run={REFERENCE}"], BudgetKeys))
    assert budget.params.total == int(largest["params_total"])
    assert budget.step.tokens_per_second == pytest.approx(float(largest["tokens_per_second"]), rel=0.01)
    assert budget.prices.realised == 1


def test_the_run_nearest_in_size_is_taken_from_records_and_tables_alike(tmp_path: Path) -> None:
    for row in runs():
        (tmp_path / row["run_id"]).mkdir()
        (tmp_path / row["run_id"] / "record.json").write_text(json.dumps(row))
    for row in (runs()[0], runs()[-1]):
        params = float(row["params_total"])
        from_table = measured_speed(str(REFERENCE), params, CPU, "fused")
        assert measured_speed(str(tmp_path), params, CPU, "fused").factor == from_table.factor
        nearest = next(run for run in runs() if run["run_id"] == from_table.run_id)
        assert float(nearest["params_total"]) == params


def test_a_folder_without_a_measured_speed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        measured_speed(str(tmp_path / "nowhere"), 1e6, CPU, "fused")
    with pytest.raises(UserError, match="no finished run"):
        measured_speed(str(tmp_path), 1e6, CPU, "fused")
    words = ["model=gpt2", "measured_run=x", "measured_tokens_per_second=10"]
    with pytest.raises(UserError, match="give one"):
        training_budget(parse_keys(words, BudgetKeys))
