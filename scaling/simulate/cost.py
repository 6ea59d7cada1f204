"""What a design costs: tokens and FLOPs with shared trunks counted once, and on a device hours, money and energy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling.accounting.budget import Prices, estimate
from scaling.accounting.device import Device
from scaling.accounting.hardware import get_device
from scaling.accounting.layout import Layout
from scaling.accounting.memory import training_memory
from scaling.accounting.recipe import TrainingRecipe
from scaling.config.schedule import WSDConfig
from scaling.errors import UserError
from scaling.shape.ladder import shape_for
from scaling.shape.shape import ModelShape
from scaling.simulate.design import Design

UNITS = ("flops", "device_hours", "usd", "hours")
"""What a limit may be counted in."""
MICRO_BATCH_TOKENS = 16_384
"""Tokens of one pass on one device, for its time and memory."""

Rates = Callable[[float], dict[str, float]]
"""A size → what a token of its training takes: `device_hours`, and where known `usd`, `energy_kwh`, `hours`."""


@dataclass(frozen=True)
class Costs:
    """What each run adds to its job. Arrays of shape (n,).

    Attributes:
        tokens_spent: tokens trained on for this run beyond the shorter runs of its job.
        flops_spent: 6N of them.
        device_hours, usd, energy_kwh, hours: None where no device says so; `hours` is wall-clock time, one job
            at a time.
    """

    tokens_spent: np.ndarray
    flops_spent: np.ndarray
    device_hours: np.ndarray | None = None
    usd: np.ndarray | None = None
    energy_kwh: np.ndarray | None = None
    hours: np.ndarray | None = None
    peak_memory_bytes: np.ndarray | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Those that are known, as columns of a table."""
        names = ("device_hours", "usd", "energy_kwh", "hours", "peak_memory_bytes")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def totals(self) -> dict[str, float]:
        """Sums over the design of everything that adds up."""
        sums = {"tokens": float(self.tokens_spent.sum()), "flops": float(self.flops_spent.sum())}
        for name, values in self.columns().items():
            if name != "peak_memory_bytes":
                sums[name] = float(values.sum())
        return sums


@dataclass(frozen=True)
class Tariff:
    """How costs are counted.

    Attributes:
        decay: share of a run's tokens that its decay takes, which no other run shares.
        rates: what a token of each size takes on a device; None where only FLOPs count.
        source: the device or the runs behind the rates, in words.
    """

    decay: float = WSDConfig().decay_fraction
    rates: Rates | None = None
    source: str = "6ND; no device named"

    def per_token(self, params: np.ndarray, unit: str) -> np.ndarray:
        """Cost of a token of each size, shape (n,), in one of UNITS.

        Raises:
            UserError: no device says what that is.
        """
        if unit == "flops":
            return TRAIN_FLOPS_PER_PARAM_TOKEN * np.asarray(params, dtype=float)
        if self.rates is None:
            raise UserError(f"{unit} needs hardware=NAME, or speed=runs/NAME of runs timed on this machine")
        each = [self.rates(float(n)) for n in params]
        if any(unit not in rate for rate in each):
            raise UserError(f"{unit} is not known of {self.source}: give price=… in dollars a device-hour")
        return np.array([rate[unit] for rate in each])

    def of(self, design: Design) -> Costs:
        """The costs of a design, run by run."""
        spent = tokens_spent(design, self.decay)
        flops = TRAIN_FLOPS_PER_PARAM_TOKEN * design.params * spent
        if self.rates is None:
            return Costs(spent, flops)
        sizes, member = np.unique(design.params, return_inverse=True)
        each = [self.rates(float(n)) for n in sizes]

        def column(name: str, times: np.ndarray) -> np.ndarray | None:
            if any(name not in rate for rate in each):
                return None
            return np.asarray(np.array([rate[name] for rate in each])[member] * times)

        one = np.ones_like(spent)
        return Costs(
            spent,
            flops,
            column("device_hours", spent),
            column("usd", spent),
            column("energy_kwh", spent),
            column("hours", spent),
            column("peak_memory_bytes", one),
        )


