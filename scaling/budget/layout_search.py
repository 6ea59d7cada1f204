"""The best layout of a training job on a given number of devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import get_args

from scaling.accounting.device import Device
from scaling.accounting.layout import Layout
from scaling.accounting.memory import MemoryEstimate, training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.room import Room, room_for, usable_bytes
from scaling.accounting.states import model_states
from scaling.accounting.timing import StepTime, step_time
from scaling.budget.layouts import MOST_OF_BATCH, accumulation_for, layouts
from scaling.budget.setup import TrainingSetup
from scaling.shape.flops import Recompute
from scaling.shape.shape import ModelShape

WORTH_DOUBLING = 1.01
"""A larger micro-batch is tried while doubling it gains at least this much speed."""
MAX_MICRO_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One layout with the recipe it runs under, its memory a device and its step time."""

    shape: ModelShape
    layout: Layout
    recipe: TrainingRecipe
    device: Device
    kernels: Kernels
    memory: MemoryEstimate

    @property
    def fits(self) -> bool:
        return self.room == "fits"

    @property
    def room(self) -> Room:
        """Whether the peak fits, or only just, or not."""
        return room_for(self.memory.peak_memory_bytes, self.device)

    @cached_property
    def step(self) -> StepTime:
        """Computed when first asked for: a search drops most candidates for their memory alone."""
        return step_time(self.shape, self.layout, self.device, self.recipe, kernels=self.kernels)

    @property
    def seconds_per_token(self) -> float:
        """Step time over tokens of the whole job: what makes one layout better than another."""
        return self.step.seconds / self.step.tokens


def candidates(shape: ModelShape, setup: TrainingSetup, devices: int, batch_tokens: float) -> list[Candidate]:
    """Layouts of `devices` devices, each with the recomputation and micro-batch that serve it best; best first.

    Those that fit come before those that do not, the fast before the slow; what does not fit is ordered by memory.
    Empty where the devices cannot be used at all.
    """
    modes = setup.recomputes or _useful_recomputes(shape, setup.recipe)
    found = [
        _best_of_layout(shape, layout, setup, batch_tokens, modes)
        for layout in layouts(shape, setup.device, devices, batch_tokens, trainable=setup.trainable)
    ]
    fitting = [candidate for candidate in found if candidate.fits]
    rest = [candidate for candidate in found if not candidate.fits]
    return sorted(fitting, key=_slowness) + sorted(rest, key=_peak_memory)


def best_candidate(
    shape: ModelShape, setup: TrainingSetup, devices: int, batch_tokens: float
) -> Candidate | None:
    """The best layout of a number of devices, fitting or not; None where the devices cannot be used at all."""
    fastest = fastest_that_fits(shape, setup, devices, batch_tokens)
    return fastest or next(iter(candidates(shape, setup, devices, batch_tokens)), None)


def fastest_that_fits(
    shape: ModelShape, setup: TrainingSetup, devices: int, batch_tokens: float
) -> Candidate | None:
    """The first of `candidates` if it fits, else None; a layout that cannot hold the model states is not looked at."""
    modes = setup.recomputes or _useful_recomputes(shape, setup.recipe)
    found = (
        _best_of_layout(shape, layout, setup, batch_tokens, modes)
        for layout in layouts(shape, setup.device, devices, batch_tokens, trainable=setup.trainable)
        if model_states(shape, setup.recipe_for(layout), layout).total <= usable_bytes(setup.device)
    )
    return min((candidate for candidate in found if candidate.fits), key=_slowness, default=None)


def recipe_that_fits(shape: ModelShape, setup: TrainingSetup, layout: Layout) -> TrainingRecipe:
    """The recipe of a given layout with the least recomputation that fits; where none does, as without any."""
    recipe = setup.recipe_for(layout)
    modes = setup.recomputes or _useful_recomputes(shape, recipe)
    for mode in modes:
        memory = training_memory(shape, _with_recompute(recipe, mode), layout)
        if room_for(memory.peak_memory_bytes, setup.device) == "fits":
            return _with_recompute(recipe, mode)
    return _with_recompute(recipe, modes[0])


def _slowness(candidate: Candidate) -> tuple[float, float]:
    """Sorts the fastest first; of two that are equally fast, the one with more memory left."""
    return candidate.seconds_per_token, candidate.memory.peak_memory_bytes


def _peak_memory(candidate: Candidate) -> float:
    return candidate.memory.peak_memory_bytes


@lru_cache
def _with_recompute(recipe: TrainingRecipe, mode: Recompute) -> TrainingRecipe:
    return replace(recipe, recompute=mode)


def _best_of_layout(
    shape: ModelShape,
    layout: Layout,
    setup: TrainingSetup,
    batch_tokens: float,
    modes: tuple[Recompute, ...],
) -> Candidate:
    """Over recomputation and micro-batch: the best that fits, or what comes nearest to fitting."""
    recipe, device = setup.recipe_for(layout), setup.device

    def attempt(mode: Recompute, micro_batch: int) -> Candidate:
        accumulation = accumulation_for(shape, layout.data, micro_batch, batch_tokens)
        tried = replace(layout, micro_batch=micro_batch, accumulation=accumulation)
        chosen = _with_recompute(recipe, mode)
        return Candidate(
            shape=shape,
            layout=tried,
            recipe=chosen,
            device=device,
            kernels=setup.kernels,
            memory=training_memory(shape, chosen, tried),
        )

    # Running less again is faster, so the least that fits is taken; where even the most does not, nothing does.
    if model_states(shape, recipe, layout).total > usable_bytes(device):
        return attempt(modes[-1], 1)  # no recomputation makes room for the states
    first = attempt(modes[0], 1)
    if not first.fits and len(modes) > 1:
        most = attempt(modes[-1], 1)
        if not most.fits:
            return min(first, most, key=_peak_memory)
        between = (attempt(mode, 1) for mode in modes[1:-1])
        first = next((candidate for candidate in between if candidate.fits), most)
    if not first.fits:
        return first
    fitting = [first]
    micro_batch = 2
    most_tokens = MOST_OF_BATCH * batch_tokens
    while micro_batch <= MAX_MICRO_BATCH and micro_batch * layout.data * shape.context <= most_tokens:
        larger = attempt(first.recipe.recompute, micro_batch)
        if not larger.fits:
            break
        gain = fitting[-1].seconds_per_token / larger.seconds_per_token
        fitting.append(larger)
        if gain < WORTH_DOUBLING:
            break
        micro_batch *= 2
    return min(fitting, key=_slowness)


def _useful_recomputes(shape: ModelShape, recipe: TrainingRecipe) -> tuple[Recompute, ...]:
    """Modes from least to most recomputation that save something and are defined for the shape."""
    useless = set()
    if recipe.attention == "flash":
        useless.add("selective")  # a flash kernel keeps no scores to begin with
    if shape.experts or shape.latent is not None:
        useless.add("selective_ops")
    return tuple(mode for mode in get_args(Recompute) if mode not in useless)
