"""Bytes on one device at each instant of a training step, and the largest of them.

A step passes through forward, loss, backward and the optimizer's update. What is alive differs at each: logits peak
in the loss, gradients grow while activations shrink. The peak is the maximum over instants, never a sum of maxima.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from scaling.accounting import cpu_activations
from scaling.accounting.activation_sizes import TOKEN_BYTES
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.stage import REDUCE_BYTES, Stage
from scaling.accounting.states import ModelStates
from scaling.errors import UserError
from scaling.model.tiling import MUON_STACKED_NUMBERS
from scaling.shape.shape import ModelShape, is_our_decoder

GATHERED_BLOCKS = 2
"""Blocks whose weights ZeRO-3 holds in full: the one computed and the one fetched ahead (Zhao et al. 2023,
arXiv:2304.11277, section 3.3.2)."""
ALLOCATOR_SLACK = 0.15
"""Bytes that PyTorch's caching allocator reserves beyond live tensors, as a share of these: freed blocks too small or
too scattered to be used again. Guo et al. 2024 (GMLake, arXiv:2401.08156) find 15 % on average over eight language
models in training; the median of torchtitan's published rows agrees. Expandable segments need less."""


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
    """The instants in their order, on the pipeline stage that needs most."""
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
    estimates = [
        _stage_memory(Stage(shape=shape, recipe=recipe, layout=layout, index=index))
        for index in sorted(stages)
    ]
    return max(estimates, key=lambda estimate: estimate.peak_memory_bytes)


def _stage_memory(stage: Stage) -> MemoryEstimate:
    always = _always_alive(stage)

    def instant(name: str, more: Mapping[str, float]) -> Instant:
        components = dict(always)
        for component, size in more.items():
            components[component] = components.get(component, 0) + size
        return Instant(name=name, components={key: size for key, size in components.items() if size > 0})

    instants = [instant("forward", _forward(stage))]
    if stage.is_last:
        instants.append(instant("loss", _loss(stage)))
    instants.append(instant("backward, last block", _backward_of_last_block(stage)))
    instants.append(instant("backward, first block", _backward_of_first_block(stage)))
    if stage.is_first:
        instants.append(instant("backward, embedding", _backward_of_embedding(stage)))
    casts = always.get("weight_casts", 0.0)
    instants.append(instant("optimizer step", _optimizer_step(stage, weight_casts=casts)))
    peak = max(i.bytes for i in instants)
    return MemoryEstimate(
        instants=tuple(instants),
        states=stage.states,
        pipeline_stage=stage.index,
        allocator_slack_bytes=ALLOCATOR_SLACK * peak if stage.recipe.runtime == "torch" else 0.0,
    )


def _always_alive(stage: Stage) -> dict[str, float]:
    """Bytes alive at every instant, by component."""
    shape, states = stage.shape, stage.states
    always = {
        "weights": states.weights + states.master_weights,
        "optimizer_states": states.optimizer_states,
        "inputs": _input_bytes(stage),
        "attention_tables": cpu_activations.attention_tables_bytes(stage.sizes)
        if stage.sizes.compiled_cpu_ops
        else 0.0,
    }
    if stage.recipe.bytes.autocast and not stage.shards_weights:
        head = shape.vocab_size / stage.layout.tensor * shape.width if stage.is_last else 0
        matrices = stage.params.hidden + stage.params.experts + head
        always["weight_casts"] = stage.recipe.bytes.compute * matrices
    if stage.shards_weights:
        # A pipeline gathers weights once a step and keeps them; without one, only embedding and head stay.
        keeps_gathered = stage.layout.pipeline > 1
        gathered = GATHERED_BLOCKS * stage.params.block + stage.params.ends
        always["communication"] = stage.recipe.bytes.compute * (
            stage.params.total if keeps_gathered else gathered
        )
        if keeps_gathered and stage.accumulates:
            always["gradient_buffers"] = REDUCE_BYTES * stage.params.total
    elif not stage.megatron and stage.layout.shard_group > 1:
        # DistributedDataParallel reduces copies of the gradients, in buckets.
        always["communication"] = states.gradients
    if not stage.gradients_grow:
        always["gradients"] = states.gradients
    return {component: size for component, size in always.items() if size}


