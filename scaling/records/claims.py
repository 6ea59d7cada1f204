"""Claims: files that say which process trains a job, so that only one does, even of several sweeps on several hosts.

A claim lies in the job's folder and names its holder: host, process, start of the process. It is made by exclusive
creation, and its time of modification is the holder's heartbeat. A claim is stale as soon as its process has ended,
where that can be seen (on the same machine), and otherwise after `SILENCE_SECONDS` without a heartbeat; a heartbeat
that lies as far in the future is none. Claims are numbered: a stale one is taken over by creating the next number,
which only one process can do. No process ever changes or removes another's claim before it is stale.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from scaling.errors import UserError
from scaling.records.files import json_bytes, read_json
from scaling.records.folder import CLAIM_PREFIX, CLAIM_SUFFIX, PART

HEARTBEAT_SECONDS = 10.0
"""Time between two heartbeats of a holder."""
SILENCE_SECONDS = 120.0
"""A claim of another host is stale after this time without a heartbeat, by the clock of the shared file system."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process behind a claim."""

    host: str
    """Name of the machine."""
    machine: str
    """The machine's boot and process namespace: within one of them a process id means one process."""
    pid: int
    process_start: str
    """When the process started, hundredths of a second after the boot; tells it from a later one with the same id."""
    started: str
    """When the claim was made, UTC."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


class Claimed(UserError):
    """The job is being trained by someone else."""

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        self.folder, self.holder = folder, holder
        if holder is None:
            files = ", ".join(str(path) for path in _claims(folder)) or str(folder)
            super().__init__(
                f"{folder.name} is being trained by another process, which its claim does not name ({files}); wait "
                f"{SILENCE_SECONDS:.0f} s for its heartbeat to end, or delete that file if no process trains the job"
            )
        else:
            super().__init__(f"{folder.name} is being trained by {holder}")


class Claim:
    """A claim held by this process."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content = path, content
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True, name=f"heartbeat of {path}")
        self._heart.start()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            if _has_content(self.path, self.content):
                with suppress(
                    OSError
                ):  # While the file system is away, a heartbeat is lost; `check` finds out.
                    os.utime(self.path)

    def check(self) -> None:
        """Raise where another process has taken the job over, as it may while this machine sleeps.

        Raises:
            Claimed: naming who has it now.
        """
        check_held(self.path, self.content)

    def release(self) -> None:
        """End the heartbeats and remove the claim, unless it is another's by now."""
        self._ended.set()
        self._heart.join()
        if _has_content(self.path, self.content):
            self.path.unlink(missing_ok=True)


def check_held(path: Path, content: bytes) -> None:
    """`Claim.check` for a process that the claim's holder started to train for it."""
    if not _has_content(path, content):
        raise Claimed(path.parent, holder_of(path.parent))


def _has_content(path: Path, content: bytes) -> bool:
    """Whether a claim still is the one with this content: another process's claim may have the same number."""
    try:
        return path.read_bytes() == content
    except OSError:
        return False


