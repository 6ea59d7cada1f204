"""`scaling fit OPTIMA.csv law=optimum`: the exponents of optima that were found elsewhere."""

from pathlib import Path

from analysis.optima import Optima, fit_optima
from analysis.reading.few_columns import Told
from analysis.reading.files import read
from analysis.reading.optima import read_optima
from scaling.fitting.keys import COLUMNS, FitKeys


def fit_table_of_optima(source: Path, keys: FitKeys) -> tuple[Optima, list[str]]:
    """The lines through the optima of a file, and notes.

    Raises:
        Refusal: columns are missing, or there are fewer than three optima.
    """
    told = Told(keys.named(COLUMNS), keys.units, keys.where, keys.convention)
    table = read_optima(read(source, keys.sep, keys.decimal), told, tuple(keys.mixed), keys.missing)
    return fit_optima(table, keys.level, keys.target_flops), list(table.notes)
