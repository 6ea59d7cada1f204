"""Scaling laws from a table of runs: read it, fit it by three approaches, say how far to trust the answer.

    import analysis

    table = analysis.load("runs.csv")
    result = analysis.fit(table)          # one law, with intervals
    study = analysis.analyse(table)       # all approaches, tests on held-back runs, a plan

The names below are imported when they are first used, so that `import analysis` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import laws as laws
    from analysis.fit import fit as fit
    from analysis.optima import Optima as Optima
    from analysis.optima import fit_optima as fit_optima
    from analysis.refusals import Refusal as Refusal
    from analysis.result import FitResult as FitResult
    from analysis.study import Refused as Refused
    from analysis.study import Study as Study
    from analysis.study import analyse as analyse
    from analysis.table import Table as Table
    from analysis.table import load as load

_HOMES = {
    "load": "analysis.table",
    "Table": "analysis.table",
    "fit": "analysis.fit",
    "FitResult": "analysis.result",
    "analyse": "analysis.study",
    "Study": "analysis.study",
    "Refused": "analysis.study",
    "Refusal": "analysis.refusals",
    "fit_optima": "analysis.optima",
    "Optima": "analysis.optima",
}
"""Name → the module that defines it."""

__all__ = [
    "FitResult",
    "Optima",
    "Refusal",
    "Refused",
    "Study",
    "Table",
    "analyse",
    "fit",
    "fit_optima",
    "laws",
    "load",
]


def __getattr__(name: str) -> Any:  # each of its own type, which a type checker reads above
    if name == "laws":
        return import_module("analysis.laws")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package, on which `fit` is the function and not the module of that name, whichever was imported first."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "fit" and isinstance(value, ModuleType):  # as every import of analysis.fit sets it
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
