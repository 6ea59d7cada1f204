"""Reverse-mode differentiation of a chain of operations, without autograd's graph.

Each operation of `cpu_ops.py` reads the result of the one before it. Their gradients therefore need no graph: a list of
the operations, walked backwards, is enough, and it costs less time a step than autograd.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Tape:
    """The operations of one forward pass, in their order, with what each saved for its gradient."""

    def __init__(self) -> None:
        self._records: list[tuple[type[torch.autograd.Function], _Context, tuple[Any, ...]]] = []

    def apply(self, operation: type[torch.autograd.Function], *inputs: Any) -> Tensor:
        """Do an operation and record it."""
        context = _Context()
        self._records.append((operation, context, inputs))
        result: Tensor = operation.forward(context, *inputs)
        return result

    def backward(self, gradient: Tensor) -> None:
        """Add to the `grad` of every parameter, given the gradient of the last operation's result.

        Each record is dropped as soon as it is used, so that memory shrinks as it does under autograd.
        """
        assert self._records, (
            "the loss was computed without this tape: the decoder does not use the CPU kernels"
        )
        while self._records:
            operation, context, inputs = self._records.pop()
            gradients = operation.backward(context, gradient)
            del context
            for argument, argument_gradient in zip(inputs, gradients, strict=True):
                if argument_gradient is None:
                    continue
                if isinstance(argument, nn.Parameter):
                    _accumulate(argument, argument_gradient)
                else:
                    gradient = argument_gradient
            del gradients, argument_gradient


class _Context:
    """Where an operation saves what its gradient needs; it stands in for autograd's `ctx`."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        self.saved_tensors = tensors


def _accumulate(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Add to a parameter's gradient and call its hooks, as autograd does."""
    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    for hook in (parameter._post_accumulate_grad_hooks or {}).values():
        hook(parameter)


def loss_and_backward(loss: Callable[[Tape], Tensor], factor: float = 1.0) -> Tensor:
    """A loss, after adding `factor` times its gradient to the `grad` of every parameter.

    Args:
        loss: computes the loss with operations that it records on the tape that it is given, such as `Decoder.loss`.
        factor: a micro-batch's share of the batch.
    """
    tape = Tape()
    with torch.no_grad():
        value = loss(tape)
        tape.backward(torch.full_like(value, factor))
    return value
