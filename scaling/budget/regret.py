"""What a wrong size costs on a budget, by the law that chose it: in compute, in loss and in money."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from scaling.accounting.budget import Budget
from scaling.budget.keys import SolveKeys
from scaling.budget.law import ChosenLaw

if TYPE_CHECKING:
    from analysis.regret import Regret


def regret_of(law: ChosenLaw, keys: SolveKeys, budget: Budget) -> Regret | None:
    """The regret of the law's optimum on the training compute of a plan.

    None where the size is not that optimum: it was given, serving has its share, or the data are limited.
    """
    if keys.params is not None or keys.tokens is not None or keys.inference_tokens or keys.unique_tokens:
        return None
    from analysis.regret import regret_of_law  # numpy is slow to import
    from analysis.uncertainty import widening

    stretch = 1.0
    if law.clusters is not None:
        stretch = widening(law.level, law.clusters, law.clusters, len(law.theta), square_share=1.0)
    return regret_of_law(law.form, law.theta, law.draws, budget.train_flops, law.level, stretch=stretch)


def usd_per_flop(budget: Budget) -> float | None:
    """What a FLOP of this plan costs; None where no price is known."""
    price = budget.cost.price_usd
    return None if price is None else price / budget.train_flops


def regret_json(regret: Regret, budget: Budget) -> dict[str, object]:
    """The regret for programs; what is not estimated is null."""
    price = usd_per_flop(budget)
    values = asdict(regret) | {"within": {str(share): ends for share, ends in regret.within.items()}}
    values["expected_usd"] = None if price is None else regret.expected_share * regret.flops * price
    finite: dict[str, object] = _finite(values)
    return finite


def _finite(value: Any) -> Any:
    """The value with numbers that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
