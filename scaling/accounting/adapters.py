"""Parameters and bytes of fine-tuning through low-rank adapters on frozen weights (LoRA, QLoRA)."""

from dataclasses import dataclass, replace

from scaling.accounting.activation_sizes import ActivationSizes
from scaling.accounting.inference import WEIGHT_BITS, WeightFormat, weight_bytes
from scaling.accounting.kept_activations import part_passes
from scaling.accounting.layout import Layout, check_layout
from scaling.accounting.memory import ALLOCATOR_SLACK
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import DeviceParams, optimizer_bytes
from scaling.errors import UserError
from scaling.shape.attention import Attention
from scaling.shape.block import Mixer
from scaling.shape.feed_forward import FeedForward, Mixture
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
    width, total = shape.width, 0
    for block, count in shape.kinds.items():
        sides = sum(mixer_adapter_sides(mixer, width, attention_only) for mixer in block.mixers)
        if not attention_only and block.ffn is not None:
            sides += ffn_adapter_sides(block.ffn, width)
        total += count * rank * sides
    return total


def mixer_adapter_sides(mixer: Mixer, width: int, attention_only: bool) -> int:
    """Features in and out of a mixer's projections that get adapters."""
    if isinstance(mixer, Attention):
        value = mixer.kv_heads * (mixer.value_width or mixer.head_width)
        key = mixer.keys_and_values - value
        kept = not mixer.shares_cache
        query_and_value = width + mixer.query_width + kept * (width + value)
        if attention_only:
            return query_and_value
        return query_and_value + kept * (width + key) + width + mixer.output_width
    return 2 * width + mixer.matrix_sides


def ffn_adapter_sides(ffn: FeedForward | Mixture, width: int) -> int:
    """Features in and out of the projections of a feed-forward, or of all experts."""
    matrices = 3 if ffn.gated else 2
    if isinstance(ffn, FeedForward):
        return matrices * (width + ffn.hidden)
    shared = 0 if ffn.shared is None else matrices * (width + ffn.shared.hidden)
    return matrices * ffn.experts * ((ffn.latent or width) + ffn.hidden) + shared


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
    head = part_passes(sizes, "head_and_loss")
    blocks = [(count, part_passes(sizes, block)) for block, count in shape.kinds.items()]
    kept = sum(count * passes.kept_bytes for count, passes in blocks) / layout.pipeline
    newest = max(passes.backward_peak - passes.kept_bytes for _, passes in blocks)
    return kept + max(newest, head.forward_peak, head.backward_peak)
