"""Which layouts fit: every way to spread a job over a number of devices, its memory and its speed, best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from math import ceil
from typing import get_args

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.memory import MemoryEstimate, training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.states import model_states
from scaling.accounting.timing import StepTime, step_time
from scaling.errors import UserError
from scaling.shape.flops import Recompute
from scaling.shape.shape import ModelShape

NEARLY_BEST = 1.03
"""Layouts whose step takes at most this much longer than the fastest count as equally fast; of these the one with the
least memory is best, since it leaves room."""
WORTH_DOUBLING = 1.01
"""A larger micro-batch is tried while doubling it gains at least this much speed."""
MAX_MICRO_BATCH = 64
MAX_PIPELINE = 64
WIDE_GROUP = 256
"""Replicas from which gathering weights block by block may cost more than holding them whole."""
LONG_PIPELINE = 8
"""Micro-batches a stage beyond which a pipeline's bubble, at most an eighth of its work, is not worth interleaving."""
LONG_CONTEXT = 32_768
"""Context parallelism is considered for sequences longer than this."""
MOST_OF_BATCH = 1.25
"""A layout may exceed the batch asked for by this factor, where one sequence a replica is more than the batch."""
WAITING = 0.3
"""Splitting a model further is not tried once it fits and at most this share of its step waits for replicas."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One layout with the recipe it runs under, its memory a device and its step time."""

    shape: ModelShape
    layout: Layout
    recipe: TrainingRecipe
    device: Device
    kernels: Kernels
    memory: MemoryEstimate

    @property
    def fits(self) -> bool:
        return self.memory.peak_memory_bytes <= self.device.memory_bytes

    @cached_property
    def step(self) -> StepTime:
        """Computed when first asked for: a search drops most candidates for their memory alone."""
        return step_time(self.shape, self.layout, self.device, self.recipe, kernels=self.kernels)

    @property
    def seconds_per_token(self) -> float:
        """Step time over tokens of the whole job: what makes one layout better than another."""
        return self.step.seconds / self.step.tokens


