"""The inverse question: from what a user has (FLOPs, device-hours, devices and days, money) to what to train.

Of a model that is named the tokens are the answer; otherwise its size is as well:

A scaling law divides the compute between parameters and tokens; `sizing` makes the parameters a concrete decoder; the
search of layouts spreads it over devices; the step time then says how much compute a budget of hours or money really
buys, which is divided anew until both agree. The forward estimate of the solution costs what was given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.formats import short_count
from scaling.accounting.budget import Budget, estimate
from scaling.accounting.catalogue import GIB
from scaling.accounting.cost import SECONDS_PER_HOUR
from scaling.accounting.hardware import get_device
from scaling.accounting.room import usable_bytes
from scaling.budget.device_count import choose_layout
from scaling.budget.given_budget import GivenBudget, given_budget
from scaling.budget.keys import DEFAULT_LAW, ModelKeys, SolveKeys
from scaling.budget.law import DATA_LIMITED_LAW, ChosenLaw, choose_law
from scaling.budget.layout_search import Candidate
from scaling.budget.regret import regret_json, regret_of
from scaling.budget.setup import (
    TrainingSetup,
    build_setup,
    build_shape,
    calibrated,
    default_batch_tokens,
)
from scaling.budget.split import Split, cautions, optimal_tokens, predicted_loss, split_compute
from scaling.budget.study_settings import StudySettings, read_settings
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape
from scaling.shape.sizing import shape_of_size

if TYPE_CHECKING:
    from analysis.regret import Regret

DEFAULT_DAYS = 30.0
"""Deadline aimed at where neither devices nor days are given."""
ROUNDS = 8
"""Rounds of budget → compute → model → speed → compute; two or three are enough unless the layout flips."""
CLOSE = 0.02
"""The rounds stop when the cost is this near to the budget; tokens then make up the rest exactly, which moves them
from the optimum by as little."""
FIRST_MFU = 0.5
"""Utilisation assumed in the first round."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What to train with a budget."""

    asked: str
    """The budget, in words."""
    budget: Budget
    """The forward estimate of what to train."""
    law: ChosenLaw
    inference_flops: float
    loss_nats: float | None
    """Predicted by the law at the solution's size and tokens; None where it says more than guessing would have."""
    overtraining: float | None = None
    """Of a model that the user named: tokens over those at which it is the law's best for its compute."""
    intervals: dict[str, tuple[float, float] | None]
    """Of params, tokens and loss_nats of the optimum, from the law's draws; None: not estimated, or given."""
    notes: tuple[str, ...]
    regret: Regret | None = None
    """What a wrong size costs on this budget; None where the size is not the law's own choice."""
    study: StudySettings | None = None
    """What the study behind the law was made of; None: a published law."""

    def to_json(self) -> dict[str, object]:
        """The forward estimate's figures and the solution's own."""
        shape = self.budget.shape
        return {
            "asked": self.asked,
            **self.budget.to_json(),
            "shape": {f.name: getattr(shape, f.name) for f in fields(ModelKeys) if hasattr(shape, f.name)},
            "law": self.law.name,
            "law_source": self.law.source,
            "law_verdict": self.law.verdict,
            "loss_nats": self.loss_nats,
            "overtraining": self.overtraining,
            "inference_flops": self.inference_flops,
            "interval_level": self.law.level,
            "intervals": {k: None if v is None else list(v) for k, v in self.intervals.items()},
            "regret": None if self.regret is None else regret_json(self.regret, self.budget),
            "notes": list(self.notes),
        }


