"""Bytes on one device at each instant of a training step, and the largest of them.

A step passes through forward, loss, backward and the optimizer's update. What is alive differs at each: logits peak
in the loss, gradients grow while activations shrink. The peak is the maximum over instants, never a sum of maxima.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from scaling.accounting import activations, cpu_activations
from scaling.accounting.activations import TOKEN_BYTES, Tensors, stream_bytes
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import (
    ModelStates,
    blocks_on_stage,
    device_params,
    mixture_blocks_on_stage,
    model_states,
)
from scaling.accounting.tape import Passes, simulate_passes
from scaling.errors import UserError
from scaling.shape.shape import ModelShape, is_our_decoder

GATHERED_BLOCKS = 2
"""Blocks whose weights ZeRO-3 holds in full: the one computed and the one fetched ahead (Zhao et al. 2023,
arXiv:2304.11277, section 3.3.2)."""
REDUCE_BYTES = 4
"""Gradients are summed over replicas in float32."""
ALLOCATOR_SLACK = 0.15
"""Bytes that PyTorch's caching allocator reserves beyond live tensors, as a share of these: freed blocks too small or
too scattered to be used again. Guo et al. 2024 (GMLake, arXiv:2401.08156) find 15 % on average over eight language
models in training; the median of torchtitan's published rows agrees. Expandable segments need less."""

MUON_STACKED_NUMBERS = 2**21
"""Muon orthogonalises matrices of one shape together, stacked up to so many numbers: far beyond where batching pays,
and a bound on its workspace."""


@dataclass(frozen=True, kw_only=True)
class Instant:
    """Bytes alive at one instant of the step, by component."""

    name: str
    components: Mapping[str, float]

    @property
    def bytes(self) -> float:
        return sum(self.components.values())

    @property
    def largest_component(self) -> str:
        return max(self.components, key=lambda name: self.components[name])


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """Memory of the device that needs most: what is alive at each instant, and which instant binds."""

    instants: tuple[Instant, ...]
    """In the order of a step, on the pipeline stage that needs most."""
    states: ModelStates
    pipeline_stage: int
    allocator_slack_bytes: float

    @property
    def binding(self) -> Instant:
        """The instant of the peak."""
        return max(self.instants, key=lambda instant: instant.bytes)

    @property
    def binding_instant(self) -> str:
        return self.binding.name

    @property
    def binding_component(self) -> str:
        """The component that takes most at the peak."""
        return self.binding.largest_component

    @property
    def peak_allocated_bytes(self) -> float:
        """Bytes of live tensors at the peak (`torch.cuda.max_memory_allocated`)."""
        return self.binding.bytes

    @property
    def peak_memory_bytes(self) -> float:
        """What the device must have: live tensors and the allocator's slack (`torch.cuda.max_memory_reserved`)."""
        return self.peak_allocated_bytes + self.allocator_slack_bytes


def training_memory(
    shape: ModelShape, recipe: TrainingRecipe | None = None, layout: Layout | None = None
) -> MemoryEstimate:
    """Memory a device needs to train a model, at each instant of a step in its steady state.

    Raises `UserError` when the shape cannot be split as the layout says, or is an encoder-decoder.
    """
    recipe, layout = recipe or TrainingRecipe(), layout or Layout()
    check_layout(shape, layout)
    if recipe.runtime == "written_out" and not (is_our_decoder(shape) and layout.devices == 1):
        raise UserError(
            "runtime=written_out: this project's own decoder on one device, not "
            f"{layout.devices} devices or another architecture; take runtime=torch_cpu"
        )
    if shape.encoder_depth:
        raise UserError(
            f"encoder_depth={shape.encoder_depth}: activations of encoder-decoders are not modelled; `scaling budget` "
            "gives their parameters, FLOPs and model states"
        )
    # The first stage keeps most micro-batches in flight, the last computes the loss.
    stages = {0, layout.pipeline - 1}
    estimates = [_stage_memory(shape, recipe, layout, stage) for stage in sorted(stages)]
    return max(estimates, key=lambda estimate: estimate.peak_memory_bytes)


def _tape_layout(layout: Layout) -> Layout:
    """What of a layout a tape depends on, so that layouts which differ in the rest share one."""
    return Layout(
        data=layout.expert,
        expert=layout.expert,
        zero_stage=layout.zero_stage if layout.zero_stage >= 2 else 0,
        tensor=layout.tensor,
        sequence=layout.sequence,
        context=layout.context,
        micro_batch=layout.micro_batch,
        accumulation=min(layout.accumulation, 2),
    )


