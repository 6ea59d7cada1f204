"""From keys to what is true and what it costs: the start of every question of `scaling simulate`."""

from dataclasses import dataclass, replace
from pathlib import Path

from analysis import objectives
from analysis.objectives import Objective
from scaling.fitting.keys import FitKeys
from scaling.fitting.study import read_table
from scaling.records.records import load_sweep
from scaling.simulate.cost import Tariff, tariff
from scaling.simulate.design import Design, read_design
from scaling.simulate.keys import WorldKeys
from scaling.simulate.laboratory import Laboratory
from scaling.simulate.noise import Noise, estimated, overridden
from scaling.simulate.truth import Truth, truth_of


@dataclass(frozen=True)
class World:
    """What a question stands on."""

    truth: Truth
    laboratory: Laboratory
    tariff: Tariff
    objective: Objective
    trunks: bool

    def design(self, word: str) -> Design:
        """The design that a word names."""
        return read_design(word, self.truth.best, self.truth.flops, self.trunks)

    def words(self) -> str:
        """What is true, in one line."""
        return f"law {self.truth.law.formula} of {self.truth.source}; {self.laboratory.noise.words()}"


def world_of(keys: WorldKeys, truth: Truth | None = None) -> World:
    """What a user's keys say is true, and what it costs.

    Raises:
        UserError, Refusal: a law, study or device that does not exist or cannot serve.
    """
    truth = truth_of(keys.law, keys.seed) if truth is None else truth
    noise = overridden(
        noise_of(keys.noise, truth.law.name),
        {
            name: getattr(keys, name)
            for name in ("scatter", "evaluation", "mistuning", "mistuning_growth", "diverge", "bend")
        },
    )
    return World(
        truth,
        Laboratory(truth.law, noise, truth.middle),
        tariff(keys.hardware, keys.speed, keys.price, keys.vocab_size, keys.context, keys.decay),
        objectives.get(keys.objective),
        keys.trunks,
    )


def noise_of(source: str | None, law: str) -> Noise:
    """The noise of a recorded study, or what is assumed where none is named."""
    if source is None:
        return Noise()
    path = Path(source)
    rows = load_sweep(path) if path.is_dir() else None
    table = read_table(path, FitKeys(repeats="keep"), rows)
    return estimated(replace(table, source=source), rows, law)
