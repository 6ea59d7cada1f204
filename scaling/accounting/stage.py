"""One pipeline stage of a training job, with the quantities from which its memory at every instant follows."""

from dataclasses import dataclass
from functools import cached_property

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.kept_activations import (
    blocks_by_part,
    micro_batches_in_flight,
    part_passes,
    sizes_under,
)
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import DeviceParams, ModelStates, device_params, model_states
from scaling.accounting.tape import Passes
from scaling.shape.shape import ModelShape

REDUCE_BYTES = 4
"""Gradients are summed over replicas in float32."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A device of one pipeline stage: everything that its memory at an instant follows from."""

    shape: ModelShape
    recipe: TrainingRecipe
    layout: Layout
    index: int

    @cached_property
    def sizes(self) -> ActivationSizes:
        return sizes_under(self.shape, self.recipe, self.layout)

    @cached_property
    def states(self) -> ModelStates:
        return model_states(self.shape, self.recipe, self.layout, self.index)

    @cached_property
    def params(self) -> DeviceParams:
        return device_params(self.shape, self.layout, self.index)

    @property
    def is_first(self) -> bool:
        return self.index == 0

    @property
    def is_last(self) -> bool:
        return self.index == self.layout.pipeline - 1

    @property
    def accumulates(self) -> bool:
        return self.layout.accumulation > 1

    @property
    def shards_weights(self) -> bool:
        return self.layout.zero_stage == 3

    @property
    def megatron(self) -> bool:
        return self.recipe.runtime == "megatron"

    @property
    def gradients_grow(self) -> bool:
        """Gradients come into being during backward, rather than lie in a buffer all the time."""
        return not (self.accumulates or self.megatron or self.layout.zero_stage == 2)

    @property
    def adds_tied_gradients(self) -> bool:
        """Autograd adds the gradients that a tied matrix has as head and as embedding."""
        return (
            self.shape.tied_head
            and self.layout.pipeline == 1
            and not self.megatron
            and not self.shards_weights
        )

    # --- activations ---

    @cached_property
    def blocks(self) -> list[tuple[int, Passes]]:
        """(how many blocks, bytes of one) for each kind of block, in the order of the model."""
        by_part = blocks_by_part(self.shape, self.layout, self.index)
        return [(count, part_passes(self.sizes, part)) for part, count in by_part.items()]

    @property
    def first_block(self) -> Passes:
        return self.blocks[0][1]

    @property
    def last_block(self) -> Passes:
        return self.blocks[-1][1]

    @cached_property
    def head_and_loss(self) -> Passes | None:
        return part_passes(self.sizes, "head_and_loss") if self.is_last else None

    @cached_property
    def micro_batches_in_flight(self) -> float:
        return micro_batches_in_flight(self.layout, self.index)

    @cached_property
    def kept_bytes(self) -> float:
        """What all blocks keep between forward and backward, all micro-batches in flight."""
        kept: dict[str, float] = {}
        for count, block in self.blocks:
            for component, size in block.kept.items():
                kept[component] = kept.get(component, 0) + count * size * self.micro_batches_in_flight
        return sum(kept.values())

    @property
    def kept_by_other_micro_batches(self) -> float:
        return self.kept_bytes - self.kept_bytes / self.micro_batches_in_flight

    # --- gradients ---

    @property
    def head_gradient_bytes(self) -> float:
        """Gradients of the last norm and the head."""
        return 0.0 if self.head_and_loss is None else self.head_and_loss.weight_gradients

    @property
    def block_gradient_bytes(self) -> float:
        """Gradients of all blocks."""
        return sum(count * block.weight_gradients for count, block in self.blocks)

    @property
    def vocabulary_gradient_bytes(self) -> float:
        """Gradient of one matrix of vocabulary x width: embedding or head."""
        return self.recipe.bytes.gradient * self.shape.vocab_size / self.layout.tensor * self.shape.width

    @property
    def waiting_gradient_bytes(self) -> float:
        """Tied and accumulated: the head's gradient waits for the embedding's before both are added to the old one."""
        waits = self.adds_tied_gradients and self.accumulates and not self.sizes.collects_cast_gradients
        return self.vocabulary_gradient_bytes if waits else 0.0

    @property
    def reduced_number_bytes(self) -> int:
        """ZeRO-3: a gradient under way, as it is computed and as the float32 copy that is summed over replicas."""
        return self.recipe.bytes.compute + REDUCE_BYTES
