"""`scaling sweep`: plan a study, train it, fit it."""

import sys
from dataclasses import asdict

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


if __name__ == "__main__":
    sys.argv = ["dry_run=true" if word == "--dry-run" else word for word in sys.argv]
    hydra_app.run(sweep)
