"""From the keys of `scaling budget` to an estimate: fills in what the user left open, the same way everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil, log2
from typing import Any, cast, get_args

from scaling.accounting.budget import Budget, Prices, estimate
from scaling.accounting.cost import SECONDS_PER_DAY
from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.recipe import Attention, Optimizer, Precision, Runtime, TrainingRecipe
from scaling.accounting.roofline import Kernels
from scaling.accounting.timing import calibration
from scaling.budget.encoder_decoder import EncoderDecoderBudget, encoder_decoder_budget
from scaling.budget.history import TOKENS_PER_PARAM
from scaling.budget.keys import BudgetKeys, RecipeKeys, build_layout, build_shape, layout_is_given
from scaling.budget.layout_search import (
    Candidate,
    best_candidate,
    candidates,
    fewest_devices,
    keeps_weights_whole,
)
from scaling.budget.measured_speed import measured_speed
from scaling.errors import UserError
from scaling.shape.flops import Recompute, train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape

BATCH_SCALE, BATCH_EXPONENT = 0.2920, 0.3271
"""Batch in tokens by training compute, B = 0.2920 C^0.3271 (DeepSeek LLM, arXiv:2401.02954, equation 1)."""
USUAL_PRECISION: dict[str, Precision] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
"""How a model is trained where the user leaves it open, by the device's training precision."""
MEGATRON_PRECISION: dict[Precision, Precision] = {"bf16-mixed": "bf16-master", "16-mixed": "16-master"}
"""The same where a layout cuts the model and shards no weights: Megatron-LM's two copies of a weight."""
MAX_DEVICES = 2**17
"""Most devices that are tried: the largest published training clusters hold about as many."""
WORTH_HASTE = 1.5
"""Where a deadline is only aimed at, more devices are taken while they cost at most this much more device-time."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is trained, how and where, with nothing left open but the layout."""

    device: Device
    recipe: TrainingRecipe
    split_recipe: TrainingRecipe
    """The recipe where a layout cuts the model over tensor or pipeline and shards no weights: 16-bit weights with a
    float32 copy under Megatron-LM, as such jobs are run, unless precision or runtime are the user's."""
    recomputes: tuple[Recompute, ...] | None
    """Modes to choose from; None: the least that fits."""
    kernels: Kernels
    prices: Prices

    @property
    def search(self) -> dict[str, Any]:
        """What `layouts` needs to know beside shape, recipe, device and batch."""
        return {"kernels": self.kernels, "recomputes": self.recomputes, "split_recipe": self.split_recipe}


def default_batch_tokens(train_flops: float, context: int) -> float:
    """The rule's batch for a run's compute, in whole sequences (at least one)."""
    return max(1, round(BATCH_SCALE * train_flops**BATCH_EXPONENT / context)) * context


