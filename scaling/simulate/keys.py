"""The keys of `scaling simulate`: what is true, what is tried, what it costs. The text under one is its help."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from textwrap import wrap
from typing import Annotated, Any

from scaling.config.overrides import field_help
from scaling.config.ranges import COUNT, FLOPS, POSITIVE, SEED, SHARE, Range

RELATIVE = Range(at_least=0, below=1)
STUDIES = Range(at_least=2, at_most=10**6)


@dataclass(kw_only=True)
class WorldKeys:
    """What is true in a simulation, and how cost is counted."""

    law: str = "besiroglu2024"
    """what is true: a published law (besiroglu2024, hoffmann2022, …), a folder of fitted runs, or a fit's JSON"""
    noise: str | None = None
    """a folder or table of runs from which seed scatter, evaluation error, divergence and bend are estimated"""
    scatter: Annotated[float | None, RELATIVE] = None
    """relative standard deviation of the loss between seeds; by default that of noise=, else 0.005"""
    evaluation: Annotated[float | None, RELATIVE] = None
    """relative error of each loss as it is measured"""
    mistuning: Annotated[float | None, RELATIVE] = None
    """mean relative excess loss of a learning rate that is off, at the middle of the sizes"""
    mistuning_growth: Annotated[float | None, Range(at_least=-2, at_most=4)] = None
    """exponent with which that excess grows with size"""
    diverge: Annotated[float | None, RELATIVE] = None
    """probability that a run diverges"""
    bend: Annotated[float | None, RELATIVE] = None
    """how far the truth bends away from the law a decade from the middle, as a share of the loss"""
    hardware: str | None = None
    """a device of `scaling budget hardware` or a YAML file: adds device-hours, money and energy"""
    speed: str | None = None
    """a folder of runs timed on this machine: adds its hours"""
    price: Annotated[float | None, POSITIVE] = None
    """dollars for an hour of a device; by default the catalogue's example"""
    vocab_size: Annotated[int, COUNT] = 256
    """tokens of the vocabulary: decides the sizes that models can have"""
    context: Annotated[int, COUNT] = 1024
    """tokens a sequence"""
    trunks: bool = True
    """whether runs of one size and seed share a trunk, as `scaling sweep` trains them"""
    decay: Annotated[float | None, SHARE] = None
    """share of a run's tokens that it decays over, beside the trunk; by default 0.2"""
    objective: str = "huber_log"
    """what fits minimise, as in `scaling fit`"""
    seed: Annotated[int, SEED] = 0
    """of everything random"""


@dataclass(kw_only=True)
class TableKeys(WorldKeys):
    """What `scaling simulate` can be told: one simulated sweep."""

    design: str = "isoflop"
    """the runs: isoflop, grid, ladder, trunks or random, with numbers as isoflop:budgets=4,sizes=5,max_flops=1e20;
    or a CSV or YAML file with params and tokens, or the folder of a sweep"""
    curves: bool = False
    """also write curves.csv, the loss of each size at rising token counts"""
    out: str = "runs/simulated"
    """the folder to write, as `scaling fit` reads it"""


@dataclass(kw_only=True)
class CheckKeys:
    """How many simulated studies say what a design teaches."""

    studies: Annotated[int, STUDIES] = 400
    """simulated studies"""
    draws: Annotated[int, Range(at_least=0, at_most=10**5)] = 50
    """bootstrap resamples of each study's interval; 0 leaves coverage out"""
    level: Annotated[float, Range(above=0, below=1)] = 0.9
    """probability of intervals"""


@dataclass(kw_only=True)
class TeachKeys(CheckKeys, WorldKeys):
    """What `scaling simulate teach` can be told; compare takes design= several times."""

    design: str = "isoflop"
    """the runs, as for `scaling simulate`"""
    flops: Annotated[float | None, FLOPS] = None
    """compute that N_opt and its loss are asked at; by default 100 times the design's largest run"""
    prior: bool = False
    """let each study have a law of its own, drawn from all that may be true, in place of the estimate"""
    figure: str | None = None
    """a PNG or SVG file for the figure"""


@dataclass(kw_only=True)
class PoolKeys:
    """How a table of candidates is read, and what each of them costs."""

    cost: str | None = None
    """a column of the pool, or a formula of its columns; by default 6*params*tokens; 1: all the same"""
    columns: dict[str, str] = field(default_factory=dict)
    """the law's column → the pool's, as columns.params=N columns.tokens=D columns.loss=lm_loss"""
    units: dict[str, float] = field(default_factory=dict)
    """what 1 stands for in a column of the pool, as units.batch_tokens=2048"""
    where: dict[str, Any] = field(default_factory=dict)  # a value is text, a number or a flag
    """only rows of the pool with this value: where.COLUMN=VALUE"""


