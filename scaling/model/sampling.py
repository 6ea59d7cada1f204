"""Text from a trained model: how the next token is chosen, and the loop that chooses one after another."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scaling.model.decoder import Decoder
from scaling.model.saved import Trained


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities (..., V), float64: softmax of logits over the temperature; at 0 all on the first largest."""
    logits = logits.double()
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    # The largest is taken off before the division, which else overflows at a low temperature.
    return torch.softmax((logits - logits.amax(-1, keepdim=True)) / temperature, dim=-1)


def keep_top_k(probabilities: Tensor, k: int) -> Tensor:
    """The k most probable tokens (all, where there are fewer), renormalised."""
    kept = probabilities.topk(min(k, probabilities.shape[-1]), dim=-1).indices
    return _renormalised(torch.zeros_like(probabilities).scatter(-1, kept, probabilities.gather(-1, kept)))


def keep_top_p(probabilities: Tensor, p: float) -> Tensor:
    """The smallest set of most probable tokens whose probabilities reach p, renormalised (Holtzman et al., 2020)."""
    if p >= 1:
        return probabilities  # rounding may bring the sum to 1 before the last token
    descending, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = torch.nn.functional.pad(descending.cumsum(dim=-1)[..., :-1], (1, 0))
    return _renormalised(
        probabilities * torch.zeros_like(probabilities).scatter(-1, order, (before < p).double())
    )


def _renormalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(dim=-1, keepdim=True)


def next_token_probabilities(
    logits: Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> Tensor:
    """What the next token is drawn from: temperature first, then top-k, then top-p of what is left."""
    probabilities = tempered(logits, temperature)
    if top_k is not None:
        probabilities = keep_top_k(probabilities, top_k)
    return probabilities if top_p is None else keep_top_p(probabilities, top_p)


@torch.inference_mode()
def tokens_after(
    model: Decoder,
    tokens: list[int],
    seed: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Iterator[int]:
    """Tokens that follow `tokens`, without end; beyond its context the model sees only the latest tokens."""
    generator = torch.Generator().manual_seed(seed)
    seen = list(tokens)
    while True:
        window = torch.tensor([seen[-model.shape.context :]])
        probabilities = next_token_probabilities(model(window)[0, -1], temperature, top_k, top_p)
        seen.append(int(torch.multinomial(probabilities, 1, generator=generator)))
        yield seen[-1]


def continued(
    trained: Trained,
    prompt: str,
    max_tokens: int,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> str:
    """Text that follows a prompt taken as a document's beginning, up to its end or `max_tokens` tokens."""
    tokenizer = trained.tokenizer
    (document,) = tokenizer.encode([prompt.encode()])
    *prompt_tokens, separator = document.tolist()
    made: list[int] = []
    # A separator came before every document in training.
    for token in tokens_after(trained.model, [separator, *prompt_tokens], seed, temperature, top_k, top_p):
        if token == separator or len(made) == max_tokens:
            break
        made.append(token)
    return tokenizer.decode(made)
