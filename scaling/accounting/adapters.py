"""Parameters and bytes of fine-tuning through low-rank adapters on frozen weights (LoRA, QLoRA)."""

from dataclasses import dataclass, replace

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.inference import WEIGHT_BITS, WeightFormat, weight_bytes
from scaling.accounting.kept_activations import part_passes, usual_block
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.memory import ALLOCATOR_SLACK
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import DeviceParams, optimizer_bytes
from scaling.errors import UserError
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class FineTuningMemory:
    """Bytes on one device while low-rank adapters are trained on frozen weights."""

    frozen_weights: float
    adapter_states: float
    """Weights, gradients and optimizer states of the adapters."""
    activations: float
    """What all blocks keep, and the peak of one block or of the loss."""
    dequantised: float
    """The matrix being multiplied, in the precision of the product."""
    allocator_slack_bytes: float
    adapter_params: int

    @property
    def peak_allocated_bytes(self) -> float:
        return self.frozen_weights + self.adapter_states + self.activations + self.dequantised

    @property
    def peak_memory_bytes(self) -> float:
        return self.peak_allocated_bytes + self.allocator_slack_bytes


def lora_params(shape: ModelShape, rank: int, *, attention_only: bool = False) -> int:
    """Parameters of rank-`rank` adapters on every projection, or on queries and values only (Hu et al. 2021, 7.1)."""
    if rank < 1:
        raise UserError(f"rank={rank} must be a positive whole number")
    width = shape.width
    query = rank * (width + shape.attention_width)
    value = rank * (width + shape.kv_width)
    if attention_only:
        return shape.depth * (query + value)
    hidden = shape.expert_width or shape.ffn_width
    matrices = 3 if shape.ffn == "swiglu" else 2
    experts = (shape.experts + shape.shared_experts) if shape.experts else 1
    ffn = matrices * rank * (width + hidden) * experts
    return shape.depth * (2 * query + 2 * value + ffn)


def lora_memory(
    shape: ModelShape,
    recipe: TrainingRecipe,
    layout: Layout | None = None,
    *,
    rank: int = 16,
    weights: WeightFormat = "bf16",
    attention_only: bool = False,
) -> FineTuningMemory:
    """Memory of one device that trains adapters on frozen weights (LoRA); on 4-bit weights this is QLoRA.

    The adapters follow the recipe's precision; backward still needs every block's activations. Raises `UserError` for
    a layout that does not divide the shape, an unknown format and a rank below one.
    """
    layout = layout or Layout()
    check_layout(shape, layout)
    shards = layout.shard_group if layout.zero_stage == 3 else 1
    frozen = weight_bytes(shape, weights, layout) / shards
    adapters = lora_params(shape, rank, attention_only=attention_only)
    states = _adapter_state_bytes(recipe, adapters / layout.pipeline / shards, rank)
    activations = _activation_bytes(shape, recipe, layout)
    dequantised = 0.0
    if WEIGHT_BITS[weights] < 16:
        largest_matrix = shape.width * max(shape.ffn_width, shape.attention_width) / layout.tensor
        dequantised = recipe.bytes.compute * largest_matrix
    # Frozen weights are loaded once and lie without gaps.
    slack = ALLOCATOR_SLACK * (states + activations + dequantised) if recipe.runtime == "torch" else 0.0
    return FineTuningMemory(
        frozen_weights=frozen,
        adapter_states=states,
        activations=activations,
        dequantised=dequantised,
        allocator_slack_bytes=slack,
        adapter_params=adapters,
    )


def _adapter_state_bytes(recipe: TrainingRecipe, params: float, rank: int) -> float:
    """Weights, gradients and optimizer states of so many adapter parameters."""
    table = recipe.bytes
    held = DeviceParams(hidden=params, experts=0, ends=0, replicated=0, block=0, factors=params / rank)
    optimizer = optimizer_bytes(recipe.optimizer, held, table)
    return (table.weight + table.master + table.gradient) * params + optimizer


def _activation_bytes(shape: ModelShape, recipe: TrainingRecipe, layout: Layout) -> float:
    """What all blocks of a device keep, and the peak of one block or of head and loss."""
    # Under ZeRO-3 the gradients of the frozen weights take no bytes, as here, where there are none.
    sizes = ActivationSizes(shape=shape, recipe=recipe, layout=replace(layout, zero_stage=3))
    block, head = part_passes(sizes, usual_block(shape)), part_passes(sizes, "head_and_loss")
    kept = shape.depth / layout.pipeline * block.kept_bytes
    return kept + max(block.backward_peak - block.kept_bytes, head.forward_peak, head.backward_peak)
