"""Any decoder's config.json becomes a shape whose parameters are those that transformers builds."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from scaling.accounting.inference import kv_cache_bytes
from scaling.budget.keys import BudgetKeys, ModelKeys
from scaling.budget.setup import build_shape, model_notes
from scaling.shape.hf_config import config_shape, load_config
from scaling.shape.params import count_params

CONFIGS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "published" / "configs.json").read_text()
)
"""Fields of released configurations, by the model's name on the Hugging Face hub."""


def params_of_transformers(config: dict[str, Any]) -> int:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_parameters_equal_those_of_transformers(name: str) -> None:
    model = config_shape(CONFIGS[name], name)
    assert count_params(model.shape).total == params_of_transformers(CONFIGS[name])
    assert not [note for note in model.notes if "not understood" in note or "not known" in note]


def test_more_than_forty_architectures() -> None:
    assert len({config["model_type"] for config in CONFIGS.values()}) > 70


LLAMA = {**CONFIGS["meta-llama/Llama-3.2-1B"], "max_position_embeddings": 8192}


def test_a_field_that_could_matter_is_named_and_one_that_is_off_is_not() -> None:
    (note,) = config_shape({**LLAMA, "memory_slots": 64, "second_ffn": None, "extra_gate": False}).notes
    assert "memory_slots=64" in note
    assert "second_ffn" not in note
    assert "extra_gate" not in note


def test_an_unknown_architecture_is_read_by_its_fields_and_said_to_be() -> None:
    model = config_shape({**LLAMA, "model_type": "brand_new"})
    assert model.shape == config_shape(LLAMA).shape
    assert "model_type=brand_new is not known" in model.notes[0]


def test_the_language_model_of_one_that_sees() -> None:
    text = CONFIGS["google/gemma-3-27b-it"]
    model = config_shape(
        {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 1152}}
    )
    assert model.shape == config_shape(text).shape
    assert "the language model alone" in model.notes[0]


@pytest.mark.parametrize(
    ("name", "tokens", "by_hand"),
    [
        # keys and values of 8 heads of 128 in bfloat16; each fourth block of 8 sees all, the others a window of 4,096
        ("CohereLabs/c4ai-command-r7b-12-2024", 131_072, 2 * 8 * 128 * 2 * (8 * 131_072 + 24 * 4096)),
        ("meta-llama/Llama-4-Scout-17B-16E", 131_072, 2 * 8 * 128 * 2 * (12 * 131_072 + 36 * 8192)),
        ("mistralai/Mistral-7B-v0.1", 131_072, 32 * 2 * 8 * 128 * 2 * 4096),
        # 7 of 27 blocks keep latents of 512 and a rotary key of 64; the others a state of 32 heads of 128 x 128
        # and three inputs of the convolutions of queries, keys and values
        (
            "moonshotai/Kimi-Linear-48B-A3B-Base",
            131_072,
            7 * 576 * 2 * 131_072 + 20 * (32 * 128 * 128 * 4 + 3 * 3 * 4096 * 2),
        ),
        # 12 of 48 blocks attend with 2 heads of 256; the others keep 32 states of 128 x 128, and 3 inputs of 8,192
        (
            "Qwen/Qwen3-Next-80B-A3B-Instruct",
            4096,
            12 * 2 * 2 * 256 * 2 * 4096 + 36 * (32 * 128 * 128 * 4 + 3 * 8192 * 2),
        ),
        ("mistralai/Mamba-Codestral-7B-v0.1", 4096, 64 * (128 * 64 * 128 * 4 + 3 * (8192 + 2 * 8 * 128) * 2)),
    ],
)
def test_caches_by_kind_of_mixer(name: str, tokens: int, by_hand: int) -> None:
    assert kv_cache_bytes(config_shape(CONFIGS[name]).shape, tokens) == by_hand


def test_heads_of_a_layers_own() -> None:
    own = {**LLAMA, "per_layer_config": {"03": {"num_key_value_heads": 2}, "07": {"head_dim": 128}}}
    shape = config_shape(own).shape
    less = 2 * 2048 * 64 * (8 - 2)  # of keys and values
    more = 2 * 2048 * 64 * (32 + 8)  # of all four projections
    assert count_params(shape).total == count_params(config_shape(LLAMA).shape).total - less + more


def test_layers_by_a_period_are_those_of_a_list() -> None:
    gemma = {**CONFIGS["google/gemma-3-27b-it"]}
    period = gemma.pop("sliding_window_pattern")
    listed = ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(62)]
    assert config_shape({**gemma, "layer_types": listed}).shape.runs == config_shape(gemma).shape.runs


def test_a_config_is_found_by_path_folder_and_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--me--mine" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(LLAMA))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shape = config_shape(LLAMA).shape
    for name in ("hf:me/mine", str(snapshot), str(snapshot / "config.json")):
        assert load_config(name).shape == shape
        assert build_shape(ModelKeys(name=name)) == shape
    with pytest.raises(ValueError, match=r"did you mean me/mine.*nothing is downloaded"):
        load_config("hf:me/mines")
    with pytest.raises(ValueError, match=r"there is no .*other.json"):
        load_config(str(tmp_path / "other.json"))


def test_a_model_from_a_config_can_be_changed_as_a_named_one_can(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    assert build_shape(ModelKeys(name=str(path), depth=20)).depth == 20
    path.write_text(json.dumps(CONFIGS["Qwen/Qwen3-Next-80B-A3B-Instruct"]))
    assert build_shape(ModelKeys(name=str(path), context=8192)).context == 8192
    with pytest.raises(ValueError, match=r"model\.depth cannot be changed in a hybrid"):
        build_shape(ModelKeys(name=str(path), depth=20))
    assert model_notes(BudgetKeys().model) == ()


def test_the_context_is_that_before_it_was_stretched_and_a_long_one_is_said() -> None:
    stretched = {"rope_type": "llama3", "original_max_position_embeddings": 8192, "factor": 32.0}
    longest = {**LLAMA, "max_position_embeddings": 131_072}
    assert config_shape({**longest, "rope_scaling": stretched}).shape.context == 8192
    (note,) = config_shape(longest).notes
    assert "sequences of 131,072 tokens" in note


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "llama"}, "hidden_size or n_embd or d_model is missing"),
        ({**LLAMA, "hidden_size": "wide"}, "'wide', not a whole number"),
        ({**LLAMA, "is_encoder_decoder": True}, "an encoder-decoder"),
        ({**LLAMA, "layer_types": ["hyena"] * 16}, "'hyena' is not known here"),
    ],
)
def test_what_is_no_decoder_is_refused_in_one_line(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        config_shape(config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
