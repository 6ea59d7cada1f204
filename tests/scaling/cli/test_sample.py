"""`scaling sample`: text from a trained run, and the mistakes that it names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.cli.sample import main
from scaling.config.schema import TrainConfig
from scaling.training.pretrain import pretrain


def test_text_from_a_run_of_bytes(
    tiny_job: Callable[..., TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_job([4096])
    record = pretrain(config)[0]
    run = str(config.folder / record.run_id)
    prompt = "a: {b} # ${c}"
    assert main([run, f"prompt={prompt}", "max_tokens=20", "temperature=0.7", "top_k=50", "top_p=0.9"]) == 0
    first = capsys.readouterr().out
    assert first.startswith(prompt)
    assert main([str(config.folder), f"prompt={prompt}", "max_tokens=20", "temperature=0.7", "top_k=50",
                 "top_p=0.9"]) == 0  # fmt: skip
    assert capsys.readouterr().out == first
    assert main([run, "prompt=a", "max_tokens=0"]) == 0
    assert capsys.readouterr().out == "a\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["top_k=0"], "top_k=0: must be at least 1"),
        (["top_p=1.5"], "top_p=1.5: must be at most 1"),
        (["temperature=-1"], "temperature=-1"),
        (["temprature=1"], "did you mean temperature"),
        (["max_tokens=many"], "max_tokens=many"),
        ([], "holds no model.safetensors"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        main([str(tmp_path), *words])