@contextmanager
def claim(folder: Path) -> Iterator[Claim]:
    """Hold the claim on a job's folder; it is released at the end, whatever happens.

    Raises:
        Claimed: when a living process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = _take(folder)
    try:
        yield held
    finally:
        held.release()


@contextmanager
def claim_when_free(folder: Path) -> Iterator[Claim]:
    """Wait until no living process holds the claim on a folder, then hold it, as `claim` does."""
    while True:
        try:
            held = _take(folder)
            break
        except Claimed:
            time.sleep(0.1)
    try:
        yield held
    finally:
        held.release()


def _take(folder: Path) -> Claim:
    stale = _claims(folder)
    for path in stale:
        if not _stale(path):
            raise Claimed(folder, _read(path))
    path = _path(folder, 1 + max((_number(old) for old in stale), default=-1))
    content = json_bytes(asdict(this_process()))
    try:
        _create(path, content)
    except FileExistsError:
        raise Claimed(folder, _read(path)) from None
    # Another process may have made a claim of another number at the same time. Whichever of the two looks last sees
    # the other's claim, and a process that sees one gives way. So never do both go on; maybe neither does, and their
    # sweeps try again.
    for other in _claims(folder):
        if other != path and other not in stale and not _stale(other):
            path.unlink(missing_ok=True)
            raise Claimed(folder, _read(other))
    for old in stale:
        old.unlink(missing_ok=True)
    return Claim(path, content)


def _create(path: Path, content: bytes) -> None:
    """Make a file with its content in one step, so that nobody sees a claim without its holder.

    Raises:
        FileExistsError: when there is a file of that name.
    """
    written = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{PART}")
    try:
        written.write_bytes(content)
        try:
            os.link(written, path)
        except FileExistsError:
            raise
        except OSError:  # The file system knows no hard links.
            with path.open("xb") as file:
                file.write(content)
    finally:
        written.unlink(missing_ok=True)


def holder_of(folder: Path) -> Holder | None:
    """The living process that trains a job; None where there is none."""
    for path in _claims(folder):
        if not _stale(path):
            remedy = (
                f"{path} is damaged: delete it if no process trains there, or wait {SILENCE_SECONDS:.0f} s"
            )
            return _read(path) or Holder(
                host=f"an unknown host ({remedy})", machine="", pid=0, process_start="", started="just now"
            )
    return None


def remove_stale(folder: Path) -> None:
    """Remove the claims that dead processes left on a job that has ended."""
    for path in _claims(folder):
        if _stale(path):
            path.unlink(missing_ok=True)


def this_process() -> Holder:
    """What a claim that this process makes says."""
    return Holder(
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_start=_process_start(os.getpid()) or "",
        started=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    )


def _path(folder: Path, number: int) -> Path:
    return folder / f"{CLAIM_PREFIX}{number}{CLAIM_SUFFIX}"


def _number(path: Path) -> int:
    return int(path.name[len(CLAIM_PREFIX) : -len(CLAIM_SUFFIX)])


def _claims(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.glob(f"{CLAIM_PREFIX}*{CLAIM_SUFFIX}")
        if path.name[len(CLAIM_PREFIX) : -len(CLAIM_SUFFIX)].isdigit()
    ]


def _read(path: Path) -> Holder | None:
    """The holder that a claim names; None where the file is gone, damaged or not written to its end yet."""
    try:
        return Holder(**read_json(path))
    except (OSError, ValueError, TypeError):
        return None


def _stale(path: Path) -> bool:
    holder = _read(path)
    if holder is not None and holder.machine == _machine():
        with suppress(psutil.AccessDenied):
            return _process_start(holder.pid) != holder.process_start
    # Whether the process lives cannot be seen from here, or the claim does not say which it is: heartbeats decide.
    try:
        silence = _file_system_time(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return True
    # A heartbeat from the future, as a copied or damaged file may show, is none: holders beat at the present time.
    return abs(silence) >= SILENCE_SECONDS


def _file_system_time(folder: Path) -> float:
    """The time by the clock of the file system, which also stamps the heartbeats of all hosts."""
    probe = folder / f".clock-{socket.gethostname()}-{os.getpid()}{PART}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # This process may only read there.
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink()


def _machine() -> str:
    """The space in which process ids are unique: this boot of this kernel, and the namespace of processes.

    psutil tells neither: its time of boot changes when the clock is set, and it knows of no namespaces.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # Without /proc, host names tell machines apart.
        return socket.gethostname()


def _process_start(pid: int) -> str | None:
    """When a process of this machine started, in hundredths of a second since the boot; None: it does not run.

    The time since the boot is used because it stays the same when the machine's clock is set.

    Raises:
        psutil.AccessDenied: where the system hides other users' processes.
    """
    try:
        booted = psutil.boot_time()
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None  # It has ended; only its parent has not asked for its exit status yet.
        return str(round(100 * (process.create_time() - booted)))
    except psutil.NoSuchProcess:
        return None
