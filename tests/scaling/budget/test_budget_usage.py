"""Serving, fine-tuning, encoder-decoders and one's own speed, as a user of `scaling budget` meets them."""

import csv
import json
from pathlib import Path

import pytest

from scaling.accounting.hardware import get_device
from scaling.accounting.serving import serving_time
from scaling.cli.budget import main
from scaling.shape.published import published_shape

REFERENCE = Path(__file__).parents[3] / "runs" / "reference" / "quickstart"


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_serving_in_fewer_bits_takes_less_and_answers_faster(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("serve", "model=llama-2-70b", "tokens=4096", "hardware=h200")
    wide = answer(capsys, *words)
    narrow = answer(capsys, *words, "weights=int4", "cache=int8")
    # 70B in 16 bits is 138 GB; its cache is 320 KiB a token (80 blocks, 8 heads of 128, keys and values, 2 bytes).
    assert wide["weight_bytes"] == 2 * wide["params_total"]
    assert wide["kv_cache_bytes_per_token"] == 2 * 80 * 8 * 128 * 2
    assert wide["kv_cache_bytes"] == 4096 * wide["kv_cache_bytes_per_token"]
    assert narrow["kv_cache_bytes"] == wide["kv_cache_bytes"] / 2
    assert narrow["weight_bytes"] < 0.3 * wide["weight_bytes"]
    assert narrow["tokens_per_second"] > 3 * wide["tokens_per_second"]
    assert narrow["most_sequences"] > wide["most_sequences"]
    # Batching shares the weights: 8 sequences write far more tokens in little more time.
    assert answer(capsys, *words, "sequences=8")["tokens_per_second"] > 6 * wide["tokens_per_second"]


def test_writing_is_bound_by_memory_and_reading_by_flops() -> None:
    shape, device = published_shape("llama-2-7b"), get_device("a100-80gb")
    time = serving_time(shape, device, sequences=1, tokens=2048, weights="bf16", cache="bf16")
    least = 2 * 6.6e9 / device.memory_bytes_per_second
    assert least < time.decode_seconds < 1.5 * least
    flops = 2 * 6.6e9 * 2048
    assert flops / device.peak("bf16") < time.prefill_seconds < 2 * flops / device.peak("bf16")
    # A token of a mixture touches two experts in eight; many sequences touch nearly all.
    mixtral = published_shape("mixtral-8x7b")
    one, many = (
        serving_time(mixtral, device, sequences=n, tokens=64, weights="int8", cache="bf16") for n in (1, 64)
    )
    assert many.decode_seconds > 3 * one.decode_seconds


def test_fine_tuning_as_published(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("finetune", "model=llama-65b", "tokens=512", "hardware=a100-80gb")
    # QLoRA, arXiv:2305.14314: from more than 780 GB to less than 48 GB.
    full = answer(capsys, *words, "method=full", "precision=16-master")
    qlora = answer(capsys, *words, "method=qlora", "rank=64")
    lora = answer(capsys, *words, "method=lora", "rank=64")
    assert full["peak_memory_bytes"] > 780e9
    assert qlora["peak_memory_bytes"] < 48e9
    assert qlora["fits"] is True
    assert 130e9 < lora["peak_memory_bytes"] < full["peak_memory_bytes"]
    assert full["params_trained"] == full["params_total"]
    assert lora["params_trained"] == qlora["params_trained"] < 0.02 * full["params_total"]
    assert sum(qlora["memory_bytes_by_component"].values()) == pytest.approx(qlora["peak_memory_bytes"])


def test_an_encoder_decoder_has_parameters_and_flops_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = answer(capsys, "model=t5-11b", "tokens=1T")
    assert result["params_total"] == 11_307_321_344
    assert result["train_flops"] == 3 * 11_307_321_344 * 1e12
    assert result["peak_memory_bytes"] is None
    assert "Not modelled" in result["note"]
    assert main(["model=t5-base", "tokens=1T"]) == 0
    assert "222,903,552" in capsys.readouterr().out


def test_the_speed_of_ones_own_runs_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    with (REFERENCE / "records.csv").open() as file:
        largest = max(csv.DictReader(file), key=lambda row: int(row["params_total"]))
    shape = [f"model.{key}={largest[key]}" for key in ("width", "depth", "heads", "kv_heads", "ffn_width", "context",
                                                       "vocab_size")]  # fmt: skip
    words = (*shape, "hardware=cpu", f"batch_tokens={largest['batch_tokens']}", "tokens=1e7", "recompute=none",
             f"optimizer={largest['optimizer']}",
             f"layout.micro_batch={int(largest['batch_tokens']) // int(largest['context'])}")  # fmt: skip
    result = answer(capsys, *words, f"measured_run={REFERENCE}")
    assert result["params_total"] == int(largest["params_total"])
    assert result["tokens_per_second"] == pytest.approx(float(largest["tokens_per_second"]), rel=0.01)
    assert result["realised"] == 1


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ["serve", "model=deepseek-v3", "weights=fp8", "devices=8"],
        ["finetune", "model=llama-3-8b"],
        ["model=t5-3b"],
    ],
    ids=" ".join,
)
def test_tables_stay_within_the_terminal(
    words: list[str], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(words) == 0
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= width


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "model=gpt2", "weights=int3"], "weights='int3' is unknown"),
        (["serve", "model=gpt2", "sequences=0"], "sequences=0"),
        (["serve", "model=gpt2", "devices=0"], "devices=0 must be at least 1"),
        (["serve", "model=gpt2", "devices=5"], "does not divide the 12 heads"),
        (["serve", "model=t5-base"], "decoder-only"),
        (["finetune", "model=gpt2", "method=loar"], "choose one of full, lora, qlora"),
        (["finetune", "model=gpt2", "rank=0"], "rank=0"),
        (["finetune", "model=gpt2", "method=full", "weights=int4"], "use method=qlora"),
        (["finetune", "model=gpt2", "recompute=some"], "recompute=some is unknown"),
        (["finetune", "model=gpt2", "tokens=-4"], "tokens=-4"),
        (["model=gpt2", "measured_run=nowhere"], "no such folder"),
        (["model=gpt2", "measured_run=x", "measured_tokens_per_second=10"], "give one"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_ill_input_is_one_line_with_a_remedy(words: list[str], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        main(words)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("question", ["serve", "finetune"])
def test_help_names_every_key(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([question, "--help"]) == 0
    text = capsys.readouterr().out
    for key in ("model.context", "hardware", "weights", "tokens", "devices"):
        assert key in text
