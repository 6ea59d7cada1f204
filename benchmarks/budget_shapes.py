"""What a model is, as the budget benchmarks measure it: parameters, FLOPs, caches, and plans there and back.

python benchmarks/budget_shapes.py        # these rows alone; benchmarks/budget.py has them among its own
"""

from __future__ import annotations

import csv
import json
import logging
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from budget_rows import Row, markdown

from scaling.accounting.hardware import get_device
from scaling.accounting.inference import kv_cache_bytes
from scaling.budget.experiment_file import experiment_text
from scaling.budget.keys import ModelKeys, SolveKeys
from scaling.budget.solve import Solution, solve
from scaling.errors import UserError
from scaling.shape.flops import train_flops_per_token
from scaling.shape.hf_config import config_shape
from scaling.shape.params import count_params
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape

PUBLISHED_FACTS = Path(__file__).parent.parent / "tests" / "published"
CACHES: dict[tuple[str, str], Callable[[int], int]] = {
    # bytes of two numbers (key and value) of 16 bits, by heads and features, at so many tokens in so many blocks
    ("full", "llama-3-8b"): lambda t: 4 * 8 * 128 * 32 * t,
    ("sliding and full", "gemma-3-27b"): lambda t: 4 * 16 * 128 * (10 * t + 52 * 1024),
    ("sliding and full", "gpt-oss-20b"): lambda t: 4 * 8 * 64 * (12 * t + 12 * 128),
    ("sliding", "mistral-7b"): lambda t: 4 * 8 * 128 * 32 * 4096,
    ("chunked and full", "llama-4-scout"): lambda t: 4 * 8 * 128 * (12 * t + 36 * min(t, 8192)),
    ("latent", "deepseek-v3"): lambda t: 2 * (512 + 64) * 61 * t,
    # states of 32 heads of 128 x 128 in float32, and three inputs of 8,192 channels
    ("gated delta and full", "Qwen/Qwen3-Next-80B-A3B-Instruct"): lambda t: (
        4 * 2 * 256 * 12 * t + 36 * (4 * 32 * 128 * 128 + 2 * 3 * 8192)
    ),
    ("Mamba-2", "mistralai/Mamba-Codestral-7B-v0.1"): lambda t: 64 * (4 * 8192 * 128 + 2 * 3 * 10_240),
}
"""(kind of attention, model) → bytes of its cache, counted by hand."""


def configs() -> dict[str, dict[str, Any]]:
    """Fields of released configurations by name."""
    loaded: dict[str, dict[str, Any]] = json.loads((PUBLISHED_FACTS / "configs.json").read_text())
    return loaded


