"""Installed as `hydra_plugins.scaling_simulator`: Hydra takes sweepers and launchers from `hydra_plugins.` only.

Hydra imports this at every start, so nothing heavy may be imported on the way.
"""

from scaling import launcher, sweep


class ScalingSweeper(sweep.ScalingSweeper):
    """`hydra/sweeper=scaling`; see `scaling/sweep.py`."""


class LocalLauncher(launcher.LocalLauncher):
    """`hydra/launcher=local`; see `scaling/launcher.py`."""
