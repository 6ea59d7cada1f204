"""One multirun through every launcher that is installed, and through Optuna's grid: the tables must be equal.

    python benchmarks/launchers.py [FOLDER]

Trains each time the same four jobs of a second, over a group and a key, and prints one table of their losses with a
column for each launcher. Exits with status 1 where a loss differs in its last bit or a job is missing.
"""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

WORDS = """
trainer=cpu trainer.threads=1 corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 model.width=16 model.depth=2
model.context=16 optim.batch_tokens=128 tokens=2048 logger=none name=grid optim=adamw,muon optim.lr=0.001,0.003
""".split()  # noqa: SIM905
LAUNCHERS = {
    "basic": ([], None),
    "local": (["hydra/launcher=local"], None),
    "joblib": (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "hydra_joblib_launcher"),
    "submitit": (["hydra/launcher=submitit_local"], "hydra_submitit_launcher"),
    "ray": (["hydra/launcher=ray_cluster"], "hydra_ray_launcher"),
    "optuna": (["hydra/sweeper=optuna", "hydra/sweeper/sampler=grid"], "hydra_optuna_sweeper"),
}
"""The words that choose a launcher or a sweeper, and the plugin that each needs."""


def losses(name: str, out: Path, cache: Path) -> pd.Series:
    """The validation loss of each job of the multirun through one launcher, as text, by optimizer and learning rate.

    Raises:
        RuntimeError: where the command fails.
    """
    command = [sys.executable, "-m", "scaling", "train", "-m", *WORDS, *LAUNCHERS[name][0]]
    ended = subprocess.run(
        [*command, f"out={out / name}", f"cache={cache}"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"{name}: exit status {ended.returncode}\n{ended.stdout}{ended.stderr}")
    table = pd.read_csv(
        out / name / "grid" / "records.csv", dtype={"loss_nats": str}
    )  # all digits, as written
    return table.set_index(["optimizer", "lr"])["loss_nats"].sort_index().rename(name)


def compare(out: Path, cache: Path) -> pd.DataFrame:
    """The losses of the multirun's jobs, a column for each launcher that is installed."""
    installed = [
        name
        for name, (_, plugin) in LAUNCHERS.items()
        if plugin is None or find_spec(f"hydra_plugins.{plugin}") is not None
    ]
    return pd.concat([losses(name, out, cache) for name in installed], axis=1)


def main() -> int:
    """Print the table; returns the exit status."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        table = compare(out, out / "cache")
    print(table.to_string())
    equal = len(table) == 4 and table.nunique(axis=1, dropna=False).eq(1).all()
    print("all launchers give the same losses, bit for bit" if equal else "the launchers differ")
    missing = sorted(LAUNCHERS.keys() - set(table.columns))
    if missing:
        print(f"not installed: {', '.join(missing)}")
    return 0 if equal else 1


if __name__ == "__main__":
    raise SystemExit(main())
