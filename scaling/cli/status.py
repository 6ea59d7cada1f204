"""`scaling status runs/NAME`: how far a sweep is, from any terminal."""

import time
from pathlib import Path

from scaling.config.overrides import sort_words
from scaling.errors import UserError

USAGE = """usage: scaling status runs/NAME [--watch]

Shows which jobs of a sweep are done, under way (where, how far), waiting or failed (why), read from its folder.

  --watch    keep showing it, until nothing more is to come or Ctrl-C"""


def main(arguments: list[str]) -> int:
    """Run the command; returns its exit status."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(USAGE)
        return 0 if arguments else 2
    words = sort_words(arguments, ["--watch"])
    if words.overrides:
        raise UserError(f"{words.overrides[0]}: scaling status takes no keys")
    folder = Path(words.single_name("give the folder of one sweep, runs/NAME"))
    from rich.console import Console
    from rich.live import Live

    from scaling.sweep.display import LOOK_SECONDS, render, rows_of
    from scaling.sweep.status import read_status

    console = Console()
    status = read_status(folder)
    if "--watch" not in words.flags:
        console.print(render(status), highlight=False)
        return 0
    try:
        with Live(render(status, rows_of(console)), console=console, auto_refresh=False) as live:
            while not status.ended:
                time.sleep(LOOK_SECONDS)
                status = read_status(folder, status)
                live.update(render(status, rows_of(console)), refresh=True)
    except KeyboardInterrupt:
        return 130
    return 0
