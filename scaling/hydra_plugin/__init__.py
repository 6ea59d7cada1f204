"""Installed as `hydra_plugins.scaling_simulator`, the only place where Hydra looks for sweepers and launchers.

Hydra imports this at every start: name the classes here and import nothing heavy on the way.
"""

from scaling.launcher import LocalLauncher
from scaling.sweep import ScalingSweeper

__all__ = ["LocalLauncher", "ScalingSweeper"]
