"""Bits per byte stay bits per byte."""

from simulated_isoflop import isoflop_study

from analysis import fit, load
from analysis.loss_unit import loss_unit


def test_the_unit_of_the_loss_goes_with_the_fit() -> None:
    runs = isoflop_study()
    bits = runs.assign(bpb=runs["loss"] * 0.3).drop(columns="loss")
    result = fit(load(bits), bootstrap=0)
    assert loss_unit(result.convention) == "bits/byte"
    assert "bits/byte" in result.plot().get_xlabel()
    assert loss_unit(load(runs).convention) == "nats/token"
    assert loss_unit(load(runs, convention={"loss": "bits per byte"}).convention) == "bits/byte"
