"""`scaling simulate replay` and `optimize pool=…`: choosing rows of a table, with or without their losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Grid

from analysis import laws
from scaling.config.nearest import nearest
from scaling.config.overrides import Words, parse
from scaling.errors import UserError
from scaling.simulate.keys import OptimizeKeys, ReplayKeys
from scaling.simulate.pool import pools_of, read_both
from scaling.simulate.pool_choice import choose_rows
from scaling.simulate.replay import METHODS, Played, mean_over_laws, objective_of, play

Show = Callable[[Console], dict[str, Any]]


def replay_pool(given: Words, progress: Callable[[str], None]) -> Show:
    """A finished table, played run by run by each method."""
    keys = parse(given.overrides, ReplayKeys)
    methods = keys.methods.split(",")
    for method in methods:
        if method not in METHODS:
            raise UserError(
                f"methods={keys.methods}: {nearest(method, METHODS, 'choose from ' + ', '.join(METHODS))}"
            )
    objective = objective_of(keys.objective)
    frame, region = read_both(keys.pool, keys.target, keys.where)
    played: dict[str, dict[str, list[Played]]] = {method: {} for method in methods}
    for name in keys.law.split(","):
        law = laws.get(name)
        pools = pools_of(frame, region, law, keys.columns, keys.outputs, keys.cost, keys.group, keys.units)
        for method in methods:
            played[method][name] = [
                play(pools, law, objective, keys.spend, method, seed, progress) for seed in range(keys.seeds)
            ]
    means = {method: mean_over_laws(each) for method, each in played.items()}

    def show(console: Console) -> dict[str, Any]:
        grid = Grid(
            "law",
            *methods,
            title=f"R² in the target region, {keys.spend:.0%} of the cost",
            title_justify="left",
        )
        for name in keys.law.split(","):
            grid.add_row(name, *(_mean_and_spread(played[method][name]) for method in methods))
        grid.add_row("mean", *(f"{means[method]:.3f}" for method in methods))
        console.print(grid)
        console.print(
            "chosen: this tool's choice; v: V-optimal under the best fit alone; random: runs drawn until the budget is "
            f"spent. Mean and standard deviation of {keys.seeds} seeds.",
            markup=False,
        )
        first = methods[0]
        return {
            "r2": means[first],
            "r2_by_method": means,
            "r2_by_law": {
                method: {name: [one.r2 for one in each] for name, each in by_law.items()}
                for method, by_law in played.items()
            },
            "spend": keys.spend,
            "spent": float(np.mean([one.spent for each in played[first].values() for one in each])),
            "seeds": keys.seeds,
            "runs_chosen": {
                name: [
                    int(pool.row[run])
                    for pool, runs in zip(pools, each[0].chosen, strict=True)
                    for run in runs
                ]
                for name, each in played[first].items()
            },
        }

    return show


def _mean_and_spread(played: list[Played]) -> str:
    values = [one.r2 for one in played]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def chosen_from_pool(keys: OptimizeKeys, progress: Callable[[str], None]) -> Show:
    """The rows of a table that are worth training for a target region, before any loss is known."""
    if keys.spend is None or not 0 < keys.spend <= 1:
        raise UserError(
            "with pool=, spend= is the share of the pool's cost that may be spent, such as spend=0.1"
        )
    if not Path(keys.target).is_file():
        raise UserError(f"target={keys.target}: with pool=, it is a table of the target region")
    law = laws.get(keys.law)
    frame, region = read_both(keys.pool or "", keys.target, keys.where)
    pool = pools_of(frame, region, law, keys.columns, [], keys.cost, None, keys.units, need_losses=False)[0]
    rows, before, after = choose_rows(pool, law, keys.spend, keys.scatter, keys.runs, progress)
    cost = float(pool.cost[rows].sum())

    def show(console: Console) -> dict[str, Any]:
        grid = Grid("row", *pool.x, "cost")
        for run in rows:
            values = (f"{column[run]:.4g}" for column in pool.x.values())
            grid.add_row(str(pool.row[run]), *values, f"{pool.cost[run]:.4g}")
        console.print(grid)
        console.print(
            f"{len(rows)} of {len(pool)} rows, {cost / pool.cost.sum():.2%} of the cost; error in the target region "
            f"{after:.2%}, all rows together {before:.2%} (root mean square over laws, by the information)",
            markup=False,
        )
        return {
            "rows": [int(pool.row[run]) for run in rows],
            "cost": cost,
            "share": cost / float(pool.cost.sum()),
            "error": after,
            "error_of_all": before,
        }

    return show
