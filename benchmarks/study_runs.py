"""What the parts of `benchmarks/study.py` share: training many jobs at once, and tuning a learning rate on a grid."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeVar

import pandas as pd
from hyperparameters import study_config

from scaling.config.schema import SweepConfig, TrainConfig
from scaling.corpus import TokenCorpus, prepare
from scaling.records.records import load_sweep
from scaling.sweep.workers import run_in_workers

VALIDATION_BYTES = 65_536
"""Held-out text: half of the quickstart's, since losses are compared window by window here."""
WORKERS = 2
"""One-thread jobs at once: the cores that a run of the baseline has to itself."""
TUNING_SEED = 1000
"""Learning rates are chosen on a seed of their own, so that what is compared was not also chosen by."""
FACTORS = (0.5, 1.0, 2.0)
"""Learning rates tried, over a rule's; the grid is widened until its best lies inside."""
WIDEST = 8.0
"""How far from the rule the grid may be widened."""

Key = TypeVar("Key", bound=Hashable)


def base_config(folder: Path, overrides: list[str]) -> SweepConfig:
    """The quickstart study's config, writing into a folder of the benchmark's."""
    return study_config(
        "quickstart", [f"out={folder}", f"corpus.validation_bytes={VALIDATION_BYTES}", *overrides]
    )


def corpus_of(config: TrainConfig) -> TokenCorpus:
    """The tokens that a config trains on."""
    return prepare(config.corpus, config.tokenizer, Path(config.cache))


def train(jobs: list[TrainConfig]) -> None:
    """Train jobs, the longest first; those that are recorded already are left as they are.

    Raises:
        RuntimeError: when a job fails.
    """
    ordered = sorted(jobs, key=lambda job: -job.runs[-1].tokens)
    for job, error in zip(ordered, run_in_workers(ordered, WORKERS), strict=True):
        if error is not None:
            raise RuntimeError(f"{job.name}: {error}")


def records_of(folder: Path) -> pd.DataFrame:
    """Every run under a folder; a run that did not end well stops the benchmark."""
    frame = load_sweep(folder)
    bad = frame[frame["status"] != "done"]
    if len(bad):
        raise RuntimeError(f"{bad.iloc[0]['trunk_id']}: {bad.iloc[0]['status']}: {bad.iloc[0]['reason']}")
    return frame


def tune(
    keys: list[Key], losses_at: Callable[[list[tuple[Key, float]]], dict[tuple[Key, float], float]]
) -> dict[Key, dict[float, float]]:
    """Loss at each learning rate tried (over the rule's), for each key; the best lies inside the grid or at WIDEST.

    Args:
        keys: what is tuned, each by itself.
        losses_at: trains the pairs of a key and a factor, and returns the loss of each.
    """
    tried: dict[Key, dict[float, float]] = {key: {} for key in keys}
    wanted = [(key, factor) for key in keys for factor in FACTORS]
    while wanted:
        for (key, factor), loss in losses_at(wanted).items():
            tried[key][factor] = loss
        wanted = [(key, beyond) for key in keys for beyond in _beyond_the_edge(tried[key])]
    return tried


def _beyond_the_edge(losses: dict[float, float]) -> list[float]:
    best = min(losses, key=lambda factor: losses[factor])
    if best == min(losses) and best > 1 / WIDEST:
        return [best / 2]
    if best == max(losses) and best < WIDEST:
        return [best * 2]
    return []


def best(losses: dict[float, float]) -> float:
    """The factor of lowest loss."""
    return min(losses, key=lambda factor: losses[factor])


def say(text: str) -> None:
    """Where the benchmark stands, for who waits."""
    print(text, file=sys.stderr, flush=True)


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
