"""`scaling sweep`: plan a study, train it, fit it."""

import hydra
from omegaconf import DictConfig

from scaling import hydra_app


@hydra.main(version_base="1.3", config_path="pkg://scaling.conf", config_name="sweep")
def sweep(config: DictConfig) -> float | None:
    """Train one job of the sweep, wherever its launcher runs it; returns the last run's validation loss."""
    from scaling.config import load, register
    from scaling.display import progress_file
    from scaling.pretrain import pretrain

    register()
    job = load(config)
    job.folder.mkdir(parents=True, exist_ok=True)
    return pretrain(job, progress_file(job.folder))[-1].loss_nats


if __name__ == "__main__":
    hydra_app.run(sweep)
