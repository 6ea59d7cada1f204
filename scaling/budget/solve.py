"""The inverse question: from what you have (FLOPs, device-hours, devices and days, money) to what to train.

A scaling law splits the compute between parameters and tokens; `sizing` makes the parameters a concrete decoder;
`layouts` spreads it over devices; the step time says how much compute the budget really buys, and closes the circle.
`solve` gives a plan whose forward estimate costs what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis import allocate
from scaling.accounting.budget import Budget, estimate
from scaling.accounting.cost import SECONDS_PER_HOUR, hourly_price
from scaling.budget.estimate import Job, build_job, calibrated, choose_layout, default_batch_tokens
from scaling.budget.keys import ModelKeys, RecipeKeys, build_shape
from scaling.budget.law import DATA_LIMITED_LAW, DEFAULT_LAW, ChosenLaw, choose_law
from scaling.budget.layout_search import Candidate
from scaling.budget.study_settings import StudySettings, read_settings
from scaling.errors import UserError
from scaling.shape.flops import PF_DAY_FLOPS
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape
from scaling.shape.sizing import shape_of_size

DEFAULT_DAYS = 30.0
"""Deadline aimed at where neither devices nor days are given."""
ROUNDS = 8
"""Rounds of budget → compute → model → speed → compute; two or three are enough unless the layout flips."""
CLOSE = 0.02
"""The rounds stop when the cost is this near to the budget; tokens then make up the rest exactly, which moves them
from the optimum by as little."""
FAR = 10.0
"""Further than this factor outside the compute a law was fitted on, the plan says so."""
FIRST_MFU = 0.5
"""Utilisation assumed in the first round."""


@dataclass(kw_only=True)
class SolveKeys(RecipeKeys):
    """What you have; give one of flops, pf_days, device_hours, money, or devices and days together."""

    flops: float | None = None
    """Training compute in FLOPs (6ND)."""
    pf_days: float | None = None
    """Training compute in petaFLOP/s-days (6ND)."""
    device_hours: float | None = None
    """Hours of one device, all devices together."""
    money: float | None = None
    """US dollars, at `price` a device-hour or the catalogue's example."""
    devices: int | None = None
    """Devices; with days and nothing else, the budget; otherwise the number to use."""
    days: float | None = None
    """With devices and nothing else, the budget; otherwise a deadline."""
    law: str = DEFAULT_LAW
    """A published law (hoffmann2022, besiroglu2024, kaplan2020, muennighoff2023), runs/NAME, or a fit's JSON file."""
    tokens: float | None = None
    """Fix the training tokens."""
    params: float | None = None
    """Fix the parameters (total)."""
    unique_tokens: float | None = None
    """Different tokens there are: beyond them data repeat, and are worth less (Muennighoff et al. 2023)."""
    inference_tokens: float | None = None
    """Tokens the model will serve: the compute budget then pays for training and serving (Sardana et al. 2024)."""
    model: ModelKeys = field(default_factory=ModelKeys)
    """Vocabulary, context and kind of the decoder to plan (its size is the answer)."""
    write: str | None = None
    """Write the plan as experiment/NAME.yaml, which `scaling train --config-dir . experiment=NAME` runs."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to train with a budget."""

    asked: str
    """The budget, in words."""
    budget: Budget
    """The forward estimate of the plan."""
    law: ChosenLaw
    inference_flops: float
    loss_nats: float
    """Predicted by the law at the plan's size and tokens."""
    intervals: dict[str, tuple[float, float] | None]
    """Of params, tokens and loss_nats of the optimum, from the law's draws; None: not estimated, or given."""
    notes: tuple[str, ...]
    study: StudySettings | None = None
    """What the study behind the law was made of; None: a published law."""

    def to_json(self) -> dict[str, Any]:
        """The forward estimate's figures and the plan's own."""
        shape = self.budget.shape
        return {
            "asked": self.asked,
            **self.budget.to_json(),
            "shape": {f.name: getattr(shape, f.name) for f in fields(ModelKeys) if hasattr(shape, f.name)},
            "law": self.law.name,
            "law_source": self.law.source,
            "loss_nats": self.loss_nats,
            "inference_flops": self.inference_flops,
            "interval_level": self.law.level,
            "intervals": {k: None if v is None else list(v) for k, v in self.intervals.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a law divides compute."""

    params: float
    tokens: float
    inference_flops: float
    params_draws: np.ndarray
    """What it would say under each draw of the law; empty where sizes are given, or not asked for."""
    tokens_draws: np.ndarray


def solve_keys(keys: SolveKeys) -> Plan:
    """The plan that `scaling budget solve` prints. Raises UserError, in one line, naming key, value and remedy."""
    _refuse_nonpositive(keys)
    study = read_settings(Path(keys.law)) if Path(keys.law).is_dir() else None
    if study is None:
        return _solve(keys)
    keys = study.fill(keys)
    if keys.batch_tokens is None:
        # The study's batch follows the tokens, which a first round tells.
        keys = replace(keys, batch_tokens=study.batch_tokens(_solve(keys).budget.tokens))
    else:
        study = study.with_batch(keys.batch_tokens)
    return replace(_solve(keys), study=study)


def _solve(keys: SolveKeys) -> Plan:
    # The size is not known yet: the largest of the user's own runs comes nearest.
    job = calibrated(build_job(keys), keys, keys.params or float("1e30"))
    like = build_shape(_any_size(keys.model))
    law_name = keys.law
    if keys.unique_tokens is not None and keys.law == DEFAULT_LAW:
        law_name = DATA_LIMITED_LAW
    law = choose_law(law_name)
    kind, amount, asked = _what_is_given(keys, job)
    if kind == "flops":
        return _solve_flops(keys, job, like, law, amount, asked)
    return _solve_hours(keys, job, like, law, amount, asked)


def _solve_flops(
    keys: SolveKeys, job: Job, like: ModelShape, law: ChosenLaw, flops: float, asked: str
) -> Plan:
    """Compute is given: the law splits it, and the deadline (or devices) decides how many devices share it."""
    split = split_compute(law, flops, keys)
    shape = _shape(split.params, like, law, keys)
    params = _law_params(shape, law)
    tokens = keys.tokens or (flops - split.inference_flops * params / split.params) / (6 * params)
    if not tokens > 0:
        raise UserError(
            f"the budget of {flops:.3g} FLOPs is used up by serving {keys.inference_tokens:.3g} tokens: "
            "raise it or lower inference_tokens"
        )
    plan = _plan(keys, job, law, split, shape, tokens, asked)
    return replace(plan, intervals=_intervals(keys, law, split, plan.budget))


def _solve_hours(
    keys: SolveKeys, job: Job, like: ModelShape, law: ChosenLaw, device_hours: float, asked: str
) -> Plan:
    """Device-hours are given: what compute they buy depends on the model, so go round until both agree."""
    peak = job.device.peak(job.device.training_precision)
    useful = device_hours * SECONDS_PER_HOUR * job.prices.goodput * job.prices.realised
    flops = useful * peak * FIRST_MFU
    plan: Plan | None = None
    for _ in range(ROUNDS):
        split = split_compute(law, flops, keys, with_draws=False)
        shape = _shape(split.params, like, law, keys)
        tokens = keys.tokens or split.tokens
        plan = _plan(keys, job, law, split, shape, tokens, asked, device_hours)
        ratio = device_hours / plan.budget.cost.device_hours
        if abs(ratio - 1) < CLOSE:
            break
        flops *= ratio
    assert plan is not None
    # The shape stands; the tokens take what is left of the hours, to the last one.
    exact = plan.budget.tokens * device_hours / plan.budget.cost.device_hours
    if keys.tokens is None:
        plan = _with_tokens(plan, job, exact)
    return replace(plan, intervals=_intervals(keys, law, split_compute(law, flops, keys), plan.budget))


def _plan(
    keys: SolveKeys,
    job: Job,
    law: ChosenLaw,
    split: Split,
    shape: ModelShape,
    tokens: float,
    asked: str,
    device_hours: float | None = None,
) -> Plan:
    params = _law_params(shape, law)
    batch = keys.batch_tokens or default_batch_tokens(6 * params * tokens, shape.context)
    days = keys.days
    if keys.devices is None and days is None:
        days = DEFAULT_DAYS
    if device_hours is not None and keys.devices is not None:
        days = None  # the hours and the devices fix the days, checked against a deadline in _what_is_given
    chosen = choose_layout(
        shape, job, tokens, batch,
        devices=keys.devices, days=days, as_soon_as_possible=keys.days is None,
    )  # fmt: skip
    squeezed = ""
    if not chosen.fits:
        optimum = count_params(shape).total
        if keys.params is not None or keys.tokens is not None:
            raise UserError(
                f"devices={keys.devices}: a model of {optimum:,} parameters needs "
                f"{chosen.memory.peak_memory_bytes / 2**30:,.1f} GiB a device of {job.device.name}, which has "
                f"{job.device.memory_bytes / 2**30:,.1f}; give more devices, or leave devices out to have them chosen"
            )
        assert keys.devices is not None, "devices are only too few where they were given"
        compute = params * tokens
        shape, chosen = _largest_that_fits(shape, job, keys.devices, batch)
        params = _law_params(shape, law)
        tokens = compute / params
        squeezed = (
            f"the law's optimum of {optimum:,} parameters does not fit on {keys.devices:,} "
            f"{job.device.name}: this is about the largest that does, trained on more tokens instead"
        )
    budget = estimate(
        shape, tokens, chosen.layout, job.device, chosen.recipe, kernels=job.kernels, prices=job.prices
    )
    return Plan(
        asked=asked,
        budget=budget,
        law=law,
        inference_flops=2 * params * (keys.inference_tokens or 0.0),
        loss_nats=_loss(law, law.theta[None], params, tokens, keys.unique_tokens)[0],
        intervals={},
        notes=(*([squeezed] if squeezed else []), *_notes(keys, law, params, tokens)),
    )


def _intervals(
    keys: SolveKeys, law: ChosenLaw, split: Split, budget: Budget
) -> dict[str, tuple[float, float] | None]:
    """Of the optimum's parameters and tokens, and of the loss that the law predicts for the plan."""
    params = _law_params(budget.shape, law)
    return {
        "params": law.spread(split.params_draws),
        "tokens": law.spread(split.tokens_draws),
        "loss_nats": law.spread(_loss(law, law.draws, params, budget.tokens, keys.unique_tokens)),
    }


def _largest_that_fits(
    too_large: ModelShape, job: Job, devices: int, batch_tokens: float
) -> tuple[ModelShape, Candidate]:
    """The largest decoder like one that does not fit which does fit on the devices, to about 1 %."""

    def attempt(params: float) -> tuple[ModelShape, Candidate]:
        shape = shape_of_size(params, too_large)
        return shape, choose_layout(shape, job, 1.0, batch_tokens, devices=devices)

    high = float(count_params(too_large).total)
    low = high / 2
    best = attempt(low)
    while not best[1].fits:  # ends in the refusal of shape_of_size where nothing fits
        low, high = low / 2, low
        best = attempt(low)
    while high / low > 1.01:
        middle = (low * high) ** 0.5
        tried = attempt(middle)
        if tried[1].fits:
            low, best = middle, tried
        else:
            high = middle
    return best


def _with_tokens(plan: Plan, job: Job, tokens: float) -> Plan:
    budget = estimate(
        plan.budget.shape, tokens, plan.budget.layout, job.device, plan.budget.recipe,
        kernels=job.kernels, prices=job.prices,
    )  # fmt: skip
    return replace(plan, budget=budget)


def split_compute(law: ChosenLaw, flops: float, keys: SolveKeys, *, with_draws: bool = True) -> Split:
    """Parameters and tokens that minimise the law's loss on `flops`, under what the keys fix."""
    served = keys.inference_tokens or 0.0
    if keys.params is not None or keys.tokens is not None:
        if keys.params is not None:
            params = keys.params
            tokens = keys.tokens or (flops - 2 * params * served) / (6 * params)
        else:
            assert keys.tokens is not None
            tokens = keys.tokens
            params = flops / (6 * tokens + 2 * served)
        if keys.params is not None and keys.tokens is not None:
            raise UserError(
                "tokens and params together leave nothing to solve: use scaling budget model.params=…"
            )
        if not tokens > 0:
            raise UserError(
                f"the budget of {flops:.3g} FLOPs is used up by serving inference_tokens={served:.3g}: raise it"
            )
        none = np.empty(0)
        return Split(
            params=params,
            tokens=tokens,
            inference_flops=2 * params * served,
            params_draws=none,
            tokens_draws=none,
        )
    if "unique_tokens" in law.law.variables and keys.unique_tokens is None:
        raise UserError(f"law={law.name} needs unique_tokens: how many different tokens there are")
    unique = keys.unique_tokens if "unique_tokens" in law.law.variables else None
    theta = np.vstack([law.theta[None], law.draws]) if with_draws else law.theta[None]
    if served:
        best = allocate.optimal_with_inference(
            law.law, theta, np.array([flops]), served, unique_tokens=unique
        )
    else:
        best = allocate.optimal(law.law, theta, np.array([flops]), unique_tokens=unique)
    best_params, best_tokens = best.params[:, 0], best.tokens[:, 0]
    if keys.unique_tokens is not None and unique is None and best_tokens[0] > keys.unique_tokens:
        raise UserError(
            f"law={law.name} does not know what repeated data are worth, and its optimum of {best_tokens[0]:.3g} "
            f"tokens exceeds unique_tokens={keys.unique_tokens:.3g}: use law={DATA_LIMITED_LAW}, or tokens=…"
        )
    return Split(
        params=float(best_params[0]),
        tokens=float(best_tokens[0]),
        inference_flops=float(best.inference_flops[0, 0]),
        params_draws=best_params[1:],
        tokens_draws=best_tokens[1:],
    )


def _shape(params: float, like: ModelShape, law: ChosenLaw, keys: SolveKeys) -> ModelShape:
    """A decoder of the size the law asks for, in the law's own count of parameters."""
    if not law.non_embedding or keys.params is not None:
        return shape_of_size(params, like)
    shape = shape_of_size(2 * params, like)
    for _ in range(4):
        counts = count_params(shape)
        shape = shape_of_size(params + counts.total - counts.non_embedding, like)
    return shape


def _law_params(shape: ModelShape, law: ChosenLaw) -> float:
    counts = count_params(shape)
    return float(counts.non_embedding if law.non_embedding else counts.total)


def _loss(
    law: ChosenLaw, theta: np.ndarray, params: float, tokens: float, unique: float | None
) -> np.ndarray:
    if not len(theta):
        return np.empty(0)
    x = {"params": np.array([params]), "tokens": np.array([tokens])}
    if "unique_tokens" in law.law.variables:
        x["unique_tokens"] = np.array([unique or tokens])
    return np.exp(law.law.predict(theta, {k: x[k] for k in law.law.variables})[0][:, 0])


def _what_is_given(keys: SolveKeys, job: Job) -> tuple[str, float, str]:
    """("flops" or "hours", the amount, the budget in words)."""
    named = {
        name: getattr(keys, name)
        for name in ("flops", "pf_days", "device_hours", "money")
        if getattr(keys, name) is not None
    }
    if len(named) > 1:
        raise UserError(f"{' and '.join(f'{k}={v:g}' for k, v in named.items())} are two budgets: give one")
    where = job.device.name
    if not named:
        if keys.devices is None or keys.days is None:
            raise UserError(
                "which budget? give one of flops=…, pf_days=…, device_hours=…, money=…, or devices=… and days=…"
            )
        hours = keys.devices * keys.days * 24.0
        return "hours", hours, f"{keys.devices:,} {where} for {keys.days:g} days"
    kind, amount = next(iter(named.items()))
    if kind == "flops":
        return "flops", amount, f"{amount:.3g} FLOPs"
    if kind == "pf_days":
        return "flops", amount * PF_DAY_FLOPS, f"{amount:g} PF-days"
    if kind == "device_hours":
        hours, words = amount, f"{amount:,.4g} {where}-hours"
    else:
        hourly, note = hourly_price(job.device, keys.price)
        if hourly is None:
            raise UserError(f"money={amount:g}: the price of {where} is {note}")
        hours, words = amount / hourly, f"${amount:,.0f} at ${hourly:g} an hour of {where} ({note})"
    if keys.devices is not None and keys.days is not None and hours / keys.devices > 24 * keys.days * 1.0001:
        raise UserError(
            f"days={keys.days:g} is too short: {hours:,.4g} hours on devices={keys.devices} last "
            f"{hours / keys.devices / 24:,.1f} days; give more devices or days"
        )
    return "hours", hours, words


def _refuse_nonpositive(keys: SolveKeys) -> None:
    for name in ("flops", "pf_days", "device_hours", "money", "devices", "days", "tokens", "params",
                 "unique_tokens", "inference_tokens"):  # fmt: skip
        value = getattr(keys, name)
        if value is not None and not value > 0:
            raise UserError(f"{name}={value:g} must be positive")


def _any_size(keys: ModelKeys) -> ModelKeys:
    """The model keys with a size filled in where none is given: only kind, vocabulary and context are read."""
    sized = [k for k in ("params", "width", "depth", "heads", "ffn_width") if getattr(keys, k) is not None]
    if keys.name is not None or sized:
        raise UserError(
            f"solve chooses the model's size: leave out model.{'name' if keys.name else sized[0]} "
            "(model.vocab_size, model.context, model.ffn, model.tied_head and model.qk_norm may be given; "
            "params=… fixes the size)"
        )
    return replace(keys, width=64, depth=2)


def _notes(keys: SolveKeys, law: ChosenLaw, params: float, tokens: float) -> tuple[str, ...]:
    notes = []
    least, most = law.fitted_flops
    flops = 6 * params * tokens
    if flops > FAR * most or flops < least / FAR:
        remedy = (
            "runs at larger budgets would narrow it"
            if len(law.draws)
            else "a fit of your own runs (law=runs/NAME) knows better"
        )
        notes.append(
            f"far outside the law's own runs ({least:.0e} to {most:.0e} FLOPs): take the split, and the loss even "
            f"more, as an extrapolation; {remedy}"
        )
    if not len(law.draws):
        notes.append(
            f"intervals not estimated: {law.name} comes without a joint uncertainty of its coefficients"
        )
    if keys.unique_tokens is not None and tokens > keys.unique_tokens:
        notes.append(f"data repeat {tokens / keys.unique_tokens:.2g} times")
    if law.law.name == "kaplan":
        notes.append("this law counts non-embedding parameters, and so does its 6ND")
    return tuple(notes)
