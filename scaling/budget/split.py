"""How a scaling law divides compute between parameters and tokens, what loss it predicts, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from analysis import allocate
from scaling.budget.keys import SolveKeys
from scaling.budget.law import DATA_LIMITED_LAW, ChosenLaw
from scaling.errors import UserError

FAR = 10.0
"""Further than this factor outside the compute a law was fitted on, a caution says so."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a law divides compute."""

    params: float
    """In the law's own count."""
    tokens: float
    inference_flops: float
    """What is left for serving."""
    params_draws: np.ndarray
    """What it would say under each draw of the law, shape (B,); empty where sizes are given, or draws not asked for."""
    tokens_draws: np.ndarray


def split_compute(law: ChosenLaw, flops: float, keys: SolveKeys, *, with_draws: bool = True) -> Split:
    """Parameters and tokens that minimise the law's loss on `flops`, under what the keys fix.

    Raises UserError where nothing is left to train with, or the law does not know repeated data.
    """
    if keys.params is not None or keys.tokens is not None:
        return _fixed_split(flops, keys)
    served = keys.inference_tokens or 0.0
    knows_repetition = "unique_tokens" in law.form.variables
    if knows_repetition and keys.unique_tokens is None:
        raise UserError(f"law={law.name} needs unique_tokens: how many different tokens there are")
    unique = keys.unique_tokens if knows_repetition else None
    theta = np.vstack([law.theta[None], law.draws]) if with_draws else law.theta[None]
    budget = np.array([flops])
    if served:
        best = allocate.optimal_with_inference(law.form, theta, budget, served, unique_tokens=unique)
    else:
        best = allocate.optimal(law.form, theta, budget, unique_tokens=unique)
    params, tokens = best.params[:, 0], best.tokens[:, 0]
    if keys.unique_tokens is not None and not knows_repetition and tokens[0] > keys.unique_tokens:
        raise UserError(
            f"law={law.name} does not know what repeated data are worth, and its optimum of {tokens[0]:.3g} "
            f"tokens exceeds unique_tokens={keys.unique_tokens:.3g}: use law={DATA_LIMITED_LAW}, or tokens=…"
        )
    return Split(
        params=float(params[0]),
        tokens=float(tokens[0]),
        inference_flops=float(best.inference_flops[0, 0]),
        params_draws=params[1:],
        tokens_draws=tokens[1:],
    )


def _fixed_split(flops: float, keys: SolveKeys) -> Split:
    """What `flops` leave of one quantity where the other is given."""
    served = keys.inference_tokens or 0.0
    if keys.params is not None and keys.tokens is not None:
        raise UserError(
            "the model's size and its tokens together leave nothing to solve: use scaling budget model=… tokens=…"
        )
    if keys.params is not None:
        params = keys.params
        tokens = (flops - 2 * params * served) / (6 * params)
    else:
        assert keys.tokens is not None
        tokens = keys.tokens
        params = flops / (6 * tokens + 2 * served)
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


def predicted_loss(
    law: ChosenLaw, theta: np.ndarray, params: float, tokens: float, unique_tokens: float | None
) -> np.ndarray:
    """Loss in nats a token under each row of `theta`, shape (S, p) → (S,); `params` in the law's own count."""
    if not len(theta):
        return np.empty(0)
    known = {"params": params, "tokens": tokens, "unique_tokens": unique_tokens or tokens}
    runs = {name: np.array([known[name]]) for name in law.form.variables}
    loss: np.ndarray = np.exp(law.form.predict(theta, runs)[0][:, 0])
    return loss


def optimal_tokens(law: ChosenLaw, keys: SolveKeys, params: float) -> float:
    """Tokens at which a model of `params` parameters, in the law's count, is the best for its compute.

    Found by bisection over compute, since every law's best size rises with it.
    """
    free = replace(keys, params=None, tokens=None, inference_tokens=None)

    def best(log_flops: float) -> Split:
        return split_compute(law, exp(log_flops), free, with_draws=False)

    low, high = log(6 * params * params * 1e-4), log(6 * params * params * 1e8)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if best(middle).params < params else (low, middle)
    return best(high).tokens


def cautions(law: ChosenLaw, keys: SolveKeys, params: float, tokens: float) -> list[str]:
    """What to know before trusting the law for a run of this size, in one sentence each."""
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
    if law.counts_non_embedding:
        notes.append("this law counts non-embedding parameters, and so does its 6ND")
    return notes
