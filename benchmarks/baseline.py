"""The baseline of the speed benchmarks: GPT-2 trained as nanoGPT trains it, on the processor, one run a budget.

The model is the GPT-2 of the `transformers` package (`pip install 'scaling-simulator[bench]'`) with PyTorch's own
attention kernel, or nanoGPT's `model.py` from a checkout of it. The loop is that of nanoGPT's `train.py` as its
users run it on a processor: eager float32, no dropout, no biases where the model lets them off, batches cropped from
a memory map at random offsets, the next one fetched while the loss is at hand, AdamW with decay on matrices alone,
gradients clipped at norm 1, a linear warmup and half a cosine down to a tenth. Two of its settings are bettered, in
the baseline's favour: AdamW is fused, which nanoGPT leaves to GPUs, and no checkpoint is written.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class BaselineRun:
    """One run of the baseline, with nanoGPT's defaults."""

    width: int
    depth: int
    heads: int
    context: int
    """Tokens a sequence."""
    sequences: int
    """Sequences a step."""
    vocab_size: int
    steps: int
    """Steps of the run; the cosine ends here."""
    warmup_steps: int
    ffn_width: int | None = None
    """Hidden width of the feed-forward network; None: four times the width. transformers' model only."""
    lr: float = 6e-4
    """Peak learning rate."""
    final_lr_fraction: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    grad_clip: float = 1.0
    seed: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that the run trains on."""
        return self.steps * self.sequences * self.context


def write_tokens(tokens: np.ndarray, path: Path) -> Path:
    """Tokens as nanoGPT keeps them: a flat file of uint16."""
    if tokens.max() >= 2**16:
        raise ValueError(
            f"token {tokens.max()} does not fit nanoGPT's uint16 files: use a smaller vocabulary"
        )
    tokens.astype(np.uint16).tofile(path)
    return path


class Baseline:
    """A run of the baseline, one step at a time, so that two runs can be timed in turn."""

    def __init__(self, run: BaselineRun, train_tokens: Path, nanogpt: Path | None = None) -> None:
        """
        Args:
            run: shape and recipe.
            train_tokens: a file of `write_tokens`.
            nanogpt: a checkout of nanoGPT, whose model then takes the place of transformers' GPT-2.
        """
        self.run, self.train_tokens = run, train_tokens
        torch.manual_seed(run.seed)
        self.model: nn.Module = gpt2(run) if nanogpt is None else nanogpt_model(run, nanogpt)
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for p in self.model.parameters() if p.dim() >= 2],
                    "weight_decay": run.weight_decay,
                },
                {"params": [p for p in self.model.parameters() if p.dim() < 2], "weight_decay": 0.0},
            ],
            lr=run.lr,
            betas=(run.beta1, run.beta2),
            fused=True,
        )
        self.iteration = 0
        self.batch = self._get_batch()

    @property
    def params_total(self) -> int:
        """Parameters, each once, positions included."""
        return sum(p.numel() for p in self.model.parameters())

    def step(self) -> float:
        """Train one step and return its loss, nats a token."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.run, self.iteration)
        inputs, targets = self.batch
        loss = self._loss(inputs, targets)
        self.batch = self._get_batch()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.run.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.iteration += 1
        return loss.item()

    @torch.no_grad()
    def validation_losses(self, windows: Tensor, sequences: int = 32) -> np.ndarray:
        """Mean loss of each window, nats a token; float64 of shape (windows,).

        Args:
            windows: int64 of shape (windows, context + 1).
            sequences: windows a forward pass.
        """
        self.model.eval()
        losses = []
        for part in torch.split(windows, sequences):
            logits = self._logits(part[:, :-1], part[:, 1:].contiguous())
            each = F.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="none")
            losses.append(each.view(len(part), -1).double().mean(dim=1))
        self.model.train()
        return torch.cat(losses).numpy()

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits = self._logits(inputs, targets)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)

    def _logits(self, inputs: Tensor, targets: Tensor) -> Tensor:
        output: Any = (
            self.model(inputs, targets) if hasattr(self.model, "crop_block_size") else self.model(inputs)
        )
        logits: Tensor = output[0] if isinstance(output, tuple) else output.logits
        return logits

    def _get_batch(self) -> tuple[Tensor, Tensor]:
        """nanoGPT's `get_batch`, the memory map made anew each time as there."""
        data = np.memmap(self.train_tokens, dtype=np.uint16, mode="r")
        context = self.run.context
        offsets = torch.randint(len(data) - context, (self.run.sequences,))
        x = torch.stack([torch.from_numpy(data[i : i + context].astype(np.int64)) for i in offsets])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + context].astype(np.int64)) for i in offsets])
        return x, y


def learning_rate(run: BaselineRun, iteration: int) -> float:
    """nanoGPT's `get_lr`."""
    if iteration < run.warmup_steps:
        return run.lr * (iteration + 1) / (run.warmup_steps + 1)
    progress = min(1.0, (iteration - run.warmup_steps) / max(1, run.steps - run.warmup_steps))
    coefficient = 0.5 * (1.0 + math.cos(math.pi * progress))
    return run.lr * (run.final_lr_fraction + coefficient * (1 - run.final_lr_fraction))


def gpt2(run: BaselineRun) -> nn.Module:
    """The GPT-2 of `transformers`, initialised afresh."""
    try:
        from transformers import GPT2Config, GPT2LMHeadModel
    except ModuleNotFoundError as error:
        raise ValueError(
            "the baseline's model is not installed; pip install 'scaling-simulator[bench]'"
        ) from error
    config = GPT2Config(
        vocab_size=run.vocab_size,
        n_positions=run.context,
        n_embd=run.width,
        n_layer=run.depth,
        n_head=run.heads,
        n_inner=run.ffn_width,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu",  # nanoGPT's, one kernel; GPT-2's own tanh form is composed, and slower
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",
    )
    model: nn.Module = GPT2LMHeadModel(config).train()
    return model


def nanogpt_model(run: BaselineRun, folder: Path) -> nn.Module:
    """nanoGPT's own model, from its checkout."""
    if run.ffn_width is not None:
        raise ValueError(f"ffn_width={run.ffn_width}: nanoGPT's model has four times its width")
    path = folder / "model.py"
    if not path.is_file():
        raise ValueError(f"--nanogpt {folder}: holds no model.py; give a checkout of karpathy/nanoGPT")
    module = _import_file("nanogpt_model", path)
    config = module.GPTConfig(
        block_size=run.context,
        vocab_size=run.vocab_size,
        n_layer=run.depth,
        n_head=run.heads,
        n_embd=run.width,
        dropout=0.0,
        bias=False,
    )
    model: nn.Module = module.GPT(config)
    return model.train()


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
