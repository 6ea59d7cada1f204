"""Muon (Jordan, 2024), which orthogonalises all matrices of one shape together, in one batched iteration.

`torch.optim.Muon` has the same mathematics, but takes one matrix after another and iterates in bfloat16. That makes
fifteen small products a matrix, whose time goes mostly to calling them; and on a processor without bfloat16 units each
is many times slower than in float32.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from scaling.errors import UserError
from scaling.model.tiling import MUON_STACKED_NUMBERS

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz polynomial (Jordan, 2024), chosen for a steep slope at 0."""
NEWTON_SCHULZ_STEPS = 5
"""Applications of the polynomial; singular values then lie between about 0.7 and 1.2."""
SMALLEST_NORM = 1e-7
"""Divisor of a matrix whose norm is smaller, such as 0 (as in `torch.optim.Muon`)."""


def orthogonalise(matrices_NRC: Tensor, dtype: torch.dtype) -> Tensor:
    """Each matrix with its singular values pushed towards one, by Newton-Schulz iterations in `dtype`.

    Args:
        matrices_NRC: N matrices of R rows and C columns. R ≤ C makes the R × R products small.
        dtype: of the products and of the result.
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
    """Orthogonalised Nesterov momentum, with decoupled weight decay.

    The update of an R × C matrix is scaled by 0.2 sqrt(max(R, C)), which gives it the root mean square that AdamW's
    updates usually have, whatever its shape (Liu et al., 2025, section 2.2).
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
        """`dtype`: of the Newton-Schulz iteration. Momentum has the dtype of the weights."""
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
            for stack in _stacks(params):
                self._update(stack, group["lr"], group["momentum"])
        return loss

    def _update(self, stack: list[Tensor], lr: float, momentum: float) -> None:
        """Update matrices that have one shape, or its transpose: all are orthogonalised with R ≤ C."""
        momenta = [self.state[p]["momentum_buffer"] for p in stack]
        gradients = [p.grad for p in stack if p.grad is not None]
        if isinstance(stack[0], DTensor):
            # Orthogonalisation needs whole matrices: each rank gathers them, and keeps its share of the update.
            shares = [torch.lerp(g, m, momentum) for g, m in zip(gradients, momenta, strict=True)]
            nesterov = torch.stack([_wide(s.full_tensor()) for s in shares if isinstance(s, DTensor)])
        else:
            nesterov = torch.stack([_wide(gradient) for gradient in gradients])
            nesterov.lerp_(torch.stack([_wide(m) for m in momenta]), momentum)
        updates = orthogonalise(nesterov, self.dtype).unbind()
        scale = -lr * 0.2 * max(stack[0].shape) ** 0.5
        each = [
            update.mT if p.shape[0] > p.shape[1] else update for p, update in zip(stack, updates, strict=True)
        ]
        if isinstance(stack[0], DTensor):
            mesh, placements = stack[0].device_mesh, stack[0].placements
            each = [distribute_tensor(update, mesh, placements, src_data_rank=None) for update in each]
        torch._foreach_add_(stack, each, alpha=scale)


def _wide(matrix: Tensor) -> Tensor:
    """A matrix with no more rows than columns: itself, or its transpose."""
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _stacks(params: list[Tensor]) -> list[list[Tensor]]:
    """Groups of parameters of one shape or its transpose, of at most MUON_STACKED_NUMBERS numbers or of one matrix."""
    by_sides: dict[tuple[int, ...], list[Tensor]] = {}
    for p in params:
        by_sides.setdefault(tuple(sorted(p.shape)), []).append(p)
    stacks = []
    for sides, group in by_sides.items():
        size = max(1, MUON_STACKED_NUMBERS // prod(sides))
        stacks += [group[start : start + size] for start in range(0, len(group), size)]
    return stacks
