"""The forward question: what training a model takes, with what the user left open filled in."""

from __future__ import annotations

from dataclasses import replace

from scaling.accounting.budget import Budget, estimate
from scaling.accounting.layout import Layout
from scaling.accounting.timing import calibration
from scaling.budget.device_count import choose_layout
from scaling.budget.keys import BudgetKeys, LayoutKeys
from scaling.budget.layout_search import recipe_that_fits
from scaling.budget.layouts import accumulation_for
from scaling.budget.setup import (
    batch_tokens_of,
    build_setup,
    build_shape,
    calibrated,
    training_tokens,
)
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape


def training_budget(keys: BudgetKeys) -> Budget:
    """The budget that `scaling budget key=value …` prints.

    Raises UserError, in one line, naming key, value and remedy.
    """
    shape = build_shape(keys.model)
    setup = calibrated(build_setup(keys), keys, count_params(shape).total)
    tokens = training_tokens(keys, shape)
    batch_tokens = batch_tokens_of(keys, shape, tokens)
    if layout_is_given(keys.layout):
        if keys.days is not None:
            raise UserError(
                f"days={keys.days:g} chooses the number of devices: leave out layout.*, or give devices instead"
            )
        layout = build_layout(keys.layout, shape, keys.devices, batch_tokens)
        recipe = setup.recipe_for(layout) if shape.encoder_depth else recipe_that_fits(shape, setup, layout)
    else:
        chosen = choose_layout(shape, setup, tokens, batch_tokens, devices=keys.devices, days=keys.days)
        layout, recipe = chosen.layout, chosen.recipe
    budget = estimate(shape, tokens, layout, setup.device, recipe, kernels=setup.kernels, prices=setup.prices)
    if keys.measured_tokens_per_second is None:
        return budget
    factor = calibration(budget.step, keys.measured_tokens_per_second)
    measured = replace(setup.device, speed_calibration=factor)
    prices = replace(setup.prices, realised=1.0)
    return estimate(shape, tokens, layout, measured, recipe, kernels=setup.kernels, prices=prices)


def layout_is_given(keys: LayoutKeys) -> bool:
    """Whether the user named any part of the layout."""
    return keys != LayoutKeys()


def build_layout(keys: LayoutKeys, shape: ModelShape, devices: int | None, batch_tokens: float) -> Layout:
    """A layout as given, its gaps filled: data from `devices`, accumulation from `batch_tokens`.

    Raises UserError when the degrees do not multiply to `devices`.
    """
    # The keys bear the names of the layout's fields, so what is given can be handed on as keyword arguments.
    given = {name: value for name, value in vars(keys).items() if value is not None}
    given.setdefault("sequence", given.get("tensor", 1) > 1)
    model_parallel = given.get("tensor", 1) * given.get("pipeline", 1) * given.get("context", 1)
    if devices is not None and "data" not in given and model_parallel > 0:
        if devices < 1 or devices % model_parallel:
            raise UserError(
                f"devices={devices} is not a multiple of tensor x pipeline x context = {model_parallel}: "
                f"give devices={max(1, round(devices / model_parallel)) * model_parallel} or other degrees"
            )
        given["data"] = devices // model_parallel
    layout = Layout(**given)
    if devices is not None and layout.devices != devices:
        raise UserError(
            f"the layout {layout} takes {layout.devices} devices, but devices={devices}: leave one of them out"
        )
    if keys.accumulation is not None:
        return layout
    accumulation = accumulation_for(shape, layout.data, layout.micro_batch, batch_tokens)
    return replace(layout, accumulation=accumulation)
