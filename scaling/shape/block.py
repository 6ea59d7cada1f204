"""One block of a model: what mixes tokens, and what transforms each by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from scaling.shape.attention import Attention, LatentAttention
from scaling.shape.feed_forward import FeedForward, Mixture
from scaling.shape.recurrence import Recurrence

Mixer = Attention | LatentAttention | Recurrence


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of the residual stream."""

    mixers: tuple[Mixer, ...]
    """Mostly one; several see the same input and are summed (Falcon-H1); none in a block that only transforms."""
    ffn: FeedForward | Mixture | None
    """None in a block that only mixes (Nemotron-H)."""
    vectors_beside: int = 0
    """Learned numbers outside mixer, feed-forward and norms, such as scales of the residual stream."""

    @property
    def mixture(self) -> Mixture | None:
        """The mixture of experts, where the feed-forward is one."""
        return self.ffn if isinstance(self.ffn, Mixture) else None

    def norms(self, norms_per_block: int) -> int:
        """Norms of the residual stream in this block, where a whole block has so many."""
        parts = bool(self.mixers) + (self.ffn is not None)
        return 1 if norms_per_block == 1 else norms_per_block // 2 * parts


Run = tuple[int, Block]
"""So many equal blocks in a row."""


def merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Runs with neighbours that are equal made one."""
    result: list[Run] = []
    for count, block in runs:
        if result and result[-1][1] == block:
            count += result.pop()[0]
        if count:
            result.append((count, block))
    return tuple(result)
