"""Installed as `hydra_plugins.scaling_simulator`: Hydra takes sweepers and launchers from `hydra_plugins.` only.

Hydra imports this package at every start, whichever plugin it then uses. What is heavy is therefore imported by the
methods, when they run.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from scaling.errors import UserError


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
        return local.launch(self.config, self.hydra_context.config_loader, job_overrides, self.workers)
