"""How many devices a training job takes: the fewest that hold the model, or that finish by a deadline."""

from __future__ import annotations

from math import ceil

from scaling.accounting.cost import SECONDS_PER_DAY
from scaling.accounting.layout import Layout
from scaling.accounting.room import usable_bytes
from scaling.accounting.states import model_states
from scaling.budget.layout_search import Candidate, best_candidate, fastest_that_fits
from scaling.budget.setup import TrainingSetup
from scaling.errors import UserError
from scaling.shape.flops import train_flops_per_token
from scaling.shape.shape import ModelShape

MAX_DEVICES = 2**17
"""Most devices that are tried: the largest published training clusters hold about as many."""
WORTH_HASTE = 1.5
"""Where a deadline is only aimed at, more devices are taken while they cost at most this much more device-time."""


def fewest_devices(
    shape: ModelShape, setup: TrainingSetup, batch_tokens: float, *, at_least: int = 1
) -> Candidate | None:
    """The best layout of the smallest power of two of devices on which the model fits; None where none does."""
    # Even sharded over all of them, weights, gradients and optimizer states have to fit.
    least = ceil(model_states(shape, setup.recipe, Layout()).total / usable_bytes(setup.device))
    devices = 1
    while devices < max(at_least, least):
        devices *= 2
    while devices <= MAX_DEVICES:
        fastest = fastest_that_fits(shape, setup, devices, batch_tokens)
        if fastest is not None:
            return fastest
        devices *= 2
    return None


def choose_layout(
    shape: ModelShape,
    setup: TrainingSetup,
    tokens: float,
    batch_tokens: float,
    *,
    devices: int | None = None,
    days: float | None = None,
    as_soon_as_possible: bool = False,
) -> Candidate:
    """The best layout on `devices` (by default one), or on the fewest that finish within `days`.

    On a given number of devices it may be one that does not fit: the answer then says by how much. With
    `as_soon_as_possible` a deadline that cannot be met at a sensible price is missed, in place of refused.

    Raises UserError when the devices cannot split the job, or no number of them meets the deadline.
    """
    if devices is not None and devices < 1:
        raise UserError(f"devices={devices} must be at least 1")
    if days is None or devices is not None:
        best = best_candidate(shape, setup, devices or 1, batch_tokens)
        if best is None:
            raise cannot_split(shape, devices or 1, batch_tokens)
        if days is not None and days_of(best, setup, tokens) > days:
            needed = days_of(best, setup, tokens)
            raise UserError(
                f"days={days:g} cannot be met on devices={devices}: the run takes {needed:,.3g} days; "
                f"{_what_would_do(shape, setup, tokens, batch_tokens, days)}, or {tokens * days / needed:,.3g} tokens "
                "on these; or give more days"
            )
        return best
    if not days > 0:
        raise UserError(f"days={days:g} must be positive")
    # No fewer devices than would do it at their peak.
    busy_seconds = (
        tokens * train_flops_per_token(shape, "6nd") / setup.device.peak(setup.device.training_precision)
    )
    prices = setup.prices
    at_least = max(1, ceil(busy_seconds / prices.goodput / prices.realised / (days * SECONDS_PER_DAY)))
    if at_least > MAX_DEVICES and not as_soon_as_possible:
        raise UserError(
            f"days={days:g} cannot be met: it would take {at_least:,} {setup.device.name} or more, and at most "
            f"{MAX_DEVICES:,} are considered; raise days, or take faster hardware"
        )
    chosen = _fewest_by_deadline(shape, setup, tokens, batch_tokens, days, at_least, as_soon_as_possible)
    chosen = chosen or fewest_devices(shape, setup, batch_tokens)
    if chosen is None:
        raise UserError(f"no layout fits this model on {setup.device.name}: take hardware with more memory")
    needed = days_of(chosen, setup, tokens)
    if needed > days and not as_soon_as_possible:
        raise UserError(
            f"days={days:g} cannot be met with a batch of {batch_tokens:,.0f} tokens: {chosen.layout.devices:,} "
            f"{setup.device.name} take {needed:,.3g} days, and more cannot share that batch; "
            "raise days or batch_tokens"
        )
    return chosen


def _what_would_do(
    shape: ModelShape, setup: TrainingSetup, tokens: float, batch_tokens: float, days: float
) -> str:
    """The devices that would meet a deadline, in words."""
    try:
        enough = choose_layout(shape, setup, tokens, batch_tokens, days=days)
    except UserError:
        return "no number of devices would do with this batch"
    would_take = days_of(enough, setup, tokens)
    return f"devices={enough.layout.devices} would do ({would_take:,.3g} days)"


def _fewest_by_deadline(
    shape: ModelShape,
    setup: TrainingSetup,
    tokens: float,
    batch_tokens: float,
    days: float,
    at_least: int,
    as_soon_as_possible: bool,
) -> Candidate | None:
    """The first of ever more devices that meets a deadline, or the last before more devices stop being worth it."""
    chosen: Candidate | None = None
    cheapest = float("inf")
    while at_least <= MAX_DEVICES:
        more = fewest_devices(shape, setup, batch_tokens, at_least=at_least)
        if more is None or (chosen is not None and more.seconds_per_token >= chosen.seconds_per_token):
            break
        device_seconds = more.seconds_per_token * more.layout.devices
        if as_soon_as_possible and device_seconds > WORTH_HASTE * cheapest:
            break
        cheapest = min(cheapest, device_seconds)
        chosen = more
        if days_of(chosen, setup, tokens) <= days:
            break
        at_least = 2 * chosen.layout.devices
    return chosen


def days_of(candidate: Candidate, setup: TrainingSetup, tokens: float) -> float:
    """Wall-clock days of a run of so many tokens under a layout."""
    ideal_seconds = candidate.seconds_per_token * tokens
    return setup.prices.cost(setup.device, candidate.layout.devices, ideal_seconds).days


def cannot_split(shape: ModelShape, devices: int, batch_tokens: float) -> UserError:
    """The error for a number of devices that no layout can use."""
    return UserError(
        f"devices={devices}: no layout splits {shape.heads} heads, {shape.depth} blocks and a batch of "
        f"{batch_tokens:,.0f} tokens over them; take a power of two, or raise batch_tokens"
    )
