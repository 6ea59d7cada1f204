"""The README shows the budget table that the benchmark last printed, and says the constants that the code has."""

import re
from pathlib import Path

from scaling.accounting.cost import GOODPUT, REALISED

ROOT = Path(__file__).parents[3]


def test_the_readme_shows_the_measured_table() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"<!-- benchmarks/results/budget.md -->\n(.*?)<!-- end -->", readme, re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "benchmarks" / "results" / "budget.md").read_text()
    assert "(short)" not in shown[1]


def test_the_readme_says_the_constants_of_the_code() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"over {REALISED:g}, the median of eleven projects" in readme.replace("\n", " ")
    assert f"a goodput of {GOODPUT:g}" in readme
