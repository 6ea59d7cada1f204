"""What the sizes of one device's tensors follow from: model, recipe and layout."""

from dataclasses import dataclass

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.shape.shape import ModelShape

STATISTIC_BYTES = 4
"""Means, reciprocal deviations and log-sums are float32."""
TOKEN_BYTES = 8
"""Token ids are int64."""
MASK_BYTES = 1
"""An element of a dropout mask is one byte (torch.bool)."""


@dataclass(frozen=True, kw_only=True)
class ActivationSizes:
    """Counts of tokens and features on one device, and bytes of a number, for one micro-batch."""

    shape: ModelShape
    recipe: TrainingRecipe
    layout: Layout

    # --- tokens and features ---

    @property
    def tokens(self) -> float:
        """Tokens of a micro-batch that a device computes with."""
        return self.layout.micro_batch * self.shape.context / self.layout.context

    @property
    def outer_tokens(self) -> float:
        """Tokens that a device holds of tensors between the tensor-parallel products."""
        return self.tokens / (self.layout.tensor if self.gathers else 1)

    @property
    def gathers(self) -> bool:
        """Sequence parallelism gathers tokens before a tensor-parallel product and scatters them after it."""
        return self.layout.sequence and self.layout.tensor > 1

    # --- kernels ---

    @property
    def composite_kernels(self) -> bool:
        """PyTorch composes operations of several kernels on a CPU, where an accelerator runs fused ones."""
        return self.recipe.runtime == "torch_cpu"

    @property
    def compiled_cpu_ops(self) -> bool:
        """This project's own operations on a CPU (`cpu_activations.py`)."""
        return self.recipe.runtime == "written_out"

    @property
    def rotates_in_float32(self) -> bool:
        """Float32 angles turn queries and keys into float32, until the attention core casts them back."""
        return (
            self.composite_kernels
            and self.residual_number_bytes > self.number_bytes
            and self.shape.positions == "rotary"
        )

    # --- bytes ---

    @property
    def number_bytes(self) -> int:
        """Bytes of one number of an activation, as products compute it."""
        return self.recipe.bytes.compute

    @property
    def residual_number_bytes(self) -> int:
        """Bytes of one number of the residual stream.

        Autocast leaves the stream in float32, but weights that ZeRO-3 shards arrive cast.
        """
        return 4 if self._casts_weights else self.number_bytes

    @property
    def residual_stream_bytes(self) -> float:
        """The residual stream of a micro-batch."""
        return self.outer_tokens * self.shape.width * self.residual_number_bytes

    # --- gradients of weights ---

    @property
    def _casts_weights(self) -> bool:
        """Autocast casts float32 weights at each product."""
        return self.recipe.bytes.autocast and self.layout.zero_stage < 3

    @property
    def collects_cast_gradients(self) -> bool:
        """Autocast with several micro-batches: the later ones collect gradients of cast weights, and add them up last.

        Autocast keeps its casts of weights from the first micro-batch on, and the 16-bit gradients of those casts
        until the end of each later backward.
        """
        return self._casts_weights and self.layout.accumulation > 1

    @property
    def casts_gradients(self) -> bool:
        """Gradients of weights are made in 16 bits and kept in 32."""
        on_cpu = self.composite_kernels or self.compiled_cpu_ops
        mixed = self.recipe.bytes.autocast or (self.recipe.precision == "bf16-master" and on_cpu)
        return mixed and not self.collects_cast_gradients

    def weight_gradient_bytes(self, weights: float) -> float:
        """Bytes that backward adds for the gradients of so many weights.

        None where Megatron adds them to a buffer that is always there, nor where ZeRO shards them, which is counted as
        communication.
        """
        if self.recipe.runtime == "megatron" or self.layout.zero_stage >= 2:
            return 0
        return weights * (self.number_bytes if self.collects_cast_gradients else self.recipe.bytes.gradient)
