"""What the blocks of a pipeline stage keep between forward and backward, and what their passes need at most."""

from functools import lru_cache
from typing import Literal

from scaling.accounting import activations, cpu_activations
from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import runs_on_stage
from scaling.accounting.tape import Passes, simulate_passes
from scaling.shape.block import Block
from scaling.shape.params import last_block
from scaling.shape.shape import ModelShape

Part = Block | Literal["head_and_loss"]
"""A block, or what follows the last one."""


def sizes_under(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> ActivationSizes:
    """Sizes under the part of a layout on which activations depend; layouts that differ elsewhere share them."""
    return ActivationSizes(
        shape=shape,
        recipe=recipe,
        layout=Layout(
            data=layout.expert if layout.expert_tensor == layout.tensor else layout.expert // layout.tensor,
            expert=layout.expert,
            zero_stage=layout.zero_stage if layout.zero_stage >= 2 else 0,
            tensor=layout.tensor,
            sequence=layout.sequence,
            context=layout.context,
            micro_batch=layout.micro_batch,
            accumulation=min(layout.accumulation, 2),
        ),
    )


@lru_cache(maxsize=4096)
def part_passes(sizes: ActivationSizes, part: Part) -> Passes:
    """Bytes of one part of the model, forward and backward."""
    inputs = {"x": sizes.residual_stream_bytes}
    fresh_gradients = sizes.layout.accumulation == 1 or sizes.collects_cast_gradients
    if part == "head_and_loss":
        source = cpu_activations if sizes.compiled_cpu_ops else activations
        ops = source.head_and_loss_ops(sizes)
        return simulate_passes(ops, inputs, output="loss", fresh_gradients=fresh_gradients)
    ops = cpu_activations.block_ops(sizes) if sizes.compiled_cpu_ops else activations.block_ops(sizes, part)
    return simulate_passes(
        ops, inputs, output="y", recompute=sizes.recipe.recompute, fresh_gradients=fresh_gradients
    )


def blocks_by_part(shape: ModelShape, layout: Layout, stage: int) -> dict[Block, int]:
    """Blocks of a pipeline stage by kind, in their order, and on the last stage those that predict further tokens."""
    kinds = runs_on_stage(shape, layout.pipeline, stage)
    if shape.mtp_depth and stage == layout.pipeline - 1:
        kinds = {**kinds, last_block(shape): kinds.get(last_block(shape), 0) + shape.mtp_depth}
    return kinds


def activation_bytes(shape: ModelShape, recipe: TrainingRecipe, layout: Layout, stage: int = 0) -> float:
    """Bytes that the blocks of a pipeline stage keep between forward and backward, all micro-batches in flight."""
    sizes = sizes_under(shape, recipe, layout)
    kept = sum(
        count * part_passes(sizes, part).kept_bytes
        for part, count in blocks_by_part(shape, layout, stage).items()
    )
    return kept * micro_batches_in_flight(layout, stage)


def micro_batches_in_flight(layout: Layout, stage: int) -> float:
    """Micro-batches whose activations a pipeline stage holds at once under (interleaved) 1F1B.

    Stage s of p keeps p − s; with m chunks a device the first stage keeps 1 + (p − 1)/(p·m) of a model's worth
    instead of one (Korthikanti et al. 2022, section 4.2.3; Narayanan et al. 2021, section 2.2).
    """
    p, m = layout.pipeline, layout.interleave
    if p == 1:
        return 1.0
    chunks = p - stage if m == 1 else 2 * (p - stage - 1) + (m - 1) * p + 1
    return min(chunks / m, float(layout.accumulation))
