"""Installed as `hydra_plugins.scaling_simulator`: Hydra takes sweepers and launchers from `hydra_plugins.` only.

Hydra imports this at every start, so nothing heavy may be imported on the way.
"""

from scaling.sweep import run, workers


class ScalingSweeper(run.ScalingSweeper):
    """`hydra/sweeper=scaling`; see `scaling/sweep/run.py`."""


class LocalLauncher(workers.LocalLauncher):
    """`hydra/launcher=local`; see `scaling/sweep/workers.py`."""
