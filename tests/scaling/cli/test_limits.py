"""Where the machine gives out under `train` and `sweep`: memory, the disk, and the user's patience."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.records.folder import CHECKPOINT, RECORD
from scaling.records.records import load_sweep

pytestmark = pytest.mark.slow  # a process with Lightning each

BASE = """
corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 trainer=cpu trainer.threads=1 logger=none
schedule.warmup_tokens=128
""".split()  # noqa: SIM905
SMALL = [*BASE, *["model.width=16", "model.depth=1", "model.context=16", "optim.batch_tokens=128"]]
WIDE = [
    *BASE,
    *["model.width=64", "model.depth=2", "model.context=128", "optim.batch_tokens=65536", "tokens=65536"],
]
STUDY = """
experiment=smoke design.min_flops=2e8 design.max_flops=2e8 design.budgets=1 design.sizes=2 design.expected_params=7e3
design.expected_at_flops=2e8 optim.lr=5e-3 name=study hydra.launcher.workers=2
""".split()  # noqa: SIM905

LITTLE_MEMORY = """
import os, resource
from pathlib import Path
from scaling.training import pretrain

begin = pretrain.fit

def limited(*arguments, **named):
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + int(os.environ["ROOM_MIB"]) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    begin(*arguments, **named)

pretrain.fit = limited
"""
"""A sitecustomize.py, which Python runs at its start: from when training begins, the process may map so much more."""
SLOW_DISK = """
import os, time
from pathlib import Path
from scaling.training import checkpoint

def slow(*arguments):
    Path(os.environ["MARK"], str(os.getpid())).touch()
    time.sleep(900)

checkpoint.save = slow
"""
"""Another: a checkpoint takes for ever to write, and a file named after the process tells that it is being written."""


def plant(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    """Let Python run a text at the start of each process."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def begin(command: str, out: Path, cache: Path, *words: str) -> "subprocess.Popen[str]":
    """A command of the program, under way; Ctrl-C reaches it as from a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", command, *words, f"out={out}", f"cache={cache}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]", seconds: float = 300) -> tuple[int, str]:
    """Exit status and standard error of a command that ends by itself in so many seconds."""
    try:
        _, told = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, told


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_train_halves_the_micro_batch_where_memory_runs_out(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, tmp_path / "site", LITTLE_MEMORY)
    monkeypatch.setenv("ROOM_MIB", "450")  # the whole batch takes some 700 MiB
    status, told = ended(begin("train", tmp_path, cache, *WIDE))
    assert status == 0, told
    (record,) = load_sweep(tmp_path).to_dict("records")
    assert record["batch_tokens"] == 65536
    assert record["micro_batch_tokens"] < 65536
    assert record["retried"] == f"out of memory; micro-batch halved to {record['micro_batch_tokens']} tokens"


def test_no_memory_at_all_is_one_line(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, tmp_path / "site", LITTLE_MEMORY)
    monkeypatch.setenv("ROOM_MIB", "100")
    long = ["model.width=256", "model.context=4096", "optim.batch_tokens=8192", "tokens=8192"]
    status, told = ended(begin("train", tmp_path, cache, *WIDE, *long, "corpus.validation_bytes=16384"))
    assert status == 1, told
    assert "Traceback" not in told
    last = told.splitlines()[-1]
    assert last.startswith("error: out of memory")
    assert "trainer.micro_batch_tokens" in last


def test_a_second_interrupt_ends_train_at_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, tmp_path / "site", SLOW_DISK)
    mark = tmp_path / "mark"
    mark.mkdir()
    monkeypatch.setenv("MARK", str(mark))
    # A schedule without a trunk writes its first checkpoint before its first step.
    words = [*SMALL, "schedule=cosine", "tokens=4096", "name=job"]
    process = begin("train", tmp_path, cache, *words)
    wait_for(lambda: bool(list(mark.iterdir())), process)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first interrupt waits for the checkpoint"
    process.send_signal(signal.SIGINT)
    status, told = ended(process, 30)
    assert status == 130
    assert told.splitlines()[-1].endswith("interrupted again: ended at once, without a checkpoint")
    assert not list(tmp_path.rglob(CHECKPOINT))
    monkeypatch.delenv("PYTHONPATH")
    status, told = ended(begin("train", tmp_path, cache, *words))
    assert status == 0, told


def test_a_second_interrupt_ends_a_sweep_and_its_workers_at_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, tmp_path / "site", SLOW_DISK)
    mark = tmp_path / "mark"
    mark.mkdir()
    monkeypatch.setenv("MARK", str(mark))
    words = [*STUDY, *BASE, "model.context=16", "schedule=cosine"]
    process = begin("sweep", tmp_path, cache, *words)
    wait_for(lambda: len(list(mark.iterdir())) == 2, process)
    workers = [int(path.name) for path in mark.iterdir()]
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "the first interrupt waits for the workers' checkpoints"
    process.send_signal(signal.SIGINT)
    status, told = ended(process, 60)
    assert status == 130, told
    assert "Traceback" not in told
    assert "interrupted again" in told
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "a worker outlives its sweep"
        time.sleep(0.1)
    monkeypatch.delenv("PYTHONPATH")
    status, told = ended(begin("sweep", tmp_path, cache, *words))
    assert status == 0, told


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of half a MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here, which takes the rights of root")
    return folder


def test_a_full_disk_in_train_names_the_file_and_loses_nothing(
    small_disk: Path, tmp_path: Path, cache: Path
) -> None:
    words = [*SMALL, "tokens=65536", "name=job", "trainer.checkpoint_every_seconds=0.2"]
    try:
        filler = small_disk / "filler"
        filler.write_bytes(bytes(400 * 1024))
        status, told = ended(begin("train", small_disk, cache, *words))
        assert status != 0
        assert "Traceback" not in told
        line = told.splitlines()[-1]
        assert line.startswith("error: ")
        assert str(small_disk / "job") in line
        assert not list(small_disk.rglob(RECORD))
        assert not list(small_disk.rglob("*.part"))
        filler.unlink()
        status, told = ended(begin("train", small_disk, cache, *words))
        assert status == 0, told
        on_the_disk = load_sweep(small_disk)
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=False)
    status, told = ended(begin("train", tmp_path / "whole", cache, *words))
    assert status == 0, told
    assert list(on_the_disk["loss_nats"]) == list(load_sweep(tmp_path / "whole")["loss_nats"])


def test_a_signal_while_memory_is_allocated_is_heeded(tmp_path: Path, cache: Path) -> None:
    """A model of some GiB: the process is asked to end while it makes its weights, before the first step."""
    words = [*BASE, "model.width=1024", "model.depth=24", "model.context=16", "optim.batch_tokens=32", "tokens=64",
             "name=job", "trainer.save_model=false"]  # fmt: skip
    process = begin("train", tmp_path, cache, *words)
    wait_for((tmp_path / "job" / "job.json").is_file, process)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    status, told = ended(process, 120)
    assert status == 143, told
    assert "ended by SIGTERM; the same command goes on" in told
    assert time.monotonic() - began < 60  # seconds on an idle machine
    assert not list((tmp_path / "job").glob("claim-*"))
    status, told = ended(begin("train", tmp_path, cache, *SMALL, "tokens=4096", "name=job"))
    assert status == 0, told