def build_job(keys: RecipeKeys) -> Job:
    """Device, recipe and prices that the keys describe. Raises UserError naming key, value and remedy."""
    device = get_device(keys.hardware)
    usual: Precision = USUAL_PRECISION.get(device.training_precision, "32-true")
    if device.name.startswith(("apple", "cpu")):
        usual = "32-true"
    for name in ("kernels", "recompute"):
        choices = get_args(Kernels) if name == "kernels" else ("auto", *get_args(Recompute))
        if getattr(keys, name) not in choices:
            raise UserError(f"{name}={getattr(keys, name)} is unknown: choose one of {', '.join(choices)}")
    recompute = None if keys.recompute == "auto" else cast(Recompute, keys.recompute)
    recipe = TrainingRecipe(
        optimizer=cast(Optimizer, keys.optimizer),
        precision=cast(Precision, keys.precision or usual),
        recompute=recompute or "none",
        attention=cast(Attention, keys.attention),
        runtime=cast(Runtime, keys.runtime or ("torch_cpu" if device.name == "cpu" else "torch")),
    )
    if keys.batch_tokens is not None and not keys.batch_tokens > 0:
        raise UserError(f"batch_tokens={keys.batch_tokens:g} must be positive")
    split_recipe = recipe
    if keys.precision is None and keys.runtime is None and usual in MEGATRON_PRECISION:
        split_recipe = replace(recipe, precision=MEGATRON_PRECISION[usual], runtime="megatron")
    return Job(
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


def run_budget(keys: BudgetKeys) -> Budget:
    """The budget that `scaling budget key=value …` prints.

    Raises UserError, in one line, naming key, value and remedy.
    """
    shape = build_shape(keys.model)
    job = calibrated(build_job(keys), keys, count_params(shape).total)
    tokens = keys.tokens if keys.tokens is not None else TOKENS_PER_PARAM * count_params(shape).total
    if not tokens > 0:
        raise UserError(f"tokens={tokens:g} must be positive: how many tokens to train on")
    batch_tokens = keys.batch_tokens or default_batch_tokens(
        tokens * train_flops_per_token(shape, "6nd"), shape.context
    )
    if layout_is_given(keys.layout):
        if keys.days is not None:
            raise UserError(
                f"days={keys.days:g} chooses the number of devices: leave out layout.*, or give devices instead"
            )
        layout = build_layout(keys.layout, shape, keys.devices, batch_tokens)
        recipe = job.split_recipe if keeps_weights_whole(layout) else job.recipe
    else:
        chosen = choose_layout(shape, job, tokens, batch_tokens, devices=keys.devices, days=keys.days)
        layout, recipe = chosen.layout, chosen.recipe
    budget = estimate(shape, tokens, layout, job.device, recipe, kernels=job.kernels, prices=job.prices)
    if keys.measured_tokens_per_second is None:
        return budget
    factor = calibration(budget.step, keys.measured_tokens_per_second)
    measured = replace(job.device, speed_calibration=factor)
    prices = replace(job.prices, realised=1.0)
    return estimate(shape, tokens, layout, measured, recipe, kernels=job.kernels, prices=prices)


def calibrated(job: Job, keys: RecipeKeys, params: float) -> Job:
    """The job with its device as fast as the user's own run nearest in size to `params`, where one is named."""
    if keys.measured_run is None:
        return job
    if keys.measured_tokens_per_second is not None:
        raise UserError(
            "measured_tokens_per_second and measured_run are two measurements of one speed: give one"
        )
    speed = measured_speed(keys.measured_run, params, job.device, job.kernels)
    title = f"{job.device.title}, {speed.factor:.2g} of the estimate as measured by {speed.run_id}"
    return replace(
        job,
        device=replace(job.device, title=title, speed_calibration=speed.factor),
        prices=replace(job.prices, realised=1.0),
    )


def run_encoder_decoder_budget(keys: BudgetKeys) -> EncoderDecoderBudget:
    """The budget of an encoder-decoder: what is known without its two sequence lengths."""
    shape = build_shape(keys.model)
    tokens = keys.tokens if keys.tokens is not None else TOKENS_PER_PARAM * count_params(shape).total
    if not tokens > 0:
        raise UserError(f"tokens={tokens:g} must be positive: how many tokens to train on")
    return encoder_decoder_budget(shape, tokens, build_job(keys).recipe)


def choose_layout(
    shape: ModelShape,
    job: Job,
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
        best = _on(shape, job, devices or 1, batch_tokens)
        if best is None:
            raise UserError(_cannot_split(shape, devices or 1, batch_tokens))
        if days is not None and days_of(best, job, tokens) > days:
            raise UserError(
                f"days={days:g} cannot be met on devices={devices}: the run takes {days_of(best, job, tokens):,.3g} "
                "days; give more days or devices, or leave out devices to have them chosen"
            )
        return best
    if not days > 0:
        raise UserError(f"days={days:g} must be positive")
    # No fewer devices than would do it at their peak.
    busy = tokens * train_flops_per_token(shape, "6nd") / job.device.peak(job.device.training_precision)
    at_least = max(1, ceil(busy / job.prices.goodput / job.prices.realised / (days * SECONDS_PER_DAY)))
    if at_least > MAX_DEVICES and not as_soon_as_possible:
        raise UserError(
            f"days={days:g} cannot be met: it would take {at_least:,} {job.device.name} or more, and at most "
            f"{MAX_DEVICES:,} are considered; raise days, or take faster hardware"
        )
    chosen: Candidate | None = None
    cheapest = float("inf")
    while at_least <= MAX_DEVICES:
        more = fewest_devices(
            shape, job.recipe, job.device, batch_tokens,
            at_least=at_least, at_most=MAX_DEVICES, **job.search,
        )  # fmt: skip
        if more is None or (chosen is not None and more.seconds_per_token >= chosen.seconds_per_token):
            break
        device_seconds = more.seconds_per_token * more.layout.devices
        if as_soon_as_possible and device_seconds > WORTH_HASTE * cheapest:
            break
        cheapest = min(cheapest, device_seconds)
        chosen = more
        if days_of(chosen, job, tokens) <= days:
            return chosen
        at_least = 2 * chosen.layout.devices
    if chosen is None:
        chosen = fewest_devices(
            shape, job.recipe, job.device, batch_tokens,
            at_most=MAX_DEVICES, **job.search,
        )  # fmt: skip
    if chosen is None:
        raise UserError(f"no layout fits this model on {job.device.name}: take hardware with more memory")
    if as_soon_as_possible:
        return chosen
    raise UserError(
        f"days={days:g} cannot be met with a batch of {batch_tokens:,.0f} tokens: {chosen.layout.devices:,} "
        f"{job.device.name} take {days_of(chosen, job, tokens):,.3g} days, and more cannot share that batch; "
        "raise days or batch_tokens"
    )


def days_of(candidate: Candidate, job: Job, tokens: float) -> float:
    """Wall-clock days of a run under a layout."""
    return job.prices.cost(job.device, candidate.layout.devices, candidate.seconds_per_token * tokens).days


@dataclass(frozen=True, kw_only=True)
class FitsReport:
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

    def to_json(self) -> dict[str, Any]:
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
                    "step_seconds": candidate.step.seconds,
                    "mfu": candidate.step.mfu,
                    "days": days,
                }
                for candidate, days in zip(self.found, self.days, strict=True)
            ],
            "remedies": self.remedies,
        }


