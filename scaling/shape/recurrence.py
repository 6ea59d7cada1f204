"""Mixers whose memory of the text is a state of fixed size: state-space models, linear attention, convolutions.

All of them project the residual stream, mix along the text through a short convolution or a recurrent state or both,
and project back; what differs is how wide each part is. So one dataclass holds the counts, and a function for each
kind says how they follow from its settings. The recurrence is counted a token at a time; the chunked kernels that train
it do more of the same order.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Recurrence:
    """A mixer with a state of fixed size. Widths are features; `low_rank` and the rest are numbers of weights."""

    kind: str
    """Its name, for people."""
    heads: int
    """Heads (or channels) that tensor parallelism may split."""
    input_width: int
    """Features of all projections of the residual stream."""
    output_width: int
    """Features that the output projection reads."""
    inner_matrices: int = 0
    """Entries of matrices that work between the two."""
    other_weights: int = 0
    """Weights that are no matrices: convolution, decay, skip, biases."""
    norm_weights: int = 0
    state_numbers: int = 0
    """Numbers of the recurrent state of one text."""
    conv_numbers: int = 0
    """Inputs of the convolution that wait for the next token."""
    state_flops: int = 0
    """Forward FLOPs of a token in the recurrence."""

    def kv_matrices(self, width: int) -> int:
        """None are repeated on tensor-parallel devices."""
        return 0

    def matrices(self, width: int) -> int:
        """Entries of all matrices that a token is multiplied with."""
        return width * (self.input_width + self.output_width) + self.inner_matrices

    def vectors(self, width: int) -> int:
        """Weights that are no matrices."""
        return self.other_weights

    @property
    def matrix_sides(self) -> int:
        """Features in and out of its matrices besides the residual width."""
        return self.input_width + self.output_width

    def core_flops(self, context: float, *, causal_half: bool = False) -> float:
        """Forward FLOPs of a token in the recurrence, however long the text."""
        return self.state_flops

    def cached_numbers(self, tokens: float) -> float:
        """Numbers in the cache after so many tokens, besides the state: inputs of the convolution."""
        return self.conv_numbers

    def cache_split(self, tensor: int) -> int:
        """Devices over which tensor parallelism divides the state."""
        return min(tensor, self.heads)


SCAN_FLOPS = 7
"""FLOPs of a token for each number of a state-space model's state: decay and input discretised, the sum, the reading
(Megatron-LM counts its Mamba layers so, training.py)."""
DELTA_FLOPS = 8
"""FLOPs of a token for each number of a delta rule's state: the state read with the key, corrected, added to, and read
with the query, a multiply-add each (Yang et al. 2024, arXiv:2412.06464, equation 10; Megatron-LM counts the same)."""
LINEAR_FLOPS = 5
"""FLOPs of a token for each number of a plain linear attention's state: decayed, added to with a multiply-add, read."""


def mamba(
    *, width: int, inner: int, state: int, rank: int, conv: int,
    conv_bias: bool = True, bias: bool = False, inner_norms: bool = False,
) -> Recurrence:  # fmt: skip
    """Mamba (Gu and Dao 2023, arXiv:2312.00752, section 3.4); `inner_norms` as in Jamba, of step size, B and C."""
    return Recurrence(
        kind="Mamba",
        heads=inner,
        input_width=2 * inner,
        output_width=inner,
        inner_matrices=inner * (rank + 2 * state) + rank * inner,
        # convolution, bias of the step size, decay and skip
        other_weights=inner * (conv + conv_bias) + inner + inner * state + inner + bias * (2 * inner + width),
        norm_weights=(rank + 2 * state) * inner_norms,
        state_numbers=inner * state,
        conv_numbers=inner * (conv - 1),
        state_flops=SCAN_FLOPS * inner * state + 2 * conv * inner,
    )


