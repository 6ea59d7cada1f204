"""What designs teach, drawn: how far N_opt is off at the target, by design and approach."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from analysis.style import COLOURS, draw, render
from scaling.errors import UserError
from scaling.simulate.teaching import Teaching

COLOUR_OF = {"3 law": COLOURS["law"], "2 valleys": COLOURS["valleys"], "1 envelope": COLOURS["envelope"]}


def write_figure(teachings: Sequence[Teaching], path: Path) -> None:
    """Bias and one standard deviation of log N_opt by design and approach, the information's promise beside it.

    Raises:
        UserError: a format that is not PNG or SVG.
    """
    kind = path.suffix.lstrip(".")
    if kind not in ("png", "svg"):
        raise UserError(f"figure={path}: name a .png or .svg file")

    def drawing(ax: Axes) -> Axes:
        shift = np.linspace(-0.2, 0.2, len(COLOUR_OF))
        for place, teaching in enumerate(teachings):
            for offset, (approach, colour) in zip(shift, COLOUR_OF.items(), strict=True):
                found = [
                    x for x in teaching.lessons
                    if x.approach == approach and x.target is not None and x.target.kind == "n_opt"
                ]  # fmt: skip
                for lesson in found:
                    ax.errorbar(
                        place + offset, lesson.bias, lesson.spread, fmt="o", color=colour, capsize=3,
                        label=f"approach {approach}" if place == 0 else None,
                    )  # fmt: skip
                    if np.isfinite(lesson.fisher):
                        ax.plot(
                            [place + offset] * 2, [-lesson.fisher, lesson.fisher], "_", color="black", ms=14
                        )
        ax.axhline(0, color="black", lw=0.8)
        ax.set_xticks(range(len(teachings)), [t.design.name for t in teachings], fontsize=7)
        ax.set_ylabel(f"error of log N_opt at {teachings[0].flops:.3g} FLOPs")
        ax.set_title("SIMULATED: error by design (bars: Fisher)")
        ax.legend()
        return ax

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(render(draw(drawing))[kind])
