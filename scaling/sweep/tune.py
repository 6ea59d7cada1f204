"""`hydra/sweeper=tune`: Optuna proposes values of keys, a launcher trains them, and their losses lead the next ones.

Each trial is kept in the multirun's folder when it ends. Trials that a killed command left unfinished are proposed
again, and their jobs go on from their checkpoints.
"""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from hydra.core.utils import JobReturn

from scaling.errors import UserError

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy says at import that it is the one that Optuna 2 needs
        import optuna
        from optuna.trial import TrialState
except ImportError:
    optuna = None  # An optional extra, looked for by `open_study`.

log = logging.getLogger(__name__)

NAME = "tuning"
"""Optuna's name of the study in its storage."""
INSTALL = "pip install 'scaling-simulator[optuna]'"

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
"""A Hydra launcher's `launch`: for each job its overrides, and the number of the first; returns what came of each."""


def search_space(params: Mapping[str, str], words: Sequence[str]) -> dict[str, Override]:
    """The keys that a tuning sets, each with its value or its range.

    Args:
        params: `hydra.sweeper.params`, which a word of the command line replaces.
        words: the command line's.

    Raises:
        UserError: where no key has a range.
    """
    parsed = OverridesParser.create().parse_overrides(
        [*(f"{key}={value}" for key, value in params.items()), *words]
    )
    space = {override.get_key_element(): override for override in parsed}
    if not any(override.is_sweep_override() for override in space.values()):
        raise UserError(
            "hydra/sweeper=tune: no key has a range; write one, as 'optim.lr=interval(1e-4,1e-2)'"
        )
    return space


def open_study(
    storage: str | None, folder: str, seed: int
) -> Any:  # an `optuna.Study`, where Optuna is installed
    """The tuning's study: a new one, or that which an earlier command left in the storage.

    Raises:
        UserError: where Optuna, or what its storage needs, is not installed.
    """
    if optuna is None:
        raise UserError(f"hydra/sweeper=tune: Optuna is not installed; {INSTALL}")
    optuna.logging.set_verbosity(logging.WARNING)
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=storage, study_name=NAME, direction="minimize", load_if_exists=True
        )
    except (AssertionError, ImportError) as error:  # Optuna 2 with the SQLAlchemy or alembic of today
        raise UserError(
            f"hydra.sweeper.storage={storage}: the installed SQLAlchemy does not suit; {INSTALL}"
        ) from error
    # What an earlier command drew at random is not to be drawn again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)
    return study


def tune(study: Any, space: Mapping[str, Override], launch: Launch, *, trials: int, at_once: int) -> None:
    """Run trials until so many have ended, in all that the study knows of.

    Args:
        study: as `open_study` returns it.
        space: the keys, each with its value or its range.
        launch: the configured launcher's.
        trials: how many are to end; a trial whose job fails or diverges is pruned, and counts.
        at_once: how many are proposed before any of them ends.
    """
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    number = 0
    while (left := trials - sum(trial.state in ended for trial in study.trials)) > 0:
        asked = [study.ask() for _ in range(min(left, at_once))]
        words = [[f"{key}={_value(trial, key, space[key])}" for key in space] for trial in asked]
        results = launch(words, number)
        number += len(results)
        for trial, result in zip(asked, results, strict=True):
            loss = float(result.return_value)
            if isfinite(loss):
                study.tell(trial, loss)
            else:
                study.tell(trial, state=TrialState.PRUNED)
    with suppress(ValueError):  # no trial has a loss
        best = study.best_trial
        values = " ".join(f"{key}={value}" for key, value in best.params.items())
        log.info("lowest validation loss: %.4f nats/token, with %s", best.value, values)


def _value(trial: Any, key: str, override: Override) -> str:
    return (
        suggest(trial, key, override) if override.is_sweep_override() else override.get_value_element_as_str()
    )


def suggest(trial: Any, key: str, override: Override) -> str:  # an `optuna.Trial`
    """The value that Optuna proposes for a key, as a word of a command line has it.

    Raises:
        UserError: for a range that Optuna cannot draw from.
    """
    value = override.value()
    if not isinstance(value, IntervalSweep):
        choices = [str(each) for each in override.sweep_iterator(transformer=Transformer.encode)]
        return str(trial.suggest_categorical(key, choices))
    low, high, is_log = value.start, value.end, "log" in value.tags
    if low is None or high is None or not low < high or (is_log and low <= 0):
        raise UserError(
            f"{override.input_line}: the interval must rise, and lie above 0 where it is tagged log"
        )
    if isinstance(low, int) and isinstance(high, int):
        return str(trial.suggest_int(key, low, high, log=is_log))
    # Four digits tell rates apart, and keep the names of the jobs' folders readable.
    return f"{trial.suggest_float(key, float(low), float(high), log=is_log):.4g}"
