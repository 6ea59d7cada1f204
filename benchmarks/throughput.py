"""Speed of a training step beside nanoGPT's, side by side in one run.

    python benchmarks/throughput.py [--quick] [--nanogpt DIR] [--out FILE]

Both train the same shape class: width, depth, context, sequences a step, vocabulary and tokens are equal; the decoder
here has SwiGLU, rotary positions and normed queries and keys in the place of GELU, learned positions and biases,
which leaves parameters within a few percent. Ours goes through Lightning's Trainer with the CSV logger on, as
`scaling train trainer=cpu` runs it; the baseline is `benchmarks/baseline.py`. Steps are taken in turns, one of ours
for one of the baseline's, and a ratio is the median over pairs.

The rows of one thread count the processor time of the process, which is the wall time where nobody else is at work
and stays itself where somebody is. Two runs at once are timed by the clock, on a machine that is otherwise quiet.

Prints its table last; exits with 1 where a figure falls short.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
import numpy as np
import torch
from baseline import Baseline, BaselineRun, write_tokens
from budget_rows import Row, markdown

from scaling.config.corpus import BytesTokenizer, LexiconCorpus
from scaling.config.schema import (
    AdamWConfig,
    Branch,
    CosineConfig,
    LoggerConfig,
    ModelConfig,
    MuonConfig,
    TrainConfig,
    TrainerConfig,
)
from scaling.corpus import TokenCorpus, prepare
from scaling.corpus.order import window_order
from scaling.corpus.tokens import TokenArray
from scaling.model.cpu_backward import loss_and_backward
from scaling.model.decoder import Decoder
from scaling.shape.flops import train_flops_per_token
from scaling.training.fit import fit
from scaling.training.job import Job, plan_job
from scaling.training.meters import cpu_name
from scaling.training.optim import build_optimizer, clip_gradients
from scaling.training.resolve import resolve_shape
from scaling.training.step_groups import METERED_STEPS, steps_in_group

SHAPES = {"s1": (64, 2, 128, 16), "s2": (128, 4, 256, 8), "s3": (256, 6, 256, 8), "s4": (384, 8, 256, 8)}
"""Width, depth, context, sequences a step."""
FASTER = {"s1": 1.8, "s2": 1.9, "s3": 1.9, "s4": 2.0}
"""Tokens a second over the baseline's at 256 tokens of vocabulary."""
FASTER_LARGE_VOCABULARY = 2.2
PEAK_SHARE = {"s1": 0.40, "s2": 0.55, "s3": 0.68, "s4": 0.78}
"""Of the same processor's rate in square bf16 products."""
OVERHEAD_SECONDS, OVERHEAD_SHARE = 300e-6, 0.02
TWO_AT_ONCE = 1.9
MEMORY_EXCESS = 0.05
WARM_STEPS = 6
MIN_PAIRS = 8
STEP_SECONDS = {"s1": 0.1, "s2": 0.5, "s3": 2.0, "s4": 5.0}
"""About what a pair of steps takes; decides how many fit the time."""


# --- ours, through the Trainer ---


def job_config(shape: str, vocab_size: int, steps: int, out: Path, optim: str = "adamw") -> TrainConfig:
    """A job of so many steps, without validation text to speak of."""
    width, depth, context, sequences = SHAPES[shape]
    batch = context * sequences
    kinds = {"adamw": AdamWConfig, "muon": MuonConfig}
    return TrainConfig(
        name=f"{shape}-{vocab_size}-{optim}",
        out=str(out),
        cache=str(out / "cache"),
        model=ModelConfig(width=width, depth=depth, context=context),
        corpus=LexiconCorpus(words=200, validation_bytes=4096),
        tokenizer=BytesTokenizer(),
        optim=kinds[optim](lr=1e-3, batch_tokens=batch),
        schedule=CosineConfig(warmup_tokens=10 * batch),
        trainer=TrainerConfig(accelerator="cpu", threads=1, save_model=False, checkpoint_every_seconds=None),
        logger=LoggerConfig(kind="csv"),
        branches=[Branch(tokens=float(steps * batch))],
    )


