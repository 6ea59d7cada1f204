"""Which precisions of training may be fitted together: those that keep float32 weights.

Products in bfloat16 or float16 over float32 weights end within the noise of a run's loss (Micikevicius et al., 2018,
arXiv:1710.03740), so that a law sees no difference. Weights kept in 16 bits lose small updates, and 8 bits or fewer
change the law itself (Kumar et al., 2024, arXiv:2411.04330).
"""

from collections.abc import Iterable

PRECISION_COLUMNS = ("precision", "dtype")
_FLOAT32_WEIGHTS = frozenset({
    "32", "32-true", "fp32", "f32", "float32", "tf32",
    "bf16-mixed", "bf16", "bfloat16", "16-mixed", "fp16-mixed", "fp16", "float16", "amp", "mixed",
    "bf16-master", "16-master",
})  # fmt: skip


def keep_float32_weights(values: Iterable[object]) -> bool:
    """Whether every one of these names of a precision means float32 weights; a name that is not known does not."""
    return all(
        str(value).lower().replace("_", "-").removeprefix("torch.") in _FLOAT32_WEIGHTS for value in values
    )
