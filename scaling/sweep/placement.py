"""Where a launcher's jobs run: how many at once, and in whose memory. Read off the config of any Hydra launcher."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig, OmegaConf

from scaling.accounting.this_machine import cores
from scaling.config.schema import TrainerConfig
from scaling.errors import UserError
from scaling.sweep.admission import Gpu
from scaling.sweep.gpus import gpus_for

PROCESS_BYTES = 2**29
"""What a worker holds before it trains: Python, torch and Lightning; 470 MiB resident, as measured with torch 2.13."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the jobs of a sweep run."""

    at_once: int
    """Jobs at once, at most; where a cluster decides, the most that it is asked for."""
    here: bool
    """Whether on this machine, whose memory they then share."""
    memory_bytes: int | None = None
    """What each job asks for where it does not run here, less what its process takes; None: the cluster decides."""
    remedy: str = ""
    """What to write where they do not fit, beside smaller runs."""
    gpus: tuple[Gpu, ...] = ()
    """GPUs to which the launcher admits jobs by their memory; none: `at_once` alone decides."""


EXTRAS = {"joblib": "joblib", "submitit": "slurm", "ray": "ray"}
"""The extra that installs a launcher's package hydra_NAME_launcher."""


def missing_extra(option: str) -> str | None:
    """How to install the package that brings a launcher's option, as hydra/launcher=submitit_slurm; None: it is there,
    or no extra would bring it."""
    name = option.partition("_")[0]
    if name not in EXTRAS or find_spec(f"hydra_plugins.hydra_{name}_launcher") is not None:
        return None
    return f"pip install 'scaling-simulator[{EXTRAS[name]}]'"


def refuse_missing_package(config: DictConfig) -> None:
    """Refuse a launcher whose package is not installed.

    Raises:
        UserError: one line with what to install.
    """
    package = ".".join(str(config.hydra.launcher.get("_target_")).split(".")[:2])
    if package.startswith("hydra_plugins.hydra_") and find_spec(package) is None:
        name = package.split("_")[2]
        extra = f"scaling-simulator[{EXTRAS[name]}]" if name in EXTRAS else package.split(".")[1]
        raise UserError(f"hydra.launcher: {package} is not installed; pip install '{extra}'")


def default_workers(trainer: TrainerConfig, gpus: Sequence[Gpu] = ()) -> int:
    """Most jobs at once: available cores over threads a job, all its ranks together; on a GPU of unknown memory, one.

    `gpus`: those whose memory is known, by which fewer may be admitted.
    """
    if trainer.accelerator in ("gpu", "cuda", "mps") and not gpus:
        return 1
    return max(1, cores() // (trainer.devices * (trainer.threads or 1)))


def placement(config: DictConfig, trainer: TrainerConfig | None = None) -> Placement:
    """Where the launcher of a composed sweep config runs its jobs.

    `trainer`: as decided for the study; None: nothing is decided yet, and no GPU is looked at.
    """
    trainer = trainer or TrainerConfig(accelerator="cpu")
    launcher: dict[str, Any] = OmegaConf.to_container(config.hydra.launcher, resolve=True)  # type: ignore[assignment]
    target = str(launcher.get("_target_", "")).rpartition(".")[0].removeprefix("hydra_plugins.")
    name = str(launcher.get("_target_", "")).rpartition(".")[2]
    match target.partition(".")[0], name:
        case "hydra_joblib_launcher", _:
            asked = int(launcher.get("n_jobs") or 1)
            return Placement(
                at_once=asked if asked > 0 else max(1, cores() + 1 + asked),
                here=True,
                remedy="hydra.launcher.n_jobs=1",
            )
        case "hydra_submitit_launcher", "SlurmLauncher":
            asked_gb = launcher.get("mem_gb")
            return Placement(
                at_once=int(launcher.get("array_parallelism") or 1),
                here=False,
                memory_bytes=None if asked_gb is None else int(asked_gb) * 2**30 - PROCESS_BYTES,
                remedy="more hydra.launcher.mem_gb",
            )
        case "hydra_submitit_launcher", _:  # starts all of them at once
            return Placement(at_once=2**16, here=True, remedy="hydra/launcher=local")
        case "hydra_ray_launcher", _:
            ray = launcher["ray"]
            address, each = ray["init"].get("address"), ray["remote"].get("num_cpus") or 1
            return Placement(at_once=max(1, math.floor(cores() / each)), here=address in (None, "local"))
        case "scaling_simulator", _:
            gpus = gpus_for(trainer.accelerator)
            workers = launcher.get("workers") or default_workers(trainer, gpus)
            sharing = workers > 1 and not gpus  # on a GPU a job that does not fit waits for the others
            return Placement(
                at_once=workers, here=True, remedy="hydra.launcher.workers=1" * sharing, gpus=gpus
            )
        case _:  # one after another, as Hydra's basic launcher does
            return Placement(at_once=1, here=True)