def corpus_of(config: TrainConfig, vocab_size: int) -> TokenCorpus:
    """The job's corpus; with another vocabulary, uniform tokens of it: a step's time does not depend on the text."""
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    if vocab_size == corpus.vocab_size:
        return corpus
    tokens = np.random.default_rng(0).integers(0, vocab_size, 1 << 20).astype(np.uint16)
    source = TokenArray(tokens)
    return replace(
        corpus,
        vocab_size=vocab_size,
        train=source,
        validation=TokenArray(tokens[:4096]),
        train_tokens=1 << 20,
    )


# --- steps taken in turns ---


class InTurns(L.Callback):
    """After the steps that the Trainer takes together, as many of every other runner; keeps the times of each.

    The Trainer's steps last from the end of this callback to its next call: fetching the batches, the steps, all
    callbacks and the loop between them. Times are of one step, each a mean over those taken together.
    """

    def __init__(self, others: dict[str, Callable[[], object]], clock: Callable[[], float]) -> None:
        self.others, self.clock = others, clock
        self.seconds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
        self._steps, self._since = 0, 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        _, steps = batch
        ours = self.clock() - self._since
        kept = self._steps >= WARM_STEPS
        self._steps += steps
        if kept:
            self.seconds["ours"].append(ours / steps)
        # The first steps are the memory meter's, which would see what the others allocate.
        for name, step in self.others.items() if self._steps > METERED_STEPS else ():
            start = self.clock()
            for _ in range(steps):
                step()
            if kept:
                self.seconds[name].append((self.clock() - start) / steps)
        self._since = self.clock()

    def ratio(self, name: str) -> float:
        """How many times slower another's step is than ours: the median over pairs."""
        return median(
            other / ours for other, ours in zip(self.seconds[name], self.seconds["ours"], strict=True)
        )


class BareLoop:
    """The same step without Lightning: batch, loss, backward, clipping, optimizer."""

    def __init__(self, job: Job) -> None:
        self.job, recipe = job, job.recipe
        self.model = Decoder(job.shape, job.config.model.rope_base)
        self.optimizer = build_optimizer(recipe.optim, self.model, recipe.lr, job.config.trainer.precision)
        self.model.use_cpu_kernels()
        self.updated = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.windows = job.corpus.train.windows(recipe.context)
        self.position = 0

    @torch.inference_mode()
    def __call__(self) -> None:
        recipe, corpus = self.job.recipe, self.job.corpus
        count = recipe.batches.sequences(self.position)
        order = window_order(recipe.seed, self.position * count, count, self.windows)
        batch = torch.from_numpy(corpus.train.gather(order, recipe.context))
        self.optimizer.zero_grad()
        loss_and_backward(partial(self.model.loss, batch[:, :-1], batch[:, 1:]))
        clip_gradients(self.updated, recipe.optim.grad_clip or 0.0)
        self.optimizer.step()
        self.position += 1


def bf16_peak() -> float:
    """FLOP/s of square bf16 products on one thread, by processor time: the best of several."""
    best = 0.0
    for size in (512, 1024):
        a = torch.randn(size, size).bfloat16()
        for _ in range(8):
            start = time.process_time()
            a @ a
            best = max(best, 2 * size**3 / (time.process_time() - start))
    return best


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One shape, vocabulary and optimizer."""

    shape: str
    vocab_size: int
    optim: str
    params_ours: int
    params_baseline: int
    ratios: dict[str, float]
    seconds: float
    """Median of a step of ours."""
    overhead_seconds: float
    """Median over pairs of our step less the bare loop's."""
    peak_share: float
    memory_ratio: float
    """Measured peak of live tensors over the closed form."""
    precision: str