def tokens_spent(design: Design, decay: float) -> np.ndarray:
    """Tokens trained on for each run beyond the shorter runs of its job, shape (n,).

    A job trains its trunk, (1 - decay) of the longest run, once, and the decay of every run (see training.segments).
    """
    stable = (1 - decay) * design.tokens
    job = design.job
    order = np.lexsort((design.tokens, job))
    before = np.concatenate([[0.0], stable[order][:-1]])
    before[np.concatenate([[True], np.diff(job[order]) != 0])] = 0.0
    spent = np.empty(len(design))
    spent[order] = stable[order] - before + decay * design.tokens[order]
    return spent


def tariff(
    hardware: str | None,
    speed: str | None,
    price: float | None,
    vocab_size: int,
    context: int,
    decay: float | None = None,
) -> Tariff:
    """How a user's costs are counted.

    Args:
        hardware: a device of the catalogue or a YAML file.
        speed: the folder of a sweep whose runs were timed on the machine in question.
        price: dollars for an hour of a device; None: the catalogue's.
        vocab_size, context: of the models, which decide their shapes.
        decay: share of a run's tokens that it decays over; None: this project's default.

    Raises:
        UserError: no such device or folder.
    """
    share = WSDConfig().decay_fraction if decay is None else decay
    if speed is not None:
        return Tariff(share, measured_rates(Path(speed), price), f"the runs timed in {speed}")
    if hardware is None:
        return Tariff(share)
    device = get_device(hardware)
    prices = Prices(usd_per_device_hour=price)
    return Tariff(share, device_rates(device, prices, small_shape(vocab_size, context)), device.title)


def small_shape(vocab_size: int, context: int) -> ModelShape:
    """A decoder that gives the ladder its vocabulary and context; its own size does not matter."""
    return ModelShape(
        width=64, depth=2, heads=4, kv_heads=4, head_width=16, ffn_width=168, ffn="swiglu",
        vocab_size=vocab_size, context=context, tied_head=True, qk_norm=True,
    )  # fmt: skip


def device_rates(device: Device, prices: Prices, like: ModelShape) -> Rates:
    """Rates by the step-time estimate of the device, with as many devices as the model's states need (ZeRO-3)."""
    recipe = TrainingRecipe()

    @lru_cache(maxsize=4096)
    def rates(params: float) -> dict[str, float]:
        shape = shape_for(params, like)
        micro = max(1, MICRO_BATCH_TOKENS // shape.context)
        layout = Layout(micro_batch=micro)
        while training_memory(shape, recipe, layout).peak_memory_bytes > device.memory_bytes:
            if layout.data >= 4096:
                raise UserError(f"hardware={device.name}: {params:.3g} parameters do not fit on 4096 of them")
            micro = max(1, micro // 2)
            layout = Layout(micro_batch=micro, data=max(2, 2 * layout.data), zero_stage=3)
        told = estimate(shape, 1e6, layout, device, recipe, prices=prices)
        rate = {
            "device_hours": told.cost.device_hours / 1e6,
            "hours": told.cost.seconds / 3600 / 1e6,
            "peak_memory_bytes": float(told.memory.peak_memory_bytes),
        }
        if told.cost.price_usd is not None:
            rate["usd"] = told.cost.price_usd / 1e6
        if told.cost.energy_kwh is not None:
            rate["energy_kwh"] = told.cost.energy_kwh / 1e6
        return rate

    return rates


def measured_rates(folder: Path, price: float | None) -> Rates:
    """Rates by the time that recorded runs took a token, between their sizes by a power law.

    Raises:
        UserError: the folder holds no timed run.
    """
    from scaling.records.records import load_sweep

    frame = load_sweep(folder)
    timed = (
        frame[frame["seconds_spent"].notna() & (frame["tokens_spent"] > 0)]
        if "seconds_spent" in frame
        else None
    )
    if timed is None or timed.empty:
        raise UserError(f"speed={folder}: no run there has its time recorded")
    per_token = (timed["seconds_spent"] / timed["tokens_spent"]).groupby(timed["params_total"]).median()
    x, y = np.log(per_token.index.to_numpy(float)), np.log(per_token.to_numpy(float))

    def rates(params: float) -> dict[str, float]:
        inside = float(np.clip(np.log(params), x[0], x[-1]))
        beyond = np.log(params) - inside  # outside of the sizes timed, time grows with the size
        hours = float(np.exp(np.interp(inside, x, y) + max(beyond, 0.0))) / 3600
        rate = {"device_hours": hours, "hours": hours}
        return rate if price is None else {**rate, "usd": hours * price}

    return rates
