"""Each question of `scaling simulate`: works it out, then prints it and returns its figures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from scaling.config.overrides import Words, parse
from scaling.errors import UserError
from scaling.simulate.candidates import candidate_runs
from scaling.simulate.cost import UNITS
from scaling.simulate.design import Design, write_design
from scaling.simulate.figure import write_figure
from scaling.simulate.keys import OptimizeKeys, TableKeys, TeachKeys, split_designs
from scaling.simulate.optimize import Answer, best_within, cheapest_within, checked, pose
from scaling.simulate.report import (
    answer_figures,
    comparison_table,
    cost_words,
    runs_table,
    teaching_figures,
    teaching_tables,
)
from scaling.simulate.target import Target
from scaling.simulate.teaching import Teaching, teach
from scaling.simulate.world import World, world_of
from scaling.simulate.write import write_study

Progress = Callable[[str], None]
Show = Callable[[Console], dict[str, Any]]

FAR = 100.0
"""Questions are asked at this many times the largest run where the user names no compute."""


def simulated_table(given: Words, progress: Progress) -> Show:
    """One simulated sweep, written as a folder that `scaling fit` reads."""
    keys = parse(given.overrides, TableKeys)
    world = world_of(keys)
    design = world.design(keys.design)
    progress(f"simulating {len(design):,} runs")
    folder, lost = write_study(world, design, keys)

    def show(console: Console) -> dict[str, Any]:
        costs = world.tariff.of(design)
        console.print(f"SIMULATED: {world.words()}", markup=False)
        console.print(f"{len(design):,} runs, {lost} diverged; {cost_words(costs)}", markup=False)
        console.print(f"{folder}/records.csv has them; fit them: scaling fit {folder}", markup=False)
        return {"simulated": True, "folder": str(folder), "runs": len(design), "cost": costs.totals()}

    return show


def taught(world: World, design: Design, keys: TeachKeys, flops: float, progress: Progress) -> Teaching:
    """What a design teaches, as the keys ask."""
    theta = np.repeat(world.truth.theta[None], keys.studies, axis=0)
    if keys.prior:
        which = np.random.default_rng(keys.seed).integers(len(world.truth.draws), size=keys.studies)
        theta = world.truth.draws[which]
    return teach(
        world.laboratory, theta, design, flops, world.objective, seed=keys.seed, level=keys.level, draws=keys.draws,
        progress=progress,
    )  # fmt: skip


def what_designs_teach(given: Words, progress: Progress) -> Show:
    """One design, or several side by side."""
    words, others = split_designs(given.overrides)
    keys = parse(others, TeachKeys)
    world = world_of(keys)
    designs = [world.design(word) for word in words or [keys.design]]
    flops = keys.flops or FAR * max(float(design.flops.max()) for design in designs)
    found = [
        taught(world, design, keys, flops, lambda what, d=design: progress(f"{d.name}: {what}"))  # type: ignore[misc]
        for design in designs
    ]
    costs = [world.tariff.of(design) for design in designs]
    if keys.figure:
        write_figure(found, Path(keys.figure))

    def show(console: Console) -> dict[str, Any]:
        console.print(f"SIMULATED: {world.words()}", markup=False)
        for teaching, cost in zip(found, costs, strict=True):
            totals = cost.totals()
            rate = totals["usd"] / totals["flops"] if "usd" in totals else None
            teaching_tables(teaching, cost, console, rate)
            console.print()
        if len(found) > 1:
            comparison_table(found, costs, console)
        return {"designs": [teaching_figures(t, c) for t, c in zip(found, costs, strict=True)]}

    return show


def compared(given: Words, progress: Progress) -> Show:
    """Several designs."""
    if len(split_designs(given.overrides)[0]) < 2:
        raise UserError("compare needs design= at least twice, as design=isoflop design=trunks:sizes=8")
    return what_designs_teach(given, progress)


def chosen_design(given: Words, progress: Progress) -> Show:
    """The best runs for a limit of cost, or the cheapest that answer well enough."""
    keys = parse(given.overrides, OptimizeKeys)
    if keys.pool is not None:
        from scaling.cli.simulate_pool import chosen_from_pool

        show_pool: Show = chosen_from_pool(keys, progress)
        return show_pool
    if keys.unit not in UNITS:
        raise UserError(f"unit={keys.unit}: choose one of {', '.join(UNITS)}")
    if keys.spend is None and keys.within is None:
        raise UserError(
            "optimize needs spend= (the most to spend) or within= (how narrow an interval is good enough)"
        )
    world = world_of(keys)
    target = Target(keys.target, keys.flops or FAR * largest_default(keys, world))
    largest = keys.largest or largest_default(keys, world)
    progress("making candidates")
    runs = candidate_runs(
        world.truth, largest, keys.candidates, keys.seeds, keys.vocab_size, keys.context, keys.trunks
    )
    problem = pose(
        world.truth, world.laboratory, target, keys.criterion, world.tariff, keys.unit, world.objective, runs,
        keys.level,
    )  # fmt: skip
    notes: list[str] = []
    answer: Answer | None = None
    if keys.spend is not None:
        answer = best_within(problem, keys.spend, keys.runs, progress)
    if keys.within is not None and (answer is None or answer.half_width > keys.within):
        if answer is not None:
            notes.append(
                f"no design of these candidates gives {keys.within:.2%} for {keys.spend:g} {keys.unit}: the best gives "
                f"{answer.half_width:.2%}"
            )
        cheapest = cheapest_within(problem, keys.within, keys.runs, progress)
        if cheapest is None:
            widest = problem.half_width(tuple(range(len(runs))))
            raise UserError(
                f"within={keys.within:g}: all {len(runs)} candidates together give {widest:.3g}; it would take larger "
                f"runs (largest={10 * largest:.3g}), more seeds= or runs=, or a target below {target.flops:.3g} FLOPs"
            )
        if answer is None:
            answer = cheapest
        else:
            notes.append(f"it would take {cheapest.cost:.4g} {keys.unit}, with {len(cheapest.design)} runs")
    assert answer is not None
    check = checked(
        world.truth, world.laboratory, answer, problem.target, world.objective, keys.studies, keys.draws, keys.seed,
        keys.level, progress,
    )  # fmt: skip
    answer = replace(answer, check=check)
    rival = None
    if keys.against:
        design = world.design(keys.against)
        rival = checked(
            world.truth, world.laboratory, replace(answer, design=design), problem.target, world.objective,
            keys.studies, keys.draws, keys.seed, keys.level, progress,
        )  # fmt: skip
    costs = world.tariff.of(answer.design)
    if keys.write:
        write_design(
            answer.design,
            Path(keys.write),
            [
                f"Chosen for {problem.target.name} by criterion {keys.criterion}: {len(answer.design)} runs, "
                f"{cost_words(costs)}.",
                f"Expected interval: {answer.half_width:.2%} to either side, {keys.level:.0%}.",
                world.words(),
            ],
        )

    def show(console: Console) -> dict[str, Any]:
        console.print(f"SIMULATED: {world.words()}", markup=False)
        console.print(
            f"{len(answer.design)} of {len(runs)} candidates, for {problem.target.name}: interval "
            f"{answer.half_width:.2%} to either side by the information",
            markup=False,
        )
        runs_table(answer.design, console)
        teaching_tables(check, costs, console)
        if rival is not None:
            console.print()
            comparison_table([check, rival], [costs, world.tariff.of(rival.design)], console)
        for note in notes:
            console.print(f"Note: {note}.", markup=False)
        if keys.write:
            console.print(f"train it: scaling sweep design={keys.write}", markup=False)
        told = answer_figures(answer, keys.unit, costs)
        against = None if rival is None else teaching_figures(rival, world.tariff.of(rival.design))
        return {**told, "notes": notes, "target": problem.target.name, "against": against}

    return show


def largest_default(keys: OptimizeKeys, world: World) -> float:
    """Compute of the largest candidate where the user names none: a fifth of what may be spent, or of what is asked."""
    if keys.largest:
        return keys.largest
    if keys.spend is not None and keys.unit == "flops":
        return keys.spend / 5
    if keys.flops is not None:
        return keys.flops / FAR
    return world.truth.flops[1]


def next_runs(given: Words, progress: Progress) -> Show:
    """Which runs next."""
    from scaling.cli.simulate_next import what_next

    show: Show = what_next(given, progress)
    return show


def replayed(given: Words, progress: Progress) -> Show:
    """A finished table played run by run."""
    from scaling.cli.simulate_pool import replay_pool

    show: Show = replay_pool(given, progress)
    return show


ANSWERS: dict[str, Callable[[Words, Progress], Show]] = {
    "": simulated_table,
    "teach": what_designs_teach,
    "compare": compared,
    "optimize": chosen_design,
    "next": next_runs,
    "replay": replayed,
}
