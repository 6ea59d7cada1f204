"""The schema of `conf/`: its dataclasses, their registration with Hydra, and the typed config of a composed one.

Each group of `conf/` has a file here with its keys, units and meanings (`conf/optim/`: `optim.py`), and so have
`conf/train.yaml` and `conf/sweep.yaml`. Hydra merges YAML and command line into these dataclasses, so that a wrong key
or type is refused while it composes the config. Values are checked in `__post_init__`, which `load` runs before
anything trains. The text under a field is its help.
"""

from dataclasses import fields, is_dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from scaling.config.corpus import (
    BPETokenizer,
    BytesTokenizer,
    HubCorpus,
    LexiconCorpus,
    StdlibCorpus,
    TextCorpus,
)
from scaling.config.design import DesignConfig
from scaling.config.hardware import HardwareConfig
from scaling.config.integers import accept_integral_numbers
from scaling.config.logger import LoggerConfig
from scaling.config.model import ModelConfig
from scaling.config.nearest import nearest_key
from scaling.config.optim import AdamWConfig, MuonConfig, OptimConfig
from scaling.config.overrides import field_help
from scaling.config.schedule import CosineConfig, ScheduleConfig, WSDConfig
from scaling.config.sweep import SweepConfig
from scaling.config.train import Branch, TrainConfig
from scaling.config.trainer import TrainerConfig
from scaling.errors import UserError

__all__ = [
    "SCHEMAS",
    "AdamWConfig",
    "Branch",
    "CosineConfig",
    "DesignConfig",
    "HardwareConfig",
    "LoggerConfig",
    "ModelConfig",
    "MuonConfig",
    "OptimConfig",
    "ScheduleConfig",
    "SweepConfig",
    "TrainConfig",
    "TrainerConfig",
    "WSDConfig",
    "documented_keys",
    "load",
    "register",
]

SCHEMAS: dict[str, type] = {
    "train_schema": TrainConfig,
    "sweep_schema": SweepConfig,
    "corpus/schema_stdlib": StdlibCorpus,
    "corpus/schema_text": TextCorpus,
    "corpus/schema_hub": HubCorpus,
    "corpus/schema_lexicon": LexiconCorpus,
    "tokenizer/schema_bytes": BytesTokenizer,
    "tokenizer/schema_bpe": BPETokenizer,
    "optim/schema_adamw": AdamWConfig,
    "optim/schema_muon": MuonConfig,
    "schedule/schema_wsd": WSDConfig,
    "schedule/schema_cosine": CosineConfig,
}


def register() -> None:
    """Put the schemas where the YAML under `conf/` finds them."""
    accept_integral_numbers()
    store = ConfigStore.instance()
    for path, schema in SCHEMAS.items():
        group, _, name = path.rpartition("/")
        node = OmegaConf.structured(schema)
        for chosen in {item.name for item in fields(schema)} & {"corpus", "tokenizer", "optim", "schedule"}:
            node[chosen] = MISSING  # the YAML chooses the class; Hydra could not replace that of the default
        store.store(group=group or None, name=name, node=node)


def load(config: DictConfig) -> TrainConfig:
    """The typed config of a composed one; runs every check of values.

    Raises:
        UserError: one line, naming key, value and remedy.
    """
    result = OmegaConf.to_object(config)
    assert isinstance(result, TrainConfig)
    _refuse_added_keys(result, "")
    return result


def _refuse_added_keys(node: Any, prefix: str) -> None:
    # `+key=value` adds to a config what its dataclass does not declare; nothing would ever read it.
    declared = [item.name for item in fields(node)]
    for key, value in vars(node).items():
        if key not in declared:
            raise UserError(f"+{prefix}{key}={value}: no such key; {nearest_key(key, declared)}")
        if is_dataclass(value):
            _refuse_added_keys(value, f"{prefix}{key}.")


def documented_keys() -> dict[str, str]:
    """Every dotted key of a training job or a study, with its help text."""
    keys: dict[str, str] = {}

    def add(schema: type, prefix: str) -> None:
        texts = field_help(schema)
        for item in fields(schema):
            keys.setdefault(prefix + item.name, texts[item.name])
            if isinstance(item.type, type) and is_dataclass(item.type):
                add(item.type, f"{prefix}{item.name}.")

    for path, schema in SCHEMAS.items():
        group = path.rpartition("/")[0]
        add(schema, f"{group}." if group else "")
    return keys
