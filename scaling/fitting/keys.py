"""The keys of `scaling fit`, and its help."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

import yaml

from scaling.config.overrides import field_help, parse
from scaling.config.ranges import FLOPS, Range
from scaling.errors import UserError

APPROACHES = ("all", "parametric", "isoflop", "envelope")
_WHERE = re.compile(r"where\.((?:(?!<=|>=|!=|=|<|>).)+(?:<=|>=|!=|<|>|(?==)))=?(.*)", re.DOTALL)
"""A condition: the column with its comparison, unless that is =, and the value."""
COLUMNS = ("params", "tokens", "loss", "flops", "loss_se", "cluster", "budget", "unique_tokens")


@dataclass
class FitKeys:
    """What `scaling fit FILE` can be told."""

    law: str = "chinchilla"
    """chinchilla, kappa, farseer, kaplan, muennighoff, moe_clark, … (law=? lists all with their formulas), for a table
    of optima (C, N_opt, perhaps D_opt) optimum, or your own: FILE.py:FUNCTION"""
    fixed: dict[str, float] = field(default_factory=dict)
    """parameters held at a value: fixed.E=1.6"""
    approach: str = "all"
    """all, parametric (approach 3), isoflop (approach 2, valleys) or envelope (approach 1, training curves)"""
    objective: str = "huber_log"
    """what is minimised: huber_log (δ = 1e-3), mse_log, mse, mae, mae_log, asymmetric_mae or huber_density"""
    weights: str | None = None
    """loss_se: measure each residual in units of its recorded standard error"""
    params: str | None = None
    """column that holds the number of parameters"""
    tokens: str | None = None
    """column that holds the training tokens"""
    loss: str | None = None
    """column that holds the loss in nats/token"""
    flops: str | None = None
    """column that holds the training FLOPs; without one (flops=none) they are 6 · params · tokens"""
    loss_se: str | None = None
    """column that holds the standard error of each loss"""
    cluster: str | None = None
    """column that names the training job a run branched from: such runs are resampled together; none: no two rows are
    of one job"""
    budget: str | None = None
    """column that names each run's compute budget in FLOPs; without one budgets are inferred from shared FLOPs"""
    unique_tokens: str | None = None
    """column that holds the unique tokens (data-constrained law)"""
    step: str | None = None
    """column that holds the training step (law=multi_power)"""
    learning_rate: str | None = None
    """column that holds the learning rate (law=multi_power, learning_rate_nd, learning_rate_c)"""
    batch_tokens: str | None = None
    """column that holds the batch in tokens (law=batch_tokens_d, batch_tokens_c)"""
    columns: dict[str, str] = field(default_factory=dict)
    """column of any other variable of the law, which is a key too: columns.experts=E or experts=E"""
    task_loss: str | None = None
    """column that holds the loss on a task's right answers; with accuracy=, the task is predicted in two steps"""
    accuracy: str | None = None
    """column that holds the accuracy on that task, between 0 and 1"""
    chance: Annotated[float | None, Range(at_least=0, below=1)] = None
    """accuracy of guessing on that task, such as .25"""
    joint: str | None = None
    """column whose values get a law each with shared exponents, and a test whether these differ: joint=optimizer"""
    units: dict[str, float] = field(default_factory=dict)
    """what 1 stands for in a column of counts: units.tokens=1e9; by default what its name says (tokens_b), else 1"""
    where: dict[str, Any] = field(default_factory=dict)  # a value is text, a number or a flag
    """use only these rows: where.COLUMN=VALUE, where.COLUMN=[A,B], 'where.params<3e9', where.COLUMN!=VALUE"""
    mixed: list[str] = field(default_factory=list)
    """conditions that may differ between rows fitted together: mixed=[optimizer,schedule] or mixed=[all]"""
    repeats: str = "refuse"
    """rows of the same size and tokens with different losses and no seed: refuse, keep (all) or best (lowest loss)"""
    missing: str = "refuse"
    """rows without a loss, parameters or tokens: refuse, or drop (counted)"""
    sep: str | None = None
    """what separates the columns of a text: , ; | tab or space; by default what splits its lines alike"""
    decimal: str | None = None
    """the decimal mark, , or . (by default the numbers tell)"""
    convention: dict[str, str] = field(default_factory=dict)
    """what you know and the file does not say: convention.params="without embeddings\""""
    level: Annotated[float, Range(above=0, below=1)] = 0.9
    """probability of every interval"""
    bootstrap: Annotated[int, Range(at_least=0, at_most=10**6)] = 1000
    """bootstrap resamples; 0 leaves the law's intervals not estimated"""
    seed: Annotated[int, Range(at_least=0, below=2**63)] = 0
    """seed of the bootstrap"""
    target_flops: Annotated[float | None, FLOPS] = None
    """compute to plan for; by default 10 times the largest in the table"""
    figures: bool = True
    """draw figures; figures=no leaves the tables and sentences alone, which is faster"""
    hardware: str | None = None
    """device on which the next model is trained (a name of `scaling budget hardware`, or a YAML file): what a wrong
    size costs is then said in US dollars, too"""
    price: Annotated[float | None, Range(above=0, at_most=1e9)] = None
    """US dollars an hour of that device; by default the catalogue's dated example"""
    mfu: Annotated[float | None, Range(above=0, at_most=1)] = None
    """share of the device's dense peak that the model's FLOPs reach; by default that of a usual run"""
    predict: str | None = None
    """another table whose runs are predicted, columns named as in FILE; its losses, where it has some, are compared"""
    out: str | None = None
    """folder for study.json, report.html and figures; by default runs/NAME/fit for a sweep, else FILE_fit here"""

    def named(self, roles: Iterable[str]) -> dict[str, str]:
        """Role → column, for those of these roles whose column the user named."""
        named = {role: getattr(self, role, None) or self.columns.get(role) for role in roles}
        return {role: column for role, column in named.items() if column is not None}


