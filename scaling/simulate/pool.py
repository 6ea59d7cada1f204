"""A pool of finished or possible runs, with a target region: the columns that a law reads, losses, costs and groups."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.laws import Law
from analysis.reading.files import read
from scaling.errors import UserError
from scaling.simulate.formula import TRAIN_COST, cost_of

SPLIT = "split"
"""A column of this name, with values train and test, holds pool and target in one table."""


@dataclass(frozen=True)
class Pool:
    """Candidates and target of one group.

    Attributes:
        group: its name.
        x: the law's columns of the candidates, each of shape (n,).
        seen: what the law predicts there, one array for each target column; empty where nothing is known.
        cost: shape (n,).
        target_x: the law's columns in the target region, each of shape (m,).
        held: what the law predicts there, as `seen`; never shown to who chooses.
        row: number of each candidate in its table, from 1.
    """

    group: str
    x: dict[str, np.ndarray]
    seen: tuple[np.ndarray, ...]
    cost: np.ndarray
    target_x: dict[str, np.ndarray]
    held: tuple[np.ndarray, ...]
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.cost)

    def observed(self, law: Law, output: int) -> np.ndarray:
        """What a fit sees of the candidates: the logarithm of the target, or the target where the law predicts that."""
        return np.log(self.seen[output]) if law.log_target else self.seen[output]


def read_both(pool: str, target: str, where: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of candidates and of the target region.

    Raises:
        UserError: no file, or one without rows on either side.
    """
    if not pool:
        raise UserError("pool= is needed: a table of runs to choose from")
    frame = _filtered(read(Path(pool)), where, pool)
    if target:
        region = _filtered(read(Path(target)), {k: v for k, v in where.items() if k != SPLIT}, target)
        if target == pool and SPLIT in frame:
            frame, region = frame[frame[SPLIT] == "train"], region[region[SPLIT] == "test"]
    elif SPLIT in frame:
        frame, region = frame[frame[SPLIT] == "train"], frame[frame[SPLIT] == "test"]
    else:
        raise UserError(
            f"target= is needed: a table of the target region (or a column {SPLIT!r} with train and test)"
        )
    for what, rows in (("pool", frame), ("target", region)):
        if rows.empty:
            raise UserError(f"{what}: no rows are left of {target if what == 'target' and target else pool}")
    return frame, region


def _filtered(frame: pd.DataFrame, where: Mapping[str, Any], name: str) -> pd.DataFrame:
    frame = frame.assign(**{"row of the table": np.arange(1, len(frame) + 1)})
    for column, value in where.items():
        if column not in frame:
            raise UserError(
                f"where.{column}: {name} has no such column; it has {', '.join(map(str, frame.columns))}"
            )
        frame = frame[frame[column].astype(str) == str(value)]
    return frame


def pools_of(
    frame: pd.DataFrame,
    region: pd.DataFrame,
    law: Law,
    columns: Mapping[str, str],
    outputs: list[str],
    cost: str | None,
    group: str | None,
    units: Mapping[str, float],
    need_losses: bool = True,
) -> list[Pool]:
    """Candidates and target, group by group.

    Args:
        frame, region: the tables.
        law: whose columns are read.
        columns: the law's column → the table's.
        outputs: columns of the table that the law predicts, each by a fit of its own; [] for the law's own target.
        cost: a column or formula.
        group: a column whose values are fitted and budgeted apart.
        units: the law's column → what 1 stands for in the table.
        need_losses: whether the pool must hold losses.

    Raises:
        UserError: a column is missing or holds what cannot be.
    """
    outputs = outputs or [columns.get(law.target, law.target)]
    pools = []
    names = [""] if group is None else sorted(map(str, frame[_known(frame, group, "group")].unique()))
    for name in names:
        here, there = (
            side if group is None else side[side[group].astype(str) == name] for side in (frame, region)
        )
        if here.empty or there.empty:
            continue
        x, target_x = (
            {v: _numbers(side, columns.get(v, v), law.name) * units.get(v, 1.0) for v in law.variables}
            for side in (here, there)
        )
        seen = tuple(_numbers(here, o, law.name, law.log_target) for o in outputs) if need_losses else ()
        held = tuple(_numbers(there, o, law.name, law.log_target) for o in outputs) if need_losses else ()
        priced = here.assign(**x)
        pools.append(
            Pool(
                name,
                x,
                seen,
                cost_of(priced, cost or _usual_cost(priced)),
                target_x,
                held,
                here["row of the table"].to_numpy(),
            )
        )
    if not pools:
        raise UserError(f"group={group}: no group is both in the pool and in the target")
    return pools


def _usual_cost(frame: pd.DataFrame) -> str:
    if {"params", "tokens"} <= set(frame.columns):
        return TRAIN_COST
    raise UserError(
        f"cost= is needed: a column or a formula, as the table has no params and tokens for {TRAIN_COST}"
    )


def _known(frame: pd.DataFrame, name: str, key: str) -> str:
    if name not in frame:
        raise UserError(f"{key}={name}: no such column; the table has {', '.join(map(str, frame.columns))}")
    return name


def _numbers(frame: pd.DataFrame, name: str, law: str, positive: bool = True) -> np.ndarray:
    if name not in frame:
        raise UserError(
            f"law {law!r} reads {name}, which the table lacks: name its column with columns.{name}=COLUMN (it has "
            f"{', '.join(map(str, frame.columns))})"
        )
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
    wrong = ~np.isfinite(values) if not positive or name.startswith("proportion") else ~(values > 0)
    if wrong.any():
        row = int(frame["row of the table"].to_numpy()[wrong][0])
        raise UserError(
            f"{name}: row {row} has {frame[name][wrong].iloc[0]!r}; it must be "
            + ("finite and positive" if positive else "finite")
        )
    return values


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    """1 - Σ(y - ŷ)²/Σ(y - ȳ)², clipped to [-1, 1]; -1 where a prediction is not a number."""
    if not np.isfinite(predicted).all():
        return -1.0
    total = float(np.sum((truth - truth.mean()) ** 2))
    return float(np.clip(1 - np.sum((truth - predicted) ** 2) / max(total, 1e-300), -1.0, 1.0))