def measure(
    shape: str, vocab_size: int, optim: str, seconds: float, folder: Path, nanogpt: Path | None
) -> Measured:
    width, depth, context, sequences = SHAPES[shape]
    pairs = max(MIN_PAIRS, int(seconds / STEP_SECONDS[shape] * (256 / vocab_size) ** 0.2))
    config = job_config(shape, vocab_size, pairs, folder, optim)
    together = steps_in_group(resolve_shape(config, vocab_size), sequences)
    steps = WARM_STEPS + together * int(pairs / together**0.5)
    config = job_config(shape, vocab_size, steps, folder, optim)
    job = plan_job(config, corpus_of(config, vocab_size))
    job.folder.mkdir(parents=True, exist_ok=True)
    run = BaselineRun(
        width=width,
        depth=depth,
        heads=job.shape.heads,
        context=context,
        sequences=sequences,
        vocab_size=vocab_size,
        steps=steps,
        warmup_steps=10,
    )
    tokens = job.corpus.train.gather(np.arange(2000), context)[:, :-1].ravel()
    file = write_tokens(tokens, folder / f"{shape}-{vocab_size}.bin")
    baselines = {"gpt2": Baseline(run, file)}
    if nanogpt is not None:
        baselines["nanogpt"] = Baseline(run, file, nanogpt)
    turns = InTurns(
        {**{name: b.step for name, b in baselines.items()}, "bare": BareLoop(job)}, time.process_time
    )
    fit(job, [], None, None, None, None, callbacks=[turns])
    (record,) = job.recorded()
    assert record is not None
    step_seconds = median(turns.seconds["ours"])
    flops = train_flops_per_token(job.shape, "exact") * context * sequences
    assert record.peak_memory_bytes_measured is not None
    assert record.peak_memory_bytes_predicted is not None
    return Measured(
        shape=shape,
        vocab_size=vocab_size,
        optim=optim,
        params_ours=job.params_total,
        params_baseline=baselines["gpt2"].params_total,
        ratios={name: turns.ratio(name) for name in baselines},
        seconds=step_seconds,
        overhead_seconds=median(
            ours - bare for ours, bare in zip(turns.seconds["ours"], turns.seconds["bare"], strict=True)
        ),
        peak_share=flops / step_seconds / bf16_peak(),
        memory_ratio=record.peak_memory_bytes_measured / record.peak_memory_bytes_predicted,
        precision=record.precision,
    )


# --- two at once ---


