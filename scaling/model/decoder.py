"""The decoder, readable top to bottom.

Pre-norm blocks of grouped-query attention and a gated feed-forward network, rotary positions, no biases.
Tensor names end in their shape: B batch, T positions, C width, H query heads, K key/value heads, S head width,
F feed-forward width, V vocabulary.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scaling.errors import UserError
from scaling.model import cpu_ops
from scaling.model.cpu_backward import Tape
from scaling.shape.shape import ModelShape

# Standard deviation of freshly drawn weights is this over sqrt(fan-in); the projections that write into the
# residual stream are drawn smaller still by sqrt(2 * depth), so that the stream's variance at the last block
# does not grow with depth (Radford et al., 2019, section 2.3).
INIT_GAIN = 1.0
# Embedding rows start at this deviation; the first norm rescales them, and a tied head starts with small logits.
INIT_EMBEDDING_STD = 0.02
NORM_EPSILON = 1e-6


class RMSNorm(nn.Module):
    """Divide by the root mean square over the last dimension and scale (Zhang and Sennrich, 2019)."""

    epsilon = NORM_EPSILON

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), eps=self.epsilon)


def rotary_tables(context: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (T, S/2), of the angle t * base^(-2i/S) (Su et al., 2021, eq. 15)."""
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), frequencies)
    return angles.cos().float(), angles.sin().float()


