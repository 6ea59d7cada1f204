"""Gradients of operations that form a chain, without autograd's graph: each reads what the one before has made."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def with_gradients(loss: Callable[[], Tensor], share: float = 1.0) -> Tensor:
    """The loss of a decoder that is written out, whose parameters' gradients it adds to theirs, times `share`.

    What `loss().backward()` does, without autograd's graph: the operations are a chain, each reads what the one before
    has made.
    """
    global _chain
    chain = _chain = _Chain()
    try:
        with torch.no_grad():
            value = loss()
            _chain = None
            chain.backward(torch.full_like(value, share))
    finally:
        _chain = None
    return value


class _Context:
    """Of an operation done in a chain; as autograd's."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors


class _Chain:
    """Operations in the order in which they were done."""

    def __init__(self) -> None:
        self.links: list[tuple[Any, _Context, tuple[Any, ...]]] = []

    def apply(self, operation: Any, *inputs: Any) -> Tensor:
        context = _Context()
        self.links.append((operation, context, inputs))
        return operation.forward(context, *inputs)

    def backward(self, gradient: Tensor) -> None:
        """Add to every parameter's gradient, given that of the last operation's result."""
        while self.links:
            operation, context, inputs = self.links.pop()
            gradients = operation.backward(context, gradient)
            del context
            for given, made in zip(inputs, gradients, strict=True):
                if made is None:
                    continue
                if isinstance(given, nn.Parameter):
                    given.grad = made if given.grad is None else given.grad + made
                    for hook in (given._post_accumulate_grad_hooks or {}).values():
                        hook(given)
                else:
                    gradient = made
            del gradients, made


_chain: _Chain | None = None
"""What records the operations under way, instead of autograd."""


def recording() -> bool:
    """Whether gradients will be asked of the operations under way, though autograd does not see them."""
    return _chain is not None


def apply(operation: Any, *inputs: Any) -> Tensor:
    """Do an operation (a `torch.autograd.Function`) under a chain where one records, else under autograd."""
    return operation.apply(*inputs) if _chain is None else _chain.apply(operation, *inputs)
