"""From a foreign table to the columns that a fit reads: names, numbers, units, conventions, rows to leave out."""
