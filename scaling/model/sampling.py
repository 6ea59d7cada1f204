"""Text from a trained model: the rules that choose the next token, and the loop that applies them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from scaling.model.decoder import Decoder
from scaling.model.saved import TrainedModel


def tempered(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities (..., V), float64: softmax(logits / temperature); at 0, 1 for the largest logit."""
    logits = logits.double()
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    # Subtracting the largest logit before the division keeps a low temperature from overflowing.
    return torch.softmax((logits - logits.amax(-1, keepdim=True)) / temperature, dim=-1)


def keep_top_k(probabilities: Tensor, k: int) -> Tensor:
    """Probabilities of the k most probable tokens, renormalised; all tokens where there are fewer than k."""
    kept = probabilities.topk(min(k, probabilities.shape[-1]), dim=-1).indices
    return _renormalised(torch.zeros_like(probabilities).scatter(-1, kept, probabilities.gather(-1, kept)))


def keep_top_p(probabilities: Tensor, p: float) -> Tensor:
    """The fewest tokens whose probabilities reach p together, renormalised (nucleus sampling, Holtzman et al. 2020)."""
    if p >= 1:
        return probabilities  # the sum, rounded, may reach 1 before the last token
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
    """Probabilities of the next token (..., V): temperature first, then top-k, then top-p of the tokens that remain."""
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
    """An endless stream of tokens that follow `tokens`; the model reads the latest tokens that fit its context."""
    generator = torch.Generator().manual_seed(seed)
    seen = list(tokens)
    while True:
        window = torch.tensor([seen[-model.shape.context :]])
        probabilities = next_token_probabilities(model(window)[0, -1], temperature, top_k, top_p)
        seen.append(int(torch.multinomial(probabilities, 1, generator=generator)))
        yield seen[-1]


def continued(
    trained: TrainedModel,
    prompt: str,
    max_tokens: int,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> str:
    """Text that follows a prompt, which is taken as the beginning of a document.

    It ends where the model ends the document, or after `max_tokens` tokens.
    """
    tokenizer = trained.tokenizer
    (document,) = tokenizer.encode([prompt.encode()])
    *prompt_tokens, separator = document.tolist()
    generated: list[int] = []
    # In training, a separator stands before every document.
    for token in tokens_after(trained.model, [separator, *prompt_tokens], seed, temperature, top_k, top_p):
        if token == separator or len(generated) == max_tokens:
            break
        generated.append(token)
    return str(tokenizer.decode(generated))
