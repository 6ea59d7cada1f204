"""`scaling simulate next runs/NAME`: the runs to train next, and when to stop."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from analysis.fit import fit
from scaling.config.overrides import Words, parse
from scaling.errors import UserError
from scaling.fitting.keys import FitKeys
from scaling.fitting.study import read_table
from scaling.records.records import load_sweep
from scaling.simulate.candidates import candidate_runs
from scaling.simulate.cost import UNITS, tariff
from scaling.simulate.design import Design, listed, write_design
from scaling.simulate.keys import NextKeys
from scaling.simulate.next_runs import outlook, truth_of_study
from scaling.simulate.noise import estimated, overridden
from scaling.simulate.report import design_figures, runs_table
from scaling.simulate.target import Target


def what_next(given: Words, progress: Callable[[str], None]) -> Callable[[Console], dict[str, Any]]:
    """Which runs next, from the folder or table of those that are trained."""
    source = Path(
        given.single_name("scaling simulate next needs the folder or table of the runs trained so far")
    )
    keys = parse(given.overrides, NextKeys)
    if keys.unit not in UNITS:
        raise UserError(f"unit={keys.unit}: choose one of {', '.join(UNITS)}")
    rows = load_sweep(source) if source.is_dir() else None
    table = replace(read_table(source, FitKeys(repeats="keep"), rows), source=str(source))
    progress("fitting what is trained")
    result = fit(table, keys.fit_law, keys.objective, bootstrap=300, level=keys.level, seed=keys.seed)
    truth = truth_of_study(result, str(source))
    names = ("scatter", "evaluation", "mistuning", "mistuning_growth", "diverge", "bend")
    noise = overridden(estimated(table, rows, keys.fit_law), {name: getattr(keys, name) for name in names})
    frame = table.frame
    seeds = frame["seed"].to_numpy() if "seed" in frame else None
    budget = frame["budget"].to_numpy(float)
    trained = listed(
        str(source), frame["params"].to_numpy(), frame["tokens"].to_numpy(), seeds, budget, keys.trunks
    )
    target = Target(keys.target, keys.flops or 10 * float(trained.flops.max()))
    vocab, context = shape_of(rows, keys)
    costs = tariff(keys.hardware, keys.speed, keys.price, vocab, context, keys.decay)
    spent_flops = float(costs.of(trained).flops_spent.sum())
    largest = keys.largest or float(trained.flops.max())
    if keys.largest is None and keys.unit == "flops":
        largest = max(largest, keys.spend or 0.1 * spent_flops)
    progress("making candidates")
    runs = without(candidate_runs(truth, largest, keys.candidates, 1, vocab, context, keys.trunks), trained)
    found = outlook(
        truth, noise, trained, runs, target, costs, keys.unit, keys.spend, keys.runs, keys.level, keys.objective,
        keys.within, progress,
    )  # fmt: skip
    if keys.write:
        together = joined(trained, found.design)
        write_design(
            together,
            Path(keys.write),
            [
                f"The {len(trained)} runs of {source}, which are trained already, and {len(found.design)} more, chosen "
                f"for {target.name}.",
                f"Under the study's own options and name, `scaling sweep design={keys.write}` trains those alone.",
            ],
        )

    def show(console: Console) -> dict[str, Any]:
        console.print(
            f"{len(trained)} runs so far, {found.spent:.4g} {keys.unit}; {noise.words()}. {target.name}: interval "
            f"{target.shown_error(found.now)} to either side by the information ({keys.level:.0%})",
            markup=False,
        )
        narrower = [f"{1 - width / found.now:.1%}" for width in found.alone]
        runs_table(found.design, console, {"alone narrows it by": narrower})
        console.print(
            f"these {len(found.design)} runs cost {found.cost:.4g} {keys.unit} and leave "
            f"{target.shown_error(found.after)} to either side, {1 - found.after / found.now:.1%} narrower",
            markup=False,
        )
        for share, width in found.more.items():
            console.print(
                f"another {share:.0%} of compute would narrow {target.word} by {1 - width / found.now:.1%}",
                markup=False,
            )
        if found.enough:
            console.print(f"Stop here: {found.enough}.", markup=False)
        if keys.write:
            console.print(f"train them: scaling sweep design={keys.write}", markup=False)
        return {
            "target": target.name,
            "runs": design_figures(found.design),
            "cost": {keys.unit: found.cost},
            "spent": {keys.unit: found.spent},
            "half_width_now": found.now,
            "half_width_after": found.after,
            "half_width_after_each_alone": found.alone.tolist(),
            "half_width_after_more": {f"{share:g}": width for share, width in found.more.items()},
            "stop": found.enough,
        }

    return show


def shape_of(rows: Any, keys: NextKeys) -> tuple[int, int]:  # a frame of records, or None
    """Vocabulary and context of the study's models, where its records say; else those of the keys."""
    if rows is not None and {"vocab_size", "context"} <= set(rows.columns):
        return int(rows["vocab_size"].iloc[0]), int(rows["context"].iloc[0])
    return keys.vocab_size, keys.context


def without(candidates: Design, trained: Design) -> Design:
    """The candidates that are not trained already: none within a tenth of a run's size and tokens."""
    near = (np.abs(np.log(candidates.params[:, None] / trained.params)) < 0.1) & (
        np.abs(np.log(candidates.tokens[:, None] / trained.tokens)) < 0.1
    )
    return candidates.take(np.flatnonzero(~near.any(axis=1)))


def joined(first: Design, second: Design) -> Design:
    """Two designs as one."""
    both = [
        np.concatenate([getattr(d, name) for d in (first, second)])
        for name in ("params", "tokens", "seed", "budget")
    ]
    return listed(first.name, both[0], both[1], both[2], both[3], first.trunks)