def layouts(
    shape: ModelShape, device: Device, devices: int, batch_tokens: float, *, only_promising: bool = False
) -> Iterator[Layout]:
    """Every sensible layout of `devices` devices, those that split the model least first, with micro-batch 1.

    Tensor parallelism stays inside a node; context parallelism is tried for long sequences only; experts are spread as
    widely as data parallelism allows. The promising ones shard model states as far as they go, and cut the model into
    stages only where tensor parallelism has used up the node.
    """
    long_context = (1, 2, 4, 8, 16) if shape.context > LONG_CONTEXT else (1,)
    degrees = [
        (tensor, pipeline, context)
        for tensor in _powers_of_two(min(device.node_devices, shape.heads, devices))
        for pipeline in _powers_of_two(min(shape.depth, MAX_PIPELINE, devices // tensor))
        for context in long_context
        if devices % (tensor * pipeline * context) == 0
    ]
    most = max(tensor for tensor, _, _ in degrees) if degrees else 1
    for tensor, pipeline, context in sorted(degrees, key=lambda d: (d[0] * d[1] * d[2], d[1], d[2])):
        if only_promising and pipeline > 1 and tensor < most:
            continue
        data = devices // (tensor * pipeline * context)
        if data > 1 and data * shape.context > MOST_OF_BATCH * batch_tokens:
            continue  # the batch has fewer sequences than there are replicas
        # Experts spread as widely as they go, or no further than a node.
        spreads = [
            e for e in _powers_of_two(data) if data % e == 0 and shape.experts % e == 0 and shape.experts
        ] or [1]
        near = max(1, device.node_devices // tensor)
        expert_degrees = sorted({max(spreads), max(e for e in spreads if e <= near)})
        zero_stages = [0, 1, 2, 3] if pipeline == 1 else [0, 1]
        if only_promising:
            wide = data * context >= WIDE_GROUP
            zero_stages = [1] if pipeline > 1 else [2, 3] if wide else [3]
        in_node = device.node_devices // (tensor * pipeline)
        hybrid = 1 < in_node < data * context and data * context % in_node == 0 and not shape.experts
        shardings: list[tuple[int, int | None]] = [(stage, None) for stage in zero_stages]
        if pipeline == 1 and hybrid and not only_promising:
            shardings.append((3, in_node))
        if data * context == 1:
            shardings = [(0, None)]
        # One block a chunk shortens the bubble most, and keeps most in flight.
        interleaves = [1, shape.depth // pipeline] if pipeline > 1 and shape.depth >= 2 * pipeline else [1]
        if only_promising:
            long = accumulation_for(shape, data, 1, batch_tokens) >= LONG_PIPELINE * pipeline
            interleaves = interleaves[:1] if long else interleaves[-1:]
        for (zero_stage, zero_group), interleave, expert in product(shardings, interleaves, expert_degrees):
            layout = Layout(
                data=data,
                zero_stage=zero_stage,
                zero_group=zero_group,
                tensor=tensor,
                sequence=tensor > 1,
                pipeline=pipeline,
                interleave=interleave,
                context=context,
                expert=expert,
            )
            try:
                check_layout(shape, layout)
            except UserError:
                continue  # heads, experts or feed-forward width do not divide: not a layout of this shape
            yield layout


def candidates(
    shape: ModelShape,
    recipe: TrainingRecipe,
    device: Device,
    devices: int,
    batch_tokens: float,
    *,
    kernels: Kernels = "fused",
    recomputes: tuple[Recompute, ...] | None = None,
    split_recipe: TrainingRecipe | None = None,
    only_promising: bool = False,
) -> list[Candidate]:
    """Layouts of `devices` devices, each with the recomputation and micro-batch that serve it best; best first.

    Those that fit come before those that do not, the fast before the slow; what does not fit is ordered by memory.

    Args:
        recomputes: the modes to choose from; by default all that save memory.
        split_recipe: the recipe of layouts that cut a model over tensor or pipeline and shard no weights; by default
            the same.
        only_promising: leave out layouts that are hardly ever best, and stop at the least model parallelism that fits
            without recomputation, and hardly waits for other replicas or gains nothing by less waiting.
    """
    modes = recomputes or _useful_recomputes(shape, recipe)
    found: list[Candidate] = []
    enough: int | None = None
    fastest = float("inf")
    for layout in layouts(shape, device, devices, batch_tokens, only_promising=only_promising):
        split = layout.tensor * layout.pipeline * layout.context
        if enough is not None and split > enough:
            break
        its_recipe = split_recipe if split_recipe is not None and keeps_weights_whole(layout) else recipe
        best = _best_of_layout(shape, layout, its_recipe, device, batch_tokens, kernels, modes)
        found.append(best)
        if only_promising and best.fits and best.recipe.recompute == modes[0]:
            if best.seconds_per_token > fastest or not _waits(best.step):
                enough = split
            fastest = min(fastest, best.seconds_per_token)
    fitting = [c for c in found if c.fits]
    rest = sorted((c for c in found if not c.fits), key=lambda c: c.memory.peak_memory_bytes)
    return _best_first(fitting) + rest


def best_candidate(
    shape: ModelShape,
    recipe: TrainingRecipe,
    device: Device,
    devices: int,
    batch_tokens: float,
    *,
    kernels: Kernels = "fused",
    recomputes: tuple[Recompute, ...] | None = None,
    split_recipe: TrainingRecipe | None = None,
) -> Candidate | None:
    """The best layout of a number of devices, fitting or not; None where the devices cannot be used at all."""
    found = candidates(
        shape, recipe, device, devices, batch_tokens,
        kernels=kernels, recomputes=recomputes, split_recipe=split_recipe, only_promising=True,
    )  # fmt: skip
    return found[0] if found else None


def fewest_devices(
    shape: ModelShape,
    recipe: TrainingRecipe,
    device: Device,
    batch_tokens: float,
    *,
    kernels: Kernels = "fused",
    recomputes: tuple[Recompute, ...] | None = None,
    split_recipe: TrainingRecipe | None = None,
    at_least: int = 1,
    at_most: int = 2**17,
) -> Candidate | None:
    """The best layout of the smallest power of two of devices on which the model fits; None where none does."""
    # Even sharded over all of them, weights, gradients and optimizer states have to fit.
    least = ceil(model_states(shape, recipe, Layout()).total / device.memory_bytes)
    devices = 1
    while devices < max(at_least, least):
        devices *= 2
    while devices <= at_most:
        best = best_candidate(
            shape, recipe, device, devices, batch_tokens,
            kernels=kernels, recomputes=recomputes, split_recipe=split_recipe,
        )  # fmt: skip
        if best is not None and best.fits:
            return best
        devices *= 2
    return None


def _waits(step: StepTime) -> bool:
    return step.parts["data parallel"] > WAITING * step.seconds


def keeps_weights_whole(layout: Layout) -> bool:
    """Whether a layout cuts the model itself and shards no weights, as Megatron-LM trains."""
    return layout.zero_stage < 3 and layout.tensor * layout.pipeline > 1


def accumulation_for(shape: ModelShape, data: int, micro_batch: int, batch_tokens: float) -> int:
    """Micro-batches that each of `data` replicas computes to come nearest to a batch; at least one."""
    return max(1, round(batch_tokens / (shape.context * data * micro_batch)))


@lru_cache
def _with_recompute(recipe: TrainingRecipe, mode: Recompute) -> TrainingRecipe:
    return replace(recipe, recompute=mode)


def _best_of_layout(
    shape: ModelShape,
    layout: Layout,
    recipe: TrainingRecipe,
    device: Device,
    batch_tokens: float,
    kernels: Kernels,
    modes: tuple[Recompute, ...],
) -> Candidate:
    """Over recomputation and micro-batch: the best that fits, or what comes nearest to fitting."""

    def attempt(mode: Recompute, micro_batch: int) -> Candidate:
        accumulation = accumulation_for(shape, layout.data, micro_batch, batch_tokens)
        tried = replace(layout, micro_batch=micro_batch, accumulation=accumulation)
        chosen = _with_recompute(recipe, mode)
        return Candidate(
            shape=shape,
            layout=tried,
            recipe=chosen,
            device=device,
            kernels=kernels,
            memory=training_memory(shape, chosen, tried),
        )

    # Running less again is faster, so the least that fits is taken; where even the most does not, nothing does.
    if model_states(shape, recipe, layout).total > device.memory_bytes:
        return attempt(modes[-1], 1)  # no recomputation makes room for the states
    first = attempt(modes[0], 1)
    if not first.fits and len(modes) > 1:
        most = attempt(modes[-1], 1)
        if not most.fits:
            return min(first, most, key=lambda c: c.memory.peak_memory_bytes)
        between = (attempt(mode, 1) for mode in modes[1:-1])
        first = next((candidate for candidate in between if candidate.fits), most)
    if not first.fits:
        return first
    fitting = [first]
    micro_batch = 2
    while (
        micro_batch <= MAX_MICRO_BATCH
        and micro_batch * layout.data * shape.context <= MOST_OF_BATCH * batch_tokens
    ):
        larger = attempt(first.recipe.recompute, micro_batch)
        if not larger.fits:
            break
        gain = fitting[-1].seconds_per_token / larger.seconds_per_token
        fitting.append(larger)
        if gain < WORTH_DOUBLING:
            break
        micro_batch *= 2
    return _best_first(fitting)[0]


def _best_first(fitting: list[Candidate]) -> list[Candidate]:
    """By speed; among the nearly fastest, the one with most memory left comes first."""
    if not fitting:
        return []
    ordered = sorted(fitting, key=lambda c: c.seconds_per_token)
    limit = NEARLY_BEST * ordered[0].seconds_per_token
    nearly = [c for c in ordered if c.seconds_per_token <= limit]
    best = min(nearly, key=lambda c: c.memory.peak_memory_bytes)
    return [best, *(c for c in ordered if c is not best)]


def _useful_recomputes(shape: ModelShape, recipe: TrainingRecipe) -> tuple[Recompute, ...]:
    """Modes from least to most recomputation that save something and are defined for the shape."""
    useless = set()
    if recipe.attention == "flash":
        useless.add("selective")  # a flash kernel keeps no scores to begin with
    if shape.experts or shape.latent is not None:
        useless.add("selective_ops")
    return tuple(mode for mode in get_args(Recompute) if mode not in useless)


def _powers_of_two(limit: int) -> list[int]:
    return [2**k for k in range(max(1, limit).bit_length())]
