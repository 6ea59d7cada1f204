"""Kill a sweep again and again, damage what it wrote, and see whether its table is still the same.

    python benchmarks/chaos.py [--kills 500] [--mutants 10000] [--quick]

A small sweep is started, and its process, one of its workers or all of them at once are killed (SIGKILL), at a random
moment, or at a random one of the instants when a file is flushed, renamed, linked or removed, with its last write cut
short or whole. It is started again until it ends by itself; then its table is held against that of an undisturbed
sweep, column by column, all but what is measured with a clock or a meter. Another sweep follows, until there were as
many kills as asked for. Then the files that are read back (records, checkpoints, models, tokens, descriptions,
claims) are altered at random and read: a reader may give the true values or name the damage, nothing else.

Prints its table last; exits with 1 where a run was lost, trained twice or changed, or a wrong value was accepted.
Processes are forked from one that has imported torch, so that a start takes a fraction of a second.
"""

import argparse
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from ctypes import c_longlong
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from scaling.records.folder import (
    CHECKPOINT,
    CLAIM_PREFIX,
    ERROR_LOG,
    FAILED,
    MODEL,
    PART,
    PROGRESS,
    RECORD,
    RECORDS_TABLE,
    STUDY_PLAN,
    TRUNK,
)

FORK = multiprocessing.get_context("fork")
WORKERS = 2
WRITING = "a process while it wrote"
MEASURED = [
    "wall_seconds", "seconds_spent", "tokens_per_second", "achieved_flops_per_second",
    "matmul_peak_flops_per_second", "peak_memory_bytes_measured", "retried",
]  # fmt: skip
"""Columns that a clock or a meter fills in, and the note of what was tried before."""


