"""How commands end: a user's mistake in one line, a bug with its traceback, a signal with its number."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.refusals import BadTable
from scaling.cli.exit_status import BUG, TRACEBACK, exit_with_status
from scaling.cli.main import main
from scaling.errors import UserError

SMALL = [
    "trainer=cpu", "corpus=lexicon", "corpus.words=50", "corpus.validation_bytes=2048", "model.width=16",
    "model.depth=2", "model.context=16", "optim.batch_tokens=128", "logger=none", "tokens=1000",
]  # fmt: skip
PLANT = """
import sys
import scaling.training.pretrain

def broken(*arguments):
    {statement}

scaling.training.pretrain.pretrain_job = broken
sys.argv = ["scaling", "train", *sys.argv[1:]]
from scaling.cli.main import main
main()
"""


def broken(*_: object) -> None:
    """What a bug in a command may look like."""
    list(zip([1], [1, 2], strict=True))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (TRACEBACK, "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)


def ending(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and standard error of a command that raises `error`."""
    with pytest.raises(SystemExit) as stop, exit_with_status():
        raise error
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("level=2: must be\n below 1"), 2, "error: level=2: must be below 1\n"),
        (BadTable("x.csv: no table"), 2, "error: x.csv: no table\n"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "runs/x"),
            2,
            "error: runs/x: cannot be read or written (No such file or directory)\n",
        ),
        (OSError(errno.ENOSPC, "No space left"), 2, "error: cannot be read or written (No space left)\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_is_no_bug_is_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(error, capsys) == (status, line)


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyError("x"), AssertionError(), OSError("socket")])
def test_anything_else_is_a_bug_with_its_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = ending(error, capsys)
    assert status == 1
    assert told.count("Traceback") == 1
    assert type(error).__name__ in told
    assert told.endswith(f"\n{BUG}\n")


def test_a_mistake_has_its_traceback_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(UserError, match="no"), exit_with_status():
        raise UserError("no")


def test_a_bug_in_a_plain_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scaling.sweep.status.read_status", broken)
    monkeypatch.setattr(sys, "argv", ["scaling", "status", "runs/x"])
    with pytest.raises(SystemExit) as stop:
        main()
    told = capsys.readouterr().err
    assert stop.value.code == 1
    assert told.count("Traceback") == 1
    assert "in broken" in told
    assert "ValueError: zip() argument 2 is longer than argument 1" in told
    assert told.endswith(f"\n{BUG}\n")


def train(statement: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`scaling train`, whose training consists of one statement."""
    return subprocess.run(
        [sys.executable, "-c", PLANT.format(statement=statement), *SMALL],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bug_in_a_hydra_app(tmp_path: Path) -> None:
    done = train("list(zip([1], [1, 2], strict=True))", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "in broken" in done.stderr
    assert done.stderr.count("ValueError: zip() argument 2 is longer than argument 1") == 1
    assert done.stderr.endswith(f"\n{BUG}\n")


@pytest.mark.parametrize(
    ("statement", "status", "line"),
    [
        ("from scaling.errors import UserError; raise UserError('x=3: too many')", 2, "error: x=3: too many"),
        (
            "open('missing.txt')",
            2,
            "error: missing.txt: cannot be read or written (No such file or directory); ",
        ),
        ("raise MemoryError('no room')", 1, "error: out of memory (no room); set a smaller "),
        ("raise KeyboardInterrupt", 130, "interrupted; the same command goes on from the last checkpoint"),
    ],
)
def test_what_is_no_bug_in_a_hydra_app(tmp_path: Path, statement: str, status: int, line: str) -> None:
    done = train(statement, tmp_path)
    assert done.returncode == status
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_mistake_in_a_hydra_app_has_its_traceback_where_that_is_asked_for(tmp_path: Path) -> None:
    statement = "from scaling.errors import UserError; raise UserError('x=3: too many')"
    done = train(statement, tmp_path, HYDRA_FULL_ERROR="1")
    assert "in broken" in done.stderr
    assert "scaling.errors.UserError: x=3: too many" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    program = "from scaling.cli.exit_status import exit_with_status\nwith exit_with_status():\n    print('x' * 10**6)"
    reading, writing = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE)
    os.close(reading)
    os.close(writing)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, b"")
