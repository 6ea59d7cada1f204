"""`scaling sweep`: plan a study, train it, fit it."""

import sys

import hydra
from omegaconf import DictConfig

from scaling.cli import hydra_app


@hydra.main(version_base="1.3", config_path="pkg://scaling.conf", config_name="sweep")
def sweep(config: DictConfig) -> str | None:
    """Train one job of the sweep, wherever its launcher runs it; returns why it failed, or None."""
    from scaling.config.schema import load, register
    from scaling.training.retry import attempt

    register()
    return attempt(load(config))


if __name__ == "__main__":
    sys.argv = ["dry_run=true" if word == "--dry-run" else word for word in sys.argv]
    hydra_app.run(sweep)
