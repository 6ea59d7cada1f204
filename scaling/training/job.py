"""A training job's facts, fixed before it trains: shape, recipe, identity, and where it writes."""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

from scaling.config.schema import SweepConfig, TrainConfig
from scaling.config.typed_json import from_json, to_json
from scaling.corpus import TokenCorpus, prepare
from scaling.errors import UserError
from scaling.records.claims import holder_of, remove_stale
from scaling.records.files import Damaged, read_json, remove_parts, seal_label, set_aside, write_json
from scaling.records.folder import CHECKPOINT, ERROR_LOG, FAILED, JOB_PLAN, PROGRESS, RECORD, TRUNK
from scaling.records.records import RunRecord, read_or_set_aside
from scaling.shape.flops import train_flops_per_token
from scaling.shape.params import count_params
from scaling.shape.shape import ModelShape
from scaling.training.machine import Machine, threads_for
from scaling.training.precision import as_decided_before, decided
from scaling.training.recipe import Recipe
from scaling.training.resolve import check_corpus, resolve_recipe, resolve_shape

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job's facts, fixed before it trains: its config, its runs, and where each of them writes."""

    config: TrainConfig
    """Nothing in it is `auto`."""
    corpus: TokenCorpus
    shape: ModelShape
    recipe: Recipe
    tokens: list[int]
    """Training tokens of each run, rising: its budget rounded to whole batches."""
    identities: list[str]
    """For each run, the hash of all that decides its loss."""

    @property
    def folder(self) -> Path:
        """Where the job writes."""
        return self.config.folder

    @property
    def run_folders(self) -> list[Path]:
        """Where each run leaves its record."""
        return [self.folder / run_id(self.shape, tokens, self.config.seed) for tokens in self.tokens]

    @property
    def params_total(self) -> int:
        """Parameters of the model, embedding included."""
        return count_params(self.shape).total

    @property
    def fingerprint(self) -> str:
        """What a checkpoint must agree with to be continued: the hash of all runs' identities."""
        return hashlib.sha256(" ".join(self.identities).encode()).hexdigest()[:16]

    @property
    def flops_spent(self) -> list[float]:
        """For each run, the exact FLOPs that it costs beyond the runs before it in this job."""
        per_token = train_flops_per_token(self.shape, "exact")
        plan = self.recipe.segments
        ends = [1 + next(i for i, s in enumerate(plan) if s.run == run) for run in range(len(self.tokens))]
        return [
            self.recipe.tokens_in(plan[begin:end]) * per_token
            for begin, end in zip([0, *ends[:-1]], ends, strict=True)
        ]

    def recorded(self) -> list[RunRecord | None]:
        """The records already there, checked against this job; None where a run is still to be trained.

        A damaged record is set aside and named in a warning; its run is then to be trained again.
        """
        records: list[RunRecord | None] = []
        for folder, wanted in zip(self.run_folders, self.identities, strict=True):
            record = read_or_set_aside(folder / RECORD)
            if record is not None and record.identity != wanted:
                raise UserError(
                    f"{folder}: holds a run of another config or corpus (identity {record.identity}, now {wanted}); "
                    f"choose another name= or delete that folder"
                )
            records.append(record)
        return records

    def tidy(self) -> None:
        """Remove what a job leaves on its way, once every run is recorded and nobody trains it any more.

        The checkpoints of another job of the folder, such as one of more tokens that was interrupted, stay.
        """
        if not all((folder / RECORD).is_file() for folder in self.run_folders) or holder_of(self.folder):
            return
        self._keep_trunk()
        checkpoints = [self.folder / name for name in (CHECKPOINT, TRUNK)]
        others = [
            path for path in checkpoints if path.is_file() and sealed_for_another(path, self.fingerprint)
        ]
        if not others:
            for leftover in (CHECKPOINT, TRUNK, ERROR_LOG, PROGRESS, f".{PROGRESS}"):
                (self.folder / leftover).unlink(missing_ok=True)
        for (
            folder
        ) in self.run_folders:  # a kill just after the record was written leaves an earlier failure's
            (folder / FAILED).unlink(missing_ok=True)
        remove_parts(self.folder)
        remove_stale(self.folder)

    def _keep_trunk(self) -> None:
        """Move the state before the decay of a single run to its model, for a run of more tokens to begin with."""
        trunk = self.folder / TRUNK
        if len(self.tokens) > 1 or not self.config.trainer.save_model or isinstance(self.config, SweepConfig):
            return
        if trunk.is_file() and sealed_for(trunk, self.fingerprint):
            trunk.replace(self.run_folders[0] / TRUNK)


def sealed_for(checkpoint: Path, fingerprint: str) -> bool:
    """Whether a checkpoint is whole and belongs to the job of a fingerprint."""
    try:
        return seal_label(checkpoint).startswith(f"{fingerprint} ")
    except Damaged:
        return False


def sealed_for_another(checkpoint: Path, fingerprint: str) -> bool:
    """Whether a checkpoint is whole and belongs to another job than that of a fingerprint."""
    try:
        return not seal_label(checkpoint).startswith(f"{fingerprint} ")
    except Damaged:
        return False


