"""The answer of `solve` as a Hydra experiment that `scaling train` runs as it stands."""

from __future__ import annotations

from pathlib import Path

import yaml

from analysis.formats import short_count
from scaling.budget.layouts import is_trainable
from scaling.budget.solve import Solution
from scaling.budget.study_settings import Values
from scaling.config.corpus import BPETokenizer
from scaling.errors import UserError
from scaling.shape.shape import is_our_decoder

BYTES_VOCABULARY = 256
"""Tokens of the byte tokenizer."""
BYTES_PER_TOKEN = {"bytes": 1.0, "bpe": 4.0}
"""Bytes of text that a token stands for, about: a data set is streamed up to as many bytes as the plan needs."""
STREAMED_MORE = 1.25
"""A data set is streamed up to so many times the bytes that the plan needs, as some are held out for validation."""
MOST_EPOCHS = 4
"""Repetitions up to which text is worth nearly as much as new text (Muennighoff et al. 2023, arXiv:2305.16264)."""
OPTIMIZERS = ("adamw", "muon")
"""Optimizers that `scaling train` has."""


def experiment_text(solution: Solution, name: str, corpus: str | None = None) -> str:
    """The YAML of an experiment called `name`, which trains what the plan says.

    Raises UserError for a plan that `scaling train` cannot run: another architecture, layout, precision, optimizer or
    recomputation than it has, or more tokens than the corpus has.
    """
    _refuse_what_training_lacks(solution, name)
    budget = solution.budget
    layout, shape, recipe = budget.layout, budget.shape, budget.recipe
    options, values = _groups(solution, name, corpus)
    strategy = "auto" if layout.devices == 1 else "fsdp" if layout.zero_stage == 3 else "ddp"
    loss = "not predicted" if solution.loss_nats is None else f"{solution.loss_nats:.4f} nats a token"
    lines = [
        "# @package _global_",
        f"# {solution.asked}: {budget.params.total:,} parameters on {budget.tokens:.4g} tokens, "
        f"by {solution.law.name}.",
        f"# Expected on {layout.devices} x {budget.device.title}: {budget.cost.days:.3g} days,",
        f"# {budget.memory.peak_memory_bytes / 2**30:.3g} GiB a device, loss {loss}.",
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
        f"  accelerator: {_accelerator(budget.device.name)}",
        f"  devices: {layout.devices}",
        f"  strategy: {strategy}",
        f"  precision: {recipe.precision}",
        f"  micro_batch_tokens: {layout.micro_batch * shape.context}",
        "hardware:",
        f"  name: {budget.device.name}",
    ]
    return "\n".join(lines) + "\n"


def _refuse_what_training_lacks(solution: Solution, name: str) -> None:
    """Raises UserError naming what of the plan `scaling train` does not have, and how to plan without it."""
    budget = solution.budget
    shape, layout, recipe, device = budget.shape, budget.layout, budget.recipe, budget.device
    if not is_our_decoder(shape) or shape.head_width * shape.heads != shape.width:
        raise UserError(
            f"write={name}: scaling train has decoders of RMSNorm, rotary positions and dense feed-forwards alone, "
            "without biases, windows, experts or heads of a width of their own; plan such a one, or leave out write"
        )
    if not is_trainable(layout) or layout.devices > device.node_devices:
        raise UserError(
            f"write={name}: the plan's layout {layout} on {layout.devices:,} devices is none of scaling train, "
            f"which runs DDP or FSDP in one machine; give devices={device.node_devices} or fewer, or hardware with "
            "more memory"
        )
    most = ("32-true", "bf16-mixed", "bf16-true") if layout.devices > 1 else PRECISIONS
    if recipe.precision not in most:
        raise UserError(
            f"write={name}: scaling train has no precision {recipe.precision}"
            + (f" on {layout.devices} devices" if recipe.precision in PRECISIONS else "")
            + f"; give precision={' or '.join(most)}"
        )
    if recipe.optimizer not in OPTIMIZERS:
        raise UserError(
            f"write={name}: scaling train has no optimizer {recipe.optimizer}; give optimizer={' or '.join(OPTIMIZERS)}"
        )
    if recipe.recompute != "none" or recipe.attention != "flash":
        raise UserError(
            f"write={name}: scaling train neither recomputes nor materialises attention; leave out recompute=… and "
            "attention=…"
        )
    if device.name.startswith("tpu"):
        raise UserError(f"write={name}: scaling train runs on no {device.name}; take a GPU, or cpu")


PRECISIONS = ("32-true", "bf16-mixed", "bf16-master", "bf16-true")
"""Precisions of `trainer.precision`, without auto, which is none."""


def _accelerator(device: str) -> str:
    return "cpu" if device == "cpu" else "mps" if device.startswith("apple") else "gpu"


def _groups(solution: Solution, name: str, corpus: str | None) -> tuple[dict[str, str], dict[str, Values]]:
    """Options of config groups, and their keys: those of the study behind the law, else what the shape asks for."""
    shape, step = solution.budget.shape, solution.budget.step
    if solution.study is not None:
        return solution.study.options, solution.study.values
    by_bytes = shape.vocab_size == BYTES_VOCABULARY
    tokenizer = "bytes" if by_bytes else "bpe"
    if not by_bytes:
        BPETokenizer(vocab_size=shape.vocab_size)  # which refuses what it cannot be
    corpus_option, corpus_keys = _corpus(corpus, solution.budget.tokens, tokenizer, name)
    return (
        {
            "corpus": corpus_option,
            "tokenizer": tokenizer,
            "optim": "muon" if solution.budget.recipe.optimizer == "muon" else "adamw",
        },
        {
            "corpus": corpus_keys,
            "tokenizer": {} if by_bytes else {"vocab_size": shape.vocab_size},
            "optim": {"batch_tokens": step.tokens},
        },
    )


def _corpus(corpus: str | None, tokens: float, tokenizer: str, name: str) -> tuple[str, Values]:
    """The option of the group corpus and its keys. Raises UserError where the usual one is too short."""
    if corpus == "lexicon":
        return "lexicon", {}
    if corpus is not None and corpus.startswith("hub:"):
        streamed = round(tokens * BYTES_PER_TOKEN[tokenizer] * STREAMED_MORE)
        return "hub", {"name": corpus.removeprefix("hub:"), "limit_bytes": streamed}
    if corpus not in (None, "stdlib"):
        return "text", {"paths": [corpus]}
    if corpus is None:
        from scaling.corpus.stdlib import files

        held = sum(path.stat().st_size for path in files()) / BYTES_PER_TOKEN[tokenizer]
        if tokens > MOST_EPOCHS * held:
            raise UserError(
                f"write={name}: the plan needs {short_count(tokens)} tokens of text, and Python's standard library, "
                f"the usual corpus, has about {short_count(held)}: they would repeat {tokens / held:,.0f} times; give "
                "corpus=PATH, corpus=hub:NAME, corpus=lexicon, or corpus=stdlib if that is what you want"
            )
    return "stdlib", {}


def write_experiment(solution: Solution, name: str, corpus: str | None = None) -> Path:
    """Write experiment/NAME.yaml under the current folder; never over a file that is there.

    Raises UserError for a name that is a path, or a file that exists.
    """
    if not name or Path(name).name != name or name.endswith((".yaml", ".yml")):
        raise UserError(
            f"write={name}: give a plain name such as write=my-plan; the file is experiment/my-plan.yaml"
        )
    path = Path("experiment") / f"{name}.yaml"
    text = experiment_text(solution, name, corpus)
    if path.exists():
        raise UserError(f"write={name}: {path} exists already; remove it or choose another name")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
