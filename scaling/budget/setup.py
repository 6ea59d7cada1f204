"""From keys to what the accounting reckons with: the shape of a model, and how and on what it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast, get_args

from scaling.accounting.budget import Prices
from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.recipe import Attention, Optimizer, Precision, Runtime, TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.budget.history import TOKENS_PER_PARAM
from scaling.budget.keys import BudgetKeys, ModelKeys, TrainingKeys
from scaling.budget.measured_speed import measured_speed
from scaling.errors import UserError
from scaling.shape.flops import Recompute, train_flops_per_token
from scaling.shape.hf_config import load_config, names_a_config
from scaling.shape.ladder import head_width
from scaling.shape.params import count_params
from scaling.shape.published import published_shape
from scaling.shape.shape import ModelShape, decoder_shape
from scaling.shape.sizing import shape_of_size

VOCAB_SIZE = 50_257
"""Vocabulary of a model described by its width and depth alone: GPT-2's tokens."""
CONTEXT = 1024
"""Training context of such a model: GPT-2's."""
BATCH_SCALE, BATCH_EXPONENT = 0.2920, 0.3271
"""Batch in tokens by training compute, B = 0.2920 C^0.3271 (DeepSeek LLM, arXiv:2401.02954, equation 1)."""
USUAL_PRECISION: dict[str, Precision] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
"""How a model is trained where the user leaves it open, by the device's training precision."""
MEGATRON_PRECISION: dict[Precision, Precision] = {"bf16-mixed": "bf16-master", "16-mixed": "16-master"}
"""The same where a layout cuts the model and shards no weights: Megatron-LM's two copies of a weight."""

Fields = dict[str, Any]
"""Fields of a `ModelShape`, of several types, by name."""


def build_shape(keys: ModelKeys) -> ModelShape:
    """The shape that the model keys describe. Raises UserError naming what is missing or does not divide."""
    # The keys of a shape bear the names of its fields, so what is given can be handed on as keyword arguments.
    names = [item.name for item in fields(ModelKeys) if item.name not in ("name", "params")]
    given = {name: getattr(keys, name) for name in names if getattr(keys, name) is not None}
    if keys.name is not None:
        if keys.params is not None:
            raise UserError(
                f"model={keys.name} and model.params={keys.params:g} exclude each other: give one"
            )
        if names_a_config(keys.name):
            return _changed(load_config(keys.name).shape, given)
        return _changed(published_shape(keys.name), given)
    defaults = {
        "vocab_size": VOCAB_SIZE,
        "context": CONTEXT,
        "ffn": "swiglu",
        "tied_head": True,
        "qk_norm": True,
    }
    common = {name: given.pop(name, default) for name, default in defaults.items()}
    if keys.params is None:
        return _described(given, common)
    if not keys.params > 0:
        raise UserError(f"model.params={keys.params:g} must be positive")
    if given:
        raise UserError(
            f"model.params lets the ladder choose the shape: leave out {', '.join(f'model.{k}' for k in given)}"
        )
    template = ModelShape(width=64, depth=2, heads=1, kv_heads=1, head_width=64, ffn_width=64, **common)
    return shape_of_size(keys.params, template)


def model_notes(keys: ModelKeys) -> tuple[str, ...]:
    """What is to be said about how a model's config was read; nothing for other models."""
    return load_config(keys.name).notes if keys.name is not None and names_a_config(keys.name) else ()


def _changed(shape: ModelShape, given: Fields) -> ModelShape:
    """A published shape with the fields that are given; those that follow from them follow."""
    sizes = sorted(given.keys() - {"vocab_size", "context", "tied_head", "mtp_depth"})
    if shape.layers and sizes:
        raise UserError(
            f"model.{sizes[0]} cannot be changed in a hybrid, whose blocks are of several kinds: change its config.json"
        )
    if ("width" in given or "heads" in given) and "head_width" not in given:
        width, heads = given.get("width", shape.width), given.get("heads", shape.heads)
        if heads < 1 or width % heads:
            raise UserError(
                f"model.heads={heads} does not divide model.width={width}: change one, or give model.head_width"
            )
        given["head_width"] = width // heads
    if "heads" in given and "kv_heads" not in given and shape.kv_heads == shape.heads:
        given["kv_heads"] = given["heads"]
    return replace(shape, **given)


