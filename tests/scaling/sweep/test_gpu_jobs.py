"""Several jobs a GPU: never more than fits, every job in the end, and the same on the processor as ever.

No GPU takes part: memory is made up, and workers only note when they run and which GPUs they would see.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.accounting.this_machine import cores
from scaling.config.schema import TrainConfig, TrainerConfig
from scaling.corpus import prepare
from scaling.sweep import capacity, gpus
from scaling.sweep.admission import Admission, Demand, Gpu, run_through
from scaling.sweep.placement import default_workers
from scaling.sweep.workers import run_in_workers
from scaling.training.job import Job, plan_job
from scaling.training.planned import evaluation_memory, predicted_memory, reserved_memory

Make = Callable[..., TrainConfig]


# --- admission -----------------------------------------------------------------------------------------


@st.composite
def admissions(draw: st.DrawFn) -> Admission:
    """Some GPUs, and jobs of which some may be too large for them."""
    rooms = draw(st.lists(st.integers(0, 100), min_size=1, max_size=4))
    demands = st.builds(
        Demand,
        gpus=st.integers(1, 3),
        bytes_each=st.integers(1, 110),
        alone=st.booleans(),
    )
    return Admission(
        demands=tuple(draw(st.lists(demands, max_size=12))),
        gpus=tuple(Gpu(name=str(i), room_bytes=room) for i, room in enumerate(rooms)),
    )


@given(admissions(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_memory_is_never_exceeded_and_every_job_that_fits_alone_runs(
    admission: Admission, workers: int, random: Any
) -> None:
    everything = range(len(admission.demands))
    fits = [job for job in everything if admission.refusal(job) is None]
    waiting, running, done = list(fits), dict[int, tuple[int, ...]](), list[int]()
    while waiting or running:
        while len(running) < workers and (found := admission.first(waiting, running)) is not None:
            job, places = found
            # The largest first: none that was to be taken earlier would fit now.
            assert all(admission.places(other, running) is None for other in waiting[: waiting.index(job)])
            assert len(set(places)) == len(places) == admission.demands[job].gpus
            waiting.remove(job)
            running[job] = places
        assert running  # nobody waits for an empty machine
        for gpu, there in enumerate(admission.gpus):
            on_it = [admission.demands[job] for job, places in running.items() if gpu in places]
            assert sum(demand.bytes_each for demand in on_it) <= there.room_bytes
            assert len(on_it) == 1 or not any(demand.alone for demand in on_it)
        ended = random.choice(list(running))
        del running[ended]
        done.append(ended)
    assert sorted(done) == fits
    assert admission.free_bytes({}) == [gpu.room_bytes for gpu in admission.gpus]
    for job in set(everything) - set(fits):
        wanted = admission.demands[job]
        assert sum(gpu.room_bytes >= wanted.bytes_each for gpu in admission.gpus) < wanted.gpus


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8), st.integers(1, 5))
def test_without_gpus_jobs_start_in_order_as_soon_as_a_worker_is_free(
    seconds: list[float], workers: int
) -> None:
    free = [0.0] * workers
    for job in seconds:
        free[free.index(min(free))] += job
    ended, most = run_through(Admission(demands=(Demand(),) * len(seconds)), seconds, workers)
    assert ended == pytest.approx(max(free))
    assert most == min(workers, len(seconds))


def test_a_smaller_job_passes_one_that_waits_and_jobs_spread() -> None:
    two = (Gpu(name="a", room_bytes=10), Gpu(name="b", room_bytes=8))
    demands = tuple(Demand(gpus=1, bytes_each=size) for size in (6, 7, 9, 3))
    admission = Admission(demands=demands, gpus=two)
    assert admission.first([0, 1, 2, 3], {}) == (0, (0,))
    assert admission.first([1, 2, 3], {0: (0,)}) == (1, (1,))
    assert admission.first([2, 3], {0: (0,), 1: (1,)}) == (3, (0,))
    assert admission.first([2], {0: (0,), 3: (0,)}) is None
    assert admission.first([2], {1: (1,)}) == (2, (0,))
    assert run_through(admission, [1.0] * 4, 4) == (2.0, 3)
    assert run_through(admission, [1.0] * 4, 1) == (4.0, 1)


def test_a_job_that_never_fits_is_refused_with_what_there_is() -> None:
    gpu = Gpu(name="a", room_bytes=2**30)
    admission = Admission(demands=(Demand(gpus=1, bytes_each=2**31), Demand(gpus=2)), gpus=(gpu,))
    assert admission.refusal(0) == (
        "needs 2,048 MiB on a GPU, and those here have 1,024; "
        "set a smaller trainer.micro_batch_tokens or trainer.devices"
    )
    assert "on each of 2 GPUs" in str(admission.refusal(1))
    with pytest.raises(ValueError, match="needs 2,048 MiB"):
        run_through(admission, [1.0, 1.0], 2)


# --- what is there, and what a job takes ---------------------------------------------------------------

LISTED = """
0, GPU-8932f937-d72c, 81559, 81000, Default, Disabled
1, GPU-1f2e0000-aaaa, 24576, 1000, Exclusive_Process, [N/A]
"""


def test_gpus_are_those_that_cuda_would_show() -> None:
    first, second = gpus.listed_gpus(LISTED, None)
    assert first == Gpu(name="GPU-8932f937-d72c", room_bytes=int(gpus.GPU_MEMORY_SHARE * 81559 * 2**20))
    assert second == Gpu(name="GPU-1f2e0000-aaaa", room_bytes=1000 * 2**20, shareable=False)  # in use
    assert gpus.listed_gpus(LISTED, "1,0") == (second, first)
    assert gpus.listed_gpus(LISTED, "GPU-1f2e") == (second,)
    assert gpus.listed_gpus(LISTED, "0,-1,1") == (first,)
    assert gpus.listed_gpus(LISTED, "") == ()
    assert gpus.listed_gpus("", None) == ()
    assert gpus.listed_gpus(LISTED.replace("Disabled", "Enabled"), None) == ()
    assert gpus.listed_gpus(LISTED.replace("24576", "[N/A]"), None) == ()


def show_gpus(monkeypatch: pytest.MonkeyPatch, *there: Gpu) -> None:
    monkeypatch.setattr(gpus, "visible_gpus", lambda: there)
    monkeypatch.setattr(capacity, "visible_gpus", lambda: there)


@pytest.fixture
def on_gpu(tiny_job: Make) -> TrainConfig:
    config = tiny_job([2048, 4096])
    return replace(config, trainer=replace(config.trainer, accelerator="gpu"))


def made(config: TrainConfig) -> Job:
    return plan_job(config, prepare(config.corpus, config.tokenizer, Path(config.cache)))


def test_a_job_takes_its_longest_run_its_evaluation_and_its_process(on_gpu: TrainConfig) -> None:
    job = made(on_gpu)
    one = Gpu(name="0", room_bytes=2**40)
    assert reserved_memory(job, 1) > predicted_memory(job, 1, "cuda")
    tiny = gpus.demand(job, [one])
    assert tiny == Demand(gpus=1, bytes_each=gpus.CUDA_PROCESS_BYTES + evaluation_memory(job, 1))
    # Held-out text in larger batches takes more, as does training in larger ones.
    wide = replace(on_gpu, trainer=replace(on_gpu.trainer, validation_batch_tokens=2**20))
    assert evaluation_memory(made(wide), 1) > 1.2 * evaluation_memory(job, 1)
    large = replace(on_gpu, tokens=2**21, branches=[], optim=replace(on_gpu.optim, batch_tokens=2**21))
    assert gpus.gpu_bytes(made(large), 0) == gpus.CUDA_PROCESS_BYTES + reserved_memory(made(large), 0)
    assert gpus.demand(job, [one, replace(one, shareable=False)]).alone
    pair = replace(on_gpu, trainer=replace(on_gpu.trainer, devices=2))
    assert gpus.demand(made(pair), [one, one]) == replace(
        tiny, gpus=2, alone=True, bytes_each=gpus.gpu_bytes(made(pair), 1)
    )


def test_where_no_gpu_is_known_all_is_as_on_the_processor(
    on_gpu: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch)
    assert gpus.admission([on_gpu], gpus.gpus_for("gpu")) == Admission(demands=(Demand(),))
    show_gpus(monkeypatch, Gpu(name="0", room_bytes=2**40))
    assert gpus.gpus_for("cpu") == ()
    assert gpus.torch_device("cpu") == "cpu"
    assert gpus.torch_device("gpu") == "cuda"
    known = gpus.admission([on_gpu, replace(on_gpu, tokens=1, branches=[])], gpus.gpus_for("gpu"))
    assert known.demands == (
        gpus.demand(made(on_gpu), known.gpus),
        Demand(),
    )  # the second is shorter than a batch


def test_jobs_on_a_gpu_are_no_more_than_cores() -> None:
    trainer = TrainerConfig(accelerator="gpu")
    assert default_workers(trainer) == 1
    assert default_workers(trainer, [Gpu(name="0", room_bytes=1)]) == cores()


# --- the launcher --------------------------------------------------------------------------------------


def note_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have workers train nothing: each job notes its process, its GPUs, and when it began and ended."""

    def attempt(config: TrainConfig, retried: str | None = None) -> str | None:
        began = time.monotonic()
        time.sleep(0.1)
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        noted = {"pid": os.getpid(), "gpus": seen, "began": began, "ended": time.monotonic()}
        (folder / f"{config.name}.json").write_text(json.dumps(noted))
        return None

    monkeypatch.setattr("scaling.training.retry.attempt", attempt)


