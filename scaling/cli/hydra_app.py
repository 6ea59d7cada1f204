"""What `train` and `sweep` share as Hydra apps: their start, their help, and how they end."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from hydra_plugins import scaling_simulator
from omegaconf import DictConfig

from scaling.cli import untrusted_config
from scaling.cli.composition_errors import explain_composition, is_composition_error
from scaling.cli.exit_status import DISK_FULL, TRACEBACK, Ending, exit_with_status, leave, plain_ending
from scaling.config.nearest import nearest
from scaling.config.schema import documented_keys, register
from scaling.errors import UserError
from scaling.records.records import RunRecord
from scaling.sweep.launcher_failures import is_launchers_own
from scaling.training.ranks import RankDied
from scaling.training.signals import INTERRUPTED, SIGNALS, Preempted, Terminated, terminate

T = TypeVar("T")
GOES_ON = "the same command goes on from the last checkpoint"


def run(app: Callable[[], Any]) -> None:
    """Run a Hydra app; whatever it raises ends the program with an exit status (`scaling.cli.exit_status`)."""
    register()
    for plugin in scaling_simulator.PLUGINS:
        # Hydra's own search sees installed wheels, but not editable installations.
        Plugins.instance().register(plugin)
    untrusted_config.install()
    os.environ.setdefault(TRACEBACK, os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra would print errors itself, over many lines, and exit
    with exit_with_status(hydra_ending):
        refuse_pickles(sys.argv[1:])
        refuse_unknown_flags(sys.argv[1:])
        if "--help" in sys.argv[1:] or "-h" in sys.argv[1:]:
            print(help_text(Path(sys.modules["__main__"].__file__ or "").stem))
            return
        for signum in SIGNALS:
            signal.signal(signum, terminate)
        try:
            app()
        except Exception as error:
            multirun = scaling_simulator.MultirunTable.under_way
            if multirun is None or not is_launchers_own(error):
                raise
            conclude_without_launcher(multirun, error)


def job(task: Callable[[DictConfig], T]) -> Callable[[DictConfig], T]:
    """Wrap the task of a Hydra app so that an error that is no bug ends it before Hydra adds lines of its own."""

    @wraps(task)
    def wrapped(config: DictConfig) -> T:
        try:
            return task(config)
        except Exception as error:
            if isinstance(error, OSError) and error.filename is None and error.errno in DISK_FULL:
                error.filename = str(
                    Path(config.out) / config.name
                )  # What a full disk refuses names no file.
            if ending := hydra_ending(error):
                leave(ending, error)
            raise  # a launcher carries it, with its traceback, to the process that began the app

    return wrapped


def conclude_without_launcher(multirun: DictConfig, error: Exception) -> NoReturn:
    """Print and write the table of a multirun whose launcher failed, as joblib's does when a worker is killed.

    Raises:
        SystemExit: with status 1, after one line with what the launcher said.
    """
    with suppress(SystemExit):
        scaling_simulator.MultirunTable(None, None, []).on_multirun_end(multirun)
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    leave(
        Ending(
            f"error: the launcher failed ({reason}); the same command trains the jobs that are missing", 1
        ),
        error,
    )


def is_multirun() -> bool:
    """Whether the Hydra app under way trains one of several jobs."""
    return HydraConfig.get().mode == RunMode.MULTIRUN


def end_if_diverged(records: Sequence[RunRecord]) -> None:
    """End the program with status 1 where a run diverged.

    Raises:
        SystemExit: after one line that names the run, the reason and the remedy.
    """
    diverged = [record for record in records if record.status == "diverged"]
    if diverged:
        first = diverged[0]
        remedy = f"lower optim.lr (it was {first.lr:.3g}), under another name="
        print(f"error: {first.run_id} diverged: {first.reason}; {remedy}", file=sys.stderr)
        raise SystemExit(1)


def hydra_ending(error: BaseException) -> Ending | None:
    """How an exception ends a Hydra app; None: the exception is a bug."""
    if isinstance(error, KeyboardInterrupt):
        return Ending(f"{error}" or f"interrupted; {GOES_ON}", INTERRUPTED)
    if isinstance(error, Terminated):
        return Ending(f"ended by {error}; {GOES_ON}", 128 + error.signum)
    if isinstance(error, Preempted):  # in a worker process of a multirun
        return Ending("", 128 + signal.SIGTERM)
    if isinstance(error, RankDied):
        return Ending(f"error: {error}; {GOES_ON}", 1)
    if is_composition_error(error):
        return Ending(f"error: {explain_composition(error, sys.argv[1:])}", 2)
    ending = plain_ending(error)
    if ending is not None and isinstance(error, OSError) and ending.status == 2:
        return Ending(f"{ending.line}; choose another out= or cache=", 2)
    return ending or _machines_ending(error)


def _machines_ending(error: BaseException) -> Ending | None:
    """How an error ends a Hydra app that says what this machine lacks; None: it says something else."""
    # Imported here because both are slow to import, which the start of a Hydra app does without.
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from scaling.training.retry import is_out_of_memory

    reason = " ".join(str(error).split())
    if isinstance(error, MisconfigurationException):
        remedy = "set another trainer.accelerator, trainer.devices or trainer.strategy"
        return Ending(f"error: Lightning cannot train this way on this machine ({reason}); {remedy}", 2)
    if is_out_of_memory(error):
        return Ending(
            f"error: out of memory ({reason}); set a smaller trainer.micro_batch_tokens or model", 1
        )
    return None


def refuse_pickles(words: list[str]) -> None:
    """Refuse Hydra's `--experimental-rerun`, which unpickles a file: it may hold any code.

    Raises:
        UserError: when the flag, or an abbreviation of it, is among the words of a command line.
    """
    if any(len(word) > 2 and "--experimental-rerun".startswith(word.partition("=")[0]) for word in words):
        raise UserError(
            "--experimental-rerun: reads a pickle, which can hold any code; give the config as YAML, with "
            "--config-dir and key=value"
        )


def refuse_unknown_flags(words: list[str]) -> None:
    """Refuse, in one line, a flag that Hydra would refuse together with the list of all its flags.

    Raises:
        UserError: naming the first such flag.
    """
    if given := [word for word in words if word in ("-sc", "--shell-completion")]:
        raise UserError(
            f'{given[0]}: Hydra\'s completion knows one command alone; use: eval "$(scaling completion bash)"'
        )
    parser = get_args_parser()
    flags = [flag for action in parser._actions for flag in action.option_strings]
    for word in parser.parse_known_args(words)[1]:
        if word.startswith("-"):
            raise UserError(f"{word}: no such flag; {nearest(word, flags, 'see --hydra-help')}")
        raise UserError(f"{word}: must stand before or after all flags, together with the other words")


def help_text(command: str) -> str:
    """Every key with its meaning, and the options of every group."""
    conf = Path(str(files("scaling.conf")))
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(conf.iterdir())
        if folder.is_dir() and any(folder.glob("*.yaml"))
    }
    options = "\n".join(f"  {group:11} {', '.join(names)}" for group, names in groups.items())
    keys = "\n".join(f"  {key:34} {meaning}" for key, meaning in documented_keys().items() if meaning)
    return f"""usage: scaling {command} [group=option …] [key=value …]

groups, each with its options (corpus=text, experiment=quickstart):
{options}

keys (a key of an option needs that option: corpus.paths belongs to corpus=text):
{keys}

Hydra's own flags: --cfg job (print the config and stop), --resolve, --info, --multirun (train);
`scaling {command} --hydra-help` explains them."""