def config_row() -> Row:
    """Parameters of each config beside those that transformers builds on the meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    wrong = []
    for name, config in configs().items():
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
        if count_params(config_shape(config).shape).total != sum(p.numel() for p in model.parameters()):
            wrong.append(name)
    kinds = len({config["model_type"] for config in configs().values()})
    return Row(
        quantity="parameters",
        against=f"transformers on meta, {len(configs())} config.json of {kinds} architectures",
        reached=f"{len(configs()) - len(wrong)} equal" + (f" (not {', '.join(wrong)})" if wrong else ""),
        asked="all equal, 40",
        ok=not wrong and kinds >= 40,
    )


def flops_row() -> Row:
    """Training FLOPs a token beside those that NVIDIA and torchtitan count."""
    errors = {}
    with (PUBLISHED_FACTS / "flops_per_token.csv").open() as file:
        for row in csv.DictReader(file):
            name, _, without = row["model"].partition(" without ")
            shape = replace(published_shape(name), mtp_depth=int(row["mtp_depth"]))
            if without == "windows":
                shape = replace(shape, window=None, full_every=None)
            ours = train_flops_per_token(shape, row["convention"], context=int(row["context"]))  # type: ignore[arg-type]
            errors[row["model"]] = abs(ours / float(row["flops_per_token"]) - 1)
    worst = max(errors, key=lambda name: errors[name])
    return Row(
        quantity="FLOPs a token",
        against=f"{len(errors)} rows of NVIDIA and torchtitan",
        reached=f"max {errors[worst]:.2%} ({worst})",
        asked="1%",
        ok=errors[worst] <= 0.01,
    )


def cache_row() -> Row:
    """Cache bytes at 4k and 131k by kind of attention beside counts by hand."""
    wrong = [
        f"{model} at {tokens:,}"
        for (_, model), by_hand in CACHES.items()
        for tokens in (4096, 131_072)
        if kv_cache_bytes(shape_of(model), tokens) != by_hand(tokens)
    ]
    kinds = len({kind for kind, _ in CACHES})
    return Row(
        quantity="cache bytes",
        against=f"counts by hand at 4k and 131k, {kinds} kinds of attention",
        reached=f"{2 * len(CACHES) - len(wrong)} equal" + (f" (not {', '.join(wrong)})" if wrong else ""),
        asked="all equal",
        ok=not wrong,
    )


def shape_of(name: str) -> ModelShape:
    """A published model, or one of the configs."""
    return config_shape(configs()[name]).shape if "/" in name else published_shape(name)


# --- plans through the file that trains them -------------------------------------------------------------------------


def random_written_plan(source: random.Random) -> SolveKeys:
    """A question with write=…, on devices of all kinds; a third of the models have experts."""
    hardware = source.choice(["cpu", "v100", "a100-80gb", "h100-sxm", "rtx-4090"])
    vocab_size, context = source.choice([256, 1000, 50_257]), source.choice([64, 512, 1024])
    model = ModelKeys(
        vocab_size=vocab_size, context=context, tied_head=source.random() < 0.5, qk_norm=source.random() < 0.5,
        ffn=source.choice(["swiglu", "gelu"]),
    )  # fmt: skip
    if source.random() < 1 / 3:
        model = replace(model, experts=8, experts_active=source.choice([1, 2]))
    keys = SolveKeys(
        hardware=hardware, model=model, write="plan", devices=1 if hardware == "cpu" else source.choice([1, 2, 8]),
        optimizer=source.choice(["adamw", "muon"]),
    )  # fmt: skip
    if source.random() < 0.5:
        return replace(keys, flops=10 ** source.uniform(14, 19 if hardware == "cpu" else 20.5))
    return replace(keys, days=10 ** source.uniform(-2, 0.5))


def differences_when_trained(solution: Solution, name: str, folder: Path) -> list[str]:
    """What the job that `scaling train experiment=NAME` loads does otherwise than the plan; the file is in `folder`."""
    from hydra import compose

    from scaling.config.schema import load
    from scaling.training.resolve import resolve_recipe, resolve_shape

    path = folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(experiment_text(solution, name, "lexicon"))
    config = load(compose("train", [f"experiment={name}", f"hydra.searchpath=[file://{folder}]"]))
    plan, trainer = solution.budget, config.trainer
    shape = resolve_shape(config, plan.shape.vocab_size)
    recipe = resolve_recipe(config, shape)
    same = {
        "shape": shape == plan.shape,
        "tokens": config.tokens == round(plan.tokens),
        "precision": trainer.precision == plan.recipe.precision,
        "optimizer": config.optim.kind == plan.recipe.optimizer,
        "devices": trainer.devices == plan.layout.devices,
        "sharding": (trainer.strategy == "fsdp") == (plan.layout.zero_stage == 3),
        "batch": recipe.batches.sequences(0) * shape.context == plan.step.tokens,
        "micro-batch": recipe.micro_batch_sequences == plan.layout.micro_batch,
        "hardware": get_device(config.hardware.name) == plan.device,
        "vocabulary": getattr(config.tokenizer, "vocab_size", 256) == plan.shape.vocab_size,
    }
    return [what for what, is_same in same.items() if not is_same]


def written_plans(count: int, folder: Path, seed: int = 0) -> tuple[int, int, list[str]]:
    """(plans written, plans refused, differences) of so many random questions."""
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from scaling.config.schema import register

    source, written, refused = random.Random(seed), 0, 0
    differences: list[str] = []
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        for number in range(count):
            keys = random_written_plan(source)
            try:
                found = differences_when_trained(solve(keys), f"plan{number}", folder)
            except UserError:  # too little for any model of this vocabulary; or experts, which training lacks
                refused += 1
                continue
            if keys.model.experts:
                found.append("experts")
            written += 1
            differences += [f"plan {number}: {what}" for what in found]
    return written, refused, differences


def written_row(count: int) -> Row:
    """Random plans through the file that trains them."""
    with tempfile.TemporaryDirectory() as folder:
        written, refused, differences = written_plans(count, Path(folder))
    return Row(
        quantity="inverse through the written file",
        against=f"{count} random plans, a third with experts",
        reached=f"{written} as planned, {refused} refused"
        + (f"; {', '.join(differences[:3])}" if differences else ""),
        asked="as planned, or refused",
        ok=not differences and written > count / 3,
    )


def shape_rows(quick: bool) -> list[Row]:
    """All rows of this file."""
    return [config_row(), flops_row(), cache_row(), written_row(60 if quick else 200)]


def main() -> int:
    """Print the table; 1 where a figure falls short."""
    rows = shape_rows(quick="--quick" in sys.argv[1:])
    print(markdown(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
