"""`scaling fit`: fit scaling laws to a sweep or any table of parameters, tokens and loss, offline and without torch."""

from pathlib import Path

from scaling.cli import next_steps
from scaling.config.overrides import sort_words
from scaling.errors import UserError
from scaling.fitting.keys import APPROACHES, help_text, is_condition


def main(argv: list[str]) -> int:
    """Fit and print; returns the exit status.

    Raises:
        UserError, Refusal: what was given cannot be fitted, in one line.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    if "law=?" in argv:
        from scaling.fitting.asked import list_laws  # numpy is slow to import, for --help

        print(list_laws())
        return 0
    conditions = [word for word in argv if is_condition(word)]
    given = sort_words([word for word in argv if word not in conditions], ["--json"])
    source = given.single_name(
        "scaling fit needs one FILE or sweep folder (columns are named as params=COLUMN)"
    )
    from scaling.fitting.asked import parse_asked

    keys = parse_asked([*given.overrides, *conditions])
    if keys.approach not in APPROACHES:
        raise UserError(f"approach={keys.approach}: choose one of {', '.join(APPROACHES)}")
    if keys.accuracy is not None or keys.task_loss is not None:
        from scaling.fitting.downstream import report_downstream

        report_downstream(Path(source), keys, "--json" in given.flags)
        return 0
    if keys.joint is not None:
        from scaling.fitting.compare import report_joint

        report_joint(Path(source), keys, "--json" in given.flags)
        return 0
    from scaling.fitting.report import (  # pandas and matplotlib are slow to import, for --help
        fit_and_report,
        stem,
    )

    path = Path(source)
    fit_and_report(path, keys, as_json="--json" in given.flags)
    if "--json" not in given.flags:
        next_steps.after_fit(Path(keys.out or (path if path.is_dir() else f"{stem(path)}_fit")))
    return 0
