"""How a run is optimised: rules that follow scale, parameter groups, optimizers and schedules.

The rules are checked by `benchmarks/hyperparameters.py`, which tries half and double of each at three sizes.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from scaling.config import AdamWConfig, MuonConfig, OptimConfig, ScheduleConfig, WSDConfig

REFERENCE_PARAMS = 1e5  # the size at which the rules' reference values hold
# Warmup never takes more than this share of the smallest budget, or small budgets would end before they began.
LARGEST_WARMUP_FRACTION = 0.25


# --- rules ---------------------------------------------------------------------------------------------


def peak_lr(config: OptimConfig, params_total: int) -> float:
    """Peak learning rate of a model: as configured, or falling with size as a power law."""
    if config.lr is not None:
        return config.lr
    return config.lr_reference * (params_total / REFERENCE_PARAMS) ** -config.lr_exponent


def batch_sequences(config: OptimConfig, params_total: int, context: int) -> int:
    """Sequences an optimizer step: as configured in tokens, or growing with size as a power law.

    Raises:
        ValueError: when `optim.batch_tokens` is not a whole number of sequences.
    """
    if config.batch_tokens is not None:
        sequences, rest = divmod(config.batch_tokens, context)
        if rest or not sequences:
            raise ValueError(
                f"optim.batch_tokens={config.batch_tokens}: must be a whole multiple of model.context={context}"
            )
        return sequences
    tokens = config.batch_reference * (params_total / REFERENCE_PARAMS) ** config.batch_exponent
    return max(1, round(tokens / context))


def warmup_tokens(config: ScheduleConfig, params_total: int, smallest_budget_tokens: float) -> float:
    """Tokens of linear warmup: as configured, or in proportion to size (Porian et al., 2024)."""
    wanted = config.warmup_tokens
    if wanted is None:
        wanted = config.warmup_tokens_per_param * params_total
    return min(wanted, LARGEST_WARMUP_FRACTION * smallest_budget_tokens)


# --- schedules -----------------------------------------------------------------------------------------


def lr_fraction(config: ScheduleConfig, tokens: float, run_tokens: float | None, warmup: float) -> float:
    """Learning rate over its peak after `tokens` of a run.

    Args:
        config: wsd or cosine.
        tokens: tokens seen so far (the middle of a step stands for the step).
        run_tokens: length of the run; None on a trunk that several runs share, which only rises and stays.
        warmup: tokens of linear warmup.
    """
    rise = min(1.0, tokens / warmup) if warmup > 0 else 1.0
    if run_tokens is None:
        return rise
    if isinstance(config, WSDConfig):
        left = (run_tokens - tokens) / (config.decay_fraction * run_tokens)
        fall = min(1.0, max(0.0, left))
    else:
        progress = min(1.0, max(0.0, (tokens - warmup) / max(run_tokens - warmup, 1e-9)))
        fall = 0.5 * (1 + math.cos(math.pi * progress))
    return rise * (config.final_lr_fraction + (1 - config.final_lr_fraction) * fall)


# --- optimizers ----------------------------------------------------------------------------------------


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimizers stepped as one, so that a trainer counts one step a step."""

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        self.parts = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        # The groups are the parts' own, so that a learning rate set here is the one they use.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
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


def build_optimizer(config: OptimConfig, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The configured optimizer over a decoder's parameters.

    Each group carries `peak_lr`, to which the schedule's fraction is applied. Weight decay acts on matrices
    only: gains of norms have no scale to shrink.
    """
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    decayed = {"weight_decay": config.weight_decay}
    if isinstance(config, MuonConfig):
        # Embedding and head map to and from tokens, not between hidden states: Muon's geometry is not theirs.
        hidden = [
            p for name, p in model.named_parameters() if p.ndim >= 2 and not name.startswith(("embedding", "head"))
        ]
        ends = [p for p in matrices if not any(p is h for h in hidden)]
        muon_lr = config.muon_lr_ratio * lr
        muon = torch.optim.Muon(
            [{"params": hidden, "peak_lr": muon_lr}],
            lr=muon_lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            # Updates of the size of AdamW's, whatever a matrix's shape (Liu et al., 2025, section 2.2).
            adjust_lr_fn="match_rms_adamw",
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
