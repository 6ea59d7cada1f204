"""The variables that laws read: what each counts, in which unit, between which bounds, and how tables name it."""

import re
from dataclasses import dataclass
from math import inf

import numpy as np


@dataclass(frozen=True)
class Variable:
    """A quantity that some law reads or predicts.

    Attributes:
        name: its role, as `scaling fit FILE name=COLUMN` calls it.
        meaning: what it counts, with its unit.
        names: how columns of tables call it beside its own name, as `reading.names.plain_name` writes them.
        low, high: it lies between them.
        low_too: the lower bound itself is allowed.
    """

    name: str
    meaning: str
    names: tuple[str, ...] = ()
    low: float = 0.0
    high: float = inf
    low_too: bool = False

    def allows(self, values: np.ndarray) -> np.ndarray:
        """Which of the values the quantity can have."""
        above = values >= self.low if self.low_too else values > self.low
        return np.asarray(np.isfinite(values) & above & (values <= self.high))

    @property
    def bounds(self) -> str:
        """Its bounds in words."""
        if self.low == -inf:
            return "finite"
        if self.high < inf:
            return f"between {self.low:g} and {self.high:g}"
        return f"finite and at least {self.low:g}" if self.low_too else "finite and positive"


def _variable(name: str, meaning: str, names: str = "", **bounds: float) -> Variable:
    return Variable(name, meaning, tuple(names.split()), **bounds)  # type: ignore[arg-type]


VARIABLES: dict[str, Variable] = {
    variable.name: variable
    for variable in (
        _variable("params", "parameters of the model"),
        _variable("tokens", "training tokens, repeats included"),
        _variable("flops", "training FLOPs"),
        _variable("loss", "loss in nats/token"),
        _variable("unique_tokens", "distinct training tokens"),
        _variable(
            "params_active",
            "parameters that one token passes through",
            "active_params active_parameters n_active params_activated activated_params dense_parameter_count "
            "num_active_params n_act",
        ),
        _variable(
            "params_total",
            "all parameters, those of every expert included",
            "total_params total_parameters total_parameter_count n_total",
        ),
        _variable("experts", "experts in each routed layer", "num_experts n_experts expert_count", low=1, low_too=True),
        _variable("granularity", "how many times narrower an expert is than a dense layer", "g", low=0),
        _variable(
            "sparsity", "share of the parameters that a token leaves out", "sparsity_level", low=0, low_too=True, high=1
        ),
        _variable("compression", "total over active parameters", "p sparsity_ratio total_over_active"),
        _variable("tokens_dense", "tokens before the model was made sparse", "d1 dense_tokens"),
        _variable("tokens_sparse", "tokens after the model was made sparse", "d2 sparse_tokens upcycled_tokens"),
        _variable(
            "params_non_vocab",
            "parameters outside the embeddings",
            "non_vocab_parameters non_vocab_params params_non_embedding non_embedding_params non_embedding_param_size",
        ),
        _variable("vocab_size", "entries of the vocabulary", "vocabulary_size n_vocab v"),
        _variable("characters", "characters of training text", "num_characters n_characters chars num_chars"),
        _variable(
            "normalized_loss",
            "loss in nats/token less the unigram model's, below zero",
            "unigram_normalized_loss lossu loss_u",
            low=-inf,
        ),
        _variable("proportion", "share of a domain in the training data", low=0, low_too=True, high=1),
        _variable("bits", "bits of each weight in training", "weight_bits bit_width w_bits p_w bitwidth", low=0),
        _variable("activation_bits", "bits of each activation", "a_bits p_a act_bits", low=0),
        _variable("kv_bits", "bits of each key and value", "kv_cache_bits p_kv", low=0),
        _variable(
            "streams", "parallel streams of one model", "parallel_size n_streams num_streams", low=1, low_too=True
        ),
        _variable(
            "learning_rate",
            "peak learning rate",
            "lr max_lr peak_lr best_lr lr_opt optimal_lr max_learning_rate peak_learning_rate",
        ),
        _variable(
            "batch_tokens",
            "tokens in a batch",
            "batch_size_tokens tokens_per_batch best_batch_tokens global_batch_tokens",
        ),
        _variable(
            "batch_sequences", "sequences in a batch", "bsz bs batch_size global_batch_size batch sequences_per_batch"
        ),
        _variable("area", "sum of the learning rates until a step"),
        _variable("drop", "fall of the learning rate at each step"),
        _variable("rate", "learning rate after each fall"),
        _variable("since", "sum of the learning rates since each fall"),
    )
}  # fmt: skip


def variable(name: str) -> Variable:
    """The variable of that name; `proportion_3` is the third of the proportions. An unknown one may be any number."""
    found = VARIABLES.get(name) or VARIABLES.get(re.sub(r"_\d+$", "", name))
    return Variable(name, "", low=-inf) if found is None else found