def test_the_launcher_fills_gpus_and_no_further(
    tiny_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_jobs(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    sizes = [60, 50, 30, 30, 200, 10, 10]
    jobs = [tiny_job([2048], name=f"job{i}") for i in range(len(sizes))]
    two = (Gpu(name="a", room_bytes=70), Gpu(name="b", room_bytes=60))
    admission = Admission(demands=tuple(Demand(gpus=1, bytes_each=size) for size in sizes), gpus=two)
    results = run_in_workers(jobs, 3, start="fork", admission=admission)
    assert [result is None for result in results] == [size != 200 for size in sizes]
    assert results[4] == admission.refusal(4)
    noted = {i: json.loads((tmp_path / f"job{i}.json").read_text()) for i in range(7) if i != 4}
    assert len({each["pid"] for each in noted.values()}) == 6  # whose ends give back what they held
    assert {each["gpus"] for each in noted.values()} == {"a", "b"}
    assert (noted[0]["gpus"], noted[1]["gpus"]) == ("a", "b")
    assert noted[5]["began"] < noted[2]["began"]  # it passed one that did not fit yet
    for each in noted.values():
        beside = [i for i, other in noted.items() if other["began"] <= each["began"] < other["ended"]]
        assert len(beside) <= 3
        for gpu in two:
            assert sum(sizes[i] for i in beside if noted[i]["gpus"] == gpu.name) <= gpu.room_bytes
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "all"


def test_a_job_whose_worker_dies_on_a_gpu_is_tried_once_more(
    tiny_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(config: TrainConfig, retried: str | None = None) -> str | None:
        if config.name == "dies" and retried is None:
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / config.name).write_text(f"{retried} on {os.environ['CUDA_VISIBLE_DEVICES']}")
        return None

    monkeypatch.setattr("scaling.training.retry.attempt", attempt)
    jobs = [tiny_job([2048], name=name) for name in ("dies", "waits")]
    admission = Admission(demands=(Demand(gpus=1, bytes_each=6),) * 2, gpus=(Gpu(name="a", room_bytes=10),))
    assert run_in_workers(jobs, 2, start="fork", admission=admission) == [None, None]
    assert (tmp_path / "dies").read_text().endswith("started again on a")
    assert (tmp_path / "waits").read_text() == "None on a"


def test_jobs_on_the_processor_share_workers_and_see_what_there_is(
    tiny_job: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_jobs(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "all")
    jobs = [tiny_job([2048], name=f"job{i}") for i in range(3)]
    assert run_in_workers(jobs, 1, start="fork") == [None] * 3
    noted = [json.loads((tmp_path / f"job{i}.json").read_text()) for i in range(3)]
    assert len({each["pid"] for each in noted}) == 1
    assert {each["gpus"] for each in noted} == {"all"}