def solve(keys: SolveKeys) -> Solution:
    """What `scaling budget solve` prints. Raises UserError, in one line, naming key, value and remedy."""
    for name in ("flops", "pf_days", "device_hours", "money", "devices", "days", "tokens", "params",
                 "unique_tokens", "inference_tokens"):  # fmt: skip
        value = getattr(keys, name)
        if value is not None and not value > 0:
            raise UserError(f"{name}={value:g} must be positive")
    study = read_settings(Path(keys.law)) if Path(keys.law).is_dir() else None
    if study is None:
        return _solve(keys)
    keys = study.fill(keys)
    if keys.batch_tokens is None:
        # The study's batch follows the tokens, which a first solution tells.
        keys = replace(keys, batch_tokens=study.batch_tokens(_solve(keys).budget.tokens))
    else:
        study = study.with_batch(keys.batch_tokens)
    return replace(_solve(keys), study=study)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is to be solved, with everything looked up that does not change from round to round."""

    keys: SolveKeys
    given: GivenBudget
    setup: TrainingSetup
    law: ChosenLaw
    template: ModelShape
    """A decoder of any size: its kind, vocabulary and context are those of the solution."""
    is_given: bool
    """The template is the model itself: its tokens are the answer."""


def _solve(keys: SolveKeys) -> Solution:
    if keys.write is not None:
        keys = trainable_keys(keys)
    is_given = any(getattr(keys.model, key) is not None for key in ("name", "params", "width", "depth"))
    template = build_shape(keys.model if is_given else _any_size(keys.model))
    repeats = keys.unique_tokens is not None and keys.law == DEFAULT_LAW
    law = choose_law(DATA_LIMITED_LAW if repeats else keys.law)
    if is_given:
        if keys.params is not None:
            raise UserError(f"params={keys.params:g} and model.… both fix the size: give one")
        keys = replace(keys, params=law.params_of(template))
    # Where the size is not known yet, the largest of the user's own runs comes nearest.
    setup = calibrated(build_setup(keys), keys, keys.params or float("1e30"))
    setup = replace(setup, trainable=keys.write is not None)
    given = given_budget(keys, setup.device)
    task = _Task(keys=keys, given=given, setup=setup, law=law, template=template, is_given=is_given)
    if given.flops is not None:
        return _solve_flops(task, given.flops)
    assert given.device_hours is not None
    return _solve_hours(task, given.device_hours)


def trainable_keys(keys: SolveKeys) -> SolveKeys:
    """The keys of a plan that is to be written: what they leave open is what `scaling train` does."""
    changed = {"recompute": "none"} if keys.recompute == "auto" else {}
    if keys.precision is None and get_device(keys.hardware).training_precision == "fp16":
        changed["precision"] = "32-true"  # it has no loss scaling, without which float16 does not train
    return replace(keys, **changed)  # type: ignore[arg-type]  # both are text


def _any_size(keys: ModelKeys) -> ModelKeys:
    """The model keys with a size filled in; only kind, vocabulary and context are read. Raises UserError for a part."""
    sized = [k for k in ("heads", "kv_heads", "head_width", "ffn_width") if getattr(keys, k) is not None]
    if sized:
        raise UserError(
            f"solve chooses the model's size: leave out model.{sized[0]}, or give the whole model (model=NAME, or "
            "model.width and model.depth), whose tokens are then the answer"
        )
    return replace(keys, width=64, depth=2)


def _solve_flops(task: _Task, flops: float) -> Solution:
    """Compute is given: the law divides it, and the deadline (or devices) decides how many devices share it."""
    keys = task.keys
    split = split_compute(task.law, flops, keys)
    shape = _shape(task, split.params)
    params = task.law.params_of(shape)
    tokens = keys.tokens or (flops - split.inference_flops * params / split.params) / (6 * params)
    if not tokens > 0:
        raise UserError(
            f"the budget of {flops:.3g} FLOPs is used up by serving {keys.inference_tokens:.3g} tokens: "
            "raise it or lower inference_tokens"
        )
    return _with_intervals(_solution(task, shape, tokens), task, split)


def _solve_hours(task: _Task, device_hours: float) -> Solution:
    """Device-hours are given: what compute they buy depends on the model, so go round until both agree."""
    device, prices = task.setup.device, task.setup.prices
    useful_seconds = device_hours * SECONDS_PER_HOUR * prices.goodput * prices.realised
    flops = useful_seconds * device.peak(device.training_precision) * FIRST_MFU
    for _ in range(ROUNDS):
        split = split_compute(task.law, flops, task.keys, with_draws=False)
        solution = _solution(task, _shape(task, split.params), task.keys.tokens or split.tokens)
        ratio = device_hours / solution.budget.cost.device_hours
        if abs(ratio - 1) < CLOSE:
            break
        flops *= ratio
    if task.keys.tokens is None:
        # The shape stands; the tokens take what is left of the hours, to the last one.
        budget = solution.budget
        tokens = budget.tokens * device_hours / budget.cost.device_hours
        exact = _estimate(task, budget.shape, tokens, budget)
        solution = replace(solution, budget=exact)
    return _with_intervals(solution, task, split_compute(task.law, flops, task.keys))


def _solution(task: _Task, shape: ModelShape, tokens: float) -> Solution:
    """Layout and cost of one size; the largest size that fits, on more tokens, where the given devices are too few."""
    keys, setup, law = task.keys, task.setup, task.law
    params = law.params_of(shape)
    batch_tokens = keys.batch_tokens or default_batch_tokens(6 * params * tokens, shape.context)
    days = keys.days
    if keys.devices is None and days is None:
        days = DEFAULT_DAYS
    if task.given.device_hours is not None and keys.devices is not None:
        days = None  # the hours and the devices fix the days, which `given_budget` held against the deadline
    chosen = choose_layout(
        shape, setup, tokens, batch_tokens,
        devices=keys.devices, days=days, as_soon_as_possible=keys.days is None,
    )  # fmt: skip
    notes: list[str] = []
    if not chosen.fits:
        assert keys.devices is not None, "devices are only too few where they were given"
        if keys.params is not None or keys.tokens is not None:
            raise _too_few_devices(keys.devices, chosen)
        notes.append(
            f"the law's optimum of {count_params(shape).total:,} parameters does not fit on {keys.devices:,} "
            f"{setup.device.name}: this is about the largest that does, trained on more tokens instead"
        )
        compute = params * tokens
        shape, chosen = _largest_that_fits(shape, setup, keys.devices, batch_tokens)
        params = law.params_of(shape)
        tokens = compute / params
    return Solution(
        asked=task.given.words,
        budget=_estimate(task, shape, tokens, chosen),
        law=law,
        inference_flops=2 * params * (keys.inference_tokens or 0.0),
        loss_nats=None,  # told at the end, of the tokens that it comes to
        intervals={},
        notes=(*notes, *cautions(law, keys, params, tokens)),
    )


def _too_few_devices(devices: int, chosen: Candidate) -> UserError:
    """The error for a size that is fixed by the user and does not fit."""
    device, needed = chosen.device, chosen.memory.peak_memory_bytes
    return UserError(
        f"devices={devices}: a model of {count_params(chosen.shape).total:,} parameters needs "
        f"{needed / GIB:,.1f} GiB a device of {device.name}, of which a program can use "
        f"{usable_bytes(device) / GIB:,.1f}; "
        "give more devices, or leave devices out to have them chosen"
    )


def _estimate(task: _Task, shape: ModelShape, tokens: float, how: Candidate | Budget) -> Budget:
    """The forward estimate under the layout and recipe of a candidate or of an earlier estimate."""
    setup = task.setup
    return estimate(
        shape, tokens, how.layout, setup.device, how.recipe, kernels=setup.kernels, prices=setup.prices
    )


def _with_intervals(solution: Solution, task: _Task, split: Split) -> Solution:
    """The solution with intervals: of the optimum's size and tokens, and of the loss predicted for the solution."""
    budget, law = solution.budget, task.law
    params = law.params_of(budget.shape)
    solution = _with_loss(solution, task, params)
    draws = law.draws if solution.loss_nats is not None else law.draws[:0]
    losses = predicted_loss(law, draws, params, budget.tokens, task.keys.unique_tokens)
    intervals = {
        "params": law.interval(split.params_draws),
        "tokens": law.interval(split.tokens_draws),
        "loss_nats": law.interval(losses),
    }
    return replace(
        solution, intervals=intervals, regret=None if task.is_given else regret_of(law, task.keys, budget)
    )


