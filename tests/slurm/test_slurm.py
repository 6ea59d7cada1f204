"""The Slurm preset against a real Slurm of one node, with a job that is warned, requeued and goes on."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from chaos import MEASURED

START = Path(__file__).parent / "start.sh"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
STUDY = """
experiment=smoke corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 model.context=16 name=study
design.min_flops=1e10 design.max_flops=1e10 design.budgets=1 design.sizes=1 design.expected_params=9e3
design.expected_at_flops=1e10 optim.batch_tokens=1024 optim.lr=5e-3 trainer.log_every_seconds=0.2
""".split()  # noqa: SIM905

pytestmark = [
    pytest.mark.slow,  # starts a Slurm
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS),
        reason="no Slurm here: apt-get install slurm-wlm munge",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd starts other users' jobs: it runs as root"),
]


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that speaks to a Slurm started for this test."""
    pytest.importorskip(
        "hydra_plugins.hydra_submitit_launcher", reason="hydra-submitit-launcher is not installed"
    )
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([START, folder], check=True)
    yield {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([START, folder, "stop"], check=True)


def start(out: Path, cache: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "scaling", "sweep", *STUDY, f"out={out}", f"cache={cache}", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "study" / "records.csv", dtype=str).drop(columns=MEASURED)


@pytest.mark.parametrize("asked", [["scancel", "--signal=USR1"], ["scontrol", "requeue"]])
def test_a_job_that_slurm_requeues_goes_on_to_the_same_table(
    slurm: dict[str, str], tmp_path: Path, cache: Path, asked: list[str]
) -> None:
    undisturbed = start(tmp_path / "local", cache, dict(os.environ))
    assert undisturbed.wait(300) == 0
    sweep = start(tmp_path / "slurm", cache, slurm, "hydra/launcher=slurm", "hydra.launcher.timeout_min=30")
    wait_for(lambda: bool(list((tmp_path / "slurm" / "study").glob("*/progress.json"))))

    def ask(*command: str) -> str:
        return subprocess.run(command, env=slurm, check=True, capture_output=True, text=True).stdout.strip()

    job = ask("squeue", "--noheader", "--format=%i")
    ask(*asked, job)
    wait_for(lambda: bool(list((tmp_path / "slurm" / "study").glob("*/last.ckpt"))))
    output, _ = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, output
    assert " Restarts=1 " in ask("scontrol", "show", "job", "--oneliner", job)
    pd.testing.assert_frame_equal(table(tmp_path / "slurm"), table(tmp_path / "local"), check_exact=True)


def wait_for(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
