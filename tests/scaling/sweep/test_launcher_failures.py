"""A launcher that fails is told from a bug, and the multirun under it ends with its table."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import launchers
import pandas as pd
import pytest

from scaling.errors import UserError
from scaling.sweep.launcher_failures import is_launchers_own

SMALL = [word for word in launchers.WORDS if not word.startswith(("name=", "optim=", "optim.lr="))]
KILLER = """
import os, signal, sys
from scaling.training import retry

train = retry.pretrain_within_memory

def killed(job, *arguments):
    if job.config.optim.lr == 0.003:
        os.kill(os.getpid(), signal.SIGKILL)
    return train(job, *arguments)

retry.pretrain_within_memory = killed
"""
"""A sitecustomize.py, which Python runs at its start: the process that trains at one learning rate is killed."""


def raised_below(error: Exception, *modules: str) -> Exception:
    """The error, as raised by a function of the last module, which one of the module before called, and so on."""
    call: Callable[[], None] | None = None
    for module in reversed(modules):
        source = "def call():\n    raise error" if call is None else "def call():\n    below()"
        names = {"__name__": module, "error": error, "below": call}
        exec(source, names)
        call = cast("Callable[[], None]", names["call"])
    assert call is not None
    try:
        call()
    except Exception as caught:
        return caught
    raise AssertionError


JOBLIB = "hydra_plugins.hydra_joblib_launcher._core"


@pytest.mark.parametrize(
    ("module", "then", "error", "own"),
    [
        (JOBLIB, "joblib.externals.loky.process_executor", RuntimeError("a worker died"), True),
        (JOBLIB, "scaling.training.module", RuntimeError("a bug"), False),
        (JOBLIB, "joblib.parallel", UserError("seed=-1"), False),
        ("hydra_plugins.scaling_simulator", "multiprocessing.pool", RuntimeError("a bug"), False),
        ("scaling.sweep.run", "pandas.core.frame", KeyError("a bug"), False),
    ],
)
def test_only_what_a_launcher_raises_itself_is_its_failure(
    module: str, then: str, error: Exception, own: bool
) -> None:
    assert is_launchers_own(raised_below(error, module, then)) is own


@pytest.mark.slow
def test_a_multirun_whose_worker_is_killed_ends_with_its_table(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="the extra [joblib] is not installed")
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    words = [*SMALL, "hydra/launcher=joblib", "name=killed", "optim.lr=0.001,0.003"]

    def multirun(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scaling", "train", "-m", *words, "hydra.launcher.n_jobs=2", f"cache={cache}"],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "COLUMNS": "200", **environment},
        )  # fmt: skip

    ended = multirun(PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: the launcher failed (TerminatedWorkerError")
    assert "the same command trains the jobs that are missing" in last
    again = multirun()
    assert again.returncode == 0, again.stdout + again.stderr
    table = pd.read_csv(tmp_path / "runs" / "killed" / "records.csv")
    assert list(table["status"]) == ["done", "done"]
