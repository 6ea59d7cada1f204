"""Parameters equal every published count and the real model's."""

import csv
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.accounting.layout import Layout
from scaling.accounting.states import device_params
from scaling.model.decoder import Decoder
from scaling.shape.params import count_params
from scaling.shape.published_models import CHINCHILLA_TABLE_A9, PUBLISHED
from scaling.shape.shape import ModelShape, decoder_shape

FACTS = Path(__file__).parents[2] / "published"


def facts(name: str) -> list[dict[str, str]]:
    with (FACTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


@st.composite
def decoders(draw: st.DrawFn) -> ModelShape:
    heads = draw(st.sampled_from([1, 2, 3, 4, 6]))
    return decoder_shape(
        width=heads * draw(st.sampled_from([2, 4, 8])),
        depth=draw(st.integers(1, 3)),
        heads=heads,
        kv_heads=draw(st.sampled_from([k for k in range(1, heads + 1) if heads % k == 0])),
        head_width=draw(st.sampled_from([2, 4, 6])),
        ffn_width=draw(st.integers(1, 40)),
        vocab_size=draw(st.integers(1, 60)),
        context=draw(st.integers(1, 12)),
        ffn=draw(st.sampled_from(["swiglu", "gelu"])),
        tied_head=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
    )


@pytest.mark.parametrize("row", facts("params_exact.csv"), ids=lambda row: row["model"])
def test_exact_published_counts(row: dict[str, str]) -> None:
    assert count_params(PUBLISHED[row["model"]]).total == int(row["params_total"])


@pytest.mark.parametrize("row", facts("pythia_params.csv"), ids=lambda row: row["model"])
def test_pythia_counts_with_and_without_embeddings(row: dict[str, str]) -> None:
    counts = count_params(PUBLISHED[row["model"]])
    assert counts.total == int(row["params_total"])
    assert counts.non_embedding == int(row["params_non_embedding"])


@pytest.mark.parametrize("row", facts("params_rounded.csv"), ids=lambda row: row["model"])
def test_rounded_published_counts(row: dict[str, str]) -> None:
    published = row["params_billion"]
    digits = len(published.partition(".")[2])
    tolerance = 10**-digits  # one in the last printed digit: some papers round, some cut
    assert count_params(PUBLISHED[row["model"]]).total / 1e9 == pytest.approx(float(published), abs=tolerance)


def test_chinchilla_table_a9_within_one_percent() -> None:
    assert len(CHINCHILLA_TABLE_A9) == 50
    for millions, *_ in CHINCHILLA_TABLE_A9:
        assert count_params(PUBLISHED[f"chinchilla-{millions}m"]).total == pytest.approx(
            millions * 1e6, rel=0.01
        )


def test_active_parameters_of_mixtures() -> None:
    # "Each token has access to 47B parameters, but only uses 13B" (arXiv:2401.04088); 37B of 671B (arXiv:2412.19437)
    assert count_params(PUBLISHED["mixtral-8x7b"]).active == pytest.approx(13e9, rel=0.02)
    assert count_params(PUBLISHED["deepseek-v3"]).active == pytest.approx(37e9, rel=0.02)


@settings(max_examples=60, deadline=None)
@given(decoders())
def test_counts_equal_the_real_model(shape: ModelShape) -> None:
    with torch.device("meta"):
        model = Decoder(shape)
    counts = count_params(shape)
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.norms == sum(p.numel() for p in model.parameters() if p.ndim == 1)
    assert counts.embedding == model.embedding.weight.numel()


@settings(max_examples=100, deadline=None)
@given(decoders())
def test_a_tied_head_is_counted_once(shape: ModelShape) -> None:
    from dataclasses import replace

    tied, untied = (count_params(replace(shape, tied_head=value)) for value in (True, False))
    assert untied.total - tied.total == shape.vocab_size * shape.width
    assert tied.head == 0
    assert untied.non_embedding == tied.non_embedding


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_one_device_holds_is_the_whole_model(name: str) -> None:
    shape = PUBLISHED[name]
    assert device_params(shape, Layout()).total == pytest.approx(count_params(shape).total, rel=1e-12)
