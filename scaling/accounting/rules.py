"""Rules of thumb for memory as courses teach them, beside the detailed answer of `memory.py`.

Generative AI with Large Language Models (DeepLearning.AI and AWS 2023, week 1) counts for each parameter in float32
4 bytes to store it, and to train it 8 for Adam's two states, 4 for its gradient and 8 for activations and temporaries.
"""

STORE_BYTES_PER_PARAM = 4
"""A float32 weight."""
ADAM_BYTES_PER_PARAM = 8
GRADIENT_BYTES_PER_PARAM = 4
ACTIVATION_BYTES_PER_PARAM = 8
"""Activations and temporaries, whatever the batch: the part of the rule that is a guess."""
TRAIN_BYTES_PER_PARAM = (
    STORE_BYTES_PER_PARAM + ADAM_BYTES_PER_PARAM + GRADIENT_BYTES_PER_PARAM + ACTIVATION_BYTES_PER_PARAM
)
"""24 bytes."""


def rule_of_thumb_store_bytes(params: float) -> float:
    """Bytes to store a model in float32."""
    return STORE_BYTES_PER_PARAM * params


def rule_of_thumb_train_bytes(params: float) -> float:
    """Bytes to train a model in float32 with Adam."""
    return TRAIN_BYTES_PER_PARAM * params
