"""How fast a served model answers: FLOPs bound the reading of a prompt, memory bandwidth the writing of tokens."""

from dataclasses import dataclass

from scaling.accounting.collectives import gather_seconds
from scaling.accounting.device import Device
from scaling.accounting.inference import (
    WEIGHT_BITS,
    WIDE_BYTES,
    WeightFormat,
    kv_cache_bytes,
    weight_bytes,
)
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Precision, TrainingRecipe
from scaling.accounting.roofline import sustained_rates
from scaling.accounting.states import device_params
from scaling.shape.flops import core_flops_per_token, forward_flops_per_token
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
        """Tokens written by all sequences together."""
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
    read_bytes = _weight_bytes_read(shape, weights, tensor, sequences)
    cache_bytes = sequences * kv_cache_bytes(shape, tokens, cache, tensor=tensor)
    flops = forward_flops_per_token(shape, tokens)

    def collectives(rows: int) -> float:
        return 4 * shape.depth * gather_seconds(device, tensor, 1, rows * (shape.width * rates.number_bytes))

    # The head runs for the last position only; a causal kernel skips half of the scores.
    projections = flops.total - flops.head - flops.attention_scores
    scores = core_flops_per_token(shape, tokens, causal_half=True)
    prompt = tokens * projections / rates.linear_flops_per_second
    prompt += tokens * scores / rates.attention_flops_per_second
    one_token = sequences * flops.total / tensor / rates.wide_flops_per_second
    memory_rate = rates.memory_bytes_per_second
    return ServingTime(
        prefill_seconds=max(prompt / tensor, read_bytes / memory_rate) + collectives(tokens),
        decode_seconds=max(one_token, (read_bytes + cache_bytes) / memory_rate) + collectives(sequences),
        sequences=sequences,
    )


def _weight_bytes_read(shape: ModelShape, weights: WeightFormat, tensor: int, sequences: int) -> float:
    """Bytes of weights that a device reads to write one token for each sequence."""
    layout = Layout(tensor=tensor)
    read = weight_bytes(shape, weights, layout)
    number_bytes = WEIGHT_BITS[weights] / 8
    if (
        not shape.tied_head
    ):  # only the rows of a few tokens are read of an embedding that is not the head as well
        read -= shape.vocab_size / tensor * shape.width * max(number_bytes, WIDE_BYTES)
    mixtures = [(block.mixture, count) for block, count in shape.kinds.items() if block.mixture is not None]
    routed = sum(count * mixture.experts * mixture.expert(shape.width) for mixture, count in mixtures)
    for mixture, count in mixtures:
        share = count * mixture.experts * mixture.expert(shape.width) / routed
        untouched = (1 - mixture.active / mixture.experts) ** sequences
        read -= untouched * share * device_params(shape, layout).experts * number_bytes
    return read
