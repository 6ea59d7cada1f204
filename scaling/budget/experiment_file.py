"""The answer of `solve` as a Hydra experiment that `scaling train` runs as it stands."""

from __future__ import annotations

from pathlib import Path

import yaml

from scaling.budget.solve import Solution
from scaling.budget.study_settings import Values
from scaling.errors import UserError

BYTES_VOCABULARY = 256
"""Tokens of the byte tokenizer."""
LIGHTNING_PRECISION = {"bf16-master": "bf16-mixed", "16-master": "16-mixed", "fp8-mixed": "bf16-mixed"}
"""What Lightning offers in place of precisions that need Megatron or torchao."""


def experiment_text(solution: Solution, name: str) -> str:
    """The YAML of an experiment called `name`.

    Raises UserError for a layout that `scaling train` does not run: tensor, pipeline, context, expert parallelism.
    """
    budget = solution.budget
    layout, shape, recipe = budget.layout, budget.shape, budget.recipe
    split = [n for n in ("tensor", "pipeline", "context", "expert") if getattr(layout, n) > 1]
    if split:
        raise UserError(
            f"write={name}: the plan's layout {layout} needs {', '.join(split)} parallelism, which `scaling train` "
            "does not run; plan with more data-parallel devices or hardware with more memory"
        )
    options, values = _groups(solution)
    strategy = "auto" if layout.devices == 1 else "fsdp" if layout.zero_stage == 3 else "ddp"
    lines = [
        "# @package _global_",
        f"# {solution.asked}: {budget.params.total:,} parameters on {budget.tokens:.4g} tokens, "
        f"by {solution.law.name}.",
        f"# Expected on {layout.devices} x {budget.device.title}: {budget.cost.days:.3g} days,",
        f"# {budget.memory.peak_memory_bytes / 2**30:.3g} GiB a device, loss {solution.loss_nats:.4f} nats a token.",
        "defaults:",
        *(f"  - override /{group}: {option}" for group, option in options.items()),
        "",
        f"name: {name}",
        f"tokens: {round(budget.tokens)}",
        "model:",
        *(
            f"  {key}: {str(getattr(shape, key)).lower()}"
            for key in (
                "width", "depth", "heads", "kv_heads", "ffn_width", "ffn", "context", "tied_head", "qk_norm",
            )
        ),
    ]  # fmt: skip
    lines += yaml.safe_dump(
        {group: keys for group, keys in values.items() if keys}, sort_keys=False
    ).splitlines()
    lines += [
        "trainer:",
        f"  devices: {layout.devices}",
        f"  strategy: {strategy}",
        f"  precision: {LIGHTNING_PRECISION.get(recipe.precision, recipe.precision)}",
        f"  micro_batch_tokens: {layout.micro_batch * shape.context}",
        "hardware:",
        f"  name: {budget.device.name}",
    ]
    return "\n".join(lines) + "\n"


def _groups(solution: Solution) -> tuple[dict[str, str], dict[str, Values]]:
    """Options of config groups, and their keys: those of the study behind the law, else what the shape asks for."""
    shape, step = solution.budget.shape, solution.budget.step
    if solution.study is not None:
        return solution.study.options, solution.study.values
    by_bytes = shape.vocab_size == BYTES_VOCABULARY
    return (
        {
            "tokenizer": "bytes" if by_bytes else "bpe",
            "optim": "muon" if solution.budget.recipe.optimizer == "muon" else "adamw",
        },
        {
            "tokenizer": {} if by_bytes else {"vocab_size": shape.vocab_size},
            "optim": {"batch_tokens": step.tokens},
        },
    )


def write_experiment(solution: Solution, name: str) -> Path:
    """Write experiment/NAME.yaml under the current folder; never over a file that is there.

    Raises UserError for a name that is a path, or a file that exists.
    """
    if not name or Path(name).name != name or name.endswith((".yaml", ".yml")):
        raise UserError(
            f"write={name}: give a plain name such as write=my-plan; the file is experiment/my-plan.yaml"
        )
    path = Path("experiment") / f"{name}.yaml"
    text = experiment_text(solution, name)
    if path.exists():
        raise UserError(f"write={name}: {path} exists already; remove it or choose another name")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
