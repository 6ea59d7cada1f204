"""Published models are found by the names in use."""

import pytest

from scaling.shape.published import ALIASES, published_shape
from scaling.shape.published_models import PUBLISHED


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
