"""How many CPU threads train a model fastest: `python benchmarks/threads.py`, about ten minutes.

Trains models of several widths at the batch of `batch_tokens` tokens with one thread and with every core, in turn and
several times over, so that a load on the machine strikes all alike. Prints tokens a second (the median, and in brackets
the slowest and the fastest round). `scaling/training/machine.py` takes its rule from this table.
"""

import argparse
import os
import statistics
import tempfile
from itertools import product
from pathlib import Path

import torch

from scaling.config.corpus import BytesTokenizer, LexiconCorpus
from scaling.config.schema import LoggerConfig, ModelConfig, MuonConfig, TrainConfig, TrainerConfig, WSDConfig
from scaling.shape.flops import train_flops_per_token
from scaling.training.job import job_of
from scaling.training.pretrain import pretrain

DEPTH = 4
CONTEXT = 128


def config_of(
    width: int, batch_tokens: int, threads: int, precision: str, steps: int, folder: Path
) -> TrainConfig:
    """A short training job. `folder`: it holds the corpus that all jobs share, and the runs."""
    return TrainConfig(
        name=f"{width}-{batch_tokens}-{threads}-{precision}",
        out=tempfile.mkdtemp(dir=folder),
        cache=str(folder / "cache"),
        tokens=float(steps * batch_tokens),
        model=ModelConfig(width=width, depth=DEPTH, context=CONTEXT),
        corpus=LexiconCorpus(words=500, validation_bytes=2 * CONTEXT + 2),
        tokenizer=BytesTokenizer(),
        optim=MuonConfig(batch_tokens=batch_tokens),
        schedule=WSDConfig(),
        trainer=TrainerConfig(
            accelerator="cpu",
            precision=precision,
            threads=threads,
            checkpoint_every_seconds=None,
            save_model=False,
        ),
        logger=LoggerConfig(kind="none"),
    )


def speed(config: TrainConfig) -> float:
    """Tokens a second of a training job's only run."""
    (record,) = pretrain(config)
    assert record.tokens_per_second is not None
    return record.tokens_per_second


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--batch-tokens", nargs="+", type=int, default=[512, 4096])
    parser.add_argument("--precisions", nargs="+", default=["32-true"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, os.cpu_count() or 1])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {os.cpu_count()} cores, {DEPTH} layers, "
        f"{options.steps} steps, {options.rounds} rounds"
    )
    print(
        "| precision | width | batch, tokens | FLOPs a step | "
        + " | ".join(f"{n} threads" for n in options.threads)
        + " |"
    )
    print("|---" * (4 + len(options.threads)) + "|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for precision, width, batch in product(options.precisions, options.widths, options.batch_tokens):
            speeds: dict[int, list[float]] = {threads: [] for threads in options.threads}
            for _ in range(options.rounds):
                for threads in options.threads:
                    speeds[threads].append(
                        speed(config_of(width, batch, threads, precision, options.steps, folder))
                    )
            shape = job_of(config_of(width, batch, 1, precision, options.steps, folder)).shape
            cells = [
                f"{statistics.median(each):,.0f} ({min(each):,.0f} … {max(each):,.0f})"
                for each in speeds.values()
            ]
            flops = train_flops_per_token(shape, "exact") * batch
            print(f"| {precision} | {width} | {batch} | {flops:.1e} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
