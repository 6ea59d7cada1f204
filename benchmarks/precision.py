"""From which width on does training in bfloat16 pay on this processor? Float32 and bf16-master in turns.

    python benchmarks/precision.py [--quick] [--out FILE]

Tokens a second of real training steps (Muon, context 128, bytes) on one thread, through the Trainer, each pair twice in
turns, the faster of the two counted. `trainer.precision=auto` follows `MASTER_LEAST_WIDTH` in scaling/precision.py: the
script exits with 1 where float32 is the faster at that width or above.
"""

import argparse
import logging
import platform
import sys
import tempfile
from pathlib import Path

import torch

from scaling import dry_run
from scaling.config import LoggerConfig, ModelConfig, MuonConfig, TrainConfig, TrainerConfig, WSDConfig
from scaling.corpus import prepare
from scaling.corpus.config import BytesTokenizer, LexiconCorpus
from scaling.job import Job
from scaling.meters import cpu_name
from scaling.precision import MASTER, MASTER_LEAST_WIDTH, processor_multiplies_bf16

SHAPES = ((32, 2), (48, 3), (64, 3), (96, 4), (128, 5), (192, 6))  # width, depth
BATCHES = (512, 1024, 2048, 4096)  # tokens a step
PRECISIONS = ("32-true", MASTER)


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
    return 1 / dry_run.probe(Job(config, prepare(config.corpus, config.tokenizer, Path(config.cache))))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="widths 64 and 96 only, in a minute")
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    if not processor_multiplies_bf16():
        print("this processor has no products of bfloat16: auto is float32 here")
        return 0
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
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
                    found = tokens_per_second(width, depth, batch, precision, Path(folder))
                    speeds[precision] = max(speeds[precision], found)
                plain, master = speeds.values()
                rows.append(
                    f"| {width} × {depth} | {batch} | {plain:,.0f} | {master:,.0f} | {master / plain:.2f} |"
                )
                print(rows[-1], file=sys.stderr)
                if width >= MASTER_LEAST_WIDTH:
                    worst = min(worst, master / plain)
    machine = f"{cpu_name()}, one thread, torch {torch.__version__}, Python {platform.python_version()}."
    text = "\n".join([*rows, "", machine, ""])
    if options.out:
        options.out.write_text(text)
    print(text)
    print(f"least ratio from width {MASTER_LEAST_WIDTH} on, where auto takes {MASTER}: {worst:.2f} (limit 1)")
    return int(worst < 1)


if __name__ == "__main__":
    sys.exit(main())
