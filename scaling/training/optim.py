"""Parameter groups and optimizers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from scaling.config.schema import AdamWConfig, MuonConfig, OptimConfig
from scaling.training.muon import Muon
from scaling.training.precision import MASTER


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimizers stepped as one, so that a trainer counts one step a step."""

    def __init__(self, muon: Muon, adamw: torch.optim.AdamW) -> None:
        self.parts = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        # The groups are the parts' own, so that a learning rate set here is the one they use.
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
    """The optimizers that a step consists of."""
    return optimizer.parts if isinstance(optimizer, MuonWithAdamW) else (optimizer,)


class MasterWeights(torch.optim.Optimizer):
    """An optimizer of float32 copies of a model's 16-bit weights (Micikevicius et al., 2018, section 3.1).

    Each weight's gradient is added to its copy's, in float32, as soon as backward has it, and is then released; after
    a step the weights are the copies, rounded. `optimizer` is over the copies, in the order of `weights`.
    """

    def __init__(
        self, weights: list[nn.Parameter], masters: list[nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        self.weights: list[torch.Tensor] = [*weights]
        self.masters: list[torch.Tensor] = [*masters]
        self.optimizer = optimizer
        super().__init__(optimizer.param_groups, {})
        # The groups are the optimizer's own, so that a learning rate set here is the one it uses.
        self.param_groups = optimizer.param_groups
        for weight, master in zip(weights, masters, strict=True):
            weight.register_post_accumulate_grad_hook(partial(_move_gradient, master))

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
    assert weight.grad is not None
    if master.grad is None:
        master.grad = weight.grad.float()
    else:
        master.grad += weight.grad
    weight.grad = None


def clip_gradients(parameters: list[nn.Parameter], most: float) -> None:
    """Scale gradients so that their joint norm is `most`, where it is more: `torch.nn.utils.clip_grad_norm_` of plain
    tensors of one dtype on one device, without its sorting them by those."""
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
    """The configured optimizer over a decoder's parameters; Muon's products are made in `precision`.

    Each group carries `peak_lr`, to which the schedule's fraction is applied. Weight decay acts on matrices
    only: gains of norms have no scale to shrink. With bf16-master the model's parameters become bfloat16 here.
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
        # Embedding and head map to and from tokens, not between hidden states: Muon's geometry is not theirs.
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
