"""A design: which sizes are trained on how many tokens, in which jobs. Made by a rule, or read from a file.

`design=isoflop:budgets=4,sizes=5,max_flops=1e20` names a rule and its numbers; `design=FILE.csv` or `FILE.yaml` lists
the runs themselves; `design=runs/NAME` takes those that a sweep has recorded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from inspect import signature
from math import isfinite
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from analysis.allocate import TRAIN_FLOPS_PER_PARAM_TOKEN
from scaling.config.nearest import nearest
from scaling.errors import UserError

LARGEST_DESIGN = 2_000_000
"""Runs of a design, at most: what a few gigabytes of memory hold."""


@dataclass(frozen=True)
class Design:
    """The runs of an experiment. Arrays of shape (n,).

    Attributes:
        name: what the user called it.
        params: total parameters of each run.
        tokens: training tokens of each run.
        seed: seed of each run.
        budget: the IsoFLOP budget that a run belongs to, in FLOPs; NaN for a run of none.
        trunks: whether the runs of one size and seed are branches of one training job.
    """

    name: str
    params: np.ndarray
    tokens: np.ndarray
    seed: np.ndarray
    budget: np.ndarray
    trunks: bool

    def __len__(self) -> int:
        return len(self.params)

    @property
    def flops(self) -> np.ndarray:
        """6ND of each run, as if it were trained alone, shape (n,)."""
        return np.asarray(TRAIN_FLOPS_PER_PARAM_TOKEN * self.params * self.tokens)

    @property
    def job(self) -> np.ndarray:
        """Number of the training job of each run, shape (n,)."""
        if not self.trunks:
            return np.arange(len(self))
        pairs = np.stack([self.params, self.seed], axis=1)
        return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].ravel())

    def take(self, which: np.ndarray) -> "Design":
        """The runs that a mask or an index selects."""
        arrays = {
            f.name: getattr(self, f.name)[which] for f in fields(self) if f.name not in ("name", "trunks")
        }
        return replace(self, **arrays)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns that a law of size and tokens reads."""
        return {"params": self.params, "tokens": self.tokens}


def listed(
    name: str,
    params: np.ndarray,
    tokens: np.ndarray,
    seed: np.ndarray | None = None,
    budget: np.ndarray | None = None,
    trunks: bool = True,
) -> Design:
    """A design of the runs given, by size, then tokens.

    Raises:
        UserError: no runs, too many, or a number that is not finite and positive.
    """
    params, tokens = (np.asarray(values, dtype=float).ravel() for values in (params, tokens))
    if not len(params):
        raise UserError(f"design={name}: it has no runs")
    if len(params) > LARGEST_DESIGN:
        raise UserError(f"design={name}: {len(params):,} runs; at most {LARGEST_DESIGN:,}")
    for what, values in (("params", params), ("tokens", tokens)):
        wrong = ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            raise UserError(
                f"design={name}: {what} must be finite and positive; run {wrong.argmax() + 1} has {values[wrong][0]:g}"
            )
    seeds = np.zeros(len(params), dtype=int) if seed is None else np.asarray(seed, dtype=int)
    budgets = np.full(len(params), np.nan) if budget is None else np.asarray(budget, dtype=float)
    order = np.lexsort((seeds, tokens, params))
    return Design(name, params[order], tokens[order], seeds[order], budgets[order], trunks)


# --- rules ------------------------------------------------------------------------------------------------------

Optimum = Callable[[np.ndarray], np.ndarray]
"""FLOPs of shape (m,) → the size that is expected to be best there, shape (m,)."""


