"""Budgets of encoder-decoders (T5): parameters, FLOPs and model states, which do not need two sequence lengths."""

from __future__ import annotations

from dataclasses import dataclass

from scaling.accounting.layout import Layout
from scaling.accounting.recipe import TrainingRecipe
from scaling.accounting.states import ModelStates, model_states
from scaling.budget.keys import BudgetKeys
from scaling.budget.setup import build_setup, build_shape, training_tokens
from scaling.shape.flops import pf_days, train_flops_per_token
from scaling.shape.params import ParamCounts, count_params
from scaling.shape.shape import ModelShape

NOT_MODELLED = (
    "Not modelled for an encoder-decoder, whose two streams differ in length: activations, time, cost."
)


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderBudget:
    """What is known of training an encoder-decoder without its sequence lengths."""

    shape: ModelShape
    tokens: float
    recipe: TrainingRecipe
    params: ParamCounts
    states: ModelStates

    @property
    def train_flops(self) -> float:
        """3ND: a token passes either half of the parameters (GPT-3, arXiv:2005.14165, table D.1)."""
        return self.tokens * train_flops_per_token(self.shape, "6nd")

    @property
    def train_pf_days(self) -> float:
        return pf_days(self.train_flops)

    def to_json(self) -> dict[str, object]:
        """Every figure under a name with its unit, for programs; null where it is not modelled."""
        return {
            "params_total": self.params.total,
            "params_non_embedding": self.params.non_embedding,
            "params_active": self.params.active,
            "tokens": self.tokens,
            "tokens_per_param": self.tokens / self.params.total,
            "train_flops": self.train_flops,
            "train_pf_days": self.train_pf_days,
            "model_state_bytes": self.states.total,
            "peak_memory_bytes": None,
            "note": NOT_MODELLED,
        }


def encoder_decoder_budget(keys: BudgetKeys) -> EncoderDecoderBudget:
    """What `scaling budget` prints for an encoder-decoder: parameters, FLOPs, and model states on one device."""
    shape = build_shape(keys.model)
    tokens = training_tokens(keys, shape)
    recipe = build_setup(keys).recipe
    return EncoderDecoderBudget(
        shape=shape,
        tokens=tokens,
        recipe=recipe,
        params=count_params(shape),
        states=model_states(shape, recipe, Layout()),
    )
