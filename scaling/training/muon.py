"""Muon (Jordan, 2024), with all matrices of one shape orthogonalised by one batched iteration.

The mathematics is that of `torch.optim.Muon`, which takes one matrix after another and iterates in bfloat16: fifteen
small products a matrix, each dominated by its call, and on a processor without bfloat16 units each many times slower
than in float32.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from scaling.errors import UserError
from scaling.model.tiling import MUON_STACKED_NUMBERS

# Coefficients of the quintic and their number of applications (Jordan, 2024): the slope at zero is largest, and
# singular values end between about 0.7 and 1.2.
QUINTIC = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
SMALLEST_NORM = 1e-7


def orthogonalise(matrices_NRC: Tensor, dtype: torch.dtype) -> Tensor:
    """Each matrix with its singular values pushed towards one, by Newton-Schulz iterations in `dtype`.

    Args:
        matrices_NRC: N matrices of R rows and C columns, R ≤ C: the short side's products are the cheap ones.
        dtype: of the products; the result has it too.
    """
    a, b, c = QUINTIC
    x = matrices_NRC.to(dtype)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp_(min=SMALLEST_NORM)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; decoupled weight decay; steps of the size of AdamW's.

    The update of an R x C matrix is scaled by 0.2 sqrt(max(R, C)), which gives it AdamW's usual root mean square
    whatever its shape (Liu et al., 2025, section 2.2).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`dtype`: in which Newton-Schulz iterates; momentum and weights keep their own."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        if bad := [tuple(p.shape) for group in self.param_groups for p in group["params"] if p.ndim != 2]:
            raise UserError(f"Muon updates matrices, not tensors of shape {bad[0]}: give those to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum_buffer"] for p in params]
            gradients = [p.grad for p in params if p.grad is not None]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            for batch in _batches(params):
                self._update(batch, group["lr"], group["momentum"])
        return loss

    def _update(self, batch: list[Tensor], lr: float, momentum: float) -> None:
        """Matrices of one shape, or of that shape turned: all are orthogonalised lying on their long side."""
        momenta = [self.state[p]["momentum_buffer"] for p in batch]
        if isinstance(batch[0], DTensor):
            # An orthogonalised matrix takes the whole one: each rank gathers it and keeps its share of the update.
            shares = [torch.lerp(p.grad, m, momentum) for p, m in zip(batch, momenta, strict=True)]  # type: ignore[arg-type]
            nesterov = torch.stack([_lying(share.full_tensor()) for share in shares])  # type: ignore[attr-defined]
        else:
            nesterov = torch.stack([_lying(p.grad) for p in batch if p.grad is not None])
            nesterov.lerp_(torch.stack([_lying(m) for m in momenta]), momentum)
        updates = orthogonalise(nesterov, self.dtype).unbind()
        scale = -lr * 0.2 * max(batch[0].shape) ** 0.5
        each = [
            update.mT if p.shape[0] > p.shape[1] else update for p, update in zip(batch, updates, strict=True)
        ]
        if isinstance(batch[0], DTensor):
            mesh, placements = batch[0].device_mesh, batch[0].placements
            each = [distribute_tensor(update, mesh, placements, src_data_rank=None) for update in each]
        torch._foreach_add_(batch, each, alpha=scale)


def _lying(matrix: Tensor) -> Tensor:
    """A matrix with no more rows than columns: itself, or turned."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _batches(params: list[Tensor]) -> list[list[Tensor]]:
    """Parameters of equal sides together, at most MUON_STACKED_NUMBERS numbers at once (and at least one matrix)."""
    by_sides: dict[tuple[int, ...], list[Tensor]] = {}
    for p in params:
        by_sides.setdefault(tuple(sorted(p.shape)), []).append(p)
    batches = []
    for sides, group in by_sides.items():
        size = max(1, MUON_STACKED_NUMBERS // prod(sides))
        batches += [group[start : start + size] for start in range(0, len(group), size)]
    return batches
