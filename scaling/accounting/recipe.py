"""How a model is trained, as far as memory and speed depend on it: optimizer, precision, recomputation, kernels."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from scaling.errors import UserError
from scaling.model.cpu_support import CPU_KERNEL_PRECISIONS, trains_with_cpu_kernels
from scaling.shape.flops import Recompute

Optimizer = Literal["adamw", "adamw_8bit", "sgd", "sgd_momentum", "muon", "adafactor"]
Precision = Literal[
    "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "bf16-master", "16-master", "fp8-mixed"
]
Attention = Literal["flash", "materialised"]
Runtime = Literal["torch_cpu", "written_out", "torch", "megatron"]


@dataclass(frozen=True, kw_only=True)
class PrecisionBytes:
    """Bytes of one number of each kind."""

    weight: int
    """A stored weight."""
    gradient: int
    """A stored gradient."""
    master: int
    """The float32 copy of a weight that the optimizer updates; 0 where the weight itself is updated."""
    state: int
    """One optimizer moment."""
    compute: int
    """An activation, and the copy of a weight that products use."""
    autocast: bool = False
    """Products cast float32 inputs on the fly; the residual stream stays float32 unless weights arrive cast."""


PRECISIONS: dict[Precision, PrecisionBytes] = {
    "32-true": PrecisionBytes(weight=4, gradient=4, master=0, state=4, compute=4),
    # Lightning's names: float32 weights, 16-bit products.
    "bf16-mixed": PrecisionBytes(weight=4, gradient=4, master=0, state=4, compute=2, autocast=True),
    "16-mixed": PrecisionBytes(weight=4, gradient=4, master=0, state=4, compute=2, autocast=True),
    "bf16-true": PrecisionBytes(weight=2, gradient=2, master=0, state=2, compute=2),
    "16-true": PrecisionBytes(weight=2, gradient=2, master=0, state=2, compute=2),
    # Micikevicius et al. 2018 (arXiv:1710.03740): 16-bit weights and a float32 copy that is updated.
    "bf16-master": PrecisionBytes(weight=2, gradient=2, master=4, state=4, compute=2),
    "16-master": PrecisionBytes(weight=2, gradient=2, master=4, state=4, compute=2),
    # 8-bit products of 16-bit activations, which are what backward keeps (torchao float8, as torchtitan uses it).
    "fp8-mixed": PrecisionBytes(weight=4, gradient=4, master=0, state=4, compute=2, autocast=True),
}
"""Bytes by precision; `-true` computes in what it stores, `-mixed` casts, `-master` keeps two copies."""


MEGATRON_PRECISIONS = {name: replace(table, gradient=4) for name, table in PRECISIONS.items()}
"""Megatron-LM adds up gradients in float32 whatever the weights' precision (--accumulate-allreduce-grads-in-fp32)."""

CHOICES = {
    "optimizer": get_args(Optimizer),
    "precision": get_args(Precision),
    "recompute": get_args(Recompute),
    "attention": get_args(Attention),
    "runtime": get_args(Runtime),
}


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Everything but shape and layout on which the memory of a training step depends."""

    optimizer: Optimizer = "adamw"
    precision: Precision = "32-true"
    recompute: Recompute = "none"
    attention: Attention = "flash"
    """flash keeps one statistic a query, materialised keeps T×T weights a head."""
    runtime: Runtime = "torch"
    """torch_cpu: PyTorch's kernels on a CPU, exact live bytes; written_out: this project's compiled operations on a
    CPU; torch: fused kernels and a caching allocator on an accelerator; megatron: Megatron-LM's kernels, in-place loss
    and float32 gradients."""
    dropout: bool = False
    """Dropout masks are kept for backward."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"{name}={getattr(self, name)!r} is unknown: choose one of {', '.join(allowed)}"
                )
        plain = self.recompute == "none" and self.attention == "flash" and not self.dropout
        if self.runtime == "written_out" and not (plain and self.precision in CPU_KERNEL_PRECISIONS):
            raise UserError(
                f"runtime=written_out: trains with precision={' or '.join(CPU_KERNEL_PRECISIONS)}, without "
                "recomputation, materialised attention or dropout; take runtime=torch_cpu for those"
            )

    @property
    def bytes(self) -> PrecisionBytes:
        """Bytes of one number of each kind under this precision and runtime."""
        if self.runtime in ("torch_cpu", "written_out") and self.precision == "bf16-master":
            # This project's training adds each gradient to a float32 gradient of the master weight at once.
            return replace(PRECISIONS[self.precision], gradient=4)
        return (MEGATRON_PRECISIONS if self.runtime == "megatron" else PRECISIONS)[self.precision]


def processor_runtime(precision: str, devices: int = 1) -> Runtime:
    """How this project trains its decoder on a processor: written out where it may be, else as PyTorch composes it."""
    return "written_out" if trains_with_cpu_kernels(precision, devices) else "torch_cpu"
