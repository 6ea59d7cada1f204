"""Installed as `hydra_plugins.scaling_simulator`: Hydra takes sweepers and launchers from `hydra_plugins.` only.

Hydra imports this package at every start, whichever plugin it then uses. What is heavy is therefore imported by the
methods, when they run.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from scaling.errors import UserError
from scaling.sweep.job_folders import job_folder, prepare

# Every process that composes a job needs this; one of another launcher's imports this module to unpickle the callback.
OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


class ScalingSweeper(Sweeper):
    """`hydra/sweeper=scaling`: plans the runs of `design`, launches their jobs, and ends with the study's fit."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from scaling.sweep.placement import refuse_missing_package

        refuse_missing_package(config)
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; exits with status 1 where a planned run is not done at its end."""
        from scaling.sweep import run

        assert self.config is not None
        assert self.launcher is not None
        if run.sweep(self.config, arguments, self.launcher.launch):
            raise SystemExit(1)


class LocalLauncher(Launcher):
    """`hydra/launcher=local`: runs jobs in worker processes of this machine (`scaling/sweep/workers.py`)."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: most jobs at once; None: the machine's cores over the threads of a job."""
        if workers is not None and not (isinstance(workers, int) and workers >= 1):
            raise UserError(f"hydra.launcher.workers={workers}: must be a whole number, at least 1, or null")
        self.workers = workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from scaling.sweep import local

        assert self.config is not None
        assert self.hydra_context is not None
        return local.launch(
            self.config, self.hydra_context.config_loader, job_overrides, self.workers, initial_job_idx
        )


class TuningSweeper(Sweeper):
    """`hydra/sweeper=tune`: looks for the values of keys with the lowest validation loss (`scaling/sweep/tune.py`)."""

    def __init__(
        self, params: dict[str, str], trials: int, at_once: int, seed: int, storage: str | None
    ) -> None:
        """The keys of `conf/hydra/sweeper/tune.yaml`, which explains them."""
        for name, value in (("trials", trials), ("at_once", at_once)):
            if not (isinstance(value, int) and value >= 1):
                raise UserError(f"hydra.sweeper.{name}={value}: must be a whole number, at least 1")
        self.params, self.trials, self.at_once = params, trials, at_once
        self.seed, self.storage = seed, storage

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until there are `trials` in all that ended, those of earlier commands included."""
        from scaling.sweep import tune

        assert self.config is not None
        assert self.launcher is not None
        space = tune.search_space(self.params, arguments)
        study = tune.open_study(self.storage, str(self.config.hydra.sweep.dir), self.seed)
        tune.tune(study, space, self.launcher.launch, trials=self.trials, at_once=self.at_once)


PLUGINS = (ScalingSweeper, TuningSweeper, LocalLauncher)
"""What Hydra's own search would find."""


class MultirunTable(Callback):
    """Part of every multirun of `scaling train`: a folder for each job at its start, one table at its end."""

    under_way: DictConfig | None = None
    """The config of the multirun that has begun and not ended."""

    def __init__(self, folder: str | None, began: str | None, shared: list[str]) -> None:
        """All three stand in the config for its jobs; see `scaling/sweep/job_folders.py`."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        prepare(config)
        MultirunTable.under_way = config

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print and write the table.

        Raises:
            SystemExit: with status 1 where a job failed or diverged; of a tuning's trials, where all did.
        """
        from pathlib import Path

        from scaling.sweep.multirun_report import conclude

        MultirunTable.under_way = None
        multirun = config.hydra.callbacks.multirun
        tuning = str(config.hydra.sweeper.get("_target_")).endswith(f".{TuningSweeper.__name__}")
        if conclude(Path(multirun.folder), multirun.began, tuning):
            raise SystemExit(1)
