"""A study on disk: JSON, Markdown, figures, and one self-contained HTML file that can be mailed as it is."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from analysis.frontier import Envelope
from analysis.held_back import HeldBack
from analysis.identified import identification
from analysis.isoflop import Valleys
from analysis.present import markdown, sections
from analysis.result import FitResult
from analysis.sections.choice import choice_frame
from analysis.sections.section import FLAGS
from analysis.study import Refused, Study
from analysis.table import is_simulated
from analysis.verdict import verdict_on_plan

Json = dict[str, Any]
"""An object of JSON; its values have many types."""

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
)
"""The pages that are made here, in `analysis/templates/`; what is put into them is escaped."""

CAPTIONS = {
    "valleys": "Loss against size on each compute budget, with the fitted minima and their intervals.",
    "optimal_params": "Compute-optimal size by each approach, extrapolated to the planned budget (dotted).",
    "optimal_tokens": "Compute-optimal tokens by each approach.",
    "contours": "Predicted loss over size and tokens; the frontier joins the cheapest way to each loss.",
    "fit": "Observed against predicted loss.",
    "residuals": "What the law leaves unexplained. A trend here means the law bends and its extrapolation with it.",
    "correlations": "Which estimates the runs cannot tell apart.",
    "training_curves": "The envelope of training curves, from which approach 1 reads its optima.",
}


def to_dict(study: Study, approach: str = "all") -> Json:
    """The study as plain values; the fitted law's own keys (`parameters`, `objective`, …) stand at the top.

    Args:
        study: what `analyse` gave.
        approach: whose `exponents`, with their `intervals`, stand at the top: "all" and "parametric" mean the fitted
            law's, "isoflop" the valleys' (by parabola), "envelope" the training curves'.
    """
    record: Json = {}
    if isinstance(study.fit, FitResult):
        record |= json.loads(study.fit.to_json())
        known = identification(study.fit)
        record["identification"] = {
            "identified": known.identified,
            "judged": known.judged,
            "doubtful": list(known.doubtful),
            "words": known.words,
        }
    else:
        record["convention"] = study.table.convention
        record["refused"] = asdict(study.fit)
    record["table"] = {
        "source": study.table.source,
        "runs": len(study.table),
        "excluded": study.table.excluded_by_reason(),
        "notes": list(study.table.notes),
    }
    record["target_flops"] = study.target_flops
    record["isoflop"] = {"parabola": valleys_dict(study.valleys), "akima": valleys_dict(study.akima)}
    record["envelope"] = (
        asdict(study.envelope) if isinstance(study.envelope, Refused) else lines_dict(study.envelope)
    )
    asked = {"isoflop": record["isoflop"]["parabola"], "envelope": record["envelope"]}.get(approach)
    record["approach"] = approach
    if asked is not None and "exponents" in asked:
        others = {k: v for k, v in record.get("intervals", {}).items() if k not in ("a", "b")}
        record["exponents"] = asked["exponents"]
        record["intervals"] = others | asked["intervals"]
    record["approaches"] = {
        "flops": study.comparison.flops,
        "rows": study.comparison.frame.to_dict("records"),
        "disagreements": list(study.comparison.disagreements),
    }
    verdict = verdict_on_plan(study)
    if verdict is not None:
        record["plan_verdict"] = {
            "grade": verdict.grade,
            "words": verdict.words,
            "reasons": list(verdict.reasons),
        }
    record["plan"] = rows_or_reason(study.plan)
    record["regret"] = {
        source: asdict(part) if isinstance(part, Refused) else [asdict(regret) for regret in part]
        for source, part in (("law", study.regrets), ("valleys", study.valley_regrets))
    } | {"usd_per_flop": study.usd_per_flop}
    held = study.held_back
    record["held_back"] = (
        {**{k: v for k, v in vars(held).items() if not isinstance(v, pd.DataFrame)}}
        | {"runs": held.runs.to_dict("records"), "optimum": held.optimum.to_dict("records")}
        if isinstance(held, HeldBack)
        else asdict(held)
    )
    record["backtest"] = rows_or_reason(study.backtest)
    record["laws"] = rows_or_reason(
        study.laws if isinstance(study.laws, Refused) else choice_frame(study.laws)
    )
    if study.predictions is not None:
        record["predictions"] = (
            asdict(study.predictions)
            if isinstance(study.predictions, Refused)
            else study.predictions.records()
        )
    record["outliers"] = (
        asdict(study.outliers)
        if isinstance(study.outliers, Refused)
        else {
            "runs": study.outliers.runs.to_dict("records"),
            "parameters_without": study.outliers.without.parameters if study.outliers.without else None,
        }
    )
    return record


def rows_or_reason(part: pd.DataFrame | Refused) -> object:
    """One object for each row, or the reason why there are none."""
    return asdict(part) if isinstance(part, Refused) else part.to_dict("records")


def valleys_dict(part: Valleys | Refused) -> Json:
    """Budgets and lines of approach 2, refused budgets with their reasons."""
    if isinstance(part, Refused):
        return asdict(part)
    return lines_dict(part) | {
        "budgets": part.frame().to_dict("records"),
        "noise": part.noise,
        "law_refused": part.law_refused,
    }


def lines_dict(part: Valleys | Envelope) -> Json:
    """Exponents of approach 1 or 2, with their intervals."""
    lines = {"a": part.params_law, "b": part.tokens_law}
    return {
        "exponents": {name: line.exponent for name, line in lines.items() if line is not None},
        "intervals": {name: list(line.exponent_interval) for name, line in lines.items() if line is not None},
        "level": part.level,
    }


def to_json(study: Study, approach: str = "all", indent: int | None = 2) -> str:
    """The study as strict JSON: what was not estimated, or is not finite, is null. `approach` as `to_dict` takes it."""
    return json.dumps(finite(to_dict(study, approach)), indent=indent, allow_nan=False, default=plain)


def finite(value: object) -> object:
    """The value with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return None
    return value


