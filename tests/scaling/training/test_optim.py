"""Which optimizer updates which parameters, float32 masters, and clipping."""

import pytest
import torch

from scaling.config.schema import AdamWConfig, MuonConfig
from scaling.training.muon import Muon
from scaling.training.optim import (
    MasterWeights,
    MuonWithAdamW,
    build_optimizer,
    clip_gradients,
    state_tensors,
)


def test_products_follow_the_precision() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4))
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        optimizer = build_optimizer(MuonConfig(), model, 1e-3, precision)
        assert isinstance(optimizer, MuonWithAdamW)
        muon = optimizer.parts[0]
        assert isinstance(muon, Muon)
        assert muon.dtype is dtype


@pytest.mark.parametrize("most", [0.1, 1e3])
def test_clipping_is_pytorchs(most: float) -> None:
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in ((3, 4), (5,), (2, 2))]
    for p in parameters:
        p.grad = torch.randn_like(p)
    twins = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
    for p, twin in zip(parameters, twins, strict=True):
        assert p.grad is not None
        twin.grad = p.grad.clone()
    clip_gradients(parameters, most)
    torch.nn.utils.clip_grad_norm_(twins, most)
    for p, twin in zip(parameters, twins, strict=True):
        assert p.grad is not None
        assert twin.grad is not None
        assert torch.equal(p.grad, twin.grad)


def test_updates_too_small_for_bfloat16_add_up_in_the_masters() -> None:
    model = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.ones_(model.weight)
    optimizer = build_optimizer(AdamWConfig(weight_decay=0.0), model, 1e-4, "bf16-master")
    assert isinstance(optimizer, MasterWeights)
    assert model.weight.dtype is torch.bfloat16
    for _ in range(100):  # each takes 0.0001 of 1, where bfloat16 has steps of 0.004
        torch.autograd.backward(model.weight.float().sum())
        assert model.weight.grad is None
        optimizer.step()
        optimizer.zero_grad()
    assert model.weight.mean().item() == pytest.approx(0.99, abs=0.002)
    assert {tensor.dtype for tensor in state_tensors(optimizer)} == {torch.float32}


def test_muon_updates_the_matrices_between_hidden_states_alone() -> None:
    model = torch.nn.ModuleDict({name: torch.nn.Linear(4, 4) for name in ("embedding", "blocks", "head")})
    optimizer = build_optimizer(MuonConfig(), model, 1e-3)
    assert isinstance(optimizer, MuonWithAdamW)
    muon, adamw = optimizer.parts
    assert [id(p) for group in muon.param_groups for p in group["params"]] == [id(model["blocks"].weight)]
    others = [p for p in model.parameters() if p is not model["blocks"].weight]
    assert {id(p) for group in adamw.param_groups for p in group["params"]} == {id(p) for p in others}