def _described(given: Fields, common: Fields) -> ModelShape:
    """A decoder of the width and depth that are given."""
    missing = [name for name in ("width", "depth") if name not in given]
    if missing:
        raise UserError(
            f"which model? missing {' and '.join(f'model.{k}' for k in missing)}; give model=NAME "
            "(as model=llama-2-7b), model=…/config.json, model.params=…, or model.width=… model.depth=…"
        )
    width = given["width"]
    if width < 1:
        raise UserError(f"model.width={width} must be a positive whole number")
    given.setdefault("heads", max(1, width // given.get("head_width", head_width(width))))
    mixture = (
        "experts",
        "experts_active",
        "shared_experts",
        "expert_width",
        "window",
        "full_every",
        "mtp_depth",
    )
    experts = {name: given.pop(name) for name in mixture if name in given}
    return replace(decoder_shape(**given, **common), **experts)


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """How a model is trained, on what device and at what prices: all of a training run but model, data and layout."""

    device: Device
    recipe: TrainingRecipe
    split_recipe: TrainingRecipe | None = None
    """The recipe where a layout cuts the model over tensor or pipeline and shards no weights; None: the same."""
    recomputes: tuple[Recompute, ...] | None = None
    """Modes of recomputation to choose from, least first; None: all that save memory."""
    trainable: bool = False
    """Only what `scaling train` runs: DDP or FSDP in one machine."""
    kernels: Kernels = "fused"
    prices: Prices = field(default_factory=Prices)

    def recipe_for(self, layout: Layout) -> TrainingRecipe:
        """The recipe of a run under a layout."""
        cuts_weights = layout.zero_stage < 3 and layout.tensor * layout.pipeline > 1
        return self.split_recipe if cuts_weights and self.split_recipe is not None else self.recipe

    def with_recipe(self, change: Callable[[TrainingRecipe], TrainingRecipe]) -> TrainingSetup:
        """The same setup with a change made to its recipes."""
        split = None if self.split_recipe is None else change(self.split_recipe)
        return replace(self, recipe=change(self.recipe), split_recipe=split)


def build_setup(keys: TrainingKeys) -> TrainingSetup:
    """Device, recipe and prices that the keys describe. Raises UserError naming key, value and remedy."""
    device = get_device(keys.hardware)
    usual: Precision = USUAL_PRECISION.get(device.training_precision, "32-true")
    if device.shares_host_memory:
        usual = "32-true"
    for name, choices in (("kernels", get_args(Kernels)), ("recompute", ("auto", *get_args(Recompute)))):
        if getattr(keys, name) not in choices:
            raise UserError(f"{name}={getattr(keys, name)} is unknown: choose one of {', '.join(choices)}")
    recompute = None if keys.recompute == "auto" else cast(Recompute, keys.recompute)
    recipe = TrainingRecipe(  # which refuses what is none of its choices
        optimizer=cast(Optimizer, keys.optimizer),
        precision=cast(Precision, keys.precision or usual),
        recompute=recompute or "none",
        attention=cast(Attention, keys.attention),
        runtime=cast(Runtime, keys.runtime or ("torch_cpu" if device.name == "cpu" else "torch")),
    )
    if keys.batch_tokens is not None and not keys.batch_tokens > 0:
        raise UserError(f"batch_tokens={keys.batch_tokens:g} must be positive")
    # Jobs that cut the model are run by Megatron-LM, which keeps 16-bit weights beside a float32 copy.
    split_recipe = None
    if keys.precision is None and keys.runtime is None and usual in MEGATRON_PRECISION:
        split_recipe = replace(recipe, precision=MEGATRON_PRECISION[usual], runtime="megatron")
    return TrainingSetup(
        device=device,
        recipe=recipe,
        split_recipe=split_recipe,
        recomputes=None if recompute is None else (recompute,),
        kernels=cast(Kernels, keys.kernels),
        prices=Prices(
            usd_per_device_hour=keys.price,
            goodput=keys.goodput,
            realised=keys.realised,
            power_usage_effectiveness=keys.pue,
            carbon_kg_per_kwh=keys.carbon_kg_per_kwh,
        ),
    )


def calibrated(setup: TrainingSetup, keys: TrainingKeys, params: float) -> TrainingSetup:
    """The setup with its device as fast as the user's own run nearest in size to `params`, where one is named."""
    if keys.measured_run is None:
        return setup
    if keys.measured_tokens_per_second is not None:
        raise UserError(
            "measured_tokens_per_second and measured_run are two measurements of one speed: give one"
        )
    speed = measured_speed(keys.measured_run, params, setup.device, setup.kernels)
    title = f"{setup.device.title}, {speed.factor:.2g} of the estimate as measured by {speed.run_id}"
    return replace(
        setup,
        device=replace(setup.device, title=title, speed_calibration=speed.factor),
        prices=replace(setup.prices, realised=1.0),
    )


def training_tokens(keys: BudgetKeys, shape: ModelShape) -> float:
    """Tokens to train on: those given, or 20 a parameter. Raises UserError unless they are positive."""
    tokens = keys.tokens if keys.tokens is not None else TOKENS_PER_PARAM * count_params(shape).total
    if not tokens > 0:
        raise UserError(f"tokens={tokens:g} must be positive: how many tokens to train on")
    return tokens


def batch_tokens_of(keys: BudgetKeys, shape: ModelShape, tokens: float) -> float:
    """Tokens of an optimizer step: those given, or the rule's."""
    return keys.batch_tokens or default_batch_tokens(
        tokens * train_flops_per_token(shape, "6nd"), shape.context
    )


def default_batch_tokens(train_flops: float, context: int) -> float:
    """The rule's batch for a run's compute, in whole sequences (at least one)."""
    return max(1, round(BATCH_SCALE * float(train_flops**BATCH_EXPONENT) / context)) * context
