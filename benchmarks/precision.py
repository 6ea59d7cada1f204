"""From which width on does training in bfloat16 pay on this processor, and what does it cost in loss?

    python benchmarks/precision.py [--quick] [--out FILE]

First the losses of both precisions at the end of short runs, by pairs of one seed: the same decoder of 36 thousand
parameters on a corpus whose law is simple, where a small difference can be told. Then tokens a second of real training
steps (Muon, context 128, bytes) on one thread, through the Trainer, each pair twice in turns, the faster of the two
counted. `trainer.precision=auto` follows `MASTER_LEAST_WIDTH` in scaling/training/precision.py: the script exits with 1
where float32 is the faster at that width or above, or losses differ by more than 0.002 nats on average.
"""

import argparse
import logging
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from scaling.accounting.this_machine import cores
from scaling.config.corpus import BytesTokenizer, LexiconCorpus
from scaling.config.schema import (
    Branch,
    LoggerConfig,
    ModelConfig,
    MuonConfig,
    TrainConfig,
    TrainerConfig,
    WSDConfig,
)
from scaling.corpus import prepare
from scaling.records.records import load_sweep
from scaling.sweep import forecast
from scaling.sweep.workers import run_in_workers
from scaling.training.job import plan_job
from scaling.training.machine import probe
from scaling.training.meters import cpu_name
from scaling.training.precision import MASTER, MASTER_LEAST_WIDTH

SHAPES = ((32, 2), (48, 3), (64, 3), (96, 4), (128, 5), (192, 6))  # width, depth
BATCHES = (512, 1024, 2048, 4096)  # tokens a step
PRECISIONS = ("32-true", MASTER)


PARITY_SETTINGS = ((32_768, 1.5e-3), (65_536, 1.5e-3), (65_536, 5e-3))
"""Tokens and learning rate of the runs whose losses are compared: where training has begun, where loss falls fastest,
and where a seed's chance has taken the two apart."""
PARITY_SEEDS = 12
PARITY_NATS = 0.002
"""Largest mean difference of losses."""


def loss_differences(tokens: int, lr: float, folder: Path) -> np.ndarray:
    """Loss in bfloat16 less that in float32, one for each seed."""
    jobs = [
        TrainConfig(
            out=str(folder / f"{tokens}-{lr}"),
            cache=str(folder / "cache"),
            name=f"{precision}-{seed}",
            seed=seed,
            model=ModelConfig(width=32, depth=2, context=32),
            corpus=LexiconCorpus(words=50, validation_bytes=16384),
            tokenizer=BytesTokenizer(),
            optim=MuonConfig(lr=lr, batch_tokens=512),
            schedule=WSDConfig(warmup_tokens=2048),
            trainer=TrainerConfig(accelerator="cpu", threads=1, precision=precision, save_model=False),
            logger=LoggerConfig(kind="none"),
            branches=[Branch(tokens=float(tokens))],
        )
        for seed in range(PARITY_SEEDS)
        for precision in PRECISIONS
    ]
    errors = [error for error in run_in_workers(jobs, cores()) if error is not None]
    if errors:
        raise RuntimeError(errors[0])
    losses = load_sweep(folder / f"{tokens}-{lr}").set_index("trunk_id")["loss_nats"]
    plain, master = (
        np.array([losses[f"{precision}-{seed}"] for seed in range(PARITY_SEEDS)], float)
        for precision in PRECISIONS
    )
    difference: np.ndarray = master - plain
    return difference


def tokens_per_second(width: int, depth: int, batch: int, precision: str, folder: Path) -> float:
    """Training speed of a few steps."""
    config = TrainConfig(
        out=str(folder),
        cache=str(folder / "cache"),
        model=ModelConfig(width=width, depth=depth, context=128),
        corpus=LexiconCorpus(words=50, validation_bytes=2048),
        tokenizer=BytesTokenizer(),
        optim=MuonConfig(batch_tokens=batch),
        schedule=WSDConfig(),
        trainer=TrainerConfig(accelerator="cpu", threads=1, precision=precision),
        logger=LoggerConfig(kind="none"),
        tokens=1e7,
    )
    return 1 / forecast.probe(plan_job(config, prepare(config.corpus, config.tokenizer, Path(config.cache))))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="widths 64 and 96 and one setting of the losses only, in a minute or two",
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    if not probe("cpu").multiplies_bf16:
        print("this processor has no products of bfloat16: auto is float32 here")
        return 0
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    worst_difference = 0.0
    parity = ["| tokens | learning rate | bf16-master less float32, nats |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for tokens, lr in PARITY_SETTINGS[:1] if options.quick else PARITY_SETTINGS:
            found = loss_differences(tokens, lr, Path(folder))
            mean, error = float(found.mean()), float(found.std(ddof=1) / len(found) ** 0.5)
            parity.append(f"| {tokens:,} | {lr} | {mean:+.4f} ± {error:.4f} |")
            print(parity[-1], file=sys.stderr)
            worst_difference = max(worst_difference, abs(mean))
    rows = [
        "| width × depth | tokens a step | float32, tokens/s | bf16-master, tokens/s | ratio |",
        "|---|---|---|---|---|",
    ]
    worst = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for width, depth in SHAPES[2:4] if options.quick else SHAPES:
            for batch in BATCHES:
                speeds = dict.fromkeys(PRECISIONS, 0.0)
                for precision in PRECISIONS * 2:
                    speed = tokens_per_second(width, depth, batch, precision, Path(folder))
                    speeds[precision] = max(speeds[precision], speed)
                plain, master = speeds.values()
                rows.append(
                    f"| {width} × {depth} | {batch} | {plain:,.0f} | {master:,.0f} | {master / plain:.2f} |"
                )
                print(rows[-1], file=sys.stderr)
                if width >= MASTER_LEAST_WIDTH:
                    worst = min(worst, master / plain)
    machine = f"{cpu_name()}, one thread, torch {torch.__version__}, Python {platform.python_version()}."
    seeds = f"Means over {PARITY_SEEDS} seeds, ± their standard errors; 36 thousand parameters, Muon."
    text = "\n".join([*parity, "", seeds, "", *rows, "", machine, ""])
    if options.out:
        options.out.write_text(text)
    print(text)
    print(f"least ratio from width {MASTER_LEAST_WIDTH} on, where auto takes {MASTER}: {worst:.2f} (limit 1)")
    print(f"largest mean difference of losses: {worst_difference:.4f} nats (limit {PARITY_NATS})")
    return int(worst < 1 or worst_difference > PARITY_NATS)


if __name__ == "__main__":
    sys.exit(main())
