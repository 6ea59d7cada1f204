"""`scaling sweep`: plan a study, train it, fit it."""

import sys
from dataclasses import asdict
from pathlib import Path

import hydra
from omegaconf import DictConfig

from scaling.cli import hydra_app


@hydra.main(version_base="1.3", config_path="pkg://scaling.conf", config_name="sweep")
def sweep(config: DictConfig) -> str | dict[str, str | bool] | None:
    """Train one planned job of the sweep, wherever its launcher runs it; returns why it failed, or None.

    With `ask_machine` it trains nothing, and returns what this machine can do.
    """
    from scaling.config.schema import load, register
    from scaling.training.job import read_plan
    from scaling.training.machine import probe
    from scaling.training.retry import attempt

    register()
    asked = load(config)
    if config.ask_machine:
        return asdict(probe(asked.trainer.accelerator))
    return attempt(read_plan(asked.folder))


def with_design_file(words: list[str]) -> list[str]:
    """The words with `design=FILE` replaced by the runs that the file lists, so that every job is told them.

    Raises:
        UserError: the file lists no runs.
    """
    return [
        listed_runs(Path(word.partition("=")[2]))
        if word.startswith("design=") and word.endswith((".yaml", ".yml", ".csv"))
        else word
        for word in words
    ]


def listed_runs(path: Path) -> str:
    """The key `design.runs` for the runs of a design file."""
    from scaling.simulate.design import listed_words  # numpy and pandas, which other sweeps load later

    return f"design.runs=[{','.join(listed_words(path))}]"


if __name__ == "__main__":
    sys.argv = with_design_file(["dry_run=true" if word == "--dry-run" else word for word in sys.argv])
    hydra_app.run(sweep)
