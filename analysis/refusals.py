"""Why a table, a fit or a question was refused: a class for each reason, and a message that says how to mend it."""


class Refusal(ValueError):
    """What was given cannot support the answer that was asked for."""


class BadTable(Refusal):
    """The file or frame cannot be read as a table of runs."""


class BadColumn(Refusal):
    """A column is missing, or a name fits several columns or none."""


class BadValue(Refusal):
    """A quantity that must be finite and positive (parameters, tokens, a weight) is not, or an option is unknown."""


class BadLoss(Refusal):
    """A loss is not finite or not positive."""


class DuplicateRows(Refusal):
    """Rows that claim to be the same run carry different losses."""


class MixedTable(Refusal):
    """Rows come from different corpora, tokenizers or counting conventions: no one law describes them."""


class TooFewPoints(Refusal):
    """Fewer runs (or clusters of runs) than the law has parameters to pay for."""


class NoSpread(Refusal):
    """A variable of the law hardly varies over the runs."""


class NotIdentified(Refusal):
    """The runs do not determine the quantity: another value would fit as well."""


class NoMinimum(Refusal):
    """A valley or an allocation has no interior minimum."""


class NoOptimum(Refusal):
    """The law has no compute-optimal allocation, or none in the range that was asked for."""
