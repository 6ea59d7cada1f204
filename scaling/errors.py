"""The error of a user's mistake. Every other exception is a bug, and the commands show it with its traceback."""

from analysis.refusals import Refusal


class UserError(Refusal):
    """What the user gave cannot be used as it is: a key, a value, a file or a folder.

    Its message is one line, which says what was wrong, what its value was, and how to mend it.
    """
