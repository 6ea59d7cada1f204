"""The sweep: plan a study, train what is not trained yet through any Hydra launcher, collect and analyse."""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, open_dict

from scaling.config.schema import SweepConfig, load, register
from scaling.errors import UserError
from scaling.records.claims import claim_when_free, holder_of
from scaling.records.files import remove_parts
from scaling.sweep import provenance, report
from scaling.sweep.capacity import memory_there, refuse_what_does_not_fit
from scaling.sweep.display import show_sweep
from scaling.sweep.dry_run import print_dry_run
from scaling.sweep.gpus import torch_device
from scaling.sweep.launcher_failures import is_launchers_own
from scaling.sweep.placement import placement
from scaling.sweep.plan import PlannedJob, plan_jobs, study_machine
from scaling.training.job import write_plan
from scaling.training.machine import Machine, refuse_what_is_missing
from scaling.training.retry import record_failure
from scaling.training.signals import PREEMPTED

log = logging.getLogger(__name__)

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
"""A Hydra launcher's `launch`: for each job its overrides, and the number of the first; returns what came of each."""


def sweep(composed: DictConfig, arguments: list[str], launch: Launch) -> int:
    """Plan, train, collect and analyse a study; returns how many planned runs are not done.

    Args:
        composed: the sweep's config, Hydra's own part included.
        arguments: the words of the user's command line, which every job gets too.
        launch: the configured launcher's.
    """
    for override in OverridesParser.create().parse_overrides(arguments):
        if override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: a scaling sweep plans its own runs (design.budgets, design.sizes); "
                f"for a plain grid use `scaling train -m {override.input_line}`"
            )
    register()
    bare = composed.copy()
    with open_dict(bare):
        del bare["hydra"]
    config = load(bare)
    assert isinstance(config, SweepConfig)
    folder = config.folder
    here = placement(composed).here

    def plan() -> list[PlannedJob]:
        begun = provenance.as_begun(config)
        return plan_jobs(begun, study_machine(begun, here, lambda: _ask_a_machine(config, arguments, launch)))

    if config.dry_run:
        planned = plan()
        print_dry_run(config, planned, placement(composed, planned[0].job.config.trainer))
        return 0
    with held(folder):  # Of several sweeps, one at a time plans, and writes what belongs to the study.
        planned = plan()
        described = provenance.describe(config, planned)
        provenance.settle(folder, described)
        report.write_config(config, folder)

    trainer = planned[0].job.config.trainer
    where = placement(composed, trainer)
    waiting = [job for job in planned if not job.recorded]
    if waiting and here:
        refuse_what_is_missing(trainer)
    device = torch_device(trainer.accelerator)
    refuse_what_does_not_fit(
        waiting, device, where, memory_there(where, device), shutil.disk_usage(folder).free
    )
    for job in waiting:
        if not holder_of(job.job.folder):
            write_plan(job.job.config)
    report.print_plan(config, planned, waiting)
    failures: dict[str, str] = {}
    if waiting:
        with show_sweep(folder):
            failures = train_jobs(planned, lambda jobs: launch_jobs(jobs, arguments, launch))
    with claim_when_free(folder):
        remove_parts(folder, below=False)
        provenance.settle(folder, described)
        return report.conclude(config, planned, failures)


def _ask_a_machine(config: SweepConfig, arguments: list[str], launch: Launch) -> Machine:
    """What a machine can do on which the launcher runs jobs: a job that trains nothing tells it."""
    plan_jobs(config)  # A study that cannot be planned is refused before a queue is waited for.
    log.info("asking a machine of the launcher's what it can do, by a job that trains nothing")
    try:
        (answer,) = launch([[*arguments, "ask_machine=true"]], 0)
    except Exception as error:
        if not is_launchers_own(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"trainer.precision={config.trainer.precision}, trainer.accelerator={config.trainer.accelerator}: no "
            f"machine of the launcher's could be asked what these stand for ({reason}); set both, as "
            "trainer.accelerator=gpu trainer.precision=bf16-mixed, or hardware.name=DEVICE"
        ) from error
    return Machine(**answer.return_value)  # which raises what the job failed of


WAIT_SECONDS = 0.5
"""Time between two looks at jobs that others train."""
LAUNCHES = 3
"""How often a job is launched that ends neither with records nor with a reason, nor because it was asked to."""


class LauncherFailed(Exception):
    """A launcher gave up: a worker or a node died under it. What its jobs wrote is there."""


def train_jobs(
    jobs: list[PlannedJob], launch: Callable[[list[PlannedJob]], dict[str, str]]
) -> dict[str, str]:
    """Have every job trained, here or by another sweep on the same folder; returns why each that failed did, by name.

    Args:
        jobs: those to train; recorded ones are only tidied up.
        launch: trains jobs and returns why each that failed did.

    Jobs that another process holds are waited for, and launched here if it dies. A failure leaves its record. Jobs
    that were asked to end are launched again.
    """

    failures: dict[str, str] = {}
    launched: Counter[str] = Counter()
    told = ""
    everything = jobs
    while jobs := [job for job in jobs if job.name not in failures and not job.recorded]:
        held = {job.name: holder for job in jobs if (holder := holder_of(job.job.folder))}
        if free := [job for job in jobs if job.name not in held]:
            why = "without a record or a reason"
            try:
                reasons = launch(free)
            except LauncherFailed as error:
                reasons, why = {}, f"with its launcher: {error}"
                log.warning("the launcher ended: %s; what is not recorded is launched again", error)
            failures |= {name: reason for name, reason in reasons.items() if reason != PREEMPTED}
            launched.update(job.name for job in free if reasons.get(job.name) != PREEMPTED)
            for job in free:
                if launched[job.name] >= LAUNCHES and not job.recorded and not holder_of(job.job.folder):
                    failures.setdefault(job.name, f"ended {LAUNCHES} times {why}")
                if job.name in failures:
                    try:
                        record_failure(job.job, failures[job.name])
                    except OSError as error:  # a full disk stops no other job
                        log.warning("%s: nothing could be kept of its failure: %s", job.name, error)
            continue
        if (
            now := f"{len(held)} jobs are trained by others: {', '.join(sorted(map(str, {*held.values()})))}"
        ) != told:
            log.info("%s; waiting for them", now)
            told = now
        time.sleep(WAIT_SECONDS)
    for job in everything:
        if job.name not in failures:
            job.job.tidy()
    return failures


def launch_jobs(jobs: list[PlannedJob], arguments: list[str], launch: Launch) -> dict[str, str]:
    """Train jobs through a launcher; returns why each that failed did, by name.

    Raises:
        LauncherFailed: when the launcher itself did, as joblib's does when one of its workers is killed.
    """
    try:
        results = launch([[*arguments, f"name={job.job.config.name}"] for job in jobs], 0)
    except Exception as error:  # the jobs' own errors are results
        if not is_launchers_own(error):
            raise
        raise LauncherFailed(" ".join(f"{type(error).__name__}: {error}".split())) from error
    # A job's own reason is what the task returned; an exception is what kept the task from running.
    reasons = {job.name: result._return_value for job, result in zip(jobs, results, strict=True)}
    return {name: str(reason) for name, reason in reasons.items() if reason is not None}


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a study's folder and hold the claim on it; where that comes to nothing, what was made is removed."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    writable(folder)
    try:
        with claim_when_free(folder):
            yield
    except BaseException:
        with suppress(OSError):  # a folder that holds something by now stays
            for path in made:
                path.rmdir()
        raise


def writable(folder: Path) -> None:
    """Make a folder, or say in one line why it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"out={folder}: cannot be written ({error.strerror}); choose another folder with out="
        ) from error
