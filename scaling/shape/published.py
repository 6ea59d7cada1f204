"""Finds the shape of a published model by any of its names: `published_shape("meta-llama/Llama-2-7b-hf")`."""

import re
from functools import lru_cache

from scaling.config.nearest import nearest
from scaling.errors import UserError
from scaling.shape.published_models import PUBLISHED
from scaling.shape.shape import ModelShape

ALIASES = {
    "gpt2-small": "gpt2",
    "gpt2-124m": "gpt2",
    "gpt2-355m": "gpt2-medium",
    "gpt2-774m": "gpt2-large",
    "gpt2-1.5b": "gpt2-xl",
    "gpt2-1558m": "gpt2-xl",
    "gpt3": "gpt3-175b",
    "gpt3-125m": "gpt3-small",
    "gpt3-350m": "gpt3-medium",
    "gpt3-760m": "gpt3-large",
    "gpt3-1.3b": "gpt3-xl",
    "davinci": "gpt3-175b",
    "gpt-j": "gpt-j-6b",
    "gpt-neox": "gpt-neox-20b",
    "megatron-turing-nlg-530b": "mt-nlg-530b",
    "megatron-turing-530b": "mt-nlg-530b",
    "chinchilla-70b": "chinchilla",
    "gopher-280b": "gopher",
    "palm": "palm-540b",
    "bloom": "bloom-176b",
    "opt": "opt-175b",
    "mixtral": "mixtral-8x7b",
    **{f"llama-1-{size}": f"llama-{size}" for size in ("7b", "13b", "33b", "65b")},
    "llama-30b": "llama-33b",
    "llama-3.3-70b": "llama-3.1-70b",
    "llama-4-scout-17b-16e": "llama-4-scout",
    "llama-4-maverick-17b-128e": "llama-4-maverick",
    "tinyllama": "tinyllama-1.1b",
    "mistral": "mistral-7b",
    "mistral-7b-v0.1": "mistral-7b",
    "mistral-7b-instruct-v0.2": "mistral-7b-v0.2",
    "mistral-7b-instruct-v0.3": "mistral-7b-v0.3",
    "mistral-nemo": "mistral-nemo-12b",
    "mistral-large": "mistral-large-123b",
    "mistral-small": "mistral-small-24b",
    "qwen-1.8b": "qwen1.5-1.8b",
    "qwen-7b": "qwen1.5-7b",
    "qwen-14b": "qwen1.5-14b",
    # Qwen 2 and 2.5 have the same shapes at these sizes.
    **{f"qwen2-{size}": f"qwen2.5-{size}" for size in ("0.5b", "1.5b", "7b", "72b")},
    "phi-1": "phi-1.5",
    "phi-3.5-mini": "phi-3-mini",
    "phi-4-14b": "phi-4",
    **{f"smollm-{size}": f"smollm2-{size}" for size in ("135m", "360m", "1.7b")},
    "falcon": "falcon-40b",
    "starcoder-15b": "starcoder",
    "bert": "bert-base",
    "roberta": "roberta-base",
    **{f"t5-v1.1-{size}": f"flan-t5-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    **{f"t5-v1-1-{size}": f"flan-t5-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    "deepseek-67b": "deepseek-llm-67b",
    "deepseek-7b": "deepseek-llm-7b",
    "deepseek-v2.5": "deepseek-v2",
    "deepseek-v3-671b": "deepseek-v3",
    "deepseek-v3.1": "deepseek-v3",
    "deepseek-r1": "deepseek-v3",
    "kimi-k2-1t": "kimi-k2",
}
"""Other names in use, each for a name in `PUBLISHED`."""

RELEASE = re.compile(r"-[0-9]{4}(?=-|$)")
"""A release's year and month, as in OLMo-2-1124-7B."""
VARIANT = re.compile(r"-(hf|instruct|chat|base|it|pt|deduped|uncased|preview|v[0-9.]+|[0-9]+k)$")
"""Ends of names that say how a model was tuned or released, not how large it is."""


def published_shape(name: str) -> ModelShape:
    """The shape of a published model; case, hyphens, spaces and an owner before a slash do not matter.

    `meta-llama/Llama-2-7b-chat-hf`, `Llama2 7B` and `llama-2-7b` are one: endings that name a variant are taken off an
    unknown name until it is known. Raises `UserError` with the nearest names when there is no such model.
    """
    key = name.strip().lower().rpartition("/")[2].replace("_", "-").replace(" ", "-")
    key = RELEASE.sub("", key)
    shorter = key
    while _squeezed(shorter) not in _by_squeezed_name():
        cut = VARIANT.sub("", shorter)
        if cut == shorter:
            raise UserError(f"model={name!r} is not a published model known here: {_hint(key)}")
        shorter = cut
    return PUBLISHED[_by_squeezed_name()[_squeezed(shorter)]]


def _squeezed(name: str) -> str:
    """A name without hyphens, in which `llama2-7b` and `llama-2-7b` are one."""
    return name.replace("-", "")


@lru_cache
def _by_squeezed_name() -> dict[str, str]:
    return {_squeezed(name): name for name in PUBLISHED} | {
        _squeezed(alias): name for alias, name in ALIASES.items()
    }


def _hint(key: str) -> str:
    known = [name for name in PUBLISHED if not re.fullmatch(r"chinchilla-[0-9]+m", name)]
    hint = nearest(key, [*PUBLISHED, *ALIASES], f"known: {', '.join(known)}.")
    return f"{hint} Or describe it: model.width=… model.depth=…, or give its config.json"
