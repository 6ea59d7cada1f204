"""What follows attention in a block: one feed-forward, or a mixture of experts of which a token visits a few."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FeedForward:
    """Two matrices with an activation between them, or three with a gate."""

    hidden: int
    """Features between the matrices."""
    gated: bool = True
    """Three matrices (gate, up, down), as in SwiGLU; otherwise two (up, down)."""
    bias: bool = False
    vectors_beside: int = 0
    """Learned numbers that are neither matrix nor bias: of the activation function, of a shift in time."""
    receptance: bool = False
    """A square matrix whose sigmoid multiplies the output (RWKV's channel mixing)."""

    def matrices(self, width: int) -> int:
        """Entries of the matrices."""
        return width * self.hidden * (3 if self.gated else 2) + width * width * self.receptance

    active_matrices = matrices
    """Entries that a token is multiplied with: all of them."""

    def vectors(self, width: int) -> int:
        """Biases and the like."""
        return self.bias * (width + self.hidden * (2 if self.gated else 1)) + self.vectors_beside

    def weights(self, width: int) -> int:
        """All weights."""
        return self.matrices(width) + self.vectors(width)

    def inactive(self, width: int) -> int:
        """Weights that a token does not use: none."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of experts: a router sends each token to `active` of `experts` feed-forwards (Shazeer et al. 2017)."""

    experts: int
    """Routed experts."""
    active: int
    """Routed experts that a token visits."""
    hidden: int
    """Features between the matrices of an expert."""
    gated: bool = True
    bias: bool = False
    """Experts have biases."""
    router_bias: bool = False
    shared: FeedForward | None = None
    """What every token visits beside the routed experts (DeepSeekMoE, arXiv:2401.06066)."""
    shared_gate: bool = False
    """A sigmoid of the input multiplies what the shared experts add (Qwen 1.5 MoE)."""
    idle: int = 0
    """Choices of the router that do nothing, so that some tokens visit fewer experts (LongCat): counted as if all of
    `active` were visited."""
    latent: int | None = None
    """Routed experts work on so many features, to which tokens are projected and back (Nemotron 3 Super); None: on the
    residual stream's."""

    def expert(self, width: int) -> int:
        """Weights of one routed expert."""
        return self._one(width).weights(self.latent or width)

    def expert_matrices(self, width: int) -> int:
        """Entries of the matrices of one routed expert."""
        return self._one(width).matrices(self.latent or width)

    def matrices_beside(self, width: int) -> int:
        """Entries of the matrices that every token meets besides the router's: shared experts, latent projections."""
        shared = 0 if self.shared is None else self.shared.matrices(width)
        return shared + (2 * width * self.latent if self.latent else 0)

    def router(self, width: int) -> int:
        """Entries of the router's matrix, and of the shared experts' gate."""
        return width * (self.experts + self.idle + self.shared_gate)

    def active_matrices(self, width: int) -> int:
        """Entries that a token is multiplied with."""
        return self.active * self.expert_matrices(width) + self.matrices_beside(width) + self.router(width)

    def vectors(self, width: int) -> int:
        """Biases of router and shared experts."""
        return self.experts * self.router_bias + (0 if self.shared is None else self.shared.vectors(width))

    def weights(self, width: int) -> int:
        """All weights."""
        routed = self.experts * self.expert(width)
        return routed + self.matrices_beside(width) + self.router(width) + self.vectors(width)

    def inactive(self, width: int) -> int:
        """Weights of the routed experts that a token does not visit."""
        return (self.experts - self.active) * self.expert(width)

    def _one(self, width: int) -> FeedForward:
        return FeedForward(hidden=self.hidden, gated=self.gated, bias=self.bias)