@dataclass
class Tally:
    """What was done to sweeps, and what came of it."""

    kills: int = 0
    by_target: dict[str, int] = field(default_factory=dict)
    sweeps: int = 0
    starts: int = 0
    runs: int = 0
    lost: int = 0
    repeated: int = 0
    differing: int = 0
    left_behind: int = 0
    stuck: int = 0
    seconds: float = 0.0
    mutants: int = 0
    found: int = 0
    harmless: int = 0
    accepted: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, repeated, changed, left behind or wrongly accepted."""
        counts = (self.lost, self.repeated, self.differing, self.left_behind, self.stuck)
        return not any(counts) and not self.accepted and not self.crashes


# --- the sweep -----------------------------------------------------------------------------------------


def small_sweep(out: Path, cache: Path) -> Any:
    """Three jobs of two runs each, a checkpoint at every step."""
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
        name="sweep",
        out=str(out),
        cache=str(cache),
        model=ModelConfig(context=16),
        corpus=LexiconCorpus(words=50, validation_bytes=512),
        tokenizer=BytesTokenizer(),
        optim=AdamWConfig(lr=5e-3, batch_tokens=128),
        schedule=WSDConfig(warmup_tokens=256, decay_fraction=0.3),
        trainer=TrainerConfig(
            accelerator="cpu", threads=1, checkpoint_every_seconds=0.0, log_every_seconds=0.0, save_model=True
        ),
        logger=LoggerConfig(kind="none"),
        design=DesignConfig(
            min_flops=4e7, max_flops=9e7, budgets=2, sizes=3, size_ratio=1.6,
            expected_params=7e3, expected_at_flops=6e7, expected_exponent=0.0,
        ),
    )  # fmt: skip


def sweep(config: Any) -> None:
    """What `scaling sweep` does between its plan and its analysis."""
    from scaling.records.claims import claim_when_free
    from scaling.records.files import remove_parts
    from scaling.records.records import load_sweep, write_table
    from scaling.sweep import provenance
    from scaling.sweep.plan import plan_jobs
    from scaling.sweep.run import train_jobs
    from scaling.sweep.workers import run_in_workers

    def launch(jobs: list[Any]) -> dict[str, str]:
        reasons = run_in_workers([job.job.config for job in jobs], WORKERS, start="fork")
        return {job.name: reason for job, reason in zip(jobs, reasons, strict=True) if reason is not None}

    config.folder.mkdir(parents=True, exist_ok=True)
    jobs = plan_jobs(config)
    described = provenance.describe(config, jobs)
    with claim_when_free(config.folder):
        provenance.settle(config.folder, described)
    failures = train_jobs(jobs, launch)
    with claim_when_free(config.folder):
        remove_parts(config.folder, below=False)
        provenance.settle(config.folder, described)
        write_table(load_sweep(config.folder), config.folder)
    os._exit(1 if failures else 0)  # the forked parent's own exit handlers are not ours to run


def start(config: Any, countdown: Any) -> Any:
    """Start the sweep in a forked process; it, or a worker, dies at the `countdown`-th instant of writing."""

    def run() -> None:
        if os.environ.get("CHAOS_VERBOSE") != "1":
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        note_repeated_records()
        die_while_writing(countdown)
        sweep(config)

    process = FORK.Process(target=run)
    process.start()
    return process


def note_repeated_records() -> None:
    """Leave a line in repeated.log whenever a run is recorded that has its record."""
    from scaling.training import branching

    write = branching.write_record  # type: ignore[attr-defined]  # as the module sees it

    def watched(record: Any, folder: Path, files: Any = ()) -> None:
        if (folder / RECORD).exists():
            with (folder.parent.parent / "repeated.log").open("a") as log:
                log.write(f"{record.run_id}\n")
        write(record, folder, files)

    branching.write_record = watched  # type: ignore[attr-defined, assignment]


def die_while_writing(countdown: Any) -> None:
    """Kill whichever process of the sweep comes to the instant at which the shared countdown ends.

    The instants lie before and after a flush, a rename, a link and a removal; before a flush, what was written may be
    cut short, as it is when a process dies between two writes.
    """

    def instant(part: str | None = None) -> None:
        # Without a lock, which a process that is killed would hold for ever. A count that two processes take at once is
        # lost, but not the last one: whoever takes it dies.
        countdown.value = left = countdown.value - 1
        if left == 0:
            if part is not None and os.getpid() % 2:
                os.truncate(part, os.path.getsize(part) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def surrounded(call: Callable[..., Any], flushes: bool = False) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            part = f"/proc/self/fd/{arguments[0]}" if flushes else None
            instant(part if part and os.path.isfile(part) else None)
            result = call(*arguments, **options)
            instant()
            return result

        return wrapped

    os.fsync = surrounded(os.fsync, flushes=True)
    for name in ("replace", "link", "unlink"):
        setattr(os, name, surrounded(getattr(os, name)))


def table(folder: Path) -> pd.DataFrame:
    """A sweep's table without what was measured, in an order of its own."""
    frame = pd.read_csv(folder / RECORDS_TABLE, dtype=str, keep_default_na=False)
    return frame.drop(columns=MEASURED).sort_values("run_id").reset_index(drop=True)