def isoflop(
    best: Optimum,
    min_flops: float,
    max_flops: float,
    budgets: float = 4,
    sizes: float = 5,
    size_ratio: float = 1.8,
    seeds: float = 1,
) -> dict[str, np.ndarray]:
    """Compute budgets evenly spaced in their logarithm, and at each sizes around the expected optimum.

    All budgets draw their sizes from one geometric ladder, so that budgets share sizes and the runs of a size a trunk.
    """
    flops = np.geomspace(min_flops, max_flops, int(budgets)) if budgets > 1 else np.array([max_flops])
    middle = best(flops)
    origin = middle[len(flops) // 2]
    rung = np.round(np.log(middle / origin) / np.log(size_ratio) - (sizes - 1) / 2)
    params = origin * size_ratio ** (rung[:, None] + np.arange(int(sizes)))
    budget = np.repeat(flops, int(sizes))
    return _repeated(
        params.ravel(), budget / TRAIN_FLOPS_PER_PARAM_TOKEN / params.ravel(), int(seeds), budget
    )


def grid(
    best: Optimum,
    min_flops: float,
    max_flops: float,
    sizes: float = 5,
    counts: float = 5,
    min_params: float | None = None,
    max_params: float | None = None,
    min_tokens: float | None = None,
    max_tokens: float | None = None,
    seeds: float = 1,
) -> dict[str, np.ndarray]:
    """Every size with every token count; by default the sizes and tokens that are best from min_flops to max_flops."""
    ends = np.array([min_flops, max_flops])
    size = best(ends)
    token = ends / TRAIN_FLOPS_PER_PARAM_TOKEN / size
    params = np.geomspace(min_params or size[0], max_params or size[1], int(sizes))
    tokens = np.geomspace(min_tokens or token[0], max_tokens or token[1], int(counts))
    pairs = np.meshgrid(params, tokens, indexing="ij")
    return _repeated(pairs[0].ravel(), pairs[1].ravel(), int(seeds))


def ladder(
    best: Optimum,
    min_flops: float,
    max_flops: float,
    sizes: float = 6,
    tokens_per_param: float = 20.0,
    least_ratio: float | None = None,
    ratios: float = 1,
    seeds: float = 1,
) -> dict[str, np.ndarray]:
    """Sizes at one ratio of tokens to parameters, or at several from least_ratio to tokens_per_param."""
    each = np.geomspace(least_ratio or tokens_per_param, tokens_per_param, int(ratios))
    ends = np.sqrt(np.array([min_flops, max_flops]) / TRAIN_FLOPS_PER_PARAM_TOKEN / each[-1])
    params = np.repeat(np.geomspace(ends[0], ends[1], int(sizes)), len(each))
    return _repeated(params, params * np.tile(each, int(sizes)), int(seeds))


def trunks(
    best: Optimum,
    min_flops: float,
    max_flops: float,
    sizes: float = 6,
    branches: float = 4,
    branch_ratio: float = 2.0,
    seeds: float = 1,
) -> dict[str, np.ndarray]:
    """One training job a size, as long as is best from min_flops to max_flops, with branches that decay earlier."""
    flops = np.geomspace(min_flops, max_flops, int(sizes))
    params = best(flops)
    longest = flops / TRAIN_FLOPS_PER_PARAM_TOKEN / params
    share = branch_ratio ** -np.arange(int(branches), dtype=float)
    return _repeated(np.repeat(params, len(share)), (longest[:, None] * share).ravel(), int(seeds))


def random(
    best: Optimum,
    min_flops: float,
    max_flops: float,
    runs: float = 20,
    span: float = 5.0,
    seed: float = 0,
) -> dict[str, np.ndarray]:
    """Compute drawn evenly in its logarithm, and a size up to `span` times off the optimum expected there."""
    rng = np.random.default_rng(int(seed))
    flops = np.exp(rng.uniform(np.log(min_flops), np.log(max_flops), int(runs)))
    params = best(flops) * span ** rng.uniform(-1, 1, int(runs))
    return _repeated(params, flops / TRAIN_FLOPS_PER_PARAM_TOKEN / params, 1)


def _repeated(
    params: np.ndarray, tokens: np.ndarray, seeds: int, budget: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    budget = np.full(len(params), np.nan) if budget is None else budget
    return {
        "params": np.tile(params, seeds),
        "tokens": np.tile(tokens, seeds),
        "seed": np.repeat(np.arange(seeds), len(params)),
        "budget": np.tile(budget, seeds),
    }


RULES: dict[str, Callable[..., dict[str, np.ndarray]]] = {
    "isoflop": isoflop,
    "grid": grid,
    "ladder": ladder,
    "trunks": trunks,
    "random": random,
}


def read_design(word: str, best: Optimum, flops_range: tuple[float, float], share: bool = True) -> Design:
    """The design that a word of the command line names.

    Args:
        word: RULE, RULE:key=value,…, a file, or the folder of a sweep.
        best: the size expected to be best at a compute.
        flops_range: least and most compute, where the word does not say.
        share: whether runs of one size share a trunk.

    Raises:
        UserError: no such rule, key or file; or what a rule makes has no runs.
    """
    rule, _, text = word.partition(":")
    if rule in RULES:
        low, high = flops_range
        keys: dict[str, float] = {"min_flops": low, "max_flops": high, **_numbers(word, rule, text)}
        if not 0 < keys["min_flops"] <= keys["max_flops"]:
            raise UserError(
                f"design={word}: min_flops={keys['min_flops']:g} must be positive and not above "
                f"max_flops={keys['max_flops']:g}"
            )
        return listed(word, **RULES[rule](best, **keys), trunks=share)
    path = Path(word)
    if path.is_dir():
        from scaling.records.records import load_sweep

        frame = load_sweep(path)
        if "status" in frame:
            frame = frame[frame["status"] == "done"]
        return _of_frame(word, frame, share)
    if path.is_file():
        return _of_frame(word, read_runs(path), share)
    hint = nearest(rule, list(RULES), f"choose one of {', '.join(RULES)}.")
    raise UserError(
        f"design={word}: no such rule, file or folder; {hint} A rule takes its numbers as "
        "design=isoflop:budgets=4,sizes=5; a file has columns params and tokens"
    )


def _numbers(word: str, rule: str, text: str) -> dict[str, float]:
    known = [name for name in signature(RULES[rule]).parameters if name != "best"]
    numbers: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        if key not in known:
            raise UserError(f"design={word}: {rule} has no {key!r}; {nearest(key, known, ', '.join(known))}")
        try:
            numbers[key] = float(value)
        except ValueError:
            numbers[key] = float("nan")
        if not (isfinite(numbers[key]) and (numbers[key] > 0 or key == "seed")):
            raise UserError(f"design={word}: {key}={value} must be a positive number")
    return numbers


def read_runs(path: Path) -> pd.DataFrame:
    """The runs of a design file: a table with columns, or YAML with a list `runs`, of params, tokens and seed.

    Raises:
        UserError: the file holds something else.
    """
    if path.suffix in (".yaml", ".yml"):
        try:
            told = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise UserError(f"design={path}: not YAML ({str(error).splitlines()[0]})") from error
        runs = told.get("runs") if isinstance(told, Mapping) else None
        if not isinstance(runs, list) or not all(isinstance(run, Mapping) for run in runs):
            raise UserError(
                f"design={path}: expected `runs:` with a list of {{params: …, tokens: …}}, as `scaling simulate "
                "optimize` writes it"
            )
        return pd.DataFrame([dict(run) for run in runs])
    from analysis.reading.files import read

    return read(path)


def _of_frame(word: str, frame: pd.DataFrame, share: bool) -> Design:
    params = "params_total" if "params_total" in frame else "params"
    missing = [name for name in (params, "tokens") if name not in frame]
    if missing:
        raise UserError(
            f"design={word}: no column {missing[0]}; a design needs params and tokens (it has "
            f"{', '.join(map(str, frame.columns))})"
        )
    numbers = {
        name: pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
        for name in (params, "tokens", "seed", "budget_flops")
        if name in frame
    }
    seed = numbers.get("seed")
    return listed(
        word,
        numbers[params],
        numbers["tokens"],
        None if seed is None else np.nan_to_num(seed),
        numbers.get("budget_flops"),
        share,
    )


def listed_words(path: Path) -> list[str]:
    """The runs of a design file, each as the configuration writes one: {params:…,tokens:…,seed:…}.

    Raises:
        UserError: there is no such file, or it lists no runs.
    """
    if not path.is_file():
        raise UserError(
            f"design={path}: no such file; `scaling simulate optimize … write={path}` would write one"
        )
    design = _of_frame(str(path), read_runs(path), True)
    budgets = ["null" if np.isnan(budget) else f"{budget:.17g}" for budget in design.budget]
    return [
        f"{{params:{n:.17g},tokens:{d:.17g},seed:{s},budget_flops:{b}}}"
        for n, d, s, b in zip(design.params, design.tokens, design.seed, budgets, strict=True)
    ]


def write_design(design: Design, path: Path, about: list[str]) -> None:
    """Write a design that `scaling sweep design=FILE` trains; `about` says what it is, a line each.

    Raises:
        UserError: the file exists, or cannot be written.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(f"write={path}: name a YAML file, such as write=next.yaml")
    if path.exists():
        raise UserError(f"write={path}: the file exists already; remove it or choose another name")
    lines = [f"# {line}" for line in about] + ["runs:"]
    lines += [
        f"  - {{params: {round(n)}, tokens: {round(d)}, seed: {s}"
        + ("}" if np.isnan(b) else f", budget_flops: {b:.17g}}}")
        for n, d, s, b in zip(design.params, design.tokens, design.seed, design.budget, strict=True)
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"write={path}: cannot be written ({error.strerror})") from error
