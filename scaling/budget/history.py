"""Training compute of well-known models, and whether they saw enough tokens by today's rule of thumb.

Parameters and tokens are those their papers print, so that compute reproduces the published tables.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from scaling.shape.flops import pf_days

TOKENS_PER_PARAM = 20.0
"""Compute-optimal tokens a parameter, as a rule of thumb (Hoffmann et al. 2022, arXiv:2203.15556, table 3)."""

NEAR = 1.5
"""Within this factor of the rule a model counts as trained about optimally."""


@dataclass(frozen=True, kw_only=True)
class HistoricModel:
    """A model's published size and training tokens."""

    name: str
    year: int
    params: float
    """As printed; of a mixture the active ones."""
    tokens: float
    flops_per_param_per_token: int = 6
    """6 (forward 2, backward 4); 3 for an encoder-decoder, where a token passes half of the parameters."""
    source: str

    @property
    def train_flops(self) -> float:
        return self.flops_per_param_per_token * self.params * self.tokens

    @property
    def train_pf_days(self) -> float:
        return pf_days(self.train_flops)

    @property
    def tokens_per_param(self) -> float:
        return self.tokens / self.params

    @property
    def verdict(self) -> str:
        """under-trained, about optimal or over-trained beside 20 tokens a parameter."""
        ratio = self.tokens_per_param / TOKENS_PER_PARAM
        if ratio < 1 / NEAR:
            return "under-trained"
        return "over-trained" if ratio > NEAR else "about optimal"

    def to_json(self) -> dict[str, object]:
        """Published and derived figures, for programs."""
        return {
            **asdict(self),
            "train_flops": self.train_flops,
            "train_pf_days": self.train_pf_days,
            "tokens_per_param": self.tokens_per_param,
            "verdict": self.verdict,
        }


_D1 = "GPT-3, arXiv:2005.14165, table D.1"


def _row(name: str, year: int, params: float, tokens: float, source: str, flops: int = 6) -> HistoricModel:
    return HistoricModel(
        name=name,
        year=year,
        params=params,
        tokens=tokens,
        flops_per_param_per_token=flops,
        source=source,
    )


HISTORY: tuple[HistoricModel, ...] = (
    _row("BERT-Base", 2018, 109e6, 250e9, _D1),
    _row("BERT-Large", 2018, 355e6, 250e9, _D1),
    _row("RoBERTa-Base", 2019, 125e6, 2000e9, _D1),
    _row("RoBERTa-Large", 2019, 355e6, 2000e9, _D1),
    _row("T5-Small", 2019, 60e6, 1000e9, _D1, 3),
    _row("T5-Base", 2019, 220e6, 1000e9, _D1, 3),
    _row("T5-Large", 2019, 770e6, 1000e9, _D1, 3),
    _row("T5-3B", 2019, 3000e6, 1000e9, _D1, 3),
    _row("T5-11B", 2019, 11000e6, 1000e9, _D1, 3),
    _row("GPT-3 Small", 2020, 125e6, 300e9, _D1),
    _row("GPT-3 Medium", 2020, 356e6, 300e9, _D1),
    _row("GPT-3 Large", 2020, 760e6, 300e9, _D1),
    _row("GPT-3 XL", 2020, 1320e6, 300e9, _D1),
    _row("GPT-3 2.7B", 2020, 2650e6, 300e9, _D1),
    _row("GPT-3 6.7B", 2020, 6660e6, 300e9, _D1),
    _row("GPT-3 13B", 2020, 12850e6, 300e9, _D1),
    _row("GPT-3 175B", 2020, 174600e6, 300e9, _D1),
    _row("Gopher", 2021, 280e9, 300e9, "arXiv:2112.11446"),
    _row("Chinchilla", 2022, 70e9, 1.4e12, "arXiv:2203.15556, table 4"),
    _row("PaLM 540B", 2022, 540.35e9, 780e9, "arXiv:2204.02311, tables 1 and 2"),
    _row("OPT-175B", 2022, 175e9, 180e9, "arXiv:2205.01068, section 2"),
    _row("BLOOM", 2022, 176.2e9, 366e9, "arXiv:2211.05100, section 3"),
    _row("LLaMA 7B", 2023, 6.7e9, 1.0e12, "arXiv:2302.13971, table 2"),
    _row("LLaMA 65B", 2023, 65.2e9, 1.4e12, "arXiv:2302.13971, table 2"),
    _row("Pythia 12B", 2023, 11.85e9, 300e9, "arXiv:2304.01373, table 1"),
    _row("Llama 2 7B", 2023, 6.74e9, 2.0e12, "arXiv:2307.09288, table 1"),
    _row("Llama 2 70B", 2023, 69.0e9, 2.0e12, "arXiv:2307.09288, table 1"),
    _row("Llama 3 8B", 2024, 8.03e9, 15e12, "model card of Llama 3"),
    _row("Llama 3.1 405B", 2024, 405e9, 15.6e12, "arXiv:2407.21783, section 3"),
    _row("DeepSeek-V3", 2024, 37e9, 14.8e12, "arXiv:2412.19437, active parameters"),
)
"""Oldest first."""