def descendants(pid: int) -> list[int]:
    """Processes started by a process, and by those."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children] + [d for child in children for d in descendants(int(child))]


# --- kills ---------------------------------------------------------------------------------------------


def chaos(kills: int, folder: Path, seed: int = 0, say: Callable[[str], None] = lambda _: None) -> Tally:
    """Sweeps killed until there were `kills` of them, each then ended and compared."""
    chance = random.Random(seed)
    cache = folder / "cache"
    began = time.monotonic()
    wanted, instants, seconds = undisturbed(folder / "undisturbed", cache)
    say(f"undisturbed: {len(wanted)} runs, {instants} instants of writing, {seconds:.2f} s")
    tally = Tally()
    while tally.kills < kills:
        out = folder / f"sweep{tally.sweeps}"
        config = small_sweep(out, cache)
        torment(config, kills, instants, seconds, chance, tally)
        examine(config.folder, wanted, tally)
        tally.sweeps += 1
        say(f"{tally.kills} kills, {tally.sweeps} sweeps, {tally.starts} starts; sound so far: {tally.sound}")
        if tally.sound:
            shutil.rmtree(out)
    tally.seconds = time.monotonic() - began
    return tally


def undisturbed(out: Path, cache: Path) -> tuple[pd.DataFrame, int, float]:
    """The table that every sweep must come to; how many instants of writing there are, and how long it takes."""
    from scaling.sweep.plan import plan_jobs
    from scaling.training.meters import matmul_peak
    from scaling.training.pretrain import pretrain

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    config = small_sweep(out / "warm", cache)
    matmul_peak("cpu", "32-true", 1)
    pretrain(plan_jobs(config)[0].job.config)  # what every child then finds imported and initialised
    config = small_sweep(out, cache)
    countdown = FORK.RawValue(c_longlong, 1 << 40)
    began = time.monotonic()
    process = start(config, countdown)
    process.join()
    assert process.exitcode == 0, f"the undisturbed sweep ended with {process.exitcode}"
    return table(config.folder), (1 << 40) - countdown.value, time.monotonic() - began


def torment(
    config: Any, kills: int, instants: int, seconds: float, chance: random.Random, tally: Tally
) -> None:
    """Start a sweep over and over, killing it at random, until it ends by itself."""
    never = 1 << 40

    def fuse() -> int:
        """Instants of writing until a process dies; half of the time none does, and a clock decides."""
        return chance.randint(1, instants // 5) if tally.kills < kills and chance.random() < 0.5 else never

    while True:
        countdown = FORK.RawValue(c_longlong, fuse())
        process = start(config, countdown)
        tally.starts += 1
        deadline = time.monotonic() + 100 * (seconds + 3)
        while process.is_alive() and time.monotonic() < deadline:
            armed = countdown.value < never // 2
            process.join(0.01 if armed or tally.kills >= kills else chance.uniform(0, seconds / 8))
            if not armed and tally.kills < kills and process.is_alive():
                kill(process.pid, chance, tally)
            if countdown.value <= 0 or not armed:
                count_fired(countdown, tally)
                countdown.value = fuse()
        count_fired(countdown, tally)
        if process.is_alive():
            tally.stuck += 1
            for pid in [*descendants(process.pid), process.pid]:
                os.kill(pid, signal.SIGKILL)
            process.join()
        if process.exitcode == 0 or tally.stuck:
            return


def count_fired(countdown: Any, tally: Tally) -> None:
    """Count the kill of a countdown that has ended, once."""
    if countdown.value <= 0:
        tally.kills += 1
        tally.by_target[WRITING] = tally.by_target.get(WRITING, 0) + 1
        countdown.value = 1 << 40


def kill(sweeper: int, chance: random.Random, tally: Tally) -> None:
    """Kill the sweep, one of its workers, or all of them at once, as a power failure does."""
    workers = descendants(sweeper)
    target = chance.choice(["the sweep", "a worker", "all at once"] if workers else ["the sweep"])
    victims = {"the sweep": [sweeper], "a worker": workers[:1], "all at once": [sweeper, *workers]}[target]
    if target == "a worker":
        victims = [chance.choice(workers)]
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    tally.kills += 1
    tally.by_target[target] = tally.by_target.get(target, 0) + 1


def examine(folder: Path, wanted: pd.DataFrame, tally: Tally) -> None:
    """Hold an ended sweep against the undisturbed one."""
    found = table(folder)
    tally.runs += len(wanted)
    tally.lost += len(set(wanted["run_id"]) - set(found["run_id"]))
    repeated = folder / "repeated.log"
    tally.repeated += len(found) - found["run_id"].nunique()
    tally.repeated += len(repeated.read_text().splitlines()) if repeated.exists() else 0
    both = wanted.merge(found, on="run_id", suffixes=("", "_found"))
    tally.differing += sum(
        int((both[column] != both[f"{column}_found"]).sum()) for column in wanted if column != "run_id"
    )
    stray = [
        path
        for pattern in (f"{CLAIM_PREFIX}*", f".*{PART}", "*.ckpt", PROGRESS, FAILED, ERROR_LOG)
        for path in folder.glob(f"**/{pattern}")
    ]
    tally.left_behind += len(stray)
    if not tally.sound:
        print(f"not sound: {folder}; left behind: {', '.join(map(str, stray)) or 'nothing'}", file=sys.stderr)


# --- mutants -------------------------------------------------------------------------------------------


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One random alteration: bits flipped, bytes lost, doubled, zeroed or added, or another text altogether."""
    at = chance.randrange(len(data))
    to = min(len(data), at + chance.randint(1, 64))
    match chance.randrange(8):
        case 0 | 1:
            return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + data[to:]
        case 4:
            return data[:to] + data[at:]
        case 5:
            return data[:at] + bytes(to - at) + data[to:]
        case 6:
            return data[:at] + chance.randbytes(8) + data[at:]
        case _:
            # A digit for another: the damage that parses.
            digits = [i for i in range(len(data)) if 48 <= data[i] <= 57][:2000] or [at]
            i = chance.choice(digits)
            return data[:i] + bytes([48 + chance.randrange(10)]) + data[i + 1 :]