def rotate(x_BHTS: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Turn each pair (first half, second half) of a head's coordinates by its position's angle."""
    left, right = x_BHTS.chunk(2, dim=-1)
    return torch.cat((left * cos_TR - right * sin_TR, right * cos_TR + left * sin_TR), dim=-1)


def causal_attention(q_BHTS: Tensor, k_BKTS: Tensor, v_BKTS: Tensor) -> Tensor:
    """Softmax attention of each position to itself and those before it."""
    shared = q_BHTS.shape[1] != k_BKTS.shape[1]
    return F.scaled_dot_product_attention(q_BHTS, k_BKTS, v_BKTS, is_causal=True, enable_gqa=shared)


class Attention(nn.Module):
    """Causal self-attention; query heads share `kv_heads` key/value heads (Ainslie et al., 2023)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_width = shape.heads, shape.kv_heads, shape.head_width
        self.query = nn.Linear(shape.width, shape.heads * shape.head_width, bias=False)
        self.key = nn.Linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.value = nn.Linear(shape.width, shape.kv_heads * shape.head_width, bias=False)
        self.out = nn.Linear(shape.heads * shape.head_width, shape.width, bias=False)
        self.query_norm = RMSNorm(shape.head_width) if shape.qk_norm else nn.Identity()
        self.key_norm = RMSNorm(shape.head_width) if shape.qk_norm else nn.Identity()

    def add_with_cpu_kernels(
        self, x_BTC: Tensor, norm: RMSNorm, tables: cpu_ops.HeadTables, tape: Tape | None
    ) -> Tensor:
        """x + attention(norm x), as one operation of `cpu_ops.py`."""
        query_gain, key_gain = (
            n.weight if isinstance(n, RMSNorm) else None for n in (self.query_norm, self.key_norm)
        )
        matrices = self.query.weight, self.key.weight, self.value.weight, self.out.weight
        return cpu_ops.add_attention(
            x_BTC, norm.weight, *matrices, query_gain, key_gain, tables, norm.epsilon, tape
        )

    def forward(self, x_BTC: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
        B, T, _ = x_BTC.shape
        q_BHTS = self.query(x_BTC).view(B, T, self.heads, self.head_width).transpose(1, 2)
        k_BKTS = self.key(x_BTC).view(B, T, self.kv_heads, self.head_width).transpose(1, 2)
        v_BKTS = self.value(x_BTC).view(B, T, self.kv_heads, self.head_width).transpose(1, 2)
        q_BHTS = rotate(self.query_norm(q_BHTS), cos_TR, sin_TR)
        k_BKTS = rotate(self.key_norm(k_BKTS), cos_TR, sin_TR)
        y_BHTS = causal_attention(q_BHTS, k_BKTS, v_BKTS)
        out_BTC: Tensor = self.out(y_BHTS.transpose(1, 2).reshape(B, T, self.heads * self.head_width))
        return out_BTC


class FeedForward(nn.Module):
    """SwiGLU (Shazeer, 2020): down(silu(gate x) * up x); or the plain down(gelu(up x))."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.ffn_width, bias=False) if shape.ffn == "swiglu" else None
        self.up = nn.Linear(shape.width, shape.ffn_width, bias=False)
        self.down = nn.Linear(shape.ffn_width, shape.width, bias=False)

    def add_with_cpu_kernels(self, x_BTC: Tensor, norm: RMSNorm, tape: Tape | None) -> Tensor:
        """x + feed-forward(norm x), as one operation of `cpu_ops.py`."""
        gate = None if self.gate is None else self.gate.weight
        return cpu_ops.add_feed_forward(
            x_BTC, norm.weight, gate, self.up.weight, self.down.weight, norm.epsilon, tape
        )

    def forward(self, x_BTC: Tensor) -> Tensor:
        up_BTF = self.up(x_BTC)
        hidden_BTF = F.gelu(up_BTF) if self.gate is None else F.silu(self.gate(x_BTC)) * up_BTF
        out_BTC: Tensor = self.down(hidden_BTF)
        return out_BTC


class Block(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    tables: cpu_ops.HeadTables | None = None
    """The attention's constants, once the decoder uses the CPU kernels."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(shape.width)
        self.attention = Attention(shape)
        self.ffn_norm = RMSNorm(shape.width)
        self.ffn = FeedForward(shape)

    def forward(self, x_BTC: Tensor, cos_TR: Tensor, sin_TR: Tensor, tape: Tape | None = None) -> Tensor:
        if self.tables is not None and cpu_ops.supports(x_BTC):
            x_BTC = self.attention.add_with_cpu_kernels(x_BTC, self.attention_norm, self.tables, tape)
            return self.ffn.add_with_cpu_kernels(x_BTC, self.ffn_norm, tape)
        x_BTC = x_BTC + self.attention(self.attention_norm(x_BTC), cos_TR, sin_TR)
        out_BTC: Tensor = x_BTC + self.ffn(self.ffn_norm(x_BTC))
        return out_BTC


class Decoder(nn.Module):
    """A decoder-only language model of the given shape.

    It has `count_params(shape).total` parameters, and a forward pass takes `flops.forward_flops(shape)` FLOPs.
    """

    cos: Tensor
    sin: Tensor
    uses_cpu_kernels = False
    """Whether tensors on a processor go through `cpu_ops.py`; set by `use_cpu_kernels`."""

    def __init__(self, shape: ModelShape, rope_base: float = 10_000.0) -> None:
        super().__init__()
        self.shape, self.rope_base = shape, rope_base
        self.embedding = nn.Embedding(shape.vocab_size, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.final_norm = RMSNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocab_size, bias=False)
        if shape.tied_head:
            self.head.weight = self.embedding.weight
        cos, sin = rotary_tables(shape.context, shape.head_width, rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Draw every weight; see INIT_GAIN and INIT_EMBEDDING_STD for the scales."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and module is not self.head:
                std = INIT_GAIN / math.sqrt(module.in_features)
                if name.endswith((".out", ".down")):
                    std /= math.sqrt(2 * self.shape.depth)
                module.weight.normal_(0.0, std)
        self.embedding.weight.normal_(0.0, INIT_EMBEDDING_STD)
        if not self.shape.tied_head:
            self.head.weight.normal_(0.0, INIT_EMBEDDING_STD)

    def use_cpu_kernels(self) -> None:
        """Train and evaluate through `cpu_ops.py` wherever it supports the tensors."""
        shape = self.shape
        angles = rotary_tables(shape.context, shape.head_width, self.rope_base)
        tables = cpu_ops.head_tables(shape.heads, shape.kv_heads, *angles)
        for block in self.blocks:
            assert isinstance(block, Block)
            block.tables = tables
        self.uses_cpu_kernels = True

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each position; a later token never changes an earlier logit."""
        logits_BTV: Tensor = self.head(self.hidden(tokens_BT))
        return logits_BTV

    def loss(self, tokens_BT: Tensor, targets_BT: Tensor, tape: Tape | None = None) -> Tensor:
        """Mean cross-entropy in nats a token, computed in float32.

        Args:
            tokens_BT: what the model reads.
            targets_BT: the token that follows each position.
            tape: records the CPU kernels' operations, for `loss_and_backward`; None leaves them to autograd.
        """
        x_BTC = self.residual(tokens_BT, tape)
        if self.uses_cpu_kernels and cpu_ops.supports(x_BTC):
            norm = self.final_norm
            return cpu_ops.loss(x_BTC, norm.weight, self.head.weight, targets_BT, norm.epsilon, tape)
        return next_token_loss(self.head(self.final_norm(x_BTC)), targets_BT)

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """The normed residual stream (B, T, C), which the head reads."""
        hidden_BTC: Tensor = self.final_norm(self.residual(tokens_BT))
        return hidden_BTC

    def residual(self, tokens_BT: Tensor, tape: Tape | None = None) -> Tensor:
        """The residual stream (B, T, C) after the last block."""
        T = tokens_BT.shape[1]
        if self.shape.context < T:
            raise UserError(
                f"{T} tokens do not fit the context of {self.shape.context}: shorten the input or raise model.context"
            )
        if self.uses_cpu_kernels and cpu_ops.supports(self.embedding.weight):
            x_BTC = cpu_ops.embed(tokens_BT, self.embedding.weight, tape)
        else:
            x_BTC = self.embedding(tokens_BT)
        cos_TR, sin_TR = self.cos[:T].to(x_BTC.dtype), self.sin[:T].to(x_BTC.dtype)
        for block in self.blocks:
            x_BTC = block(x_BTC, cos_TR, sin_TR, tape)
        return x_BTC


def next_token_loss(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy in nats a token, computed in float32."""
    return F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten())
