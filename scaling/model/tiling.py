"""Sizes of the pieces in which training works through large tensors.

They bound the workspace of a step, so the memory accounting reads them too. This file therefore imports no torch.
"""

LOSS_LOGITS = 2**18
"""Logits that the loss of `scaling/model/cpu_ops.py` holds at once. They stay in a processor's cache, and the memory
that they take does not grow with the batch."""
LOSS_ROWS = 256
"""Tokens whose logits are held at once, at least: matrix products of fewer rows are slower a row."""

MUON_STACKED_NUMBERS = 2**21
"""Numbers in one stack of matrices that `scaling/training/muon.py` orthogonalises together. Larger stacks are no
faster, and the workspace of the update does not grow with the model's depth."""


def loss_rows(vocab_size: int) -> int:
    """Tokens whose logits the loss holds at once."""
    return max(LOSS_ROWS, LOSS_LOGITS // vocab_size)
