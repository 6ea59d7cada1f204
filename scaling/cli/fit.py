"""`scaling fit`: fit scaling laws to a sweep or any table of parameters, tokens and loss, offline and without torch."""

from pathlib import Path

from scaling.config.overrides import parse
from scaling.errors import UserError
from scaling.fitting.keys import APPROACHES, FitKeys, help_text


def main(argv: list[str]) -> int:
    """Fit and print; returns the exit status.

    Raises:
        UserError, Refusal: what was given cannot be fitted, in one line.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    flags = [word for word in argv if word.startswith("-")]
    unknown = [flag for flag in flags if flag != "--json"]
    if unknown:
        raise UserError(f"{unknown[0]}: no such flag; scaling fit knows --json and --help")
    words = [word for word in argv if not word.startswith("-")]
    sources = [word for word in words if "=" not in word or Path(word).exists()]
    if len(sources) != 1:
        given = f"{len(sources)} were given: {', '.join(sources)}" if sources else "none was given"
        raise UserError(
            f"scaling fit needs one FILE or sweep folder; {given}. Columns are named as params=COLUMN"
        )
    keys = parse([word for word in words if word not in sources], FitKeys)
    if keys.approach not in APPROACHES:
        raise UserError(f"approach={keys.approach}: choose one of {', '.join(APPROACHES)}")
    from scaling.fitting.report import fit_and_report  # pandas and matplotlib are slow to import, for --help

    fit_and_report(Path(sources[0]), keys, as_json="--json" in flags)
    return 0