@dataclass(kw_only=True)
class ChoiceKeys(WorldKeys):
    """What a choice of runs is for, and what it may cost."""

    target: str = "n_opt"
    """what is asked: n_opt, loss or exponent"""
    flops: Annotated[float | None, FLOPS] = None
    """compute that it is asked at"""
    spend: Annotated[float | None, POSITIVE] = None
    """the most to spend, in `unit`"""
    unit: str = "flops"
    """flops, device_hours, usd, or hours (one job at a time on the device or machine named)"""
    within: Annotated[float | None, POSITIVE] = None
    """half of the interval that is good enough (0.05: 5 % to either side): the cheapest design that gives it, or when
    to stop"""
    candidates: Annotated[int, Range(at_least=10, at_most=20_000)] = 500
    """about how many runs to choose from"""
    runs: Annotated[int, Range(at_least=1, at_most=1000)] = 48
    """most runs chosen"""
    write: str | None = None
    """a YAML file for `scaling sweep design=FILE`"""


@dataclass(kw_only=True)
class OptimizeKeys(PoolKeys, CheckKeys, ChoiceKeys):
    """What `scaling simulate optimize` can be told."""

    target: str = "n_opt"
    """what is asked: n_opt, loss or exponent; with pool=, a table of the target region"""
    spend: Annotated[float | None, POSITIVE] = None
    """the most to spend, in `unit`; with pool=, a share of the pool's cost"""
    criterion: str = "v"
    """v (variance of the target), d (volume of all that is unknown) or regret (what the error of N_opt costs)"""
    largest: Annotated[float | None, FLOPS] = None
    """compute of the largest single run; by default what `spend` allows, or a hundredth of the target's"""
    seeds: Annotated[int, Range(at_least=1, at_most=20)] = 1
    """seeds that a candidate may be trained with"""
    runs: Annotated[int, Range(at_least=2, at_most=1000)] = 48
    """most runs chosen"""
    against: str | None = None
    """a design to compare with, such as isoflop:budgets=4,sizes=5,max_flops=1e19"""
    pool: str | None = None
    """a table of candidates to choose from, with the columns that the law reads; cost= says what each costs"""


@dataclass(kw_only=True)
class NextKeys(ChoiceKeys):
    """What `scaling simulate next runs/NAME` can be told."""

    flops: Annotated[float | None, FLOPS] = None
    """compute that it is asked at; by default 10 times the largest run"""
    spend: Annotated[float | None, POSITIVE] = None
    """the most to spend more, in `unit`; by default a tenth of what was spent"""
    largest: Annotated[float | None, FLOPS] = None
    """compute of the largest single run; by default the largest so far, or what `spend` allows"""
    fit_law: str = "chinchilla"
    """the form of law that the runs are fitted with"""
    candidates: Annotated[int, Range(at_least=10, at_most=20_000)] = 300
    """about how many runs to choose from"""
    runs: Annotated[int, Range(at_least=1, at_most=1000)] = 12
    """most runs proposed"""
    level: Annotated[float, Range(above=0, below=1)] = 0.9
    """probability of intervals"""


@dataclass(kw_only=True)
class ReplayKeys(PoolKeys):
    """What `scaling simulate replay` can be told."""

    pool: str = ""
    """a table of runs with their losses: the candidates; a column `split` may hold train and test in one table"""
    target: str = ""
    """a table of the target region, with losses; not needed where a column `split` says train and test"""
    spend: Annotated[float, Range(above=0, at_most=1)] = 0.1
    """share of the pool's cost that may be spent"""
    law: str = "chinchilla"
    """a law, or several with commas: R² is the mean over them"""
    outputs: list[str] = field(default_factory=list)
    """several columns that the law predicts, each by a fit of its own: outputs=[loss_1,loss_2]"""
    group: str | None = None
    """a column whose values are fitted and budgeted apart; R² is taken over all together"""
    objective: str = "mse_log"
    """what fits minimise"""
    seeds: Annotated[int, Range(at_least=1, at_most=1000)] = 10
    """random choices, and starts of the others"""
    methods: str = "chosen,v,random"
    """what is played: chosen (this tool's), v (one law's variance alone) and random"""


def help_of(schema: type, question: str) -> str:
    """The keys of a question with their defaults, from the docstrings under them."""
    texts = field_help(schema)
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(schema)}
    lines = [f"keys of scaling simulate {question}".rstrip() + ":"]
    for name, text in texts.items():
        default = defaults[name]
        shown = (
            ""
            if default in (None, "")
            else f" [{str(default).lower() if isinstance(default, bool) else default}]"
        )
        lines += wrap(f"{text}{shown}", 84, initial_indent=f"  {name:17}", subsequent_indent=" " * 19)
    return "\n".join(lines)


def split_designs(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of every `design=`, and the other words."""
    designs = [word.partition("=")[2] for word in overrides if word.startswith("design=")]
    return designs, [word for word in overrides if not word.startswith("design=")]
