"""Whether a launcher itself failed, as when one of its workers is killed, and not this program's code."""

import traceback

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from analysis.refusals import Refusal

OURS = ("scaling", "analysis", "hydra_plugins.scaling_simulator")
"""Packages of this program."""


def is_launchers_own(error: BaseException) -> bool:
    """Whether an error was raised below a launcher that is not of this program, and not by this program's code there.

    A refusal, or what Hydra refuses to compose, is the user's mistake; everything else that is raised by this program
    is a bug, which must keep its traceback.
    """
    if not isinstance(error, Exception) or isinstance(
        error, Refusal | HydraException | OmegaConfBaseException
    ):
        return False
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [_within(module, OURS) for module in modules]
    launchers = [
        place
        for place, module in enumerate(modules)
        if _within(module, ("hydra_plugins",)) and not ours[place]
    ]
    return bool(launchers) and not any(ours[launchers[-1] :])


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