@lru_cache(maxsize=4096)
def part_passes(t: Tensors, part: str) -> Passes:
    """The tape of one part of the model, followed forward and backward."""
    stream = stream_bytes(t)
    fresh = t.layout.accumulation == 1 or t.grows_by_casts
    if part == "tail":
        tail = cpu_activations.tail_ops(t) if t.written_out else activations.tail_ops(t)
        return simulate_passes(tail, {"x": stream}, output="loss", fresh_gradients=fresh)
    mixture = part == "mixture"
    ops = cpu_activations.block_ops(t) if t.written_out else activations.block_ops(t, mixture=mixture)
    return simulate_passes(
        ops, {"x": stream}, output="y", recompute=t.recipe.recompute, fresh_gradients=fresh
    )


def activation_bytes(shape: ModelShape, recipe: TrainingRecipe, layout: Layout, stage: int = 0) -> float:
    """Bytes that the blocks of a pipeline stage keep between forward and backward, all micro-batches in flight."""
    t = Tensors(shape=shape, recipe=recipe, layout=_tape_layout(layout))
    dense, mixtures = _blocks(shape, layout, stage)
    kept = sum(
        count * part_passes(t, part).kept_bytes
        for part, count in (("dense", dense), ("mixture", mixtures))
        if count
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


def _blocks(shape: ModelShape, layout: Layout, stage: int) -> tuple[int, int]:
    blocks = blocks_on_stage(shape.depth, layout.pipeline, stage)
    mixtures = mixture_blocks_on_stage(shape, layout.pipeline, stage)
    return blocks - mixtures, mixtures


def _stage_memory(shape: ModelShape, recipe: TrainingRecipe, layout: Layout, stage: int) -> MemoryEstimate:
    t = Tensors(shape=shape, recipe=recipe, layout=_tape_layout(layout))
    states = model_states(shape, recipe, layout, stage)
    params = device_params(shape, layout, stage)
    table = recipe.bytes
    first, last = stage == 0, stage == layout.pipeline - 1
    fresh = layout.accumulation == 1
    sharded = layout.zero_stage == 3
    buffered = recipe.runtime == "megatron"

    # --- alive at every instant ---
    inputs = layout.accumulation * layout.micro_batch * (shape.context / layout.context + 1) * TOKEN_BYTES
    angles = shape.context * shape.head_width * (2 if recipe.precision in ("bf16-true", "16-true") else 4)
    always = {
        "weights": states.weights + states.master_weights,
        "optimizer_states": states.optimizer_states,
        "inputs": inputs + (angles if shape.positions == "rotary" else 0),
    }
    if t.written_out:
        always["attention_tables"] = cpu_activations.tables(t)
    if table.autocast and not sharded:
        always["weight_casts"] = table.compute * (
            params.hidden + params.experts + (shape.vocab_size / layout.tensor * shape.width if last else 0)
        )
    if sharded:
        # A pipeline gathers once a step and keeps what it gathered; else only the ends stay.
        whole = layout.pipeline > 1
        gathered = params.total if whole else GATHERED_BLOCKS * params.block + params.ends
        always["communication"] = table.compute * gathered
        if whole and not fresh:
            always["gradient_buffers"] = REDUCE_BYTES * params.total
    elif recipe.runtime != "megatron" and layout.shard_group > 1:
        # DistributedDataParallel reduces copies of the gradients, in buckets.
        always["communication"] = states.gradients
    if not fresh or buffered or layout.zero_stage == 2:
        always["gradients"] = states.gradients
    growing = "gradients" not in always

    # --- what blocks keep ---
    dense, mixtures = _blocks(shape, layout, stage)
    parts = [(part, count) for part, count in (("dense", dense), ("mixture", mixtures)) if count]
    in_flight = micro_batches_in_flight(layout, stage)
    kept: dict[str, float] = {}
    for part, count in parts:
        for component, size in part_passes(t, part).kept.items():
            kept[component] = kept.get(component, 0) + count * size * in_flight
    kept_bytes = sum(kept.values())
    tail = part_passes(t, "tail") if last else None
    newest = part_passes(t, parts[-1][0])
    oldest = part_passes(t, parts[0][0])
    stream = stream_bytes(t)

    def instant(name: str, **more: float) -> Instant:
        components = dict(always)
        for key, size in more.items():
            components[key] = components.get(key, 0) + size
        return Instant(name=name, components={key: size for key, size in components.items() if size > 0})

    # Tied and accumulated: the head's gradient waits for the embedding's before both are added to the old one.
    matrix = table.gradient * shape.vocab_size / layout.tensor * shape.width
    tied_here = shape.tied_head and layout.pipeline == 1 and not buffered and not sharded
    waiting = matrix if tied_here and not fresh and not t.grows_by_casts else 0.0
    block_gradients = 0.0
    if sharded:
        # Gradients of the block under way, as computed and as the float32 copy that is reduced.
        block_gradients = (table.compute + REDUCE_BYTES) * params.block

    instants = [
        instant("forward", activations=kept_bytes - newest.kept_bytes + newest.forward_peak),
    ]
    tail_gradients = 0.0
    if tail is not None:
        tail_gradients = tail.weight_gradients
        instants.append(
            instant("loss", activations=kept_bytes, logits=max(tail.forward_peak, tail.backward_peak))
        )
    gradients_of_blocks = sum(count * part_passes(t, part).weight_gradients for part, count in parts)
    sharded_gradients = states.gradients if sharded and growing else 0.0
    starts = instant(
        "backward, last block",
        activations=kept_bytes - newest.kept_bytes + newest.backward_peak,
        gradients=tail_gradients + waiting,
        gradient_buffers=block_gradients,
    )
    ends = instant(
        "backward, first block",
        activations=kept_bytes - kept_bytes / in_flight + oldest.backward_peak,
        gradients=tail_gradients
        + gradients_of_blocks
        - oldest.weight_gradients
        + waiting
        + sharded_gradients,
        gradient_buffers=block_gradients,
    )
    instants += [starts, ends]
    every_gradient = states.gradients if growing else 0.0
    if first:
        copies = 2 if tied_here else (0 if fresh else 1)
        if t.grows_by_casts:
            waiting += tail_gradients + gradients_of_blocks
            if tied_here:  # the head's, cast to float32 before it meets the embedding's
                waiting += matrix * (1 - table.compute / table.gradient)
        embedding = copies * matrix + waiting if not (buffered or sharded) else 0.0
        if sharded:
            embedding = (table.compute + REDUCE_BYTES) * params.ends
        instants.append(
            instant(
                "backward, embedding",
                activations=kept_bytes - kept_bytes / in_flight + stream,
                gradients=every_gradient,
                gradient_buffers=embedding,
            )
        )
    instants.append(
        instant(
            "optimizer step",
            gradients=every_gradient,
            optimizer_workspace=optimizer_workspace(shape, recipe, layout),
            weight_casts=-always.get("weight_casts", 0.0),  # they end with autocast
        )
    )
    peak = max(i.bytes for i in instants)
    return MemoryEstimate(
        instants=tuple(instants),
        states=states,
        pipeline_stage=stage,
        allocator_slack_bytes=ALLOCATOR_SLACK * peak if recipe.runtime == "torch" else 0.0,
    )


def optimizer_workspace(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> float:
    """Bytes an optimizer needs while it updates: none for fused AdamW, Muon's iteration on a stack of matrices."""
    if recipe.optimizer != "muon":
        return 0.0
    weight = recipe.bytes.master or recipe.bytes.weight
    product = 4 if recipe.precision == "32-true" else 2
    wide = 2 if shape.ffn == "swiglu" else 1
    expert_width = shape.expert_width or 1
    matrices: Counter[tuple[int, int]] = Counter()
    for width, count in (
        (shape.attention_width, 2), (shape.kv_width, 2), (shape.ffn_width, wide + 1), (expert_width, wide + 1)
    ):  # fmt: skip
        matrices[min(width, shape.width), max(width, shape.width)] += count
    workspaces = []
    for (short, long), in_block in matrices.items():
        stacked = min(in_block * shape.depth, max(1, MUON_STACKED_NUMBERS // (short * long)))
        # The updates, two iterates, and two products of the short side (Jordan 2024).
        workspaces.append(stacked * ((weight + 2 * product) * short * long + 2 * product * short * short))
    return max(workspaces) / layout.tensor
