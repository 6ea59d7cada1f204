"""The ground that a study stands on: its config, corpus and code, kept in `sweep.json` with the plan of its runs.

A study that goes on under another config, corpus or code would be a mixture that no law describes. What decides a
run is hashed in its identity; where an identity is another one now, or a run is no longer planned, the study is
refused with the differences. A design may grow, and what no run depends on (workers, loggers, folders) may change.
"""

import ast
import hashlib
import logging
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scaling.config.schema import SweepConfig
from scaling.errors import UserError
from scaling.records.claims import holder_of
from scaling.records.files import Damaged, read_json, set_aside, write_json
from scaling.records.folder import CHECKPOINT, RECORD, STUDY_PLAN, TRUNK
from scaling.sweep.plan import PlannedJob
from scaling.training.job import code_version
from scaling.training.precision import as_decided_before

UNIMPORTANT = ("name", "out", "cache", "dry_run", "logger.", "hardware.")
"""Keys that are left out of an explanation: no run depends on them."""
_TRAINING = ("scaling.training.module", "scaling.training.job", "scaling.training.branching")
"""Where the code that trains begins; what it imports belongs to it."""
_APART = (
    "scaling.config",
    "scaling.errors",
    "scaling.records",
    "scaling.training.checkpoint",
    "scaling.training.meters",
    "scaling.training.planned",
    "scaling.training.progress",
    "scaling.model.saved",
)
"""Packages and modules that are imported there, but are no part of it: a config's values are compared as such; the
rest keeps, checks, shows and measures."""

log = logging.getLogger(__name__)


def describe(config: SweepConfig, planned: list[PlannedJob]) -> dict[str, Any]:
    """What `sweep.json` says of a study."""
    trainer = planned[0].job.config.trainer
    return {
        "decided": {"accelerator": trainer.accelerator, "precision": trainer.precision},
        "name": config.name,
        "config": flatten(config),
        "corpus": planned[0].job.corpus.fingerprint,
        "code": training_code(),
        "code_version": code_version(),
        "jobs": {
            job.name: {
                folder.name: {"identity": identity, "tokens": tokens, "flops": flops}
                for folder, identity, tokens, flops in zip(
                    job.job.run_folders, job.job.identities, job.job.tokens, job.job.flops_spent, strict=True
                )
            }
            for job in planned
        },
    }


def as_begun(config: SweepConfig) -> SweepConfig:
    """The study's config with each `auto` as it was decided when the study began; as it is, where it begins now."""
    path = config.folder / STUDY_PLAN
    try:
        decided = read_sweep(path).get("decided") if path.is_file() else None
        return replace(config, trainer=as_decided_before(config.trainer, **decided)) if decided else config
    except (Damaged, TypeError):  # `settle` names a damaged file, and sets it aside.
        return config


def settle(folder: Path, now: dict[str, Any]) -> None:
    """Check a study against the ground it was begun on, and write down the ground it goes on with.

    Raises:
        UserError: one line with what differs (key: was -> now) and the remedy; nothing is changed then.
    """
    path = folder / STUDY_PLAN
    if path.is_file():
        try:
            was = read_sweep(path)
        except Damaged as error:
            aside = set_aside(path)
            log.warning(
                "%s; set aside as %s: the records tell by themselves what they are of", error, aside.name
            )
        else:
            _compare(folder, was, now)
    write_json(path, now)


def read_sweep(path: Path) -> dict[str, Any]:
    """What a study's `sweep.json` says.

    Raises:
        Damaged: one line naming the file, when it is not what was written, or another kind of file.
    """
    told = read_json(path)
    if missing := {"name", "config", "corpus", "code", "code_version", "jobs"} - told.keys():
        raise Damaged(f"{path}: not the description of a sweep (it lacks {', '.join(sorted(missing))})")
    return told


def _compare(folder: Path, was: dict[str, Any], now: dict[str, Any]) -> None:
    if not any(_begun(folder / job) for job in was["jobs"]):
        return  # nothing is trained yet that could be mixed up
    before, after = _identities(was), _identities(now)
    dropped = [run for run in before if run not in after]
    changed = [run for run in before if run in after and before[run] != after[run]]
    code = differences(was["code"], now["code"])
    if not dropped and not changed and not code:
        return
    told = [text for text in differences(was["config"], now["config"]) if not text.startswith(UNIMPORTANT)]
    if not dropped and not changed:
        told = []  # whatever else is another now, the runs are the same
    if was["corpus"] != now["corpus"]:
        told.append(f"corpus's tokens: {was['corpus'][:12]} -> {now['corpus'][:12]}")
    remedy = "choose another name= (this study stays as it is), or go back to what was"
    if code:
        told += [f"code of {text}" for text in code]
        remedy += f" (code: {was['code_version']})"
    count = f"{len(changed)} planned runs would be others now, {len(dropped)} are no longer planned; "
    raise UserError(
        f"{folder}: begun on other ground: {'; '.join(told)}. {count if dropped or changed else ''}{remedy}"
    )


def _begun(job: Path) -> bool:
    there = any((job / name).is_file() for name in (CHECKPOINT, TRUNK)) or any(job.glob(f"*/{RECORD}"))
    return there or holder_of(job) is not None


def _identities(ground: dict[str, Any]) -> dict[str, str]:
    return {name: run["identity"] for runs in ground["jobs"].values() for name, run in runs.items()}


def differences(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """`key: was -> now` for each key that differs."""
    absent = object()

    def show(value: Any) -> str:
        return "(absent)" if value is absent else "null" if value is None else str(value)

    keys = [*was, *(key for key in now if key not in was)]
    return [
        f"{key}: {show(was.get(key, absent))} -> {show(now.get(key, absent))}"
        for key in keys
        if was.get(key, absent) != now.get(key, absent)
    ]


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """A config's values by dotted key; the kind of a corpus or tokenizer is the name of its class."""
    values: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            if prefix + item.name in ("corpus", "tokenizer"):
                values[item.name] = type(value).__name__
            values |= flatten(value, f"{prefix}{item.name}.")
        elif not isinstance(value, list) or all(isinstance(entry, str) for entry in value):
            values[prefix + item.name] = value
    return values


# --- code ----------------------------------------------------------------------------------------------


def training_code() -> dict[str, str]:
    """A digest of each module that decides what a run comes to, and the versions of what it trains with.

    Comments, docstrings and layout do not count.

    Raises:
        RuntimeError: when a module named here does not exist, as after a renaming; it would be covered by nothing.
    """
    if missing := [module for module in (*_TRAINING, *_APART) if _source(module) is None]:
        raise RuntimeError(
            f"the training code's digest names modules that do not exist: {', '.join(missing)}"
        )
    digests: dict[str, str] = {}
    waiting = list(_TRAINING)
    while waiting:
        module = waiting.pop()
        path = _source(module)
        if path is None or module in digests or _is_apart(module):  # no path: a name within a module
            continue
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scaling":
                waiting += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
            if (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                and ast.get_docstring(node, clean=False) is not None
            ):
                del node.body[0]
        digests[module] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:12]
    return {
        **dict(sorted(digests.items())),
        "torch": version("torch"),
        "lightning": version("lightning"),
    }


def _is_apart(module: str) -> bool:
    return any(module == apart or module.startswith(f"{apart}.") for apart in _APART)


def _source(module: str) -> Path | None:
    """The file of one of this project's modules; None: there is no such module."""
    path = Path(__file__).resolve().parents[2] / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
