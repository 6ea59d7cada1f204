"""Every law that `fit(law=…)` knows. To add one, write it in a file beside the others and list it in `LAWS`.

`get` also knows laws of any number of columns, `mixture_ye[5]`, and laws with parameters held fixed,
`chinchilla[E=1.69]`.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache

from analysis.laws.chinchilla import CHINCHILLA
from analysis.laws.compute_floor import COMPUTE_FLOOR
from analysis.laws.farseer import FARSEER
from analysis.laws.fixed import with_fixed
from analysis.laws.gadre import GADRE
from analysis.laws.hyperparameters import BATCH_TOKENS_C, BATCH_TOKENS_D, LEARNING_RATE_C, LEARNING_RATE_ND
from analysis.laws.kaplan import KAPLAN, KAPLAN_C, KAPLAN_D, KAPLAN_N
from analysis.laws.kappa import KAPPA
from analysis.laws.law import Law, Variables
from analysis.laws.mixture import mixture_implicit, mixture_ye
from analysis.laws.moe import MOE_ABNAR, MOE_CLARK, MOE_FLOOR, MOE_KRAJEWSKI
from analysis.laws.muennighoff import MUENNIGHOFF
from analysis.laws.multi_power import MULTI_POWER
from analysis.laws.parallel import PARALLEL_CHEN
from analysis.laws.precision import PRECISION_KUMAR, PRECISION_KUMAR_ALL
from analysis.laws.sparsity import SPARSITY_FRANTAR, SPARSITY_UPCYCLED
from analysis.laws.unique_tokens import UNIQUE_ADDITIVE, UNIQUE_SATURATING
from analysis.laws.valley import CRITICAL_BATCH, VALLEY
from analysis.laws.variables import VARIABLES, variable
from analysis.laws.vocabulary import VOCABULARY_MATCHED, VOCABULARY_TAO
from analysis.refusals import BadValue

__all__ = [
    "BATCH_TOKENS_C",
    "BATCH_TOKENS_D",
    "CHINCHILLA",
    "COMPUTE_FLOOR",
    "FAMILIES",
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
    "VARIABLES",
    "Law",
    "Variables",
    "fix",
    "get",
    "is_known",
    "register",
    "variable",
    "with_fixed",
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
        UNIQUE_ADDITIVE,
        UNIQUE_SATURATING,
        MOE_CLARK,
        MOE_FLOOR,
        MOE_KRAJEWSKI,
        MOE_ABNAR,
        SPARSITY_FRANTAR,
        SPARSITY_UPCYCLED,
        PRECISION_KUMAR,
        PRECISION_KUMAR_ALL,
        PARALLEL_CHEN,
        VOCABULARY_TAO,
        VOCABULARY_MATCHED,
        VALLEY,
        CRITICAL_BATCH,
        LEARNING_RATE_ND,
        BATCH_TOKENS_D,
        LEARNING_RATE_C,
        BATCH_TOKENS_C,
        MULTI_POWER,
    )
}

FAMILIES: dict[str, Callable[[int], Law]] = {"mixture_ye": mixture_ye, "mixture_implicit": mixture_implicit}
"""Name → the law of a number of columns: `get("mixture_ye[5]")` has five proportions."""

_BRACKETS = re.compile(r"^(.+)\[([^\[\]]+)\]$")
MOST_COLUMNS = 100
"""No study mixes more domains than this."""


def register(law: Law) -> Law:
    """Make a caller's own law known to `fit(law=…)` under its name, for this process."""
    LAWS[law.name] = law
    return law


def is_known(law: Law) -> bool:
    """Whether `get` finds this very law by its name."""
    try:
        return get(law.name) is law
    except BadValue:
        return False


def get(name: str | Law) -> Law:
    """The law of that name; a Law is returned as it is.

    Raises:
        BadValue: no law has that name, or what stands in its brackets cannot be.
    """
    if isinstance(name, Law):
        return name
    if name in LAWS:
        return LAWS[name]
    if name in FAMILIES:
        raise BadValue(f"law {name!r} needs its number of columns, such as {name}[5]")
    found = _BRACKETS.match(name)
    if found is not None:
        plain, within = found.groups()
        return _of_columns(plain, int(within)) if within.isdigit() else _held(get(plain), within)
    known = sorted([*LAWS, *FAMILIES])
    near = get_close_matches(name, known, 1)
    raise BadValue(
        f"unknown law {name!r}: "
        + (f"did you mean {near[0]}? " if near else "")
        + f"choose one of {', '.join(known)}"
    )


@cache
def _of_columns(family: str, count: int) -> Law:
    if family not in FAMILIES or not 2 <= count <= MOST_COLUMNS:
        raise BadValue(
            f"law '{family}[{count}]': a number of columns, 2 to {MOST_COLUMNS}, goes with {', '.join(FAMILIES)}"
        )
    return FAMILIES[family](count)


@cache
def _held(law: Law, within: str) -> Law:
    try:
        fixed = {name: float(value) for name, _, value in (part.partition("=") for part in within.split(","))}
    except ValueError:
        raise BadValue(
            f"law '{law.name}[{within}]': brackets hold parameter=value, such as chinchilla[E=1.69]"
        ) from None
    return with_fixed(law, fixed)


def fix(law: Law, fixed: Mapping[str, float]) -> Law:
    """The law with parameters held at given values, which `get` knows by its name as long as it knows the law."""
    return get(with_fixed(law, fixed).name) if fixed else law