def _input_bytes(stage: Stage) -> float:
    """Token ids, and the angles of rotary positions.

    A loader hands an accelerator one micro-batch at a time; on a CPU this project's step holds its whole batch.
    """
    shape, layout = stage.shape, stage.layout
    held = layout.accumulation if stage.recipe.runtime in ("torch_cpu", "written_out") else 1
    tokens = held * layout.micro_batch * (shape.context / layout.context + 1)
    if shape.positions != "rotary":
        return tokens * TOKEN_BYTES
    angle_bytes = 2 if stage.recipe.precision in ("bf16-true", "16-true") else 4
    return tokens * TOKEN_BYTES + shape.context * shape.head_width * angle_bytes


# What is alive at one instant besides what always is, by component.


def _forward(stage: Stage) -> dict[str, float]:
    newest = stage.last_block
    return {"activations": stage.kept_bytes - newest.kept_bytes + newest.forward_peak}


def _loss(stage: Stage) -> dict[str, float]:
    passes = stage.head_and_loss
    assert passes is not None
    return {"activations": stage.kept_bytes, "logits": max(passes.forward_peak, passes.backward_peak)}


def _backward_of_last_block(stage: Stage) -> dict[str, float]:
    newest = stage.last_block
    return {
        "activations": stage.kept_bytes - newest.kept_bytes + newest.backward_peak,
        "gradients": stage.head_gradient_bytes + stage.waiting_gradient_bytes,
        "gradient_buffers": stage.reduced_number_bytes * stage.params.block if stage.shards_weights else 0.0,
    }


def _backward_of_first_block(stage: Stage) -> dict[str, float]:
    oldest = stage.first_block
    sharded = stage.states.gradients if stage.shards_weights and stage.gradients_grow else 0.0
    return {
        "activations": stage.kept_by_other_micro_batches + oldest.backward_peak,
        "gradients": stage.head_gradient_bytes
        + stage.block_gradient_bytes
        - oldest.weight_gradients
        + stage.waiting_gradient_bytes
        + sharded,
        "gradient_buffers": stage.reduced_number_bytes * stage.params.block if stage.shards_weights else 0.0,
    }


def _backward_of_embedding(stage: Stage) -> dict[str, float]:
    return {
        "activations": stage.kept_by_other_micro_batches + stage.sizes.residual_stream_bytes,
        "gradients": stage.states.gradients if stage.gradients_grow else 0.0,
        "gradient_buffers": _embedding_gradient_buffers(stage),
    }


def _embedding_gradient_buffers(stage: Stage) -> float:
    """Gradients that are not yet where they stay when the embedding's has been made."""
    if stage.shards_weights:
        return stage.reduced_number_bytes * stage.params.ends
    if stage.megatron:
        return 0.0
    matrix, table = stage.vocabulary_gradient_bytes, stage.recipe.bytes
    waiting = stage.waiting_gradient_bytes
    if stage.sizes.collects_cast_gradients:
        waiting += stage.head_gradient_bytes + stage.block_gradient_bytes
        if stage.adds_tied_gradients:  # the head's, cast to float32 before it meets the embedding's
            waiting += matrix * (1 - table.compute / table.gradient)
    if stage.adds_tied_gradients:
        return 2 * matrix + waiting  # the embedding's gradient and its sum with the head's
    return matrix + waiting if stage.accumulates else waiting


def _optimizer_step(stage: Stage, *, weight_casts: float) -> dict[str, float]:
    return {
        "gradients": stage.states.gradients if stage.gradients_grow else 0.0,
        "optimizer_workspace": optimizer_workspace(stage.shape, stage.recipe, stage.layout),
        "weight_casts": -weight_casts,  # they end with autocast
    }


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
