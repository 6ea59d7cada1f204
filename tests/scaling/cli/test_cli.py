"""The command line as a user types it: what works, and one line for what cannot."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[3]
SMALL = [
    "trainer=cpu", "corpus=lexicon", "corpus.words=50", "corpus.validation_bytes=2048", "model.width=16",
    "model.depth=2", "model.context=16", "optim.batch_tokens=128", "logger=none",
]  # fmt: skip


def scaling(*words: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "scaling", *words],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def imported(code: str) -> set[str]:
    """Top-level modules that a piece of code imports."""
    program = f"import sys\n{code}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_help_and_offline_commands_import_nothing_heavy() -> None:
    heavy = {"torch", "lightning"}
    # What makes `--help` instant is what it leaves out; an absolute time would test the machine.
    assert not imported("import scaling.cli.main") & {*heavy, "hydra", "numpy", "pandas", "rich"}
    assert not imported("import scaling.cli.fit, scaling.sweep.report") & heavy
    assert not imported("import scaling.cli.budget") & heavy
    assert not imported("import scaling.training.job, scaling.sweep.design, scaling.sweep.dry_run") & heavy
    assert not imported("import scaling.cli.status, scaling.sweep.status") & heavy
    assert not imported("import analysis.study") & {*heavy, "hydra", "omegaconf", "scaling", "rich"}


def test_help_names_every_command(tmp_path: Path) -> None:
    text = scaling("--help", cwd=tmp_path).stdout
    assert all(f"  {name} " in text for name in ("train", "sweep", "status", "fit", "sample", "budget"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean train?"),
        (
            ["sweep", "experiment=smoke", "hydra/sweeper=basic", "--dry-run", "name=bare"],
            "with hydra/sweeper=scaling",
        ),
        (["train", "model.widht=3"], "model.widht=3: no such key; did you mean model.width"),
        (["train", "model.width=abc"], "model.width=abc"),
        (["train", "experiment=smoke"], "plans a study of many runs; use `scaling sweep experiment=smoke`"),
        (["train", "optim=adam"], "no such option; did you mean adamw? There are: adamw, muon"),
        (["train", "model.width=64", "model.heads=5"], "does not divide model.width=64"),
        (["train", "trainer.precision=fp8"], "trainer.precision=fp8: choose one of"),
        (["train", "++foo=3"], "+foo=3: no such key"),
        (["train", "name=../x"], "must be a plain folder name"),
        (["train", "corpus=text"], "corpus.paths"),
        (["train", "corpus=text", "corpus.paths=[missing.txt]"], "missing.txt"),
        (["train", "corpus=text", "corpus.paths=[empty]"], "empty"),
        (["train", "corpus=text", "corpus.paths=[binary.bin]"], "binary.bin"),
        (
            ["train", "corpus=text", "corpus.paths=[short.txt]", "corpus.validation_fraction=0.4"],
            "nothing can be held out",
        ),
        ([*["train", *SMALL], "tokens=10"], "shorter than one batch"),
        ([*["train", *SMALL], "out=file.txt"], "cannot be read or written"),
        ([*["train", *SMALL], "logger=mlflow"], "pip install 'scaling-simulator[mlflow]'"),
        (["sweep", "model.width=3,4"], "scaling train -m model.width=3,4"),
        (["fit", "missing.csv"], "missing.csv"),
        (["status", "runs/missing"], "no sweep was begun here"),
        (["status", "a", "b"], "give the folder of one sweep"),
        (["status", "a", "--wach"], "--wach: no such flag; did you mean --watch"),
        (["budget", "model=no-such-model"], "no-such-model"),
    ],
)
def test_a_mistake_gets_one_clear_line(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 50)
    (tmp_path / "short.txt").write_text("short\n" * 20)
    (tmp_path / "file.txt").write_text("kept")
    result = scaling(*words, cwd=tmp_path)
    assert result.returncode != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert (tmp_path / "file.txt").read_text() == "kept"


def test_train_writes_a_record(tmp_path: Path) -> None:
    result = scaling("train", *SMALL, "tokens=4096", "name=one", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "nats/token" in result.stdout
    record = json.loads(next(tmp_path.glob("runs/one/*/record.json")).read_text())
    assert (record["status"], record["tokens"]) == ("done", 4096)


@pytest.mark.slow
def test_multirun_trains_a_grid(tmp_path: Path) -> None:
    words = [*SMALL, "tokens=2048", "model.width=16,32", "name=grid-${model.width}"]
    result = scaling("train", "-m", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    widths = {json.loads(p.read_text())["width"] for p in tmp_path.glob("runs/grid-*/*/record.json")}
    assert widths == {16, 32}


def test_hydra_answers_for_itself(tmp_path: Path) -> None:
    shown = scaling("train", "--cfg", "job", "--resolve", "model.width=96", cwd=tmp_path)
    assert shown.returncode == 0
    assert "width: 96" in shown.stdout
    assert scaling("sweep", "--info", "defaults", cwd=tmp_path).returncode == 0
    assert "model.width" in scaling("train", "--help", cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_whole_study_from_one_command_then_again_without_training(tmp_path: Path) -> None:
    words = [
        "sweep", "experiment=smoke", "corpus=lexicon", "corpus.words=200", "corpus.validation_bytes=4096",
        "logger=none", "design.sizes=4",
    ]  # fmt: skip
    first = scaling(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "runs" / "smoke"
    table = pd.read_csv(folder / "records.csv")
    assert len(table) == 12
    assert (table["status"] == "done").all()
    assert "Fit beside the truth" in first.stdout
    assert (folder / "fit" / "report.html").is_file()
    assert list(folder.glob("fit/figures/*.png"))
    assert list(folder.glob("fit/figures/*.svg"))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/record.json")}
    again = scaling(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert "12 runs are recorded already; 0 to train" in again.stderr
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob("*/*/record.json")}
    # Analysis needs nothing but the table.
    answer = scaling("fit", "runs/smoke/records.csv", "--json", "bootstrap=50", cwd=tmp_path)
    assert {"parameters", "objective", "convention"} <= json.loads(answer.stdout).keys()


def test_a_dry_run_prints_the_plan_and_starts_nothing(tmp_path: Path) -> None:
    words = [
        "sweep",
        "experiment=smoke",
        "corpus=lexicon",
        "corpus.words=200",
        "corpus.validation_bytes=4096",
    ]
    result = scaling(*words, "--dry-run", "design.sizes=2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("to train") == 6 + 1
    assert "nothing was started" in result.stdout
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_wheel_works_from_an_empty_folder(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    wheel = next(tmp_path.glob("*.whl"))
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # Unpacked first on the path, and without the checkout's editable finder, the wheel is what runs.
    program = (
        "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]; "
        "sys.argv[0] = 'scaling'; from scaling.cli.main import main; import scaling; "
        f"assert scaling.__file__.startswith({str(site)!r}), scaling.__file__; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "train", *SMALL, "tokens=2048"],
        cwd=empty, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert list(empty.glob("runs/train/*/record.json"))
