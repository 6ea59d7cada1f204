"""`scaling sample`: continue a text with a trained run's model."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from scaling.config.overrides import field_help, parse, sort_words
from scaling.config.ranges import COUNT, Range


@dataclass
class SampleKeys:
    """The keys of `scaling sample RUN_FOLDER`."""

    prompt: str = ""
    """text to continue, taken as it is typed; it begins a document"""
    max_tokens: Annotated[int, Range(at_least=0, at_most=10**9)] = 200
    """tokens to add; fewer where the model ends the document"""
    temperature: Annotated[float, Range(at_least=0, at_most=1e6)] = 1.0
    """divides the logits: below 1 more certain, above 1 more varied; 0 takes the most probable token always"""
    top_k: Annotated[int | None, COUNT] = None
    """draw from the k most probable tokens only"""
    top_p: Annotated[float | None, Range(above=0, at_most=1)] = None
    """draw from the smallest set of most probable tokens whose probabilities reach this sum"""
    seed: Annotated[int, Range(at_least=0, below=2**63)] = 0
    """seed of the draws: the same seed gives the same text"""


def main(argv: list[str]) -> int:
    """Print a prompt and its continuation; returns the exit status.

    Raises:
        UserError: one line, for a folder without a model or a wrong key.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    # A prompt is text, whatever it would mean as YAML: it is set aside from the words that are parsed.
    prompts = [word.removeprefix("prompt=") for word in argv if word.startswith("prompt=")]
    words = sort_words([word for word in argv if not word.startswith("prompt=")])
    folder = words.single_name("scaling sample needs one RUN_FOLDER, and key=value for all else")
    keys = parse(words.overrides, SampleKeys)
    prompt = prompts[-1] if prompts else keys.prompt

    from scaling.model.sampling import continued
    from scaling.model.saved import load

    text = continued(
        load(Path(folder)), prompt, keys.max_tokens, keys.seed, keys.temperature, keys.top_k, keys.top_p
    )
    print(prompt + text)
    return 0


def help_text() -> str:
    """The command's help, from the docstrings of its keys."""
    texts = field_help(SampleKeys)
    width = max(len(name) for name in texts)
    defaults = {item.name: item.default for item in fields(SampleKeys)}
    keys = "\n".join(
        f"  {name:{width}}  {text}" + (f" [{defaults[name]}]" if defaults[name] not in (None, "") else "")
        for name, text in texts.items()
    )
    return f"""usage: scaling sample RUN_FOLDER [key=value …]

Continue a text with a trained run's model (its model.safetensors, kept by trainer.save_model=true). Prints prompt and
continuation on standard output.

keys (default in brackets):
{keys}

examples:
  scaling sample runs/train prompt='def main(' temperature=0.8 top_p=0.95
  scaling sample runs/train/params150656-tokens999424-seed0 temperature=0 max_tokens=50
"""