def plan_job(
    config: TrainConfig, corpus: TokenCorpus, machine: Machine | None = None, *, jobs_at_once: int = 1
) -> Job:
    """The job that a config describes on a corpus, with nothing left open.

    Args:
        config: as the user wrote it; what is `auto` in it is decided here, and so are its threads.
        corpus: prepared by `scaling.corpus.prepare`.
        machine: where the job will be trained; None: this machine.
        jobs_at_once: most jobs that will share the cores of this machine; it bounds the threads.

    Raises:
        UserError: one line, for a config or a corpus that cannot be trained.
    """
    shape = resolve_shape(config, corpus.vocab_size)
    config = replace(config, trainer=decided(config.trainer, shape.width, machine))
    recipe = resolve_recipe(config, shape)
    check_corpus(corpus, recipe)
    pass_flops = train_flops_per_token(shape, "exact") * shape.context * recipe.micro_batch_sequences
    threads = threads_for(config.trainer, pass_flops, jobs_at_once)
    config = replace(config, trainer=replace(config.trainer, threads=threads))
    return Job(
        config=config,
        corpus=corpus,
        shape=shape,
        recipe=recipe,
        tokens=[recipe.batches.tokens_before(steps) for steps in recipe.run_steps],
        identities=[identity(recipe, run, shape, corpus, config) for run in range(len(recipe.run_steps))],
    )


def job_of(config: TrainConfig, *, jobs_at_once: int = 1) -> Job:
    """The job of a config, on its corpus. What is `auto` means what it meant when the job was first planned.

    `jobs_at_once`: most jobs that share the cores of this machine; it bounds the threads.

    Raises:
        UserError: one line, for a config or a corpus that cannot be trained.
    """
    corpus = prepare(config.corpus, config.tokenizer, Path(config.cache))
    return plan_job(as_first_planned(config), corpus, jobs_at_once=jobs_at_once)


def with_threads(config: TrainConfig, jobs_at_once: int) -> TrainConfig:
    """The config with its threads decided, for a job that shares this machine's cores with others.

    A config that makes no job is returned as it is: it fails where it is trained, which keeps the reason.
    """
    if config.trainer.threads is not None:
        return config
    try:
        threads = job_of(config, jobs_at_once=jobs_at_once).config.trainer.threads
    except (UserError, OSError):
        return config
    return replace(config, trainer=replace(config.trainer, threads=threads))


def as_first_planned(config: TrainConfig) -> TrainConfig:
    """The config with each `auto` as the plan in the job's folder decided it; as it is, where there is none."""
    path = config.folder / JOB_PLAN
    if "auto" not in (config.trainer.accelerator, config.trainer.precision) or not path.is_file():
        return config
    try:
        planned = from_json(read_json(path)).trainer
    except UserError as error:  # damaged, or of another version: the job is planned anew
        log.warning("%s; set aside as %s", error, set_aside(path).name)
        return config
    trainer = as_decided_before(config.trainer, planned.accelerator, planned.precision)
    return replace(config, trainer=trainer)


def write_plan(config: TrainConfig) -> None:
    """Leave a job's config, with nothing left open, in the job's folder: whoever trains the job reads it there."""
    write_json(config.folder / JOB_PLAN, to_json(config))


def read_plan(folder: Path) -> TrainConfig:
    """The config of the job that was planned in a folder.

    Raises:
        UserError: one line naming the file, when it is missing, damaged, or of another version.
    """
    path = folder / JOB_PLAN
    try:
        return from_json(read_json(path))
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: missing; scaling sweep writes it when it plans the job, with hydra/sweeper=scaling"
        ) from error
    except Damaged as error:
        raise UserError(f"{error}; start the sweep again, which plans its jobs anew") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


@lru_cache
def code_version() -> str:
    """The commit of a checkout (with `+` when it has changes), else the package's version."""
    import subprocess
    from importlib.metadata import version

    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        try:
            ask = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"]
            return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            pass
    return version("scaling-simulator")


def identity(recipe: Recipe, run: int, shape: ModelShape, corpus: TokenCorpus, config: TrainConfig) -> str:
    """Hash of all that decides a run's loss; where it is written and logged does not count.

    The run stands alone in it: a branch has the identity of the run it stands for, whatever else its trunk bears.
    """
    steps = recipe.run_steps[run]
    alone = asdict(replace(recipe, run_steps=(steps,), batches=recipe.batches.until(steps)))
    del alone["micro_batch_sequences"]  # how a batch is cut up changes rounding alone
    facts = {
        "recipe": alone,
        "optimizer": type(recipe.optim).__name__,
        "schedule": type(recipe.schedule).__name__,
        "shape": shape.to_json(),
        "rope_base": config.model.rope_base,
        "corpus": corpus.fingerprint,
        "precision": config.trainer.precision,
        "compile": config.trainer.compile,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def run_id(shape: ModelShape, tokens: int, seed: int) -> str:
    """A run's folder name: parameters, tokens, seed."""
    return f"params{count_params(shape).total}-tokens{tokens}-seed{seed}"