def fuzz(mutants: int, folder: Path, seed: int = 0) -> Tally:
    """Read `mutants` altered files of every kind that is read back; count what their readers said."""
    chance = random.Random(seed)
    readers = files_and_readers(folder)
    truth = {path: read() for path, read in readers.items()}
    tally = Tally()
    weights = [8 if path.name in (RECORD, CHECKPOINT) else 1 for path in readers]
    for _ in range(mutants):
        path = chance.choices(list(readers), weights)[0]
        whole = path.read_bytes()
        mutant = mutate(whole, chance)
        path.write_bytes(mutant)
        tally.mutants += 1
        try:
            value = readers[path]()
        except ValueError as error:
            tally.found += 1
            if path.name not in str(error) or "\n" in str(error):
                tally.crashes.append(f"{path.name}: not named in one line: {error}")
        except Exception as error:
            tally.crashes.append(f"{path.name}: {type(error).__name__}: {error}")
        else:
            if value == truth[path]:
                tally.harmless += 1
            else:
                tally.accepted.append(f"{path.name}: {mutant!r:.200}")
        finally:
            path.write_bytes(whole)
    return tally


def files_and_readers(folder: Path) -> dict[Path, Callable[[], Any]]:
    """One file of every kind that is read back, and what reads it: a run's, a job's, a study's, a corpus's, a claim."""
    from dataclasses import asdict

    import torch

    from scaling.config.corpus import BPETokenizer, TextCorpus
    from scaling.corpus import prepare
    from scaling.model.saved import load
    from scaling.records import claims
    from scaling.records.files import json_bytes, seal_label
    from scaling.records.folder import CHECKPOINT
    from scaling.records.records import read_record
    from scaling.sweep import provenance
    from scaling.sweep.plan import plan_jobs
    from scaling.training.pretrain import pretrain
    from scaling.training.retry import record_failure

    class Stop(BaseException):
        pass

    def stop(progress: Any) -> None:
        if progress.runs_done == 1 and progress.step > progress.steps - 3:
            raise Stop

    def weights(path: Path) -> Any:
        seal_label(path)
        state = torch.load(path, weights_only=True)
        return {name: tensor.tolist() for name, tensor in state["state_dict"].items()}

    def model() -> Any:
        trained = load(record.parent)
        tensors = {name: tensor.tolist() for name, tensor in trained.model.state_dict().items()}
        return trained.model.shape, trained.tokenizer.definition(), tensors

    config = small_sweep(folder / "fuzz", folder / "cache")
    jobs = plan_jobs(config)
    job = jobs[0].job
    with suppress(Stop):
        pretrain(job.config, stop)
    record = next(job.folder.glob(f"*/{RECORD}"))
    readers: dict[Path, Callable[[], Any]] = {
        file: lambda: read_record(record) for file in record.parent.iterdir() if file.is_file()
    }
    readers[record.parent / MODEL] = model
    for name in (CHECKPOINT, TRUNK):
        readers[job.folder / name] = lambda path=job.folder / name: weights(path)  # type: ignore[misc]

    record_failure(jobs[1].job, "a reason")
    failed = jobs[1].job.run_folders[0] / FAILED
    readers[failed] = lambda: read_record(failed)

    provenance.settle(config.folder, provenance.describe(config, jobs))
    readers[config.folder / STUDY_PLAN] = lambda: provenance.read_sweep(config.folder / STUDY_PLAN)

    texts = folder / "texts"
    texts.mkdir()
    for i in range(4):
        (texts / f"{i}.txt").write_text(f"a small text, the {i}-th of its kind, about nothing at all. " * 20)
    corpus = TextCorpus(paths=[str(texts)], validation_bytes=500)

    def tokens() -> Any:
        found = prepare(corpus, BPETokenizer(vocab_size=280), folder / "texts-cache")
        sides = [source.gather([0], 8).tolist() for source in (found.train, found.validation)]
        return found.fingerprint, found.tokenizer, found.vocab_size, found.bytes_per_token, sides

    tokens()
    for file in next((folder / "texts-cache").iterdir()).iterdir():
        readers[file] = tokens

    # A living process's claim: damaged, it may be taken for another host's, but never for a dead one's.
    held = folder / "held" / "claim-0.json"
    held.parent.mkdir()
    held.write_bytes(json_bytes(asdict(claims.this_process())))
    readers[held] = lambda: claims.holder_of(held.parent) is not None
    return readers


