"""Claims: one of many takes a job, the dead are replaced at once, and nothing is left behind."""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from scaling.config.schema import TrainConfig
from scaling.records.claims import SILENCE_SECONDS, Claimed, claim, holder_of, remove_stale, this_process
from scaling.records.files import json_bytes
from scaling.records.folder import CLAIM_PREFIX, CLAIM_SUFFIX
from scaling.training.pretrain import pretrain

FORK = multiprocessing.get_context("fork")


def dead_process() -> int:
    process = FORK.Process(target=int)
    process.start()
    process.join()
    assert process.pid is not None
    return process.pid


def leave_claim(folder: Path, number: int = 0, **changes: object) -> Path:
    """A claim as another process would have left it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{CLAIM_PREFIX}{number}{CLAIM_SUFFIX}"
    path.write_bytes(json_bytes({**asdict(this_process()), **changes}))
    return path


def test_a_claim_is_held_by_one_and_released(tmp_path: Path) -> None:
    with claim(tmp_path):
        with pytest.raises(Claimed, match=f"process {os.getpid()} on "), claim(tmp_path):
            pass
        assert holder_of(tmp_path) is not None
    assert holder_of(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_claim_is_released_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claim(tmp_path):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_a_dead_process_is_replaced_at_once(tmp_path: Path) -> None:
    leave_claim(tmp_path, pid=dead_process())
    assert holder_of(tmp_path) is None
    with claim(tmp_path) as held:
        assert [path.name for path in tmp_path.iterdir()] == [held.path.name]
    assert not list(tmp_path.iterdir())


def test_a_later_process_with_the_same_id_is_another_one(tmp_path: Path) -> None:
    leave_claim(tmp_path, process_start="1")
    with claim(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells the start in this file")
def test_the_start_of_a_process_is_the_kernels_and_does_not_move_with_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert this_process().process_start == str(100 * int(ticks) // os.sysconf("SC_CLK_TCK"))
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)  # the clock was set
    assert psutil.boot_time() == booted + 3600
    assert this_process().process_start == str(100 * int(ticks) // os.sysconf("SC_CLK_TCK"))


def test_a_process_that_has_ended_holds_nothing_before_its_parent_asks_for_its_status(tmp_path: Path) -> None:
    zombie = os.fork()
    if not zombie:
        os._exit(0)
    try:
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        start = str(round(100 * (psutil.Process(zombie).create_time() - psutil.boot_time())))
        leave_claim(tmp_path, pid=zombie, process_start=start)
        assert holder_of(tmp_path) is None
    finally:
        os.waitpid(zombie, 0)


def test_a_hidden_process_is_believed_while_its_heart_beats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = leave_claim(tmp_path)

    def hidden(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr("psutil.Process", hidden)
    assert holder_of(tmp_path) is not None
    silent = time.time() - SILENCE_SECONDS - 1
    os.utime(path, (silent, silent))
    assert holder_of(tmp_path) is None


def test_another_host_is_believed_while_its_heart_beats(tmp_path: Path) -> None:
    path = leave_claim(tmp_path, host="elsewhere", machine="another", pid=1)
    with pytest.raises(Claimed, match="process 1 on elsewhere"), claim(tmp_path):
        pass
    silent = time.time() - SILENCE_SECONDS - 1
    os.utime(path, (silent, silent))
    with claim(tmp_path):
        assert not path.exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [0, 1])  # a third may have taken the number that the sleeper had
def test_a_holder_that_slept_too_long_learns_of_it(tmp_path: Path, number: int) -> None:
    with claim(tmp_path) as held:
        held.check()
        held.path.unlink()
        leave_claim(tmp_path, number, host="elsewhere", machine="another")
        with pytest.raises(Claimed, match="elsewhere"):
            held.check()
    assert [path.name for path in tmp_path.iterdir()] == [f"{CLAIM_PREFIX}{number}{CLAIM_SUFFIX}"]


def test_a_damaged_claim_is_believed_while_its_heart_beats(tmp_path: Path) -> None:
    path = leave_claim(tmp_path, pid=os.getpid())
    path.write_text(path.read_text().replace(str(os.getpid()), str(dead_process())))
    with pytest.raises(Claimed, match="another process"), claim(tmp_path):
        pass
    silent = time.time() - SILENCE_SECONDS - 1
    os.utime(path, (silent, silent))
    with claim(tmp_path):
        assert not path.exists()


def test_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    leave_claim(tmp_path, pid=dead_process())
    living = leave_claim(tmp_path, 1)
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == [living]


def _race(folder: Path, start: float, taken: Path) -> None:
    while time.monotonic() < start:
        pass
    for _ in range(30):
        try:
            with claim(folder):
                # Exclusive: a second holder at the same time would find the file there.
                handle = os.open(taken / "inside", os.O_CREAT | os.O_EXCL)
                os.close(handle)
                (taken / f"{os.getpid()}-{time.monotonic_ns()}").touch()
                (taken / "inside").unlink()
        except Claimed:
            pass


def test_many_at_once_never_hold_it_together(tmp_path: Path) -> None:
    folder, taken = tmp_path / "job", tmp_path / "taken"
    folder.mkdir()
    taken.mkdir()
    leave_claim(folder, pid=dead_process())
    start = time.monotonic() + 0.2
    racers = [FORK.Process(target=_race, args=(folder, start, taken)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * 4
    assert list(taken.iterdir())
    assert not list(folder.iterdir())


def test_a_job_that_another_trains_is_left_to_it(tiny_job: Callable[..., TrainConfig]) -> None:
    config = tiny_job([2048])
    other = leave_claim(config.folder, host="elsewhere", machine="another")
    with pytest.raises(Claimed, match="job is being trained by process"):
        pretrain(config)
    other.unlink()
    record = pretrain(config)[0]
    assert sorted(path.name for path in config.folder.iterdir()) == sorted([record.run_id, "job.json"])


def test_a_damaged_claim_from_the_future_holds_nothing(tmp_path: Path) -> None:
    path = leave_claim(tmp_path)
    path.write_text("damaged")
    holder = holder_of(tmp_path)
    assert holder is not None
    assert f"{path} is damaged: delete it" in str(holder)
    with pytest.raises(Claimed, match="delete that file"), claim(tmp_path):
        pass
    os.utime(path, (time.time() + 10 * 365 * 86400,) * 2)
    assert holder_of(tmp_path) is None
    with claim(tmp_path):
        pass