def plain(value: object) -> object:
    """numpy's scalars as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def html(study: Study, title: str = "Scaling study", figures: Mapping[str, bytes] | None = None) -> str:
    """One HTML file with all tables and figures in it, needing nothing from the network.

    Args:
        study: what `analyse` gave.
        title: heading of the page.
        figures: its figures as SVG files, by name; drawn where they are not given.
    """
    files = {name: files["svg"] for name, files in rendered(study).items()} if figures is None else figures
    shown = [(CAPTIONS[name], b64encode(svg).decode()) for name, svg in files.items()]
    return TEMPLATES.get_template("report.html").render(
        title=title, sections=sections(study), figures=shown, flags=FLAGS
    )


def rendered(study: Study) -> dict[str, dict[str, bytes]]:
    """Every figure that the study's parts allow: its name → its file in each format."""
    from analysis.figures import draw_all  # matplotlib is slow to import
    from analysis.style import render

    return {name: render(figure) for name, figure in draw_all(study).items()}


def write(
    study: Study,
    folder: Path,
    title: str = "Scaling study",
    approach: str = "all",
    figures: bool = True,
) -> list[Path]:
    """Leave `study.json`, `study.md`, `report.html` and `figures/*.png|svg` in a folder; returns the paths.

    A study without a parametric fit leaves the same files, with the reason in them. Without `figures` the report has
    its tables and sentences alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    title += " (SIMULATED)" if is_simulated(study.table) else ""
    drawn = rendered(study) if figures else {}
    texts = {
        "study.json": to_json(study, approach) + "\n",
        "study.md": f"# {title}\n\n{markdown(study)}",
        "report.html": html(study, title, {name: files["svg"] for name, files in drawn.items()}),
    }
    paths = []
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        paths.append(folder / name)
    for name, files in drawn.items():
        for kind, content in files.items():
            path = folder / "figures" / f"{name}.{kind}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            paths.append(path)
    return paths
