"""The inverse question: from what a user has (FLOPs, device-hours, devices and days, money) to what to train.

A scaling law divides the compute between parameters and tokens; `sizing` makes the parameters a concrete decoder; the
search of layouts spreads it over devices; the step time then says how much compute a budget of hours or money really
buys, which is divided anew until both agree. The forward estimate of the solution costs what was given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

from scaling.accounting.budget import Budget, estimate
from scaling.accounting.catalogue import GIB
from scaling.accounting.cost import SECONDS_PER_HOUR
from scaling.accounting.room import usable_bytes
from scaling.budget.device_count import choose_layout
from scaling.budget.given_budget import GivenBudget, given_budget
from scaling.budget.keys import DEFAULT_LAW, ModelKeys, SolveKeys
from scaling.budget.law import DATA_LIMITED_LAW, ChosenLaw, choose_law
from scaling.budget.layout_search import Candidate
from scaling.budget.setup import (
    TrainingSetup,
    build_setup,
    build_shape,
    calibrated,
    default_batch_tokens,
)
from scaling.budget.split import Split, cautions, predicted_loss, split_compute
from scaling.budget.study_settings import StudySettings, read_settings
from scaling.errors import UserError
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
    loss_nats: float
    """Predicted by the law at the solution's size and tokens."""
    intervals: dict[str, tuple[float, float] | None]
    """Of params, tokens and loss_nats of the optimum, from the law's draws; None: not estimated, or given."""
    notes: tuple[str, ...]
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
            "inference_flops": self.inference_flops,
            "interval_level": self.law.level,
            "intervals": {k: None if v is None else list(v) for k, v in self.intervals.items()},
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


def _solve(keys: SolveKeys) -> Solution:
    # The size is not known yet: the largest of the user's own runs comes nearest.
    setup = calibrated(build_setup(keys), keys, keys.params or float("1e30"))
    template = build_shape(_any_size(keys.model))
    repeats = keys.unique_tokens is not None and keys.law == DEFAULT_LAW
    law = choose_law(DATA_LIMITED_LAW if repeats else keys.law)
    given = given_budget(keys, setup.device)
    task = _Task(keys=keys, given=given, setup=setup, law=law, template=template)
    if given.flops is not None:
        return _solve_flops(task, given.flops)
    assert given.device_hours is not None
    return _solve_hours(task, given.device_hours)


def _any_size(keys: ModelKeys) -> ModelKeys:
    """The model keys with a size filled in; only kind, vocabulary and context are read. Raises UserError for a size."""
    sized = [k for k in ("params", "width", "depth", "heads", "ffn_width") if getattr(keys, k) is not None]
    if keys.name is not None or sized:
        raise UserError(
            f"solve chooses the model's size: leave out model.{'name' if keys.name else sized[0]} "
            "(model.vocab_size, model.context, model.ffn, model.tied_head and model.qk_norm may be given; "
            "params=… fixes the size)"
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
        loss_nats=predicted_loss(law, law.theta[None], params, tokens, keys.unique_tokens)[0],
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
    losses = predicted_loss(law, law.draws, params, budget.tokens, task.keys.unique_tokens)
    intervals = {
        "params": law.interval(split.params_draws),
        "tokens": law.interval(split.tokens_draws),
        "loss_nats": law.interval(losses),
    }
    return replace(solution, intervals=intervals)


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
    if not task.law.counts_non_embedding or task.keys.params is not None:
        return shape_of_size(params, task.template)
    shape = shape_of_size(2 * params, task.template)
    for _ in range(4):
        counts = count_params(shape)
        shape = shape_of_size(params + counts.total - counts.non_embedding, task.template)
    return shape
