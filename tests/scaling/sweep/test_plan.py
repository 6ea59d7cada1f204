"""What depends on a machine is decided once for a study, recorded, and the same wherever its jobs are trained."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from scaling.accounting.hardware import get_device
from scaling.config.schema import (
    DesignConfig,
    HardwareConfig,
    ModelConfig,
    SweepConfig,
    TrainConfig,
    TrainerConfig,
    register,
)
from scaling.errors import UserError
from scaling.records.files import read_json
from scaling.records.folder import JOB_PLAN, STUDY_PLAN
from scaling.records.records import read_record
from scaling.sweep import run
from scaling.sweep.placement import Placement
from scaling.sweep.plan import PlannedJob, plan_jobs, study_machine
from scaling.sweep.status import read_status
from scaling.training.job import job_of, read_plan
from scaling.training.machine import Machine, described_by, refuse_what_is_missing
from scaling.training.precision import MASTER, MASTER_LEAST_WIDTH, as_decided_before, decided
from scaling.training.pretrain import pretrain
from scaling.training.retry import attempt

Make = Callable[..., TrainConfig]

PLAIN = Machine(accelerator="cpu", multiplies_bf16=False)
WITH_BF16 = Machine(accelerator="cpu", multiplies_bf16=True)
GPU = Machine(accelerator="gpu", multiplies_bf16=True)

STUDY = """
experiment=smoke corpus=lexicon corpus.words=50 corpus.validation_bytes=2048 model.context=16 logger=none name=study
design.min_flops=4e9 design.max_flops=4e9 design.budgets=1 design.sizes=1 design.expected_params=1e5
design.expected_at_flops=4e9 optim.batch_tokens=1024 optim.lr=5e-3 schedule.warmup_tokens=256
trainer.accelerator=auto trainer.threads=null
""".split()  # noqa: SIM905


def become(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    """Have this machine seem another kind, at the one place where it is asked."""

    def probe(accelerator: str = "auto") -> Machine:
        return (
            machine
            if accelerator in ("auto", machine.accelerator)
            else replace(PLAIN, accelerator=accelerator)
        )

    for module in ("training.machine", "training.precision", "sweep.plan", "sweep.local"):
        monkeypatch.setattr(f"scaling.{module}.probe", probe)


def composed(tmp_path: Path, cache: Path, *words: str) -> DictConfig:
    register()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        return compose(
            "sweep", [*STUDY, f"out={tmp_path}", f"cache={cache}", *words], return_hydra_config=True
        )


class Elsewhere:
    """A launcher whose jobs run on another kind of machine than the one that plans."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, login: Machine, node: Machine) -> None:
        self.login, self.node, self.monkeypatch = login, node, monkeypatch
        self.asked = self.launched = 0
        elsewhere = Placement(at_once=1, here=False)
        monkeypatch.setattr("scaling.sweep.run.placement", lambda config, trainer=None: elsewhere)
        become(monkeypatch, login)

    def launch(self, overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        become(self.monkeypatch, self.node)
        results = []
        for words in overrides:
            result = JobReturn(status=JobStatus.COMPLETED)
            if "ask_machine=true" in words:
                self.asked += 1
                result.return_value = asdict(self.node)
            else:
                self.launched += 1
                folder = next(word.removeprefix("name=") for word in words if word.startswith("name="))
                result.return_value = attempt(read_plan(self.out / folder))
            results.append(result)
        become(self.monkeypatch, self.login)
        return results

    def sweep(self, config: DictConfig) -> int:
        self.out = Path(config.out)
        return run.sweep(config, [], self.launch)


@pytest.mark.parametrize(
    ("login", "node", "precision"), [(PLAIN, WITH_BF16, MASTER), (WITH_BF16, PLAIN, "32-true")]
)
def test_a_study_planned_on_one_kind_of_machine_trains_on_another_and_is_collected_on_the_first(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    login: Machine,
    node: Machine,
    precision: str,
) -> None:
    cluster = Elsewhere(monkeypatch, login, node)
    assert cluster.sweep(composed(tmp_path, cache)) == 0
    assert (cluster.asked, cluster.launched) == (1, 1)
    (record,) = (read_record(path) for path in tmp_path.glob("study/*/*/record.json"))
    assert record.precision == precision
    told = read_json(tmp_path / "study" / STUDY_PLAN)["decided"]
    assert told == {"accelerator": "cpu", "precision": precision}
    # The study is begun again on the first machine, which neither asks anew nor calls the runs those of another config.
    assert cluster.sweep(composed(tmp_path, cache)) == 0
    assert (cluster.asked, cluster.launched) == (1, 1)


def test_a_plan_that_states_precision_and_device_asks_no_machine(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Elsewhere(monkeypatch, WITH_BF16, PLAIN)
    stated = composed(tmp_path, cache, "trainer.accelerator=cpu", "trainer.precision=32-true")
    assert cluster.sweep(stated) == 0
    assert (cluster.asked, cluster.launched) == (0, 1)


def test_a_machine_that_cannot_be_asked_is_named_with_the_remedy(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Elsewhere(monkeypatch, WITH_BF16, PLAIN)

    names: dict[str, Any] = {"__name__": "hydra_plugins.hydra_submitit_launcher.submitit_launcher"}
    exec("def fails(overrides, first):\n    raise ConnectionError('no queue')", names)
    monkeypatch.setattr(cluster, "launch", names["fails"])
    with pytest.raises(UserError, match=r"precision=auto.*no queue.*set both, as trainer.accelerator=gpu"):
        cluster.sweep(composed(tmp_path, cache))
    assert not list(tmp_path.glob("*/sweep*"))  # no empty folder is left of the study

    def is_wrong(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        raise KeyError("a bug")

    monkeypatch.setattr(cluster, "launch", is_wrong)
    with pytest.raises(KeyError, match="a bug"):
        cluster.sweep(composed(tmp_path, cache))


@pytest.mark.parametrize(
    ("trainer", "here", "expected"),
    [
        (TrainerConfig(), True, WITH_BF16),  # this machine
        (TrainerConfig(), False, GPU),  # the one that is asked
        (TrainerConfig(accelerator="gpu", precision="32-true"), False, None),  # nothing is left open
    ],
)
def test_which_machine_decides(
    tiny_job: Make,
    monkeypatch: pytest.MonkeyPatch,
    trainer: TrainerConfig,
    here: bool,
    expected: Machine | None,
) -> None:
    become(monkeypatch, WITH_BF16)
    config = SweepConfig(**{**vars(tiny_job([2048])), "branches": [], "trainer": trainer})
    assert study_machine(config, here, lambda: GPU) == expected


def test_a_device_of_the_catalogue_decides_for_jobs_elsewhere_and_for_forecasts(tiny_job: Make) -> None:
    values = {**vars(tiny_job([2048])), "branches": [], "trainer": TrainerConfig()}
    of = SweepConfig(**{**values, "hardware": HardwareConfig(name="v100")})

    def nobody() -> Machine:
        raise AssertionError("was asked")

    v100 = Machine(accelerator="gpu", multiplies_bf16=False)
    assert study_machine(of, False, nobody) == v100
    assert study_machine(replace(of, dry_run=True), True, nobody) == v100
    assert described_by(get_device("h100-sxm")) == GPU
    assert described_by(get_device("cpu")) == PLAIN


def test_what_was_decided_holds_unless_the_user_now_wants_another_accelerator() -> None:
    auto = TrainerConfig()
    assert as_decided_before(auto, "gpu", "bf16-mixed") == replace(
        auto, accelerator="gpu", precision="bf16-mixed"
    )
    on_cpu = TrainerConfig(accelerator="cpu")
    assert as_decided_before(on_cpu, "gpu", "bf16-mixed") == on_cpu
    stated = TrainerConfig(precision="32-true")
    assert as_decided_before(stated, "gpu", "bf16-mixed") == replace(stated, accelerator="gpu")


def test_a_study_has_one_precision(tiny_job: Make) -> None:
    """That of the narrowest model, though the wide ones alone would train in bfloat16."""
    widths = {}
    for expected_params in (2e4, 1e6):
        design = DesignConfig(
            min_flops=1e12, max_flops=1e12, budgets=1, sizes=3, size_ratio=3, expected_params=expected_params,
            expected_at_flops=1e12,
        )  # fmt: skip
        model, trainer = ModelConfig(context=16), TrainerConfig(accelerator="cpu")
        values = {
            **vars(tiny_job([2048])),
            "branches": [],
            "trainer": trainer,
            "model": model,
            "design": design,
        }
        jobs = plan_jobs(SweepConfig(**values), WITH_BF16)
        (precision,) = {job.job.config.trainer.precision for job in jobs}
        widths[precision] = {job.job.shape.width for job in jobs}
    assert min(widths["32-true"]) < MASTER_LEAST_WIDTH <= max(widths["32-true"])
    assert min(widths[MASTER]) >= MASTER_LEAST_WIDTH


def test_a_strategy_for_several_devices_changes_nothing_on_one() -> None:
    assert decided(TrainerConfig(strategy="ddp"), 64, WITH_BF16).precision == MASTER
    assert decided(TrainerConfig(devices=2, strategy="ddp"), 64, WITH_BF16).precision == "32-true"


def test_a_run_without_its_accelerator_is_refused(tiny_job: Make) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so that the refusal cannot be provoked")
    config = tiny_job([2048])
    asked = replace(config, trainer=replace(config.trainer, accelerator="gpu"))
    with pytest.raises(UserError, match=r"trainer.accelerator=gpu: this machine has no such device"):
        refuse_what_is_missing(asked.trainer)
    with pytest.raises(UserError, match=r"trainer.accelerator=gpu: this machine has no such device"):
        pretrain(asked)
    assert not config.folder.exists()


def test_a_job_goes_on_as_it_was_planned_on_another_machine(
    tiny_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_job(
        [2048], model=ModelConfig(width=64, depth=1, context=16), trainer=TrainerConfig(threads=1)
    )
    become(monkeypatch, WITH_BF16)
    (record,) = pretrain(config)
    become(monkeypatch, PLAIN)
    assert pretrain(config) == [record]
    assert record.precision == MASTER
    (config.folder / JOB_PLAN).write_text("{}")
    assert (
        job_of(config).config.trainer.precision == "32-true"
    )  # the damaged plan is set aside, and said to be
    assert (config.folder / f"{JOB_PLAN}.damaged-1").is_file()


def test_jobs_of_a_sweep_have_one_thread_unless_the_user_chose(tiny_job: Make) -> None:
    design = DesignConfig(
        min_flops=4e7, max_flops=4e7, budgets=1, sizes=1, expected_params=7e3, expected_at_flops=4e7
    )
    for threads, expected in ((None, 1), (2, 2)):
        trainer = TrainerConfig(accelerator="cpu", threads=threads)
        values = {**vars(tiny_job([2048])), "branches": [], "trainer": trainer, "design": design}
        assert {job.job.config.trainer.threads for job in plan_jobs(SweepConfig(**values))} == {expected}


def test_a_study_is_claimed_while_it_is_planned_and_leaves_nothing_where_it_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = composed(tmp_path, cache)
    folder = Path(config.out) / config.name
    seen: list[str] = []

    def refuse(*_: object) -> list[PlannedJob]:
        with pytest.raises(UserError, match="being planned"):
            read_status(folder)
        seen.append("planned")
        raise UserError("design.sizes=1: too few")

    monkeypatch.setattr(run, "plan_jobs", refuse)
    monkeypatch.setattr(run, "study_machine", lambda *_: None)
    with pytest.raises(UserError, match="too few"):
        run.sweep(config, [], lambda overrides, first: [])
    assert seen == ["planned"]
    assert not folder.exists()
