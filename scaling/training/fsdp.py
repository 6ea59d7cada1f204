"""Fully sharded training (FSDP2; ZeRO-3): each rank holds its share of every weight, gradient and optimizer state.

Blocks are gathered one after the other while they compute. A checkpoint is gathered on the first rank, in the form that
a single process writes, so that a run can continue on any number of ranks. All states must therefore fit into the first
rank's main memory when a checkpoint is written, and into every rank's when it is read.
"""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from scaling.model.decoder import Decoder
from scaling.training.optim import parts_of


class FullyShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 strategy, with checkpoints that any number of ranks can read."""

    def __init__(self, ranks: int) -> None:
        super().__init__(data_parallel_size=ranks, tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def shard(self, model: Decoder, precision: str) -> None:
        """Shard a decoder in place. Each block is gathered as one unit; embedding, head and last norm are another."""
        fully_shard_decoder(model, self.device_mesh["data_parallel"], precision)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Weights by name, whole on the first rank and empty on the others. Every rank must call it."""
        assert self.lightning_module is not None
        return gathered(self.lightning_module.state_dict(), keep=self.is_global_zero)

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The optimizer's state, whole on the first rank and empty on the others. Every rank must call it."""
        return gathered(getattr(optimizer, "_optimizer", optimizer).state_dict(), keep=self.is_global_zero)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        assert self.lightning_module is not None
        with torch.no_grad():
            wanted = self.lightning_module.state_dict()
            found = {
                name: sharded_like(tensor, wanted[name]) if isinstance(wanted.get(name), DTensor) else tensor
                for name, tensor in checkpoint["state_dict"].items()
            }
        self.lightning_module.load_state_dict(found, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        Strategy.load_optimizer_state_dict(self, checkpoint)
        for optimizer in self.optimizers:
            for part in parts_of(optimizer):
                for param, states in part.state.items():
                    for name, value in states.items():
                        if isinstance(value, Tensor) and value.shape == param.shape:
                            states[name] = sharded_like(value, param)


def fully_shard_decoder(model: Decoder, mesh: DeviceMesh, precision: str) -> None:
    """Shard a decoder's parameters over a one-dimensional mesh, in place.

    In bf16-mixed, gathered weights and activations are bfloat16; shares, sums of gradients and updates are float32.
    """
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if precision == "bf16-mixed"
        else MixedPrecisionPolicy(reduce_dtype=torch.float32)
    )
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def gathered(states: dict[str, Any], keep: bool = True) -> dict[str, Any]:
    """A tree of states with every sharded tensor gathered on the CPU; empty without `keep`. Every rank must call it."""

    @torch.no_grad()
    def whole(tensor: DTensor) -> Tensor | None:
        full = tensor.full_tensor()
        return full.cpu() if keep else None

    result: dict[str, Any] = tree_map_only(DTensor, whole, states)
    return result if keep else {}


def model_states(model: nn.Module, keep: bool = True) -> dict[str, Any]:
    """A model's weights by name, gathered where they are sharded; every rank must then call it."""
    return gathered(model.state_dict(), keep)


def sharded_like(full: Tensor, like: Tensor) -> Tensor:
    """This rank's share of a tensor that every rank holds, sharded as `like` is; takes no communication."""
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
