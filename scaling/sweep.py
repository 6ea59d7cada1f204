"""The sweep: plan a study, train what is not trained yet through any Hydra launcher, collect and analyse.

As a Hydra sweeper it hands every job to the configured launcher as overrides of the sweep's own config.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:  # Hydra imports this module at every start: what is heavy waits until a sweep runs
    from scaling.config import SweepConfig
    from scaling.design import PlannedRun


class ScalingSweeper(Sweeper):
    """Plans the runs of `design`, launches their jobs, and ends with the study's tables and figures."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; returns the number of planned runs that are not done at its end."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from scaling.config import SweepConfig, load, register

        for override in OverridesParser.create().parse_overrides(arguments):
            if override.is_sweep_override():
                raise ValueError(
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
        return run_sweep(config, arguments, self.launcher.launch)


def run_sweep(config: "SweepConfig", arguments: list[str], launch: Any) -> int:
    """Plan, train, collect and analyse a study; returns how many planned runs are not done."""
    from scaling import study
    from scaling.corpus import prepare
    from scaling.design import jobs as group_jobs
    from scaling.design import plan
    from scaling.display import SweepDisplay
    from scaling.job import resolve_shape

    # Made here once, so that the workers find the tokens ready; and the vocabulary decides the shapes.
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    like = resolve_shape(config, corpus.vocab_size)
    runs = plan(config.design, like, config.seed)
    share = config.design.share_trunks and config.schedule.kind == "wsd"
    planned = [PlannedJob(config, group, corpus) for group in group_jobs(runs, share)]
    folder = config.folder
    writable(folder)
    study.write_config(config, folder)

    waiting = [job for job in planned if not job.recorded]
    waiting.sort(
        key=lambda job: -sum(job.job.flops_spent)
    )  # the largest first: the last to end is then a small one
    display = SweepDisplay(
        folder,
        {
            planned_job.name: [
                (folder.name, flops)
                for folder, flops in zip(
                    planned_job.job.run_folders, planned_job.job.flops_spent, strict=True
                )
            ]
            for planned_job in planned
        },
    )
    study.print_plan(config, planned, waiting)
    failures: dict[str, str] = {}
    if waiting:
        with display:
            results: Sequence[Any] = launch([[*arguments, *job.overrides] for job in waiting], 0)
        for job, result in zip(waiting, results, strict=True):
            if result.status.name == "FAILED":
                failures[job.name] = str(result._return_value)
    return study.conclude(config, planned, failures)


def writable(folder: Path) -> None:
    """Make a folder, or say in one line why it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"out={folder}: cannot be written ({error.strerror}); choose another folder with out="
        ) from error


class PlannedJob:
    """A training job of a sweep before it is launched."""

    def __init__(self, config: "SweepConfig", runs: "list[PlannedRun]", corpus: Any) -> None:
        from dataclasses import replace

        from scaling.config import Branch
        from scaling.job import Job

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
