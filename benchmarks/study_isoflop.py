"""A whole IsoFLOP study, against GPT-2 trained as nanoGPT trains it: one run a budget and size, one after another.

Both sides train the same sizes on the same token budgets with the same batch and are judged on the same held-out
windows. The baseline has both cores to itself, and uses them where two threads are faster than one. Its learning rate
follows size by a rule, at a level tuned at each budget's middle size; the time for that does not count.
Ours is what `scaling sweep` does up to the fit: plan, start two one-thread workers, train trunks and branches with the
default optimizer, evaluate, record. It is run once a seed, spread over the time that the baseline takes, so that a
machine's slow minutes meet both.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from baseline import Baseline, BaselineRun, write_tokens
from budget_rows import Row
from study_runs import (
    TUNING_SEED,
    WORKERS,
    base_config,
    best,
    corpus_of,
    markdown_table,
    records_of,
    say,
    tune,
)

from scaling.config.schema import SweepConfig
from scaling.corpus import TokenCorpus
from scaling.records.folder import VALIDATION_LOSSES
from scaling.sweep.design import PlannedRun, planned_runs
from scaling.sweep.plan import plan_jobs
from scaling.sweep.run import train_jobs
from scaling.sweep.workers import run_in_workers
from scaling.training.resolve import resolve_shape

LIMIT = 1 / 4
"""Largest wall time, over the baseline's."""
THREADS_TRIED = (1, 2)
"""Threads that the baseline's runs are tried with, for a few steps that do not count; the faster trains."""
BASELINE_RULE = (8e-3, 1e5, 0.25)
"""Where the baseline's grid of learning rates begins: rate at a size, that size, and how fast the rate falls with size
(the project's own rule for AdamW). Sizes of one budget are so near to each other that the exponent matters little."""
BATCH_TOKENS = 1024
"""Tokens a step on both sides: what the quickstart's rule takes at a million tokens. The ramp below it would have ours
take smaller steps than the baseline."""
SIZE_TOLERANCE = 0.03
"""How far the two models' parameters may differ, position table apart as nanoGPT counts."""


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """Budgets and sizes; neighbouring budgets a factor of two apart, about as in Hoffmann et al. (2022)."""

    min_flops: float
    max_flops: float
    budgets: int
    sizes: int
    seeds: int
    """How often ours is run, each time with another seed."""

    @property
    def overrides(self) -> list[str]:
        """As `scaling sweep` takes them."""
        return [
            f"design.min_flops={self.min_flops}",
            f"design.max_flops={self.max_flops}",
            f"design.budgets={self.budgets}",
            f"design.sizes={self.sizes}",
            f"optim.batch_tokens={BATCH_TOKENS}",
        ]


FULL = StudyDesign(min_flops=3e10, max_flops=2.4e11, budgets=4, sizes=5, seeds=3)
QUICK = StudyDesign(min_flops=1.5e10, max_flops=6e10, budgets=3, sizes=4, seeds=1)


def study(folder: Path, design: StudyDesign, optimizer: str, seed: int) -> SweepConfig:
    """The config of one of our studies."""
    return base_config(
        folder, [f"name={optimizer}/seed{seed}", f"optim={optimizer}", f"seed={seed}", *design.overrides]
    )


