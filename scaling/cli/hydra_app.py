"""What `train` and `sweep` share as Hydra apps: errors in one line, shell completion."""

import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra_plugins import scaling_simulator
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from analysis.refusals import Refusal
from scaling.cli import untrusted_config
from scaling.config.overrides import field_help
from scaling.config.schema import SCHEMAS, SweepConfig, TrainConfig, register
from scaling.sweep.placement import missing_extra
from scaling.training.ranks import RankDied
from scaling.training.signals import SIGNALS, Preempted, Terminated, terminate

T = TypeVar("T")
LAUNCHERS = "hydra/launcher/"
# What the user set HYDRA_FULL_ERROR to, which is then ours to set; processes begun from here keep it.
TRACEBACK = "SCALING_TRACEBACK"


def run(app: Callable[[], Any]) -> None:
    """Run a Hydra app; a user's mistake ends in one line on stderr and exit status 2.

    With HYDRA_FULL_ERROR=1 set by the user, errors come with their traceback.
    """
    register()
    for plugin in (scaling_simulator.ScalingSweeper, scaling_simulator.LocalLauncher):
        # Hydra's own search sees installed wheels, but not editable installations.
        Plugins.instance().register(plugin)
    untrusted_config.install()
    refuse_pickles(sys.argv[1:])
    if "--help" in sys.argv[1:] or "-h" in sys.argv[1:]:
        print(help_text(Path(sys.modules["__main__"].__file__ or "").stem))
        return
    # Shell completion gives the whole line, `scaling train …`; Hydra expects one word before the overrides.
    if line := os.environ.get("COMP_LINE"):
        words = line.split(" ")
        if len(words) > 2 and words[1] in ("train", "sweep"):
            os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    os.environ.setdefault(TRACEBACK, os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra itself prints and exits, over many lines
    for signum in SIGNALS:
        signal.signal(signum, terminate)
    try:
        app()
    except (HydraException, OmegaConfBaseException, Refusal, OSError) as error:
        if os.environ.get(TRACEBACK) == "1":
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except Terminated as error:
        print(f"ended by {error}; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(128 + error.signum)
    except Preempted:  # in a worker process of a multirun
        sys.exit(128 + signal.SIGTERM)


def refuse_pickles(words: list[str]) -> None:
    """End the program at Hydra's `--experimental-rerun`, which unpickles a file: it may hold any code."""
    if any(len(word) > 2 and "--experimental-rerun".startswith(word.partition("=")[0]) for word in words):
        print(
            "error: --experimental-rerun: reads a pickle, which can hold any code; give the config as YAML, with "
            "--config-dir and key=value",
            file=sys.stderr,
        )
        sys.exit(2)


def job(task: Callable[[DictConfig], T]) -> Callable[[DictConfig], T]:
    """Wrap a task so that a user's mistake, or a rank's death, ends it in one line, without Hydra's own above it."""

    @wraps(task)
    def wrapped(config: DictConfig) -> T:
        try:
            return task(config)
        except (Refusal, OSError) as error:
            if os.environ.get(TRACEBACK) == "1":
                raise
            print(f"error: {one_line(error)}", file=sys.stderr)
            raise SystemExit(2) from error
        except RankDied as error:
            print(f"error: {error}; the same command goes on from the last checkpoint", file=sys.stderr)
            raise SystemExit(1) from error

    return wrapped


def one_line(error: BaseException) -> str:
    """An error as one line: what was wrong, its value, how to mend it."""
    if isinstance(error, MissingConfigException):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        found = next((i for i, line in enumerate(lines) if line.startswith("Available options")), None)
        options = (
            []
            if found is None
            else [
                o for o in lines[found + 1 :] if not o.startswith(("schema_", "Config search", "provider="))
            ]
        )
        missing = (error.missing_cfg_file or "") if isinstance(error.missing_cfg_file, str) else ""
        if missing.startswith(LAUNCHERS) and (extra := missing_extra(missing.removeprefix(LAUNCHERS))):
            return f"{missing.replace('/launcher/', '/launcher=')}: its package is not installed; {extra}"
        return f"{missing or lines[0]}: no such option" + (
            f"; choose one of {', '.join(options)}" if options else ""
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_composition(error)
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename}: cannot be read or written ({error.strerror}); choose another out= or cache="
        )
    return " ".join(str(error).split())


def _explain_composition(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = str(getattr(cause, "full_key", None) or "")
    given = next((word for word in sys.argv[1:] if key and word.lstrip("+~").partition("=")[0] == key), key)
    keys = known_keys()
    if key and key not in keys and "not in" in str(cause):
        near = get_close_matches(key, keys, n=3, cutoff=0.6)
        near += [k for k in keys if k.rpartition(".")[2] == key.rpartition(".")[2] and k not in near]
        siblings = [k for k in keys if k.rpartition(".")[0] == key.rpartition(".")[0]]
        return f"{given}: no such key; " + (
            f"did you mean {' or '.join(near[:3])}?" if near else f"keys there: {', '.join(siblings)}"
        )
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if (option := re.match(r"In '(\w+/\S+)': ", lines[0])) and len(lines) > 1:
        given, lines = option[1].replace("/", "="), lines[1:]
        if lines[0] == "Key 'design' not in 'TrainConfig'":
            return f"{given}: plans a study of many runs; use `scaling sweep {given}`"
        given += "".join(f", {line.split()[1]}" for line in lines if line.startswith("full_key: "))
    reason = next((line for line in lines if not line.startswith(("full_key", "object_type"))), str(cause))
    if "Could not override" in reason and len(lines) > 1:
        reason = " ".join(lines)
    text = f"{given}: {reason}" if given else reason
    meaning = keys.get(key)
    return text + (f" ({key}: {meaning})" if meaning else "")


def help_text(command: str) -> str:
    """Every key with its meaning, and the options of every group."""
    conf = Path(str(files("scaling.conf")))
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(conf.iterdir())
        if folder.is_dir() and any(folder.glob("*.yaml"))
    }
    options = "\n".join(f"  {group:11} {', '.join(names)}" for group, names in groups.items())
    keys = "\n".join(f"  {key:34} {meaning}" for key, meaning in known_keys().items() if meaning)
    return f"""usage: scaling {command} [group=option …] [key=value …]

groups, each with its options (corpus=text, experiment=quickstart):
{options}

keys (a key of an option needs that option: corpus.paths belongs to corpus=text):
{keys}

Hydra's own flags: --cfg job (print the config and stop), --resolve, --info, --multirun (train), -sc install=bash
(shell completion); `scaling {command} --hydra-help` explains them."""


def known_keys() -> dict[str, str]:
    """Every key of a training job or a sweep, with its help text."""
    keys: dict[str, str] = {}

    def add(schema: type, prefix: str) -> None:
        texts = field_help(schema)
        for item in fields(schema):
            keys.setdefault(prefix + item.name, texts[item.name])
            if isinstance(item.type, type) and is_dataclass(item.type):
                add(item.type, f"{prefix}{item.name}.")

    roots: tuple[type, ...] = (TrainConfig, SweepConfig)
    for root in roots:
        add(root, "")
    for path, schema in SCHEMAS.items():
        group = path.rpartition("/")[0]
        if group:
            add(schema, f"{group}.")
    return keys