def mamba2(
    *, width: int, heads: int, head_width: int, groups: int, state: int, conv: int,
    conv_bias: bool = True, bias: bool = False, gated_norm: bool = True,
) -> Recurrence:  # fmt: skip
    """Mamba-2 (Dao and Gu 2024, arXiv:2405.21060, section 7.1)."""
    inner = heads * head_width
    convolved = inner + 2 * groups * state
    inputs = inner + convolved + heads
    return Recurrence(
        kind="Mamba-2",
        heads=heads,
        input_width=inputs,
        output_width=inner,
        # convolution; step size, decay and skip of each head
        other_weights=convolved * (conv + conv_bias) + 3 * heads + bias * (inputs + width),
        norm_weights=inner * gated_norm,
        state_numbers=inner * state,
        conv_numbers=convolved * (conv - 1),
        state_flops=SCAN_FLOPS * inner * state + 2 * conv * convolved,
    )


def gated_delta(
    *, key_heads: int, key_width: int, value_heads: int, value_width: int, conv: int, gate: bool = True
) -> Recurrence:
    """Gated DeltaNet (Yang et al. 2024, arXiv:2412.06464), with the output gate of Qwen3-Next."""
    keys, values = key_heads * key_width, value_heads * value_width
    convolved = 2 * keys + values
    state = value_heads * key_width * value_width
    return Recurrence(
        kind="gated delta rule",
        heads=value_heads,
        input_width=convolved + values * gate + 2 * value_heads,
        output_width=values,
        other_weights=convolved * conv + 2 * value_heads,  # convolution; decay and step size of each head
        norm_weights=value_width,
        state_numbers=state,
        conv_numbers=convolved * (conv - 1),
        state_flops=DELTA_FLOPS * state + 2 * conv * convolved,
    )


def kimi_delta(*, heads: int, head_width: int, conv: int) -> Recurrence:
    """Kimi delta attention: a decay for each feature, through a low-rank gate (Kimi Linear, arXiv:2510.26692)."""
    inner = heads * head_width
    return Recurrence(
        kind="Kimi delta attention",
        heads=heads,
        input_width=3 * inner + 2 * head_width + heads,
        output_width=inner,
        inner_matrices=2 * head_width * inner,
        other_weights=3 * inner * conv + heads + inner,
        norm_weights=head_width,
        state_numbers=inner * head_width,
        conv_numbers=3 * inner * (conv - 1),
        state_flops=DELTA_FLOPS * inner * head_width + 2 * conv * 3 * inner,
    )


def lightning(*, heads: int, head_width: int) -> Recurrence:
    """Linear attention with a fixed decay and an output gate (MiniMax-01, arXiv:2501.08313, section 2.2)."""
    inner = heads * head_width
    return Recurrence(
        kind="lightning attention",
        heads=heads,
        input_width=4 * inner,
        output_width=inner,
        norm_weights=inner,
        state_numbers=inner * head_width,
        state_flops=LINEAR_FLOPS * inner * head_width,
    )


def rwkv4(*, width: int, inner: int) -> Recurrence:
    """RWKV-4's time mixing: receptance, key and value, and a running mean (Peng et al. 2023, arXiv:2305.13048)."""
    return Recurrence(
        kind="RWKV-4",
        heads=inner,
        input_width=3 * inner,
        output_width=inner,
        other_weights=2 * inner
        + 3 * width,  # decay and first; a mix of this token and the last for each projection
        state_numbers=3 * inner,
        conv_numbers=width,
        state_flops=10 * inner,
    )


def gated_lru(*, width: int, inner: int, heads: int, conv: int) -> Recurrence:
    """Griffin's real-gated linear recurrent unit, gates a block a head (De et al. 2024, arXiv:2402.19427, 2.4)."""
    return Recurrence(
        kind="gated linear recurrence",
        heads=heads,
        input_width=2 * inner,
        output_width=inner,
        inner_matrices=2 * heads * (inner // heads) ** 2,
        # convolution, decay, biases of both gates and of all three projections
        other_weights=inner * (conv + 1) + inner + 2 * inner + 2 * inner + width,
        state_numbers=inner,
        conv_numbers=inner * (conv - 1),
        state_flops=5 * inner + 2 * conv * inner,
    )


def short_conv(*, width: int, conv: int, bias: bool = False) -> Recurrence:
    """A gated short convolution in place of attention (LFM2, Liquid AI 2025)."""
    return Recurrence(
        kind="short convolution",
        heads=width,
        input_width=3 * width,
        output_width=width,
        other_weights=width * conv + bias * (3 * width + width + width),
        conv_numbers=width * (conv - 1),
        state_flops=2 * conv * width,
    )
