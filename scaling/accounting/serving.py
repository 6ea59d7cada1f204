"""How fast a served model answers: reading the prompt is bound by FLOPs, writing tokens by memory bandwidth."""

from dataclasses import dataclass

from scaling.accounting.collectives import gather_seconds
from scaling.accounting.device import Device
from scaling.accounting.inference import (
    WEIGHT_BITS,
    WIDE_BYTES,
    WeightFormat,
    kv_cache_bytes_per_token,
    weight_bytes,
)
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Precision, TrainingRecipe
from scaling.accounting.roofline import sustained_rates
from scaling.accounting.states import device_params
from scaling.shape.flops import forward_flops_per_token
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class ServingTime:
    """Seconds on tuned kernels; batching and scheduling cost a real server more."""

    prefill_seconds: float
    """Reading the prompt of one sequence, until its first token."""
    decode_seconds: float
    """One more token for every sequence, their caches full."""
    sequences: int

    @property
    def tokens_per_second(self) -> float:
        """Written, by all sequences together."""
        return self.sequences / self.decode_seconds


def serving_time(
    shape: ModelShape,
    device: Device,
    *,
    sequences: int,
    tokens: int,
    weights: WeightFormat,
    cache: WeightFormat,
    tensor: int = 1,
) -> ServingTime:
    """Time to read a prompt of `tokens` tokens, and to write one token a sequence after as many.

    Writing reads every weight it touches and the whole cache once (Pope et al. 2022, arXiv:2211.05102, section 2);
    products run in 16 bits whatever the weights are stored in. Of a mixture's experts, `sequences` tokens that choose
    at random touch 1 − (1 − k/E)^sequences.
    """
    precision: Precision = "32-true" if weights == "fp32" or "bf16" not in device.peak_flops else "bf16-true"
    rates = sustained_rates(device, TrainingRecipe(precision=precision))
    layout = Layout(tensor=tensor)
    params = device_params(shape, layout)
    read = weight_bytes(shape, weights, layout)
    bytes_each = WEIGHT_BITS[weights] / 8
    if not shape.tied_head:  # of an embedding of its own, only the rows of a few tokens are read
        read -= shape.vocab_size / tensor * shape.width * max(bytes_each, WIDE_BYTES)
    if shape.experts:
        read -= (1 - shape.experts_active / shape.experts) ** sequences * params.experts * bytes_each
    heads_share = 1 if shape.latent is not None else min(tensor, shape.kv_heads)
    cached = sequences * tokens * kv_cache_bytes_per_token(shape, cache) / heads_share
    forward = forward_flops_per_token(shape, tokens)
    message = shape.width * rates.number_bytes

    def collectives(rows: int) -> float:
        return 4 * shape.depth * gather_seconds(device, tensor, 1, rows * message)

    compute = sequences * forward.total / tensor / rates.wide_flops_per_second
    # The head runs for the last position only; a causal kernel skips half of the scores.
    prompt = (
        tokens * (forward.total - forward.head - forward.attention_scores) / rates.linear_flops_per_second
    )
    scores = (
        tokens * forward.attention_scores * (0.5 if shape.causal else 1.0) / rates.attention_flops_per_second
    )
    return ServingTime(
        prefill_seconds=max((prompt + scores) / tensor, read / rates.memory_bytes_per_second)
        + collectives(tokens),
        decode_seconds=max(compute, (read + cached) / rates.memory_bytes_per_second) + collectives(sequences),
        sequences=sequences,
    )