def run_study(config: SweepConfig) -> float:
    """Train what is not recorded of a study, as `scaling sweep` does; returns the seconds that it took."""
    start = time.perf_counter()
    planned = plan_jobs(config)

    def launch(jobs: list[Any]) -> dict[str, str]:
        errors = run_in_workers([job.job.config for job in jobs], WORKERS)
        return {job.name: error for job, error in zip(jobs, errors, strict=True) if error is not None}

    failures = train_jobs(planned, launch)
    if failures:
        raise RuntimeError("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    return time.perf_counter() - start


# --- the baseline --------------------------------------------------------------------------------------


def baseline_run(run: PlannedRun, sequences: int, factor: float, seed: int) -> BaselineRun:
    """GPT-2 of a planned run's size, tokens and shape; the feed-forward width takes up what the blocks differ in."""
    shape, (lr, at, exponent) = run.shape, BASELINE_RULE
    width, fixed = shape.width, shape.vocab_size * shape.width + 2 * shape.width
    # A block of GPT-2: 4 width² and 2 width ffn_width of matrices, 9 width + ffn_width of biases and norms.
    ffn_width = round(((run.params_total - fixed) / shape.depth - 4 * width**2 - 9 * width) / (2 * width + 1))
    batch_tokens = sequences * shape.context
    warmup_tokens = min(run.params_total, run.tokens / 4)
    return BaselineRun(
        width=width,
        depth=shape.depth,
        heads=shape.heads,
        ffn_width=ffn_width,
        context=shape.context,
        sequences=sequences,
        vocab_size=shape.vocab_size,
        steps=round(run.tokens / batch_tokens),
        warmup_steps=round(warmup_tokens / batch_tokens),
        lr=factor * lr * (run.params_total / at) ** -exponent,
        seed=seed,
    )


def train_baseline(
    run: BaselineRun, tokens: Path, windows: np.ndarray, threads: int
) -> tuple[np.ndarray, float, int]:
    """Loss of each held-out window, seconds of training and that one evaluation, and parameters without positions."""
    import torch

    torch.set_num_threads(threads)
    start = time.perf_counter()
    baseline = Baseline(run, tokens)
    for _ in range(run.steps):
        baseline.step()
    losses = baseline.validation_losses(torch.from_numpy(windows))
    seconds = time.perf_counter() - start
    return losses, seconds, baseline.params_total - run.context * run.width


def faster_threads(run: BaselineRun, tokens: Path) -> int:
    """Threads with which the baseline takes its steps faster: best of a few steps, taken in turn."""
    import torch

    baseline = Baseline(run, tokens)
    seconds: dict[int, list[float]] = {threads: [] for threads in THREADS_TRIED}
    for _ in range(3):
        for threads, taken in seconds.items():
            torch.set_num_threads(threads)
            for _ in range(10):
                start = time.perf_counter()
                baseline.step()
                taken.append(time.perf_counter() - start)
    return min(seconds, key=lambda threads: median(seconds[threads]))


def tuned_factors(
    runs: list[PlannedRun], sequences: dict[PlannedRun, int], tokens: Path, windows: np.ndarray, kept: Path
) -> dict[float, float]:
    """For each budget, how far the baseline's best learning rate lies above the rule's; remembered in a file."""
    budgets = sorted({run.budget_flops for run in runs})
    if kept.is_file():
        return {float(budget): factor for budget, factor in json.loads(kept.read_text()).items()}
    middles = {}
    for budget in budgets:
        sizes = sorted((run for run in runs if run.budget_flops == budget), key=lambda run: run.params_total)
        middles[budget] = sizes[len(sizes) // 2]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:

        def losses_at(wanted: list[tuple[float, float]]) -> dict[tuple[float, float], float]:
            ordered = sorted(wanted, key=lambda pair: -pair[0])
            say(
                f"baseline: tuning {', '.join(f'{budget:.2g} FLOPs × {factor:g}' for budget, factor in ordered)}"
            )
            trained = pool.starmap(
                train_baseline,
                [
                    (
                        baseline_run(middles[budget], sequences[middles[budget]], factor, TUNING_SEED),
                        tokens,
                        windows,
                        1,
                    )
                    for budget, factor in ordered
                ],
                chunksize=1,
            )
            return {pair: float(result[0].mean()) for pair, result in zip(ordered, trained, strict=True)}

        tried = tune(budgets, losses_at)
    factors = {budget: best(losses) for budget, losses in tried.items()}
    kept.write_text(json.dumps({str(budget): factor for budget, factor in factors.items()}))
    return factors


# --- side by side --------------------------------------------------------------------------------------


def isoflop(folder: Path, design: StudyDesign) -> tuple[list[Row], str]:
    """The rows of the whole study, and its details as Markdown."""
    config = study(folder, design, "muon", 0)
    corpus = corpus_of(config)
    runs = planned_runs(config.design, resolve_shape(config, corpus.vocab_size), config.seed)
    planned = plan_jobs(config)
    largest_batch = {
        (job.job.params_total, branch.budget_flops): job.job.recipe.batches.sequences(steps - 1)
        for job in planned
        for branch, steps in zip(job.job.config.runs, job.job.recipe.run_steps, strict=True)
    }
    sequences = {run: largest_batch[run.params_total, run.budget_flops] for run in runs}
    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_tokens(_all_tokens(corpus), folder / "train.bin")
    windows = _windows(corpus, config.model.context)
    factors = tuned_factors(runs, sequences, tokens, windows, folder / "tuned.json")

    timed = folder / "timed.json"
    if not timed.is_file():
        measured = side_by_side(folder, design, runs, sequences, factors, tokens, windows)
        timed.write_text(json.dumps(measured))
    return _rows(folder, design, json.loads(timed.read_text()))


def side_by_side(
    folder: Path,
    design: StudyDesign,
    runs: list[PlannedRun],
    sequences: dict[PlannedRun, int],
    factors: dict[float, float],
    tokens: Path,
    windows: np.ndarray,
) -> dict[str, Any]:
    """Train the baseline's runs by rising cost, with our studies spread among them; seconds and losses."""
    shutil.rmtree(folder / "muon", ignore_errors=True)
    # Our studies stand in the middles of equal shares of the baseline's FLOPs.
    ordered = _shuffled(runs)
    flops = np.cumsum([run.budget_flops for run in ordered])
    marks = [(seed + 0.5) / design.seeds * flops[-1] for seed in range(design.seeds)]
    theirs: list[dict[str, Any]] = []
    ours: list[float] = []
    for run, reached in zip(ordered, flops, strict=True):
        recipe = baseline_run(run, sequences[run], factors[run.budget_flops], 0)
        threads = faster_threads(recipe, tokens)
        losses, seconds, params = train_baseline(recipe, tokens, windows, threads)
        say(
            f"baseline: {run.budget_flops:.2g} FLOPs, {params} parameters, {losses.mean():.4f}, {seconds:.1f} s"
        )
        assert abs(params / run.params_total - 1) <= SIZE_TOLERANCE
        theirs.append(
            {"budget_flops": run.budget_flops, "params_total": run.params_total, "baseline_params": params,
             "tokens": recipe.tokens, "seconds": seconds, "threads": threads, "losses": losses.tolist(),
             **asdict(recipe)}
        )  # fmt: skip
        while marks and reached >= marks[0]:
            marks.pop(0)
            ours.append(run_study(study(folder, design, "muon", len(ours))))
            say(f"our study: {ours[-1]:.1f} s")
    return {"theirs": theirs, "ours": ours}


def _shuffled(runs: list[PlannedRun]) -> list[PlannedRun]:
    """Runs in an order that spreads sizes and budgets over the time that they take."""
    return [runs[i] for i in np.random.default_rng(0).permutation(len(runs))]


def _rows(folder: Path, design: StudyDesign, measured: dict[str, Any]) -> tuple[list[Row], str]:
    theirs = pd.DataFrame(measured["theirs"])
    seconds, ours = float(theirs["seconds"].sum()), [float(value) for value in measured["ours"]]
    ratio = median(ours) / seconds
    records = records_of(folder / "muon")
    lines, differences, errors = [], [], []
    for run in theirs.sort_values(["budget_flops", "params_total"]).to_dict("records"):
        same = records[
            (records["params_total"] == run["params_total"])
            & np.isclose(records["budget_flops"].astype(float), run["budget_flops"])
        ]
        assert len(same) == design.seeds
        windows = [
            np.load(folder / str(r.trunk_id) / str(r.run_id) / VALIDATION_LOSSES) for r in same.itertuples()
        ]
        each = np.array(windows) - np.array(run["losses"])  # (seeds, windows)
        worst = int(each.mean(axis=1).argmax())
        differences.append(float(each[worst].mean()))
        errors.append(float(each[worst].std(ddof=1) / np.sqrt(each.shape[1])))
        lines.append(
            [
                f"{run['budget_flops']:.3g}",
                f"{run['params_total']:,}",
                f"{run['tokens']:,}",
                f"{np.mean(windows):.4f}",
                f"{np.mean(run['losses']):.4f}",
                f"{differences[-1]:+.4f} ± {errors[-1]:.4f}",
                f"{run['lr']:.2g}",
                f"{run['sequences'] * run['context']:,}",
                f"{run['seconds']:.1f}",
                f"{run['threads']}",
            ]
        )
    worst = int(np.argmax(differences))
    mismatch = float((theirs["baseline_params"] / theirs["params_total"] - 1).abs().max())
    rows = [
        Row(quantity="wall time of an IsoFLOP study", against="nanoGPT-equivalent, one run a budget",
            reached=f"1/{1 / ratio:.1f} ({', '.join(f'{value:.0f}' for value in ours)} s of {seconds:.0f} s)",
            asked="≤ 1/4", ok=ratio <= LIMIT),
        Row(quantity="losses of the study", against=f"the same {len(theirs)} runs, our worst of {design.seeds} seeds",
            reached=f"{min(differences):+.3f} to {differences[worst]:+.3f} ± {errors[worst]:.3f} nats",
            asked="none higher", ok=differences[worst] <= 0),
    ]  # fmt: skip
    heading = (
        f"### The study\n\nThe baseline's runs one after another, with as many threads as are faster; ours in "
        f"{WORKERS} one-thread workers, from plan to last record. Parameters differ by at most "
        f"{mismatch:.1%}, the baseline's position table not counted. The difference is that of our worst seed; ± is "
        "its standard error over the held-out windows, which are the same.\n\n"
    )
    header = [
        "FLOPs", "parameters", "tokens", "ours, nats", "baseline, nats", "difference", "its rate", "its batch",
        "its seconds", "its threads",
    ]  # fmt: skip
    return rows, heading + markdown_table(header, lines)


def _all_tokens(corpus: TokenCorpus) -> np.ndarray:
    source: Any = corpus.train
    return np.asarray(source.tokens)


def _windows(corpus: TokenCorpus, context: int) -> np.ndarray:
    """The held-out windows, int64 of shape (windows, context + 1)."""
    count = corpus.validation.windows(context)
    assert count is not None
    return corpus.validation.gather(np.arange(count), context)
