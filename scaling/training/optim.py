"""The optimizers: which parameters each updates, float32 master weights, and gradient clipping."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from scaling.config.schema import AdamWConfig, MuonConfig, OptimConfig
from scaling.training.muon import Muon
from scaling.training.precision import MASTER


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon and AdamW, each for its own parameters, as one optimizer: a trainer then counts one step for both."""

    def __init__(self, muon: Muon, adamw: torch.optim.AdamW) -> None:
        self.parts = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        # These are the same group objects that the parts hold, so that a learning rate set here reaches them.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()


def parts_of(optimizer: torch.optim.Optimizer) -> tuple[torch.optim.Optimizer, ...]:
    """The optimizers that one step applies."""
    return optimizer.parts if isinstance(optimizer, MuonWithAdamW) else (optimizer,)


class MasterWeights(torch.optim.Optimizer):
    """Updates float32 copies of a model's 16-bit weights, the masters (Micikevicius et al., 2018, section 3.1).

    As soon as backward has a weight's gradient, a hook adds it to the master's in float32 and releases it. After a step
    the weights are the rounded masters. `optimizer` updates `masters`, which are in the order of `weights`.
    """

    def __init__(
        self, weights: list[nn.Parameter], masters: list[nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        self.weights: list[torch.Tensor] = [*weights]
        self.masters: list[torch.Tensor] = [*masters]
        self.optimizer = optimizer
        super().__init__(optimizer.param_groups, {})
        # These are the same group objects that the optimizer holds, so that a learning rate set here reaches it.
        self.param_groups = optimizer.param_groups
        for weight, master in zip(weights, masters, strict=True):
            hook = partial(_move_gradient, master)
            weight.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]  # torch has no types

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = self.optimizer.step(closure)
        torch._foreach_copy_(self.weights, self.masters)
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"masters": [m.detach() for m in self.masters], "optimizer": self.optimizer.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        torch._foreach_copy_(self.masters, state_dict["masters"])
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.param_groups = self.optimizer.param_groups


def _move_gradient(master: nn.Parameter, weight: torch.Tensor) -> None:
    """Add a weight's gradient to its master's, and release it."""
    assert weight.grad is not None
    if master.grad is None:
        master.grad = weight.grad.float()
    else:
        master.grad += weight.grad
    weight.grad = None


def clip_gradients(parameters: list[nn.Parameter], most: float) -> None:
    """Scale all gradients by one factor so that their joint norm is at most `most`.

    `torch.nn.utils.clip_grad_norm_` does the same, but first groups tensors by device and dtype. Here all must have one
    device and one dtype.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp_(max=1.0))


def state_tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The tensors that an optimizer keeps between steps."""
    if isinstance(optimizer, MasterWeights):
        return [*optimizer.masters, *state_tensors(optimizer.optimizer)]
    states = [state for part in parts_of(optimizer) for state in part.state.values()]
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def build_optimizer(
    config: OptimConfig, model: nn.Module, lr: float, precision: str = "32-true"
) -> torch.optim.Optimizer:
    """The configured optimizer for a decoder's parameters.

    Each parameter group carries `peak_lr`, which the schedule's fraction multiplies. Weight decay acts on matrices and
    not on the gains of norms. With precision bf16-master, this converts the model's parameters to bfloat16.

    Args:
        config: the optimizer's kind and hyperparameters.
        model: the decoder; names of its parameters tell embedding and head.
        lr: peak learning rate.
        precision: in all but 32-true, Muon's products are made in bfloat16.
    """
    if precision == MASTER:
        weights = list(model.parameters())
        masters = {name: nn.Parameter(p.detach().float().clone()) for name, p in model.named_parameters()}
        for weight in weights:
            weight.data = weight.data.to(torch.bfloat16)
        return MasterWeights(weights, list(masters.values()), _build(config, masters, lr, torch.bfloat16))
    dtype = torch.float32 if precision == "32-true" else torch.bfloat16
    return _build(config, dict(model.named_parameters()), lr, dtype)


def _build(
    config: OptimConfig, parameters: dict[str, nn.Parameter], lr: float, muon_dtype: torch.dtype
) -> torch.optim.Optimizer:
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    decayed = {"weight_decay": config.weight_decay}
    if isinstance(config, MuonConfig):
        # Muon is meant for maps between hidden states. Embedding and head map from and to tokens: AdamW updates them.
        hidden = [
            p for name, p in parameters.items() if p.ndim >= 2 and not name.startswith(("embedding", "head"))
        ]
        ends = [p for p in matrices if not any(p is h for h in hidden)]
        muon_lr = config.muon_lr_ratio * lr
        muon = Muon(
            [{"params": hidden, "peak_lr": muon_lr}],
            lr=muon_lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            dtype=muon_dtype,
        )
        return MuonWithAdamW(muon, _adamw(config, [{"params": ends, **decayed}, {"params": vectors}], lr))
    assert isinstance(config, AdamWConfig)
    return _adamw(config, [{"params": matrices, **decayed}, {"params": vectors}], lr)


def _adamw(config: OptimConfig, groups: list[dict[str, Any]], lr: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [{"peak_lr": lr, **group} for group in groups],
        lr=lr,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        weight_decay=0.0,
        fused=True,
    )
