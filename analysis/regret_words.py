"""The cost of a wrong size in words, for reports and for a budget's plan, which does not wait for pandas."""

from math import isfinite, isnan

from analysis.formats import compute, count, percent
from analysis.regret import Regret


def lost(share: float) -> str:
    """A share of the compute that is lost, as 0.031 % or 12 %."""
    if isnan(share):
        return "not estimated"
    return "< 0.001 %" if share < 1e-5 else f"{100 * share:.2g} %" if share < 0.995 else "all"


def sizes(regret: Regret, share: float) -> str:
    """The sizes that lose no more than a share of the compute."""
    low, high = regret.within[share]
    if isnan(low):
        return "not estimated"
    return f"{count(low) if low > 0 else 'any'}–{count(high) if isfinite(high) else 'any'}"


def money(regret: Regret, usd_per_flop: float) -> str:
    """What the uncertainty of the size is expected to cost."""
    if isnan(regret.expected_share):
        return "not estimated"
    return dollars(regret.expected_share * regret.flops * usd_per_flop)


def dollars(amount: float) -> str:
    """US dollars to three digits, as $1.38M, $412k, $3.1 or $0.002."""
    return f"${count(amount)}" if amount >= 1000 else f"${amount:.3g}"


def in_words(regret: Regret, usd_per_flop: float | None = None) -> str:
    """How flat the valley is at an optimum, in one or two sentences."""
    range_of_sizes = sizes(regret, 0.01).replace("–", " to ")
    flat = (
        f"The valley is flat: on {compute(regret.flops)} FLOPs any size from {range_of_sizes} loses less than 1 % of "
        f"the compute against {count(regret.params_opt)}"
    )
    if isnan(regret.expected_share):
        return f"{flat}. What the uncertainty of that optimum costs is not estimated, as it has no interval."
    price = "" if usd_per_flop is None else f", {money(regret, usd_per_flop)}"
    loss = f", {regret.expected_loss:.2g} of loss" if isfinite(regret.expected_loss) else ""
    return (
        f"{flat}. Not knowing it better is expected to cost {lost(regret.expected_share)} of the compute{loss}{price}; "
        f"with {percent(regret.level, 0)} probability no more than {lost(regret.high_share)}."
    )
