"""One trunk with a branch at each of four budgets, against a cosine run a budget: tokens spent, and losses.

Both sides have their learning rate tuned on a seed apart: the trunk one rate for all four budgets, cosine a rate for
each, and for each whether it ends at a tenth of the peak or at zero. Everything else (model, optimizer, batches, data
order) is the same on both sides, and a seed gives both the same start and the same order of text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from budget_rows import Row
from study_runs import TUNING_SEED, base_config, best, corpus_of, markdown_table, records_of, say, train, tune

from scaling.config.schema import Branch, CosineConfig, TrainConfig
from scaling.shape.params import count_params
from scaling.training.recipe import peak_lr
from scaling.training.resolve import resolve_shape

LADDER = (1, 2, 4, 8)
"""Token budgets over the smallest."""
LIMIT = 0.63
"""Most tokens spent, over those of a run a budget. With a fifth of each run decaying it is 0.8 * 8 / 15 + 0.2."""
COSINE_ENDS = (0.1, 0.0)
"""Final learning rates over the peak that cosine is tried with."""


@dataclass(frozen=True, kw_only=True)
class LadderDesign:
    """What is trained."""

    params: float
    """Parameters of the model."""
    smallest_tokens: float
    """The smallest token budget."""
    seeds: int


FULL = LadderDesign(params=36e3, smallest_tokens=128e3, seeds=3)
QUICK = LadderDesign(params=20e3, smallest_tokens=60e3, seeds=3)

TRUNK = "trunk"


def ladder(folder: Path, design: LadderDesign) -> tuple[list[Row], str]:
    """The rows of the ladder, and its details as Markdown."""
    base = base_config(folder, ["name=ladder", f"model.target_params={design.params}"])
    params = count_params(resolve_shape(base, corpus_of(base).vocab_size)).total
    rule = peak_lr(base.optim, params)

    def job(key: str, factor: float, seed: int) -> TrainConfig:
        shared = replace(
            base,
            optim=replace(base.optim, lr=rule * factor),
            seed=seed,
            name=f"ladder/{key}-lr{factor:g}-seed{seed}",
        )
        if key == TRUNK:
            return replace(shared, branches=[Branch(tokens=k * design.smallest_tokens) for k in LADDER])
        _, k, end = key.split("-")
        schedule = CosineConfig(final_lr_fraction=float(end))
        return replace(shared, tokens=int(k) * design.smallest_tokens, schedule=schedule)

    def losses_at(wanted: list[tuple[str, float]]) -> dict[tuple[str, float], float]:
        jobs = {pair: job(*pair, TUNING_SEED) for pair in wanted}
        train(list(jobs.values()))
        means = records_of(folder / "ladder").groupby("trunk_id")["loss_nats"].mean()
        return {pair: float(means[config.name]) for pair, config in jobs.items()}

    say(f"ladder: tuning at {params} parameters, {design.smallest_tokens:g} tokens and up")
    cosines = {k: [f"cosine-{k}-{end:g}" for end in COSINE_ENDS] for k in LADDER}
    tried = tune([TRUNK, *(key for keys in cosines.values() for key in keys)], losses_at)
    chosen = {k: min(keys, key=lambda key: min(tried[key].values())) for k, keys in cosines.items()}
    say(f"ladder: {design.seeds} seeds at the learning rates chosen")
    seeds = range(design.seeds)
    trunks = [job(TRUNK, best(tried[TRUNK]), seed) for seed in seeds]
    alone = {k: [job(key, best(tried[key]), seed) for seed in seeds] for k, key in chosen.items()}
    train([*trunks, *(config for configs in alone.values() for config in configs)])

    records = records_of(folder / "ladder").set_index("trunk_id").sort_values("tokens")
    losses = records["loss_nats"]
    branches = np.array([losses.loc[[config.name]].to_numpy(dtype=float) for config in trunks]).T
    cosine = np.array([[losses.loc[[c.name]].item() for c in configs] for configs in alone.values()])
    spent = float(records.loc[[config.name for config in trunks], "tokens_spent"].sum())
    one_by_one = float(
        records.loc[[c.name for configs in alone.values() for c in configs], "tokens_spent"].sum()
    )
    differences = branches - cosine  # (budgets, seeds)
    mean, error = differences.mean(axis=1), differences.std(axis=1, ddof=1) / np.sqrt(design.seeds)
    worst = int(mean.argmax())
    rows = [
        Row(quantity="tokens of a {1, 2, 4, 8} ladder", against="a cosine run a budget",
            reached=f"{spent / one_by_one:.3f}", asked=f"≤ {LIMIT}", ok=spent / one_by_one <= LIMIT),
        Row(quantity="losses of the ladder", against=f"cosine, both tuned, {design.seeds} seeds",
            reached=f"{mean.min():+.4f} to {mean.max():+.4f} ± {error[worst]:.4f} nats", asked="none higher",
            ok=bool((mean <= 0).all())),
    ]  # fmt: skip
    details = markdown_table(
        ["tokens", "trunk, nats", "cosine, nats", "difference", "cosine's rate over the rule's, end"],
        [
            [
                f"{k * design.smallest_tokens:,.0f}",
                f"{branches[i].mean():.4f}",
                f"{cosine[i].mean():.4f}",
                f"{mean[i]:+.4f} ± {error[i]:.4f}",
                f"{best(tried[chosen[k]]):g}, {chosen[k].split('-')[2]}",
            ]
            for i, k in enumerate(LADDER)
        ],
    )
    heading = (
        f"### The ladder\n\n{params:,} parameters, {type(base.optim).__name__.removesuffix('Config')}; the trunk's "
        f"rate is {best(tried[TRUNK]):g} times the rule's. Means of {design.seeds} seeds; ± is the standard error of "
        "the paired differences over the seeds.\n\n"
    )
    return rows, heading + details
