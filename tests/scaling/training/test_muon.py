"""Batched Muon against torch's own, which takes one matrix at a time and iterates in bfloat16."""

import pytest
import torch

from scaling.training.muon import Muon, orthogonalise

SHAPES = [(16, 16), (40, 16), (16, 40), (16, 16), (40, 16), (8, 24)]


def matrices(dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=draw, dtype=dtype)) for shape in SHAPES]


def train(optimizer: torch.optim.Optimizer, params: list[torch.nn.Parameter], steps: int = 4) -> None:
    draw = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=draw)
        optimizer.step()


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.999), (torch.float32, 0.999)])
def test_updates_are_those_of_torchs_muon(dtype: torch.dtype, close: float) -> None:
    ours, theirs, start = matrices(), matrices(), matrices()
    train(Muon(ours, 0.02, momentum=0.9, weight_decay=0.1, dtype=dtype), ours)
    train(
        torch.optim.Muon(theirs, 0.02, 0.1, 0.9, adjust_lr_fn="match_rms_adamw"),
        theirs,
    )
    for a, b, before in zip(ours, theirs, start, strict=True):
        moved, expected = (a - before).detach(), (b - before).detach()
        assert torch.cosine_similarity(moved.flatten(), expected.flatten(), dim=0) > close
        assert moved.norm().item() == pytest.approx(expected.norm().item(), rel=0.01)


def test_a_matrix_is_updated_alike_alone_and_in_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    together, alone = matrices(), matrices()
    train(Muon(together, 0.02), together)
    monkeypatch.setattr("scaling.training.muon.MUON_STACKED_NUMBERS", 1)
    train(Muon(alone, 0.02), alone)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_singular_values_end_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(5, 12, 30), torch.float32))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_parameter_without_gradient_stays() -> None:
    params = matrices()
    optimizer = Muon(params, 0.1)
    for p in params[1:]:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert torch.equal(params[0], matrices()[0])
    assert not torch.equal(params[1], matrices()[1])


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not tensors of shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.ones(3))], 0.1)
