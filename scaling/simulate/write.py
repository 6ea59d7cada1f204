"""A simulated sweep on disk: the folder that `scaling fit` reads, every record marked as simulated."""

from pathlib import Path

from scaling.errors import UserError
from scaling.records.files import write_atomically
from scaling.records.folder import RECORD, RECORDS_TABLE
from scaling.simulate.design import Design
from scaling.simulate.keys import TableKeys
from scaling.simulate.world import World

CURVES_TABLE = "curves.csv"
"""Loss curves of a simulated sweep, where they were asked for."""


def write_study(world: World, design: Design, keys: TableKeys) -> tuple[Path, int]:
    """Simulate a design and write its table; returns the folder, and how many runs diverged.

    Raises:
        UserError: the folder holds runs that were trained, or cannot be written.
    """
    folder = Path(keys.out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"out={folder} is a file; name a folder")
    if next(folder.glob(f"**/{RECORD}"), None) is not None:
        raise UserError(f"out={folder}: it holds runs that were trained; name another folder")
    told = f"{world.words()}; seed {keys.seed}"
    frame = world.laboratory.table(design, world.truth.theta, keys.seed, world.tariff.of(design), told)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / RECORDS_TABLE, frame.to_csv(index=False).encode())
        if keys.curves:
            curves = world.laboratory.curves(design, world.truth.theta, keys.seed)
            write_atomically(folder / CURVES_TABLE, curves.to_csv(index=False).encode())
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written ({error.strerror})") from error
    return folder, int((frame["status"] != "done").sum())