# --- the table -----------------------------------------------------------------------------------------


def report(kills: Tally, mutants: Tally) -> str:
    """Both tallies as a table."""
    by_target = ", ".join(f"{count} of {name}" for name, count in sorted(kills.by_target.items()))
    rows = [
        ("kills survived", "", f"{kills.kills} ({by_target})"),
        ("sweeps, and how often they were started", "", f"{kills.sweeps}, {kills.starts}"),
        ("runs compared with an undisturbed sweep", "", f"{kills.runs}"),
        ("runs lost", "0", f"{kills.lost}"),
        ("runs trained twice", "0", f"{kills.repeated}"),
        ("values that differ in any bit", "0", f"{kills.differing}"),
        ("locks, checkpoints and parts left behind", "0", f"{kills.left_behind}"),
        ("sweeps that got stuck", "0", f"{kills.stuck}"),
        ("mutants read", "", f"{mutants.mutants}"),
        ("found and named", "", f"{mutants.found}"),
        ("altered where it does not matter: read to the true values", "", f"{mutants.harmless}"),
        ("wrong values accepted", "0", f"{len(mutants.accepted)}"),
        ("crashes without a clear error", "0", f"{len(mutants.crashes)}"),
    ]
    lines = ["| | asked | measured |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    return "\n".join([*lines, *(f"\n- {text}" for text in [*mutants.accepted, *mutants.crashes][:20])])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="20 kills and 500 mutants")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.mutants = 20, 500
    with tempfile.TemporaryDirectory() as folder:
        kills = chaos(
            options.kills, Path(folder), options.seed, say=lambda text: print(text, file=sys.stderr)
        )
        mutants = fuzz(options.mutants, Path(folder), options.seed)
    print(report(kills, mutants))
    sys.exit(0 if kills.sound and mutants.sound else 1)


if __name__ == "__main__":
    main()
