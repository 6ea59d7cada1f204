"""`scaling sample`: continue a text with a trained run's model."""

from pathlib import Path

from scaling.cli.sample_keys import SampleKeys, help_text
from scaling.config.overrides import parse
from scaling.errors import UserError


def main(argv: list[str]) -> int:
    """Print a prompt and its continuation; returns the exit status.

    Raises:
        UserError: one line, for a folder without a model or a wrong key.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    folders = [word for word in argv if "=" not in word or Path(word).is_dir()]
    if len(folders) != 1:
        given = f"{len(folders)} were given: {', '.join(folders)}" if folders else "none was given"
        raise UserError(f"scaling sample needs one RUN_FOLDER; {given} (key=value for all else)")
    # A prompt is text, whatever it would mean as YAML: it is set aside from the words that are parsed.
    words = [word for word in argv if word not in folders]
    prompts = [word.removeprefix("prompt=") for word in words if word.startswith("prompt=")]
    keys = parse([word for word in words if not word.startswith("prompt=")], SampleKeys)
    prompt = prompts[-1] if prompts else keys.prompt

    from scaling.model.sampling import continued
    from scaling.model.saved import load

    text = continued(
        load(Path(folders[0])), prompt, keys.max_tokens, keys.seed, keys.temperature, keys.top_k, keys.top_p
    )
    print(prompt + text)
    return 0
