"""Which layouts of a number of devices hold a model, best first, and what would help where none does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import ceil, log2

from scaling.accounting.budget import Budget
from scaling.accounting.catalogue import GIB
from scaling.accounting.device import Device
from scaling.budget.device_count import cannot_split, days_of, fewest_devices
from scaling.budget.estimate import layout_is_given
from scaling.budget.keys import BudgetKeys
from scaling.budget.layout_search import Candidate, best_candidate, candidates
from scaling.budget.setup import (
    TrainingSetup,
    batch_tokens_of,
    build_setup,
    build_shape,
    calibrated,
    training_tokens,
)
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class RankedLayouts:
    """The layouts of a number of devices, best first, and what would help where none fits."""

    shape: ModelShape
    device: Device
    devices: int
    tokens: float
    batch_tokens: float
    found: list[Candidate]
    days: list[float]
    """Wall-clock of the run under each layout."""
    remedies: list[str]

    def to_json(self) -> dict[str, object]:
        """One record a layout."""
        return {
            "hardware": self.device.name,
            "devices": self.devices,
            "tokens": self.tokens,
            "batch_tokens": self.batch_tokens,
            "layouts": [
                {
                    **asdict(candidate.layout),
                    "recompute": candidate.recipe.recompute,
                    "peak_memory_bytes": candidate.memory.peak_memory_bytes,
                    "fits": candidate.fits,
                    "tight": candidate.room == "tight",
                    "step_seconds": candidate.step.seconds,
                    "mfu": candidate.step.mfu,
                    "days": days,
                }
                for candidate, days in zip(self.found, self.days, strict=True)
            ],
            "remedies": self.remedies,
        }


def ranked_layouts(keys: BudgetKeys) -> RankedLayouts:
    """What `scaling budget fits` prints. Raises UserError, in one line, naming key, value and remedy."""
    shape = build_shape(keys.model)
    setup = calibrated(build_setup(keys), keys, count_params(shape).total)
    tokens = training_tokens(keys, shape)
    devices = 1 if keys.devices is None else keys.devices
    if devices < 1:
        raise UserError(f"devices={devices} must be positive")
    if layout_is_given(keys.layout):
        raise UserError(
            "fits looks at every layout: leave out layout.*, or ask `scaling budget` for one layout"
        )
    batch_tokens = batch_tokens_of(keys, shape, tokens)
    found = candidates(shape, setup, devices, batch_tokens)
    if not found:
        raise cannot_split(shape, devices, batch_tokens)
    return RankedLayouts(
        shape=shape,
        device=setup.device,
        devices=devices,
        tokens=tokens,
        batch_tokens=batch_tokens,
        found=found,
        days=[days_of(candidate, setup, tokens) for candidate in found],
        remedies=[] if found[0].fits else _what_would_fit(shape, setup, batch_tokens, devices),
    )


def remedies_of(budget: Budget, keys: BudgetKeys) -> list[str]:
    """What would make a model fit, in one line each, if its budget under these keys does not fit."""
    if budget.fits:
        return []
    return _what_would_fit(budget.shape, build_setup(keys), budget.step.tokens, budget.layout.devices)


def _what_would_fit(shape: ModelShape, setup: TrainingSetup, batch_tokens: float, devices: int) -> list[str]:
    """Each remedy that was tried on a model that does not fit on `devices` devices, and worked."""
    remedies = []
    for title, changed in _thriftier(setup):
        best = None if changed == setup else best_candidate(shape, changed, devices, batch_tokens)
        if best is not None and best.fits:
            remedies.append(f"{title}: {_gib_a_device(best)}")
    more = fewest_devices(shape, setup, batch_tokens, at_least=2 ** ceil(log2(devices + 1)))
    if more is not None:
        remedies.append(f"devices={more.layout.devices} as {more.layout}: {_gib_a_device(more)}")
    return remedies


def _thriftier(setup: TrainingSetup) -> Iterator[tuple[str, TrainingSetup]]:
    """Ways to train that take less memory, by what the user would give."""
    recomputing = setup.with_recipe(lambda recipe: replace(recipe, recompute="full"))
    yield "recomputing every block (recompute=full)", replace(recomputing, recomputes=("full",))
    yield (
        "8-bit optimizer states (optimizer=adamw_8bit)",
        setup.with_recipe(lambda recipe: replace(recipe, optimizer="adamw_8bit")),
    )
    if "bf16" in setup.device.peak_flops:
        yield (
            "pure 16-bit training (precision=bf16-true)",
            setup.with_recipe(lambda recipe: replace(recipe, precision="bf16-true")),
        )


def _gib_a_device(candidate: Candidate) -> str:
    return f"{candidate.memory.peak_memory_bytes / GIB:,.1f} GiB a device"
