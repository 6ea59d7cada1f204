"""Sizes of pieces: a bound on memory, and enough rows for fast products."""

from scaling.model.tiling import LOSS_LOGITS, LOSS_ROWS, loss_rows


def test_the_loss_holds_few_logits_but_never_few_rows() -> None:
    assert loss_rows(257) * 257 <= LOSS_LOGITS < (loss_rows(257) + 1) * 257
    assert loss_rows(50_257) == LOSS_ROWS