def _with_loss(solution: Solution, task: _Task, params: float) -> Solution:
    """The solution with the loss that the law predicts for it, and how over-trained a given model is."""
    budget, law, keys = solution.budget, task.law, task.keys
    notes = list(solution.notes)
    loss = float(predicted_loss(law, law.theta[None], params, budget.tokens, keys.unique_tokens)[0])
    guessing = log(budget.shape.vocab_size)
    if loss > guessing:
        notes.append(
            f"loss not predicted: {law.name} says {loss:.4g} nats a token, more than guessing among the vocabulary "
            f"({guessing:.4g}), so far is this run from those it was fitted to"
        )
    overtraining = None
    if task.is_given:
        best = optimal_tokens(law, keys, params)
        overtraining = budget.tokens / best
        notes.append(
            f"this model is the law's best for its compute at {short_count(best)} tokens; these are "
            f"{overtraining:.3g} times as many"
        )
    if budget.shape.experts:
        notes.append(
            "the law's parameters are those that a token uses: it was fitted to dense models, and what a mixture's "
            "other experts gain is not in its loss nor in its split"
        )
    return replace(
        solution,
        loss_nats=None if loss > guessing else loss,
        overtraining=overtraining,
        notes=tuple(notes),
    )


def _largest_that_fits(
    too_large: ModelShape, setup: TrainingSetup, devices: int, batch_tokens: float
) -> tuple[ModelShape, Candidate]:
    """The largest decoder like one that does not fit which does fit on the devices, to about 1 %."""

    def attempt(params: float) -> tuple[ModelShape, Candidate]:
        shape = shape_of_size(params, too_large)
        return shape, choose_layout(shape, setup, 1.0, batch_tokens, devices=devices)

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


def _shape(task: _Task, params: float) -> ModelShape:
    """A decoder of the size the law asks for, in the law's own count of parameters."""
    if task.is_given:
        return task.template
    if task.keys.params is not None:
        return shape_of_size(params, task.template)
    if not task.law.counts_non_embedding:
        return shape_of_size(params, task.template, active=True)
    shape = shape_of_size(2 * params, task.template, active=True)
    for _ in range(4):
        counts = count_params(shape)
        embedding = counts.total - counts.non_embedding
        shape = shape_of_size(params + embedding, task.template, active=True)
    return shape
