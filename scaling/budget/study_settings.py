"""What a study was made of: a plan by its law goes on with the same text, tokens, optimizer and schedule.

A law holds for the recipe that it was measured with. What the plan leaves open is therefore the study's own, read
from the table and the config that a sweep leaves in its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from scaling.budget.keys import SolveKeys
from scaling.errors import UserError
from scaling.records.folder import RECORDS_TABLE, STUDY_CONFIG

GROUPS = {"corpus": "corpus", "tokenizer": "tokenizer", "optim": "optimizer", "schedule": "schedule"}
"""Group of the config → column of the table that names its option."""
MODEL_KEYS = ("vocab_size", "context", "ffn", "tied_head", "qk_norm")
"""Columns of the table that all sizes of a study share, called as in the budget's keys."""
Values = dict[str, Any]
"""Key → its value, as YAML or a table has it: a number, a truth value or text."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What all runs of a study have in common."""

    model: Values
    """Vocabulary, context and kind of the decoder."""
    options: dict[str, str]
    """Config group → its option, as corpus → stdlib."""
    values: dict[str, Values]
    """Config group → its keys."""

    def fill(self, keys: SolveKeys) -> SolveKeys:
        """The keys of a plan, with what they leave open as it was in the study."""
        unset = {key: value for key, value in self.model.items() if getattr(keys.model, key) is None}
        optimizer = self.options["optim"] if keys.optimizer == SolveKeys.optimizer else keys.optimizer
        return replace(keys, model=replace(keys.model, **unset), optimizer=optimizer)

    def with_batch(self, tokens: float) -> StudySettings:
        """The same with a fixed batch, of so many tokens a step."""
        optim = {**self.values["optim"], "batch_tokens": round(tokens)}
        return replace(self, values={**self.values, "optim": optim})

    def batch_tokens(self, tokens: float) -> float:
        """Tokens of the last optimizer step of a run of so many tokens, by the study's rule."""
        from scaling.config.schema import OptimConfig
        from scaling.training.batch_ramp import batch_ramp  # Hydra is slow to import

        known = {item.name for item in fields(OptimConfig)}
        optim = OptimConfig(**{key: value for key, value in self.values["optim"].items() if key in known})
        ramp = batch_ramp(optim, self.model["context"], tokens)
        return float(ramp.stages[-1].sequences * ramp.context)


def read_settings(folder: Path) -> StudySettings | None:
    """The settings of the study in a folder; None where it holds no study of `scaling sweep`.

    Raises:
        UserError: when its runs do not share one setting.
    """
    table, config_file = folder / RECORDS_TABLE, folder / STUDY_CONFIG
    if not (table.is_file() and config_file.is_file()):
        return None
    import pandas as pd  # slow to import

    runs, config = pd.read_csv(table), yaml.safe_load(config_file.read_text())
    columns = (*MODEL_KEYS, *GROUPS.values())
    if not set(columns) <= set(runs) or not isinstance(config, dict) or not GROUPS.keys() <= config.keys():
        return None
    shared: Values = {}
    for column in columns:
        shared[column], *others = runs[column].unique().tolist()
        if others:
            values = ", ".join(map(str, [shared[column], *others]))
            raise UserError(
                f"law={folder}: its runs differ in {column} ({values}), so a plan cannot go on with them; "
                "fit one kind at a time, and give that fit's JSON file"
            )
    return StudySettings(
        model={key: shared[key] for key in MODEL_KEYS},
        options={group: shared[column] for group, column in GROUPS.items()},
        values={group: config[group] for group in GROUPS},
    )
