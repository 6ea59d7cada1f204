"""Ill shapes are refused in one line that names a remedy."""

from dataclasses import replace

import pytest

from scaling.shape.published import ALIASES, published_shape
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import decoder_shape

SHAPE = decoder_shape(width=64, depth=2, heads=4, vocab_size=100, context=16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, "width=0 must be a positive whole number"),
        ({"depth": -1}, "depth=-1"),
        ({"heads": 2.5}, "heads=2.5"),
        ({"vocab_size": True}, "vocab_size=True"),
        ({"kv_heads": 3}, "choose one of 1, 2, 4"),
        ({"head_width": 15}, "use 16"),
        ({"ffn": "relu"}, "swiglu, gelu"),
        ({"norm": "batch"}, "rmsnorm"),
        ({"norms_per_block": 3}, "use 1, 2 or 4"),
        ({"experts": 4}, "experts_active=0"),
        ({"experts_active": 2}, "set experts"),
        ({"experts": 4, "experts_active": 2, "dense_depth": 3}, "at most 2"),
    ],
)
def test_ill_shapes_are_refused_with_a_remedy(change: dict, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        replace(SHAPE, **change)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heads_that_do_not_divide_the_width_name_heads_and_widths_that_do() -> None:
    with pytest.raises(
        ValueError, match=r"heads=5 does not divide width=64: choose heads from 1, 2, 4, .*width=65"
    ):
        decoder_shape(width=64, depth=1, heads=5, vocab_size=10, context=8)


def test_defaults_follow_the_usual_rules() -> None:
    assert SHAPE.head_width == 16
    assert SHAPE.kv_heads == 4
    assert SHAPE.ffn_width == 168  # 8/3 * 64 = 170.7, to the nearest multiple of 8
    assert decoder_shape(width=64, depth=1, heads=4, vocab_size=9, context=8, ffn="gelu").ffn_width == 256


def test_published_names_forgive_spelling_and_suggest_neighbours() -> None:
    assert published_shape("Llama_2 7B") is PUBLISHED["llama-2-7b"]
    assert published_shape("gpt-3") is PUBLISHED["gpt3-175b"]
    with pytest.raises(ValueError, match=r"did you mean .*llama-2-7b"):
        published_shape("llama-2-7bb")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
        ("Llama3.1 405B", "llama-3.1-405b"),
        ("llama2-70b", "llama-2-70b"),
        ("gpt-2-xl", "gpt2-xl"),
        ("GPT-3 175B", "gpt3-175b"),
        ("EleutherAI/pythia-1.4b-deduped", "pythia-1.4b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("mistral-7b-v0.3", "mistral-7b-v0.3"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini"),
        ("google-bert/bert-base-uncased", "bert-base"),
        ("allenai/OLMo-2-1124-7B", "olmo-2-7b"),
        ("deepseek-ai/DeepSeek-V3-Base", "deepseek-v3"),
    ],
)
def test_names_are_found_as_they_are_written(written: str, name: str) -> None:
    assert published_shape(written) is PUBLISHED[name]


def test_names_stay_apart_without_their_hyphens() -> None:
    squeezed = [name.replace("-", "") for name in PUBLISHED]
    assert len(set(squeezed)) == len(squeezed)
    assert set(ALIASES.values()) <= set(PUBLISHED)
    assert not {name.replace("-", "") for name in ALIASES} & set(squeezed)


@pytest.mark.parametrize(("written", "near"), [("lama-2-7b", "llama-2-7b"), ("llama-2-34b", "llama-2-13b")])
def test_an_unknown_name_is_answered_with_near_ones(written: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean .*{near}"):
        published_shape(written)
