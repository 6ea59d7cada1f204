"""The folders of a multirun (`scaling train -m`): one for each job, told apart by the overrides that were swept.

When a multirun starts, `prepare` adds a few words to those that every launcher composes a job's config from. They name
the keys that all jobs share, so that Hydra leaves them out of `hydra.job.override_dirname`. The resolver
`job_folder` makes a folder of the rest (`hydra.sweep.subdir` in `conf/train.yaml`). Imports nothing heavy.
"""

import hashlib
import re
import time
from collections.abc import Mapping
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

FOLDER_BYTES = 80
"""Longest name of a job's folder. Most file systems take 255 bytes, for names that the run's own files share."""
DIGEST_CHARACTERS = 10
REFERENCE = re.compile(r"\$\{([^${}]*)\}")
"""A reference such as ${optim.lr} in the value of a key."""
TELLS_ALL_APART = re.compile(r"hydra[.:](job\.(num|id|override_dirname)|sweep\.subdir)")
"""References that differ for each job of a multirun."""


def job_folder(overrides: str) -> str:
    """The folder of a job from the overrides that tell it apart, as `model.width=16,optim.lr=1e-3`; "." for none.

    Overrides that are too long, or that hold what a folder's name cannot, keep their beginning and get a hash.
    """
    if not overrides:
        return "."
    readable = re.sub(r"[^\w.,=+-]+", "_", overrides)
    if readable == overrides and len(readable.encode()) <= FOLDER_BYTES:
        return readable
    digest = hashlib.sha256(overrides.encode()).hexdigest()[:DIGEST_CHARACTERS]
    head = readable.encode()[: FOLDER_BYTES - len(digest) - 1].decode(errors="ignore")
    return f"{head}-{digest}"


def prepare(config: DictConfig) -> None:
    """Give a multirun its folder, and each of its jobs a folder that no other job has.

    Args:
        config: the multirun's own, Hydra's part included; it is changed in place.
    """
    hydra = config.hydra
    swept = swept_keys(hydra.sweeper.get("params") or {}, list(hydra.overrides.task))
    name = OmegaConf.to_container(config, resolve=False)["name"]  # type: ignore[call-overload,index] # a str-keyed dict
    shared = [key for key, is_swept in swept.items() if not is_swept]
    named = [key for key, is_swept in swept.items() if is_swept and tells_apart(str(name), key)]
    left_out = [*hydra.job.config.override_dirname.exclude_keys, *shared, *named]
    own_folder = [word for word in hydra.overrides.hydra if word.startswith("hydra.sweep.dir=")]
    with read_write(hydra), open_dict(hydra):
        if not own_folder:
            several = [key for key, is_swept in swept.items() if is_swept]
            hydra.sweep.dir = str(Path(config.out) / study_name(config, str(name), several))
        multirun = hydra.callbacks.multirun
        multirun.folder, multirun.began = str(hydra.sweep.dir), f"{time.time():.3f}"
        hydra.overrides.hydra += [
            f"hydra.job.config.override_dirname.exclude_keys=[{','.join(map(quoted, left_out))}]",
            f"hydra.callbacks.multirun.shared=[{','.join(map(quoted, shared))}]",
            f"hydra.callbacks.multirun.folder={quoted(multirun.folder)}",
            f"hydra.callbacks.multirun.began={quoted(multirun.began)}",
        ]


def swept_keys(params: Mapping[str, object], words: list[str]) -> dict[str, bool]:
    """The keys that a multirun sets, each with whether it has several values.

    Args:
        params: `hydra.sweeper.params`, which a word of the command line replaces.
        words: the command line's.
    """
    parser = OverridesParser.create()
    texts = [f"{key}={value}" for key, value in params.items() if isinstance(value, str | int | float)]
    parsed = parser.parse_overrides([*texts, *words])
    return {override.key_or_group: override.is_sweep_override() for override in parsed}


def tells_apart(name: str, key: str) -> bool:
    """Whether the `name` of a job, such as x-${optim.lr}, has another value for each value of a swept key."""
    kinds = {key, f"{key}.kind", f"hydra:runtime.choices.{key}", f"hydra.runtime.choices.{key}"}
    return key == "name" or any(
        reference in kinds or TELLS_ALL_APART.fullmatch(reference) for reference in REFERENCE.findall(name)
    )


def study_name(config: DictConfig, name: str, swept: list[str]) -> str:
    """The name that all jobs of a multirun share: of the folder that holds its table.

    Args:
        config: the multirun's, which holds no values of swept keys.
        name: of the jobs, with its references as they were written.
        swept: the keys with several values.
    """
    if "name" in swept:
        return "multirun"
    references = REFERENCE.findall(name)
    if any(
        reference.startswith("hydra") or f"{reference}.".startswith(f"{key}.")
        for reference in references
        for key in swept
    ):
        return name.partition("${")[0].rstrip("-_./ ,=") or "multirun"
    return str(config.name)


def quoted(value: str) -> str:
    """A value as Hydra's grammar of overrides reads it back."""
    escaped = re.sub(r"(\\*)'", lambda found: 2 * found[1] + r"\'", value)
    return "'" + re.sub(r"(\\+)$", lambda found: 2 * found[1], escaped) + "'"
