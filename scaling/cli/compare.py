"""`scaling compare`: do studies differ in their laws, and how much compute is that worth?"""

from pathlib import Path

from scaling.config.overrides import field_help, sort_words
from scaling.errors import UserError
from scaling.fitting.keys import CompareKeys, is_condition

UNUSED = (
    "joint",
    "task_loss",
    "accuracy",
    "chance",
    "approach",
    "target_flops",
    "hardware",
    "price",
    "mfu",
    "step",
    "learning_rate",
    "batch_tokens",
)
"""Keys of `scaling fit` that a comparison has no use for."""


def help_text() -> str:
    """The command's help, from the docstrings of its keys."""
    texts = {name: text for name, text in field_help(CompareKeys).items() if name not in UNUSED}
    width = max(len(name) for name in texts)
    keys = "\n".join(f"  {name:{width}}  {text}" for name, text in texts.items())
    return f"""usage: scaling compare runs/A runs/B … [key=value …] [--json]
       scaling compare FILE by=COLUMN [key=value …] [--json]

Fit the laws of two or more studies (folders of sweeps, or tables of runs) side by side: the difference of each exponent
with its interval, how much more compute the first needs for the loss of another, and whether one law with shared
exponents describes them all.

  --json  print the result alone on standard output, and write files only where out= says

keys:
{keys}

examples:
  scaling compare runs/adamw runs/muon
  scaling compare old.csv new.csv loss=val_loss
  scaling compare all.csv by=optimizer 'where.params<3e9' 'where.dataset!=c4'
"""


def main(argv: list[str]) -> int:
    """Compare and print; returns the exit status.

    Raises:
        UserError, Refusal: what was given cannot be compared, in one line.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    conditions = [word for word in argv if is_condition(word)]
    given = sort_words([word for word in argv if word not in conditions], ["--json"])
    if not given.names:
        raise UserError("scaling compare needs two sweep folders or files, or one and by=COLUMN")
    from scaling.fitting.asked import compare_keys

    keys = compare_keys([*given.overrides, *conditions])
    from scaling.fitting.compare import compare_and_report  # pandas is slow to import, for --help

    compare_and_report([Path(name) for name in given.names], keys, as_json="--json" in given.flags)
    return 0
