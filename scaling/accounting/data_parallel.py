"""Communication of data-parallel training (DDP, ZeRO, FSDP) that the computation of a step does not hide."""

from math import ceil

from scaling.accounting.collectives import COMMUNICATION_SHARE, gather_seconds
from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe

BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA = 40_000_000, 1_000_000
"""Gradients travel in buckets of at least so many parameters, and of so many for each replica where that is more
(Megatron-LM, distributed_data_parallel.py: large enough to be bound by bandwidth)."""


def exposed_data_seconds(
    layout: Layout,
    device: Device,
    recipe: TrainingRecipe,
    *,
    params: float,
    blocks: float,
    forward_seconds: float,
    backward_seconds: float,
) -> float:
    """Seconds a step of gradient reduction and weight gathering that computation does not hide.

    Both run block by block beside the computation, and take some of its multiprocessors. What shows is what they take,
    or the excess over the computation, or one block's share at the end where nothing is left to hide behind.

    Args:
        params: parameters on one device before ZeRO shards them.
        blocks: blocks on one device.
        forward_seconds: forward of one micro-batch, and backward_seconds its backward.
    """
    group, copies = layout.shard_group, layout.shard_copies
    if group * copies == 1:
        return 0.0

    sharded = layout.zero_stage == 3
    # FSDP gathers block by block; replicated weights are reduced in buckets as large as it takes.
    pieces = blocks if sharded else ceil(params / max(BUCKET_PARAMS, BUCKET_PARAMS_PER_REPLICA * group))

    def gather(ranks: int, stride: int, total_bytes: float) -> float:
        return pieces * gather_seconds(device, ranks, stride, total_bytes / pieces)

    def exposed(communication: float, computation: float) -> float:
        taken = COMMUNICATION_SHARE * communication
        return max(communication - computation, communication / pieces, taken)

    reduce = gather(group, layout.tensor, recipe.bytes.gradient * params)
    weights = gather(group, layout.tensor, recipe.bytes.compute * params)
    if sharded:
        # Groups that hold copies add up their parts of the gradients, once a step behind the last backward.
        part = recipe.bytes.gradient * params / group
        among_copies = 2 * gather(copies, layout.tensor * group, part)
        in_backward = exposed(weights + reduce, backward_seconds)
        each = exposed(weights, forward_seconds) + in_backward
        last = exposed(weights + reduce + among_copies, backward_seconds) - in_backward
        return layout.accumulation * each + last
    # Replicated weights: one reduction a step behind the last backward; the second half of an all-reduce, or
    # (ZeRO 1 and 2) gathering the updated weights, behind it or behind the next forward.
    if layout.zero_stage == 0:
        return exposed(2 * reduce, backward_seconds)
    return exposed(reduce, backward_seconds) + exposed(weights, forward_seconds)
