"""Every law that `fit(law=…)` knows. To add one, write it in a file beside the others and list it in `LAWS`."""

from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.compute_floor import COMPUTE_FLOOR
from analysis.laws.farseer import FARSEER
from analysis.laws.gadre import GADRE
from analysis.laws.hyperparameters import BATCH_TOKENS_C, BATCH_TOKENS_D, LEARNING_RATE_C, LEARNING_RATE_ND
from analysis.laws.kaplan import KAPLAN, KAPLAN_C, KAPLAN_D, KAPLAN_N
from analysis.laws.kappa import KAPPA
from analysis.laws.law import Law, Variables
from analysis.laws.muennighoff import MUENNIGHOFF
from analysis.laws.multi_power import MULTI_POWER
from analysis.refusals import BadValue

__all__ = [
    "BATCH_TOKENS_C",
    "BATCH_TOKENS_D",
    "CHINCHILLA",
    "COMPUTE_FLOOR",
    "FARSEER",
    "GADRE",
    "KAPLAN",
    "KAPLAN_C",
    "KAPLAN_D",
    "KAPLAN_N",
    "KAPPA",
    "LAWS",
    "LEARNING_RATE_C",
    "LEARNING_RATE_ND",
    "MUENNIGHOFF",
    "MULTI_POWER",
    "Law",
    "Variables",
    "get",
    "register",
]

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        CHINCHILLA,
        KAPPA,
        FARSEER,
        COMPUTE_FLOOR,
        KAPLAN_N,
        KAPLAN_D,
        KAPLAN_C,
        KAPLAN,
        GADRE,
        MUENNIGHOFF,
        LEARNING_RATE_ND,
        BATCH_TOKENS_D,
        LEARNING_RATE_C,
        BATCH_TOKENS_C,
        MULTI_POWER,
    )
}


def register(law: Law) -> Law:
    """Make a caller's own law known to `fit(law=…)` under its name, for this process."""
    LAWS[law.name] = law
    return law


def get(name: str | Law) -> Law:
    """The law of that name; a Law is returned as it is.

    Raises:
        BadValue: no law has that name.
    """
    if isinstance(name, Law):
        return name
    if name not in LAWS:
        raise BadValue(f"unknown law {name!r}: choose one of {', '.join(sorted(LAWS))}")
    return LAWS[name]
