"""The sweep: plan a study, train what is not trained yet through any Hydra launcher, collect and analyse.

As a Hydra sweeper it hands every job to the configured launcher as overrides of the sweep's own config.
"""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from scaling.errors import UserError
from scaling.sweep.placement import Placement, placement, refuse_missing_package
from scaling.training.signals import PREEMPTED

if TYPE_CHECKING:  # Hydra imports this module at every start: what is heavy waits until a sweep runs
    from scaling.config.schema import SweepConfig
    from scaling.sweep.design import PlannedRun
    from scaling.training.job import Job


log = logging.getLogger(__name__)

FLOPS_BESIDE_A_TOKEN = 2e5
"""FLOPs that would take about as long as what a step spends beside its products, for each token: from a line through
the times a token of seven models of 4e3 to 1e5 parameters at 1024 tokens a step (AMD EPYC, one thread). It decides only
which job starts first."""


class ScalingSweeper(Sweeper):
    """Plans the runs of `design`, launches their jobs, and ends with the study's tables and figures."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        refuse_missing_package(config)
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; exits with status 1 where a planned run is not done at its end."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from scaling.config.schema import SweepConfig, load, register

        for override in OverridesParser.create().parse_overrides(arguments):
            if override.is_sweep_override():
                raise UserError(
                    f"{override.input_line}: a scaling sweep plans its own runs (design.budgets, design.sizes); "
                    f"for a plain grid use `scaling train -m {override.input_line}`"
                )
        register()
        assert self.config is not None
        assert self.launcher is not None
        bare = self.config.copy()
        with open_dict(bare):
            del bare["hydra"]
        config = load(bare)
        assert isinstance(config, SweepConfig)
        unfinished = run_sweep(config, arguments, self.launcher.launch, placement(self.config))
        if unfinished:
            raise SystemExit(1)
        return unfinished


def run_sweep(config: "SweepConfig", arguments: list[str], launch: Any, where: Placement) -> int:
    """Plan, train, collect and analyse a study; returns how many planned runs are not done.

    `where`: the launcher's jobs run, for what fits and how long it takes.
    """
    from scaling.records.claims import claim_when_free
    from scaling.records.files import remove_parts
    from scaling.sweep import forecast, provenance, report
    from scaling.sweep.display import show_sweep
    from scaling.sweep.gpus import runtime_device

    planned = plan_jobs(config)
    folder = config.folder
    if config.dry_run:
        forecast.print_dry_run(config, planned, where)
        return 0
    writable(folder)
    described = provenance.describe(config, planned)
    with claim_when_free(folder):  # of several sweeps, one at a time writes what is the study's
        provenance.settle(folder, described)
        report.write_config(config, folder)

    waiting = [job for job in planned if not job.recorded]
    device = runtime_device(config.trainer.accelerator)
    forecast.refuse_what_does_not_fit(
        waiting, device, where, forecast.memory_there(where, device), shutil.disk_usage(folder).free
    )
    report.print_plan(config, planned, waiting)
    failures: dict[str, str] = {}
    if waiting:
        with show_sweep(folder):
            failures = train_jobs(planned, lambda jobs: launch_jobs(jobs, arguments, launch))
    with claim_when_free(folder):
        remove_parts(folder, below=False)
        provenance.settle(folder, described)
        return report.conclude(config, planned, failures)


def plan_jobs(config: "SweepConfig") -> "list[PlannedJob]":
    """The training jobs of a study, the largest first: the last to end is then a small one."""
    from scaling.corpus import prepare
    from scaling.sweep.design import jobs as group_jobs
    from scaling.sweep.design import plan
    from scaling.training.job import resolve_shape

    # Made here once, so that the workers find the tokens ready; and the vocabulary decides the shapes.
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    like = resolve_shape(config, corpus.vocab_size)
    runs = plan(config.design, like, config.seed)
    share = config.design.share_trunks and config.schedule.kind == "wsd"
    planned = [PlannedJob(config, group, corpus) for group in group_jobs(runs, share)]
    return sorted(planned, key=lambda job: -expected_work(job.job))


def expected_work(job: "Job") -> float:
    """FLOPs of a job, and what its time holds beside them: only the order of jobs follows from it."""
    tokens = job.recipe.tokens_in(job.recipe.plan)
    return sum(job.flops_spent) + tokens * FLOPS_BESIDE_A_TOKEN


WAIT_SECONDS = 0.5
"""Time between two looks at jobs that others train."""
LAUNCHES = 3
"""How often a job is launched that ends neither with records nor with a reason, nor because it was asked to."""


class LauncherFailed(Exception):
    """A launcher gave up: a worker or a node died under it. What its jobs wrote is there."""


def train_jobs(
    jobs: "list[PlannedJob]", launch: "Callable[[list[PlannedJob]], dict[str, str]]"
) -> dict[str, str]:
    """Have every job trained, here or by another sweep on the same folder; returns why each that failed did, by name.

    Args:
        jobs: those to train; recorded ones are only tidied up.
        launch: trains jobs and returns why each that failed did.

    Jobs that another process holds are waited for, and launched here if it dies. A failure leaves its record. Jobs
    that were asked to end are launched again.
    """
    from scaling.records.claims import holder_of
    from scaling.training.retry import record_failure

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


def launch_jobs(jobs: "list[PlannedJob]", arguments: list[str], launch: Any) -> dict[str, str]:
    """Train jobs through a launcher; returns why each that failed did, by name.

    Raises:
        LauncherFailed: when the launcher itself did, as joblib's does when one of its workers is killed.
    """
    try:
        results: Sequence[Any] = launch([[*arguments, *job.overrides] for job in jobs], 0)
    except Exception as error:  # of whatever package carries the jobs; their own errors are results
        raise LauncherFailed(" ".join(f"{type(error).__name__}: {error}".split())) from error
    # A job's own reason is what the task returned; an exception is what kept the task from running.
    reasons = {job.name: result._return_value for job, result in zip(jobs, results, strict=True)}
    return {name: str(reason) for name, reason in reasons.items() if reason is not None}


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


class PlannedJob:
    """A training job of a sweep before it is launched."""

    def __init__(self, config: "SweepConfig", runs: "list[PlannedRun]", corpus: Any) -> None:
        from dataclasses import replace

        from scaling.config.schema import Branch
        from scaling.training.job import Job

        shape, seed = runs[0].shape, runs[0].seed
        alone = "" if len(runs) > 1 or config.design.share_trunks else f"-flops{runs[0].budget_flops:.3g}"
        self.name = f"params{runs[0].params_total}-seed{seed}{alone}"
        model: dict[str, Any] = {
            "target_params": None,
            "width": shape.width,
            "depth": shape.depth,
            "heads": shape.heads,
            "kv_heads": shape.kv_heads,
            "ffn_width": shape.ffn_width,
        }
        branches = [Branch(tokens=float(round(r.tokens)), budget_flops=r.budget_flops) for r in runs]
        self.job = Job(
            replace(
                config,
                model=replace(config.model, **model),
                seed=seed,
                name=f"{config.name}/{self.name}",
                branches=branches,
            ),
            corpus,
        )
        listed = ",".join(f"{{tokens:{b.tokens!r},budget_flops:{b.budget_flops!r}}}" for b in branches)
        self.overrides = [f"model.{key}={'null' if value is None else value}" for key, value in model.items()]
        self.overrides += [f"seed={seed}", f"name={config.name}/{self.name}", f"branches=[{listed}]"]

    @property
    def recorded(self) -> bool:
        """Whether every run of the job has its record."""
        return all(record is not None for record in self.job.recorded())
