"""A study in words and tables: the same sections go to the terminal, to Markdown and to the HTML report."""

from collections.abc import Iterable

from analysis.sections.choice import choice_section, predictions_section
from analysis.sections.foretold import backtest_section, held_back_section
from analysis.sections.law import law_section
from analysis.sections.optima import approaches_section, plan_section, valleys_section
from analysis.sections.regret import regret_section
from analysis.sections.runs import runs_section
from analysis.sections.section import Section
from analysis.study import Study


def sections(study: Study) -> tuple[Section, ...]:
    """All that a study says, in reading order."""
    return (
        runs_section(study),
        valleys_section(study),
        law_section(study),
        approaches_section(study),
        plan_section(study),
        regret_section(study),
        held_back_section(study.held_back),
        backtest_section(study.backtest),
        choice_section(study),
        *(() if study.predictions is None else (predictions_section(study.predictions),)),
    )


def markdown(study: Study) -> str:
    """The whole study as Markdown."""
    return in_markdown(sections(study))


def in_markdown(told: Iterable[Section]) -> str:
    """Sections as Markdown."""
    parts = []
    for section in told:
        lines = [f"## {section.title}", ""]
        if section.lead:
            lines += [section.lead, ""]
        if section.rows:
            lines += ["| " + " | ".join(section.header) + " |", "|" + "---|" * len(section.header)]
            lines += ["| " + " | ".join(row) + " |" for row in section.rows]
            lines.append("")
        lines += [f"{words}\n" for words in section.words]
        parts.append("\n".join(lines))
    return "\n".join(parts)