def _ours_alone(shape: str, seconds: float, folder: str, sender: Any, start: Any) -> None:
    """Tokens a second, by the clock, of one 1-thread job under the Trainer among others like it."""
    config = job_config(shape, 256, 10_000, Path(folder))
    torch.set_num_threads(1)
    job = plan_job(config, corpus_of(config, 256))
    job.folder.mkdir(parents=True, exist_ok=True)
    stamps: list[float] = []
    first: list[int] = []

    class Stop(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
            position: int = module.position  # type: ignore[assignment]
            if len(stamps) == 0 and position < WARM_STEPS:
                return
            if not stamps:
                start.wait()
                first.append(position)
            stamps.append(time.perf_counter())
            if stamps[-1] - stamps[0] > seconds:
                context, sequences = SHAPES[shape][2:]
                sender.send((position - first[0]) * context * sequences / (stamps[-1] - stamps[0]))
                raise SystemExit

    fit(job, [], None, None, None, None, callbacks=[Stop()])


def two_at_once(shape: str, seconds: float, folder: Path) -> float:
    """Tokens a second of two 1-thread jobs at once over those of one 2-thread baseline; baseline, ours, baseline."""
    config = job_config(shape, 256, 100, folder)
    width, depth, context, sequences = SHAPES[shape]
    job = plan_job(config, corpus_of(config, 256))
    run = BaselineRun(
        width=width,
        depth=depth,
        heads=job.shape.heads,
        context=context,
        sequences=sequences,
        vocab_size=256,
        steps=10_000,
        warmup_steps=10,
    )
    tokens = job.corpus.train.gather(np.arange(2000), context)[:, :-1].ravel()
    baseline = Baseline(run, write_tokens(tokens, folder / f"two-{shape}.bin"))

    def baseline_rate() -> float:
        torch.set_num_threads(2)
        begin, steps = time.perf_counter(), 0
        while steps < 3 or time.perf_counter() - begin < seconds:
            baseline.step()
            steps += 1
        rate: float = steps * context * sequences / (time.perf_counter() - begin)
        torch.set_num_threads(1)
        return rate

    spawn = multiprocessing.get_context("spawn")
    before = baseline_rate()
    barrier = spawn.Barrier(2)
    pipes, workers = [], []
    for i in range(2):
        receiver, sender = spawn.Pipe(duplex=False)
        worker = spawn.Process(
            target=_ours_alone, args=(shape, seconds, str(folder / f"at-once-{i}"), sender, barrier)
        )
        worker.start()
        pipes.append(receiver)
        workers.append(worker)
    ours: float = sum(pipe.recv() for pipe in pipes)
    for worker in workers:
        worker.join()
    return 2 * ours / (before + baseline_rate())


# --- the table ---


def rows_of(m: Measured) -> list[Row]:
    name = f"{m.shape}, vocabulary {m.vocab_size}, {m.optim}"
    gain = FASTER[m.shape] if m.vocab_size == 256 else FASTER_LARGE_VOCABULARY
    asked = m.optim == "adamw"
    rows = [
        Row(
            quantity="tokens a second",
            against=f"{baseline} · {name} · {m.params_ours:,} and {m.params_baseline:,} parameters",
            reached=f"{ratio:.2f}x",
            asked=f"{gain}x" if asked else "",
            ok=ratio >= gain or not asked,
        )
        for baseline, ratio in m.ratios.items()
    ]
    if m.vocab_size == 256:
        share = PEAK_SHARE[m.shape]
        rows.append(
            Row(
                quantity="share of the bf16 peak",
                against=name,
                reached=f"{m.peak_share:.2f}",
                asked=f"{share:.2f}" if asked else "",
                ok=m.peak_share >= share or not asked,
            )
        )
    if asked and m.vocab_size == 256:
        microseconds, share = m.overhead_seconds * 1e6, m.overhead_seconds / m.seconds
        strict = m.shape == "s1"
        rows.append(
            Row(
                quantity="Trainer's overhead a step",
                against=f"bare loop · {name}",
                reached=f"{microseconds:.0f} µs, {share:.1%}",
                asked=f"{OVERHEAD_SECONDS * 1e6:.0f} µs, {OVERHEAD_SHARE:.0%}" if strict else "",
                ok=not strict or (m.overhead_seconds <= OVERHEAD_SECONDS and share <= OVERHEAD_SHARE),
            )
        )
    rows.append(
        Row(
            quantity="peak memory over the closed form",
            against=f"{name} · {m.precision}",
            reached=f"{m.memory_ratio - 1:+.1%}",
            asked=f"{MEMORY_EXCESS:+.0%}",
            ok=m.memory_ratio <= 1 + MEMORY_EXCESS,
        )
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few steps of each; one thread alone")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT, to run its model as well")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--out", type=Path, help="also write the table here, as Markdown")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seconds = 3.0 if options.quick else 30.0
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [(shape, 256, "adamw") for shape in options.shapes]
        cases += [
            (shape, 4096, "adamw") for shape in options.shapes if not options.quick or shape in ("s1", "s2")
        ]
        cases += [(shape, 256, "muon") for shape in options.shapes if not options.quick or shape == "s2"]
        for shape, vocab_size, optim in cases:
            measured = measure(shape, vocab_size, optim, seconds, folder, options.nanogpt)
            rows += rows_of(measured)
            print(f"{shape} {vocab_size} {optim}: {measured.ratios}", file=sys.stderr, flush=True)
        for shape in options.shapes if not options.quick else []:
            ratio = two_at_once(shape, seconds, folder)
            rows.append(
                Row(
                    quantity="two 1-thread runs at once",
                    against=f"one 2-thread gpt2 · {shape}",
                    reached=f"{ratio:.2f}x",
                    asked=f"{TWO_AT_ONCE}x",
                    ok=ratio >= TWO_AT_ONCE,
                )
            )
    table = markdown(rows)
    where = (
        f"{cpu_name()}, {os.cpu_count()} cores; python {platform.python_version()}, torch {torch.__version__}, "
        f"lightning {L.__version__}, transformers {version('transformers')}"
    )
    if options.out:
        options.out.write_text(f"{where}\n\n{table}")
    print(f"{where}\n\n{table}")
    sys.exit(0 if all(row.ok for row in rows) else 1)


if __name__ == "__main__":
    main()
