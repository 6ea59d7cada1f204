"""The training jobs of a study, planned: every run with its shape, tokens and recipe, and nothing left open.

What depends on a machine is decided here, once for the study: see `study_machine`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

from scaling.accounting.hardware import get_device
from scaling.accounting.this_machine import cores
from scaling.config.schema import Branch, SweepConfig
from scaling.corpus import TokenCorpus, prepare
from scaling.sweep import design
from scaling.training.job import Job, plan_job
from scaling.training.machine import Machine, described_by, probe
from scaling.training.precision import decided
from scaling.training.resolve import pinned, resolve_shape

FLOPS_BESIDE_A_TOKEN = 2e5
"""FLOPs that would take about as long as what a step spends beside its products, for each token: from a line through
the times a token of seven models of 4e3 to 1e5 parameters at 1024 tokens a step (AMD EPYC, one thread). It decides only
which job starts first."""


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A training job of a study, before it is launched."""

    name: str
    """Its folder in the study's folder."""
    job: Job

    @property
    def recorded(self) -> bool:
        """Whether every run of the job has its record."""
        return all(record is not None for record in self.job.recorded())


def study_machine(config: SweepConfig, here: bool, ask: Callable[[], Machine]) -> Machine | None:
    """The machine by which `auto` is decided for all runs of a study; None where nothing is `auto`.

    Args:
        config: the study's, with what was decided when it began (`provenance.as_begun`).
        here: whether the jobs are trained on this machine.
        ask: learns from a machine elsewhere what it can do, where the config does not say which device that is.
    """
    asked = config.trainer.accelerator
    if "auto" not in (asked, config.trainer.precision):
        return None
    if config.hardware.name != "auto" and (config.dry_run or not here):
        return described_by(get_device(config.hardware.name))
    return probe(asked) if here else ask()


def plan_jobs(config: SweepConfig, machine: Machine | None = None) -> list[PlannedJob]:
    """The training jobs of a study, the largest first: the last to end is then a small one.

    Args:
        config: the study's.
        machine: where the jobs will be trained (`study_machine`); None: on this machine.

    Raises:
        UserError: one line, for a study that cannot be trained.
    """
    # The corpus is made here once, so that the workers find its tokens ready; and its vocabulary decides the shapes.
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    like = resolve_shape(config, corpus.vocab_size)
    runs = design.planned_runs(config.design, like, config.seed)
    # One precision for all runs, so that one law describes them: the one in which the narrowest model is no slower.
    narrowest = min(run.shape.width for run in runs)
    config = replace(config, trainer=decided(config.trainer, narrowest, machine))
    share = config.design.share_trunks and config.schedule.kind == "wsd"
    planned = [_planned(config, group, corpus) for group in design.jobs(runs, share)]
    return sorted(planned, key=lambda job: -expected_work(job.job))


def _planned(config: SweepConfig, runs: list[design.PlannedRun], corpus: TokenCorpus) -> PlannedJob:
    shape, seed = runs[0].shape, runs[0].seed
    one, alone = runs[0], ""
    if len(runs) == 1 and not config.design.share_trunks:
        alone = f"-tokens{one.tokens:.3g}" if isnan(one.budget_flops) else f"-flops{one.budget_flops:.3g}"
    name = f"params{runs[0].params_total}-seed{seed}{alone}"
    job = plan_job(
        replace(
            config,
            name=f"{config.name}/{name}",
            seed=seed,
            model=pinned(config.model, shape),
            branches=[
                Branch(
                    tokens=float(round(run.tokens)),
                    budget_flops=None if isnan(run.budget_flops) else run.budget_flops,
                )
                for run in runs
            ],
        ),
        corpus,
        jobs_at_once=cores(),  # A job for each core: one thread each, unless the user chose another number.
    )
    return PlannedJob(name=name, job=job)


def expected_work(job: Job) -> float:
    """FLOPs of a job, and what its time holds beside them: only the order of jobs follows from it."""
    tokens = job.recipe.tokens_in(job.recipe.segments)
    return sum(job.flops_spent) + tokens * FLOPS_BESIDE_A_TOKEN