def fits_report(keys: BudgetKeys) -> FitsReport:
    """What `scaling budget fits` prints. Raises UserError, in one line, naming key, value and remedy."""
    shape = build_shape(keys.model)
    job = calibrated(build_job(keys), keys, count_params(shape).total)
    for name in ("tokens", "devices"):
        value = getattr(keys, name)
        if value is not None and not value > 0:
            raise UserError(f"{name}={value:g} must be positive")
    if layout_is_given(keys.layout):
        raise UserError(
            "fits looks at every layout: leave out layout.*, or ask `scaling budget` for one layout"
        )
    tokens = keys.tokens if keys.tokens is not None else TOKENS_PER_PARAM * count_params(shape).total
    batch_tokens = keys.batch_tokens or default_batch_tokens(
        tokens * train_flops_per_token(shape, "6nd"), shape.context
    )
    devices = keys.devices or 1
    found = candidates(shape, job.recipe, job.device, devices, batch_tokens, **job.search)
    if not found:
        raise UserError(_cannot_split(shape, devices, batch_tokens))
    return FitsReport(
        shape=shape,
        device=job.device,
        devices=devices,
        tokens=tokens,
        batch_tokens=batch_tokens,
        found=found,
        days=[days_of(candidate, job, tokens) for candidate in found],
        remedies=[] if found[0].fits else what_would_fit(shape, job, batch_tokens, devices),
    )


def _cannot_split(shape: ModelShape, devices: int, batch_tokens: float) -> str:
    return (
        f"devices={devices}: no layout splits {shape.heads} heads, {shape.depth} blocks and a batch of "
        f"{batch_tokens:,.0f} tokens over them; take a power of two, or raise batch_tokens"
    )


def what_would_fit(shape: ModelShape, job: Job, batch_tokens: float, devices: int) -> list[str]:
    """What would make a model fit that does not fit on `devices` devices: each remedy tried, in one line each."""
    remedies = []
    for title, change in (
        ("recomputing every block (recompute=full)", {"recompute": "full"}),
        ("8-bit optimizer states (optimizer=adamw_8bit)", {"optimizer": "adamw_8bit"}),
        ("pure 16-bit training (precision=bf16-true)", {"precision": "bf16-true"}),
    ):
        if all(getattr(job.recipe, key) == value for key, value in change.items()):
            continue
        if "bf16-true" in change.values() and "bf16" not in job.device.peak_flops:
            continue
        changed = replace(
            job,
            recipe=replace(job.recipe, **change),  # type: ignore[arg-type]
            split_recipe=replace(job.split_recipe, **change),  # type: ignore[arg-type]
            recomputes=("full",) if "recompute" in change else job.recomputes,
        )
        best = _on(shape, changed, devices, batch_tokens)
        if best is not None and best.fits:
            remedies.append(f"{title}: {best.memory.peak_memory_bytes / 2**30:,.1f} GiB a device")
    more = fewest_devices(
        shape, job.recipe, job.device, batch_tokens,
        at_least=2 ** ceil(log2(devices + 1)), at_most=MAX_DEVICES, **job.search,
    )  # fmt: skip
    if more is not None:
        remedies.append(
            f"devices={more.layout.devices} as {more.layout}: {more.memory.peak_memory_bytes / 2**30:,.1f} GiB a device"
        )
    return remedies


def _on(shape: ModelShape, job: Job, devices: int, batch_tokens: float) -> Candidate | None:
    return best_candidate(shape, job.recipe, job.device, devices, batch_tokens, **job.search)