def parse_keys(words: Sequence[str]) -> FitKeys:
    """The keys of a command line, with conditions such as where.params<3e9, and marks that YAML does not take.

    Raises:
        UserError: a key or value that cannot be.
    """
    conditions = {
        found[1].strip(): read_value(found[2]) for word in words if (found := _WHERE.fullmatch(word))
    }
    others = [word for word in words if not _WHERE.fullmatch(word)]
    keys = parse([quoted(word) for word in others], FitKeys)
    return replace(keys, where={**keys.where, **conditions})


def is_condition(word: str) -> bool:
    """Whether a word of the command line chooses rows: where.COLUMN=VALUE, where.COLUMN<NUMBER."""
    return _WHERE.fullmatch(word) is not None


def read_value(text: str) -> object:
    """The value of a condition: text as it is typed, or a list as YAML reads it."""
    if not text.startswith(("[", "'", '"')):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"where: {text} is no list such as [0,1]") from error


def quoted(word: str) -> str:
    """A word whose value is a mark of punctuation, quoted as YAML wants it."""
    key, _, value = word.partition("=")
    return f"{key}={json.dumps(value)}" if key in ("sep", "decimal") else word


@dataclass
class CompareKeys(FitKeys):
    """What `scaling compare` can be told: how tables are read and fitted, and how one is split."""

    by: str | None = None
    """column whose values are the studies to compare, where one table holds them all: by=optimizer"""


def help_text() -> str:
    """The command's help, from the docstrings of its keys."""
    texts = field_help(FitKeys)
    width = max(len(name) for name in texts)
    defaults = {f.name: getattr(FitKeys(), f.name) for f in fields(FitKeys)}
    rows = []
    for name, text in texts.items():
        default = defaults[name]
        rows.append(f"  {name:{width}}  {text}" + (f" [{default}]" if default not in (None, {}, []) else ""))
    keys = "\n".join(rows)
    return f"""usage: scaling fit FILE|runs/NAME [key=value …] [--json]

Fit scaling laws to a table of runs (CSV with any separator, JSON, Parquet or Excel, also .gz) or to a sweep's folder,
by all three classical approaches, with intervals, a test on the table's own largest runs, and a plan for more compute.

  --json  print the result alone on standard output, and write files only where out= says

keys (default in brackets):
{keys}

examples:
  scaling fit runs/quickstart
  scaling fit losses.csv params=N tokens=D loss=val_loss
  scaling fit losses.csv where.dataset=c4 law=gadre objective=mse_log
  scaling fit losses.csv 'where.params<3e9' missing=drop units.flops=1e18
  scaling fit optima.csv law=optimum
  scaling fit losses.csv --json | jq .exponents
  scaling fit curves.csv law=multi_power cluster=run step=step learning_rate=lr
  scaling fit sweep.csv law=learning_rate_nd params=N tokens=D learning_rate=lr
  scaling fit routed.csv law=moe_clark params_active=dense experts=E fixed.E_max=300
  scaling fit law=?
"""
