"""The sensible ways to spread a training job over a number of devices, of which a search takes the best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout, check_layout
from scaling.errors import UserError
from scaling.shape.shape import ModelShape

MAX_PIPELINE = 64
LONG_CONTEXT = 32_768
"""Context parallelism is considered for sequences longer than this."""
MOST_OF_BATCH = 1.25
"""A layout may exceed the batch asked for by this factor, where one sequence a replica is more than the batch."""


def layouts(
    shape: ModelShape, device: Device, devices: int, batch_tokens: float, *, trainable: bool = False
) -> Iterator[Layout]:
    """Every sensible layout of `devices` devices, those that split the model least first, with micro-batch 1.

    Tensor parallelism stays inside a node; context parallelism is tried for long sequences only; experts are spread as
    widely as data parallelism allows. `trainable`: only those that `scaling train` runs, DDP and FSDP in one machine.
    """
    for split in _model_splits(shape, device, devices):
        if trainable and (split.devices > 1 or devices > device.node_devices):
            continue
        data = devices // split.devices
        if data > 1 and data * shape.context > MOST_OF_BATCH * batch_tokens:
            continue  # the batch has fewer sequences than there are replicas
        replicated = replace(split, data=data, sequence=split.tensor > 1)
        for (zero_stage, zero_group), interleave, expert in product(
            _shardings(shape, device, replicated),
            _interleaves(shape, replicated),
            _expert_degrees(shape, device, replicated),
        ):
            layout = replace(
                replicated, zero_stage=zero_stage, zero_group=zero_group, interleave=interleave, expert=expert
            )
            if trainable and not is_trainable(layout):
                continue
            try:
                check_layout(shape, layout)
            except UserError:
                continue  # heads, experts or feed-forward width do not divide: not a layout of this shape
            yield layout


def is_trainable(layout: Layout) -> bool:
    """Whether `scaling train` spreads a run so: whole copies (DDP), or weights and all else sharded (FSDP)."""
    data_alone = layout.tensor == layout.pipeline == layout.context == layout.expert == 1
    return data_alone and layout.zero_stage in (0, 3) and layout.zero_group is None


def accumulation_for(shape: ModelShape, data: int, micro_batch: int, batch_tokens: float) -> int:
    """Micro-batches that each of `data` replicas computes to come nearest to a batch; at least one."""
    return max(1, round(batch_tokens / (shape.context * data * micro_batch)))


def _model_splits(shape: ModelShape, device: Device, devices: int) -> list[Layout]:
    """Layouts of one replica: degrees of tensor, pipeline and context parallelism, the least split first."""
    contexts = (1, 2, 4, 8, 16) if shape.context > LONG_CONTEXT else (1,)
    splits = [
        Layout(tensor=tensor, pipeline=pipeline, context=context)
        for tensor in _powers_of_two(min(device.node_devices, shape.heads, devices))
        for pipeline in _powers_of_two(min(shape.depth, MAX_PIPELINE, devices // tensor))
        for context in contexts
        if devices % (tensor * pipeline * context) == 0
    ]
    return sorted(splits, key=lambda split: (split.devices, split.pipeline, split.context))


def _shardings(shape: ModelShape, device: Device, layout: Layout) -> list[tuple[int, int | None]]:
    """(ZeRO stage, devices that share one copy of the weights) to try."""
    replicas = layout.data * layout.context
    if replicas == 1:
        return [(0, None)]
    if layout.pipeline > 1:
        return [(0, None), (1, None)]
    shardings: list[tuple[int, int | None]] = [(0, None), (1, None), (2, None), (3, None)]
    in_node = device.node_devices // layout.tensor
    if 1 < in_node < replicas and replicas % in_node == 0 and not shape.experts:
        shardings.append((3, in_node))
    return shardings


def _interleaves(shape: ModelShape, layout: Layout) -> tuple[int, ...]:
    """Chunks of the model that each stage of a pipeline holds."""
    if layout.pipeline == 1 or shape.depth < 2 * layout.pipeline:
        return (1,)
    # One block a chunk shortens the bubble most, and keeps most in flight.
    return (1, shape.depth // layout.pipeline)


def _expert_degrees(shape: ModelShape, device: Device, layout: Layout) -> list[int]:
    """Experts spread as widely as they go, or no further than a node."""
    if not shape.experts:
        return [1]
    spreads = [e for e in _powers_of_two(layout.data) if layout.data % e == 0 and shape.experts % e == 0]
    node_replicas = max(1, device.node_devices // layout.tensor)
    return sorted({max(spreads), max(e for e in spreads if e <= node_replicas)})


def _powers_of_two(limit: int) -> list[int]:
    return [2**k for k in range(max(1, limit).bit_length())]
