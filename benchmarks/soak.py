"""A sweep of a thousand tiny runs: what the sweeper adds to a run, and whether memory and file handles stay flat.

    python benchmarks/soak.py [--runs 1000] [--quick]

Every run is a job of its own, trained in one worker process by way of the local launcher: plan, claims, pipes,
records and checksums as in any sweep. The overhead of a run is the time between two runs' training: from the moment
that one's `pretrain` ends to the moment that the next one's begins, with all that the sweep does before the first and
after the last spread over the runs. Memory and handles are read from /proc at every run, for the worker and for the
sweep; flat means that the last quarter of the runs holds no more than the second, within `SLACK_BYTES`.

Prints its table last; exits with 1 where a run was lost or repeated, or a figure falls short.
"""

import argparse
import gc
import json
import logging
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from scaling.records.folder import CLAIM_PREFIX, PART

OVERHEAD_SECONDS = 0.050
"""Most that the sweeper may add to a run."""
SLACK_BYTES = 8 * 2**20
"""Growth of resident memory, from the second to the last quarter of the runs, that counts as flat (0.03 MiB a run
over 250 runs is what an allocator's own unsteadiness comes to)."""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def tiny_sweep(runs: int, out: Path) -> Any:
    """`runs` jobs of one run of a few steps: one size, one budget, as many seeds."""
    from scaling.config.corpus import BytesTokenizer, LexiconCorpus
    from scaling.config.schema import (
        AdamWConfig,
        DesignConfig,
        LoggerConfig,
        ModelConfig,
        SweepConfig,
        TrainerConfig,
        WSDConfig,
    )

    return SweepConfig(
        name="soak",
        out=str(out),
        cache=str(out / "cache"),
        model=ModelConfig(context=16),
        corpus=LexiconCorpus(words=50, validation_bytes=512),
        tokenizer=BytesTokenizer(),
        optim=AdamWConfig(lr=5e-3, batch_tokens=64),
        schedule=WSDConfig(warmup_tokens=64),
        trainer=TrainerConfig(accelerator="cpu", threads=1, save_model=False),
        logger=LoggerConfig(kind="none"),
        design=DesignConfig(
            min_flops=6e6, max_flops=6e6, budgets=1, sizes=1, expected_params=5.3e3,
            expected_at_flops=6e6, seeds=runs,
        ),
    )  # fmt: skip


def watch_training(log: Path) -> None:
    """Have the worker note, for each run, when its training began and ended, its memory and its handles."""
    from scaling.training import pretrain

    train = pretrain.pretrain

    def watched(*arguments: Any) -> Any:
        began = time.monotonic()
        result = train(*arguments)
        ended = time.monotonic()
        line = {
            "began": began,
            "ended": ended,
            "bytes": resident_bytes(),
            "handles": handles(),
            "pid": os.getpid(),
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result

    pretrain.pretrain = watched  # type: ignore[assignment]  # hands every argument on


def soak(runs: int, out: Path) -> list[tuple[str, str, str, bool]]:
    """Run the sweep; rows of (what, asked, measured, reached)."""
    from scaling.records.records import load_sweep, write_table
    from scaling.sweep import provenance
    from scaling.sweep.plan import plan_jobs
    from scaling.sweep.run import train_jobs
    from scaling.sweep.workers import run_in_workers
    from scaling.training.meters import matmul_peak
    from scaling.training.pretrain import pretrain

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    matmul_peak("cpu", "32-true", 1)
    pretrain(plan_jobs(tiny_sweep(1, out / "warm"))[0].job.config)
    log = out / "runs.jsonl"
    watch_training(log)
    gc.collect()
    sweep_bytes, sweep_handles = resident_bytes(), handles()
    began = time.monotonic()
    config = tiny_sweep(runs, out)
    jobs = plan_jobs(config)
    provenance.settle(config.folder, provenance.describe(config, jobs))

    def launch(waiting: list[Any]) -> dict[str, str]:
        reasons = run_in_workers([job.job.config for job in waiting], 1, start="fork")
        return {job.name: why for job, why in zip(waiting, reasons, strict=True) if why is not None}

    failures = train_jobs(jobs, launch)
    table = load_sweep(config.folder)
    write_table(table, config.folder)
    ended = time.monotonic()
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    gaps = [after["began"] - before["ended"] for before, after in pairwise(seen)]
    overhead = (ended - began - sum(line["ended"] - line["began"] for line in seen)) / runs
    quarter = len(seen) // 4
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    growth = statistics.median(x["bytes"] for x in late) - statistics.median(x["bytes"] for x in early)
    more_handles = max(x["handles"] for x in late) - max(x["handles"] for x in early)
    done = int((table["status"] == "done").sum())
    training = statistics.median(line["ended"] - line["began"] for line in seen)
    kept = resident_bytes() - sweep_bytes
    files = len(list(config.folder.glob(f"*/{CLAIM_PREFIX}*"))) + len(
        list(config.folder.glob(f"**/.*{PART}"))
    )
    return [
        ("runs done", f"{runs}", f"{done}", done == runs and not failures),
        ("runs lost", "0", f"{runs - len(table)}", len(table) == runs),
        ("runs trained twice", "0", f"{len(seen) - runs}", len(seen) == runs),
        (
            "overhead a run, everything but training",
            f"< {OVERHEAD_SECONDS * 1e3:.0f} ms",
            f"{overhead * 1e3:.1f} ms",
            overhead < OVERHEAD_SECONDS,
        ),
        ("of it between two runs, median", "", f"{statistics.median(gaps) * 1e3:.1f} ms", True),
        ("time of a run's training, median", "", f"{training * 1e3:.0f} ms", True),
        (
            "worker's memory, last quarter over the second",
            f"≤ {SLACK_BYTES / 2**20:.0f} MiB more",
            f"{growth / 2**20:+.2f} MiB of {statistics.median(x['bytes'] for x in late) / 2**20:.0f}",
            growth <= SLACK_BYTES,
        ),
        ("worker's file handles, last quarter over the second", "0 more", f"{more_handles:+d}", more_handles <= 0),
        (
            "sweep's memory, all runs planned and collected, over its start",
            "",
            f"{kept / 2**20:+.1f} MiB, {kept / runs / 2**10:.1f} KiB a run",
            True,
        ),
        ("sweep's file handles at its end", "0 more", f"{handles() - sweep_handles:+d}", handles() <= sweep_handles),
        ("worker processes used", "1", f"{len({x['pid'] for x in seen})}", len({x["pid"] for x in seen}) == 1),
        ("locks and parts left behind", "0", f"{files}", files == 0),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="100 runs")
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")
    with tempfile.TemporaryDirectory() as folder:
        rows = soak(100 if options.quick else options.runs, Path(folder))
    print("| | asked | measured | |\n|---|---|---|---|")
    for what, asked, measured, reached in rows:
        print(f"| {what} | {asked} | {measured} | {('reached' if reached else 'MISSED') if asked else ''} |")
    sys.exit(0 if all(reached for *_, reached in rows) else 1)


if __name__ == "__main__":
    main()
