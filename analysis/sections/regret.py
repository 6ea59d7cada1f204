"""What it costs to be wrong about the best size: how flat each valley is, in compute, loss and money."""

from analysis.formats import compute, count
from analysis.regret import WITHIN
from analysis.regret_words import in_words, lost, money, sizes
from analysis.sections.section import Section, refused_section
from analysis.study import Refused, Study

BY = {"valley": "valley", "law": "fitted law"}
"""How the table names what an optimum comes from."""


def regret_section(study: Study) -> Section:
    """For each optimum that the report prints: the sizes that cost little, and what its uncertainty costs."""
    title = "What it costs to be wrong about the size"
    parts = [part for part in (study.valley_regrets, study.regrets) if not isinstance(part, Refused)]
    found = [regret for part in parts for regret in part]
    if not found:
        assert isinstance(study.regrets, Refused)
        return refused_section(title, study.regrets)
    price = study.usd_per_flop
    header = (
        "compute FLOPs",
        "by",
        "N_opt",
        *(f"within {100 * share:g} % of compute" for share in WITHIN),
        "lost at the interval's ends",
        "expected",
        f"{study.level:.0%} at most",
        *(("expected, USD",) if price is not None else ()),
    )
    rows = tuple(
        (
            compute(r.flops),
            BY[r.source],
            count(r.params_opt),
            *(sizes(r, share) for share in WITHIN),
            " / ".join(lost(end) for end in r.share_at_ends),
            lost(r.expected_share),
            lost(r.high_share),
            *((money(r, price),) if price is not None else ()),
        )
        for r in found
    )
    words = [in_words(regret, price) for regret in found if regret.source == "law"][-1:]
    words.append(
        "Lost compute is what the best size would not have needed for the same loss. By a valley it follows from the "
        "parabola's curvature and from how the minima fall between budgets. Both hold if the law does: they say "
        "nothing of a law that bends beyond the runs."
    )
    return Section(title, header, rows, tuple(words))
