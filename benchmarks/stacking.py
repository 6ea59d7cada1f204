"""Does it pay to train several small models as one, their matrices stacked into batched products? Replicas in turns.

    python benchmarks/stacking.py [--quick] [--out FILE]

Replicas differ in their weights and their batches, as those of a sweep over seeds or learning rates do. One after
another they train as the Trainer trains them on one thread; stacked, one step of all goes through `torch.func.vmap` of
the decoder composed of PyTorch's operations. Both clip gradients and step AdamW. The ratio is the median over pairs, of
processor time one after another over that stacked: where it is below 1 there is nothing to gain, which is why the
launcher trains one model a process. Exits with 1 where stacking pays by more than a tenth at a batch that the default
rule takes (512 tokens and more), since then it ought to be built.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from scaling.model.cpu_backward import loss_and_backward
from scaling.model.decoder import Decoder, next_token_loss
from scaling.shape.shape import decoder_shape
from scaling.training.meters import cpu_name
from scaling.training.optim import clip_gradients

REPLICAS = 8
CONTEXT = 64
WIDTHS = (8, 16, 32)
BATCHES = (128, 256, 512, 1024)  # tokens a step of each replica
RULE_LEAST_TOKENS = 512
LARGEST_GAIN = 1.1
PAIRS = 15


def one_after_another(models: list[Decoder]) -> Callable[[list[Tensor]], None]:
    """A step of every model, one after another."""
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True) for model in models]
    for model in models:
        model.use_cpu_kernels()

    @torch.inference_mode()
    def step(batches: list[Tensor]) -> None:
        for model, optimizer, windows in zip(models, optimizers, batches, strict=True):
            optimizer.zero_grad()
            loss_and_backward(partial(model.loss, windows[:, :-1], windows[:, 1:]))
            clip_gradients(list(model.parameters()), 1.0)
            optimizer.step()

    return step


def attention_of_products(q_BHTS: Tensor, k_BHTS: Tensor, v_BHTS: Tensor) -> Tensor:
    """Causal attention of products and a softmax, which `vmap` stacks; the fused one it would run one by one."""
    T, S = q_BHTS.shape[-2:]
    later_TT = torch.full((T, T), float("-inf")).triu(1)
    weights_BHTT: Tensor = (q_BHTS @ k_BHTS.mT * S**-0.5 + later_TT).softmax(dim=-1)
    return weights_BHTT @ v_BHTS


def stacked(models: list[Decoder]) -> Callable[[list[Tensor]], None]:
    """A step of every model at once."""
    parameters, buffers = stack_module_state(models)
    template = models[0].to("meta")
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3, fused=True)

    def loss(own: dict[str, Tensor], tables: dict[str, Tensor], windows: Tensor) -> Tensor:
        logits = functional_call(template, (own, tables), (windows[:, :-1],))
        return next_token_loss(logits, windows[:, 1:])

    gradients_of = vmap(grad(loss))

    def step(batches: list[Tensor]) -> None:
        own = {name: p.detach() for name, p in parameters.items()}
        with patch("scaling.model.decoder.causal_attention", attention_of_products):
            gradients = gradients_of(own, buffers, torch.stack(batches))
        # Each replica by the norm of its own gradients.
        squares = sum((g.flatten(1).square().sum(dim=1) for g in gradients.values()), torch.zeros(()))
        factor = (1 / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for name, p in parameters.items():
            p.grad = gradients[name] * factor.view(-1, *[1] * (p.ndim - 1))
        optimizer.step()

    return step


def ratio(width: int, tokens: int) -> float:
    """Time of a step of all replicas one after another over that of all at once."""
    shape = decoder_shape(
        width=width,
        depth=2,
        heads=width // 8,
        kv_heads=width // 8,
        vocab_size=256,
        context=CONTEXT,
        qk_norm=True,
        tied_head=True,
    )
    apart = one_after_another([Decoder(shape) for _ in range(REPLICAS)])
    together = stacked([Decoder(shape) for _ in range(REPLICAS)])
    ratios = []
    for pair in range(PAIRS + 3):
        batches = [torch.randint(256, (tokens // CONTEXT, CONTEXT + 1)) for _ in range(REPLICAS)]
        start = time.process_time()
        apart(batches)
        middle = time.process_time()
        together(batches)
        if pair >= 3:
            ratios.append((middle - start) / (time.process_time() - middle))
    return median(ratios)


def main() -> int:
    """Measure and print; 1 where stacking would pay."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the narrowest model only")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        "| width | " + " | ".join(f"{tokens:,} tokens a step" for tokens in BATCHES) + " |",
        "|---" * (len(BATCHES) + 1) + "|",
    ]
    largest = 0.0
    for width in WIDTHS[:1] if options.quick else WIDTHS:
        found = [ratio(width, tokens) for tokens in BATCHES]
        rows.append(f"| {width} | " + " | ".join(f"{value:.2f}x" for value in found) + " |")
        print(rows[-1], file=sys.stderr)
        largest = max(
            [largest, *(f for f, tokens in zip(found, BATCHES, strict=True) if tokens >= RULE_LEAST_TOKENS)]
        )
    machine = f"{cpu_name()}, one thread, torch {torch.__version__}, Python {platform.python_version()}."
    about = f"Speed of {REPLICAS} replicas of depth 2 stacked, over one after another; context {CONTEXT}. {machine}"
    text = "\n".join([*rows, "", about, ""])
    if options.out:
        options.out.write_text(text)
    print(text)
    print(f"largest gain at {RULE_LEAST_TOKENS} tokens a step or more: {largest:.2f}x (limit {LARGEST_GAIN})")
    return int(largest > LARGEST_GAIN)


if __name__ == "__main__":
    sys.exit(main())
