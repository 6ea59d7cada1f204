"""What `scaling sample` can be told, and its help."""

from dataclasses import dataclass, fields

from scaling.config.overrides import field_help
from scaling.errors import UserError


@dataclass
class SampleKeys:
    """What `scaling sample RUN_FOLDER` can be told."""

    prompt: str = ""
    """text to continue, taken as it stands; it begins a document"""
    max_tokens: int = 200
    """tokens to add; fewer where the model ends the document"""
    temperature: float = 1.0
    """divides the logits: below 1 more certain, above 1 more varied; 0 takes the most probable token always"""
    top_k: int | None = None
    """draw from the k most probable tokens only"""
    top_p: float | None = None
    """draw from the smallest set of most probable tokens that reach this probability only"""
    seed: int = 0
    """seed of the draws: the same seed gives the same text"""

    def __post_init__(self) -> None:
        _require(self.max_tokens >= 0, f"max_tokens={self.max_tokens}: must not be negative")
        _require(
            0 <= self.temperature < float("inf"),
            f"temperature={self.temperature}: must be finite, at least 0",
        )
        _require(self.top_k is None or self.top_k >= 1, f"top_k={self.top_k}: must be at least 1, or null")
        _require(
            self.top_p is None or 0 < self.top_p <= 1, f"top_p={self.top_p}: must lie in (0, 1], or null"
        )
        _require(0 <= self.seed < 2**63, f"seed={self.seed}: must lie in 0 … 2^63 - 1")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def help_text() -> str:
    """The command's help, from the docstrings of its keys."""
    texts = field_help(SampleKeys)
    width = max(len(name) for name in texts)
    defaults = {item.name: item.default for item in fields(SampleKeys)}
    keys = "\n".join(
        f"  {name:{width}}  {text}" + (f" [{defaults[name]}]" if defaults[name] not in (None, "") else "")
        for name, text in texts.items()
    )
    return f"""usage: scaling sample RUN_FOLDER [key=value …]

Continue a text with a trained run's model (its model.safetensors, kept by trainer.save_model=true). Prints prompt and
continuation on standard output.

keys (default in brackets):
{keys}

examples:
  scaling sample runs/train prompt='def main(' temperature=0.8 top_p=0.95
  scaling sample runs/train/params150656-tokens999424-seed0 temperature=0 max_tokens=50
"""
