"""Published sizes and tokens reproduce published compute."""

import budget as benchmark
import pytest

from scaling.budget.history import HISTORY


def test_history_reproduces_gpt3s_table_and_judges_by_20_tokens() -> None:
    assert benchmark.gpt3_table_agreement() == (17, 17)
    models = {model.name: model for model in HISTORY}
    assert models["BERT-Large"].train_pf_days == pytest.approx(6.16, abs=0.005)
    assert models["T5-11B"].train_pf_days == pytest.approx(382, abs=0.5)
    assert models["GPT-3 175B"].train_pf_days == pytest.approx(3640, abs=5)
    assert models["GPT-3 175B"].verdict == "under-trained"
    assert models["Chinchilla"].verdict == "about optimal"
    assert models["Llama 3 8B"].verdict == "over-trained"
    assert all(model.source for model in HISTORY)
    assert [model.year for model in HISTORY] == sorted(model.year for model in HISTORY)
