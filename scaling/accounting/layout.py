"""How a training job is spread over devices: the degrees of every kind of parallelism.

A device's place has four coordinates, data x context x pipeline x tensor; expert parallelism
and ZeRO reuse the data coordinate instead of adding one (Rajbhandari et al. 2020,
arXiv:1910.02054; Narayanan et al. 2021, arXiv:2104.04473; Korthikanti et al. 2022, arXiv:2205.05198).
"""

from dataclasses import dataclass

from scaling.errors import UserError
from scaling.shape.shape import ModelShape, divisors

MOST_DEVICES = 64
"""The largest tensor-parallel degree that a message proposes: several nodes, beyond which nobody splits a product."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to spread a job over `devices` accelerators; the default is a single device."""

    data: int = 1
    """Data-parallel replicas; ZeRO (FSDP) shards model states over these (and over `context`)."""
    zero_stage: int = 0
    """0: replicated states; 1: optimizer states sharded; 2: gradients too; 3: weights too (FSDP)."""
    zero_group: int | None = None
    """Devices that share one copy of what ZeRO-3 shards; every group of so many holds a copy (hybrid sharding: Zhao et
    al. 2023, arXiv:2304.11277, section 3.2.2). None: all replicas share one copy."""
    tensor: int = 1
    """Tensor-parallel degree: heads and feed-forward width are split over this many devices."""
    sequence: bool = False
    """Sequence parallelism: activations outside the tensor-parallel matmuls are split over `tensor` too."""
    pipeline: int = 1
    """Pipeline stages: consecutive blocks on different devices."""
    interleave: int = 1
    """Virtual stages (model chunks) on each pipeline device; 1 is plain 1F1B."""
    context: int = 1
    """Context-parallel degree: each sequence is split over this many devices."""
    expert: int = 1
    """Expert-parallel degree (mixture of experts): experts are spread over the data-parallel group; a degree that does
    not divide it spreads them over the tensor-parallel devices as well, each of which then holds whole experts."""
    micro_batch: int = 1
    """Sequences one data-parallel replica computes at a time."""
    accumulation: int = 1
    """Micro-batches each replica computes before an optimizer step (with a pipeline: those in flight)."""

    def __post_init__(self) -> None:
        for name in (
            "data", "tensor", "pipeline", "interleave", "context", "expert", "micro_batch", "accumulation"
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UserError(
                    f"layout.{name}={value!r} is not a positive whole number: give 1 to leave it off"
                )
        if self.zero_stage not in (0, 1, 2, 3):
            raise UserError(f"layout.zero_stage={self.zero_stage!r} is not 0, 1, 2 or 3 (3 is FSDP)")
        replicas = self.data * self.context
        group = self.zero_group
        if group is not None:
            if not isinstance(group, int) or group < 1 or replicas % group:
                raise UserError(
                    f"layout.zero_group={group!r} does not divide the {replicas} replicas (data x context): "
                    "leave it out to shard over all of them"
                )
            if self.zero_stage != 3 or self.expert > 1:
                raise UserError(f"layout.zero_group={group} needs layout.zero_stage=3 and no experts apart")
        if self.data % self.expert and (self.expert % self.tensor or replicas % (self.expert // self.tensor)):
            raise UserError(
                f"layout.expert={self.expert} divides neither layout.data={self.data} nor, as a multiple of "
                f"layout.tensor={self.tensor}, the {replicas * self.tensor} devices of a pipeline stage: experts are "
                "spread over the one or the other"
            )
        if self.interleave > 1 and self.pipeline == 1:
            raise UserError(f"layout.interleave={self.interleave} needs layout.pipeline > 1")

    @property
    def devices(self) -> int:
        """Accelerators in the job."""
        return self.data * self.tensor * self.pipeline * self.context

    @property
    def expert_tensor(self) -> int:
        """Devices that share each expert's matrices: the tensor-parallel ones, or 1 where they hold whole experts."""
        return 1 if self.data % self.expert else self.tensor

    @property
    def expert_devices(self) -> int:
        """Devices over which a layer's experts are spread, matrices cut by tensor parallelism included."""
        return self.expert * self.expert_tensor

    @property
    def shard_group(self) -> int:
        """Devices over which ZeRO shards: the data and context coordinates, or a part of them."""
        return self.zero_group or self.data * self.context

    @property
    def shard_copies(self) -> int:
        """Groups of devices that each hold one whole copy of the sharded states."""
        return self.data * self.context // self.shard_group

    @property
    def sequences_per_step(self) -> int:
        """Global batch in sequences."""
        return self.data * self.micro_batch * self.accumulation

    def __str__(self) -> str:
        parts = []
        if self.data > 1 or self.devices == 1:
            parts.append(f"DP{self.data}")
        if self.zero_stage:
            group = f"/{self.zero_group}" if self.shard_copies > 1 else ""
            parts.append(f"ZeRO-{self.zero_stage}{group}")
        if self.tensor > 1:
            parts.append(f"TP{self.tensor}" + ("+SP" if self.sequence else ""))
        if self.pipeline > 1:
            parts.append(f"PP{self.pipeline}" + (f"x{self.interleave}" if self.interleave > 1 else ""))
        if self.context > 1:
            parts.append(f"CP{self.context}")
        if self.expert > 1:
            parts.append(f"EP{self.expert}")
        return " ".join(parts)


def check_layout(shape: ModelShape, layout: Layout) -> None:
    """Raises UserError, naming the remedy, when `shape` cannot be split as `layout` says."""
    if shape.heads % layout.tensor:
        raise UserError(
            f"layout.tensor={layout.tensor} does not divide heads={shape.heads}: "
            f"choose a degree that divides the heads ({divisors(shape.heads, most=MOST_DEVICES)})"
        )
    for mixer in {mixer for block in shape.kinds for mixer in block.mixers} if shape.layers else ():
        if mixer.heads % layout.tensor:
            raise UserError(
                f"layout.tensor={layout.tensor} does not divide the {mixer.heads} heads of this model's other mixers: "
                f"choose a degree that divides them ({divisors(mixer.heads, most=MOST_DEVICES)})"
            )
    if shape.ffn_width % layout.tensor:
        raise UserError(
            f"layout.tensor={layout.tensor} does not divide ffn_width={shape.ffn_width}: "
            f"choose a degree that divides it ({divisors(shape.ffn_width, most=MOST_DEVICES)})"
        )
    if layout.pipeline > shape.depth:
        raise UserError(
            f"layout.pipeline={layout.pipeline} has more stages than the model's depth={shape.depth} blocks: "
            f"give at most {shape.depth}"
        )
    if layout.pipeline * layout.interleave > shape.depth:
        raise UserError(
            f"layout.interleave={layout.interleave} cuts depth={shape.depth} blocks into "
            f"{layout.pipeline * layout.interleave} chunks: give at most {shape.depth // layout.pipeline}"
        )
    if shape.context % layout.context:
        raise UserError(
            f"layout.context={layout.context} does not divide the context of {shape.context} tokens"
        )
    if layout.expert > 1 and shape.experts % layout.expert:
        raise UserError(f"layout.expert={layout.expert} does not divide experts={shape.experts}")
