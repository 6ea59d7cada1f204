"""A comparison of studies on disk: JSON, Markdown, a figure, and one HTML page as `scaling fit` leaves it."""

import json
from base64 import b64encode
from dataclasses import asdict
from pathlib import Path

from analysis.compare import Pair, StudiesCompared
from analysis.joint import Joint
from analysis.present import in_markdown
from analysis.report import TEMPLATES, Json, finite, plain, rows_or_reason
from analysis.sections.compared import compared_sections
from analysis.sections.section import FLAGS
from analysis.study import Refused

CAPTION = "The best loss of each study at each compute, and how much more compute the first needs for the same loss."


def to_dict(found: StudiesCompared) -> Json:
    """The comparison as plain values."""
    return {
        "law": found.law,
        "unit": found.unit,
        "level": found.level,
        "notes": list(found.notes),
        "studies": {
            name: {
                "source": found.tables[name].source,
                "runs": len(found.tables[name]),
                "parameters": result.parameters,
                "exponents": result.exponents,
                "intervals": {key: list(ends) for key, ends in result.intervals.items()},
                "objective": result.objective,
                "convention": dict(result.convention),
                "warnings": list(result.certificate.warnings),
            }
            for name, result in found.fits.items()
        },
        "pairs": [pair_dict(pair) for pair in found.pairs],
        "joint": joint_dict(found.joint),
    }


def pair_dict(pair: Pair) -> Json:
    """One pair: differences, multipliers and their trend."""
    growth, low, high = pair.trend
    return {
        "first": pair.first,
        "second": pair.second,
        "matched_jobs": pair.matched,
        "differences": pair.differences.to_dict("records"),
        "compute_multipliers": rows_or_reason(pair.multipliers),
        "multiplier_growth_per_decade": {"estimate": growth, "low": low, "high": high},
    }


def joint_dict(joint: Joint | Refused) -> Json:
    """The joint models and the tests between them."""
    if isinstance(joint, Refused):
        return asdict(joint)
    return {
        "models": [
            {
                "shared": list(model.shared),
                "free_parameters": model.parameters,
                "objective": model.objective,
                "groups": model.frame().to_dict("index"),
            }
            for model in joint.models
        ],
        "tests": [asdict(test) for test in joint.tests],
        "exponents_differ_p": joint.exponents.p,
    }


def to_json(found: StudiesCompared) -> str:
    """The comparison as strict JSON: what is not estimated, or not finite, is null."""
    return json.dumps(finite(to_dict(found)), indent=2, allow_nan=False, default=plain)


def write(found: StudiesCompared, folder: Path, title: str, figures: bool = True) -> None:
    """Leave `compare.json`, `compare.md`, `report.html` and `figures/compare.png|svg` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    told = compared_sections(found)
    files: dict[str, bytes] = {}
    if figures:
        from analysis.compare_figure import draw_comparison  # matplotlib is slow to import
        from analysis.style import render

        files = render(draw_comparison(found))
        (folder / "figures").mkdir(exist_ok=True)
        for kind, content in files.items():
            (folder / "figures" / f"compare.{kind}").write_bytes(content)
    shown = [(CAPTION, b64encode(files["svg"]).decode())] if files else []
    page = TEMPLATES.get_template("report.html").render(
        title=title, sections=told, figures=shown, flags=FLAGS
    )
    for name, text in {
        "compare.json": to_json(found) + "\n",
        "compare.md": f"# {title}\n\n{in_markdown(told)}",
        "report.html": page,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
