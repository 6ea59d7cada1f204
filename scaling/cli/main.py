"""`scaling COMMAND …`: finds the command and runs it. Imports nothing heavy, so that `--help` is instant."""

import sys
from importlib import import_module

from analysis.refusals import Refusal

# command → (what it does, module). Hydra apps run as `__main__`, as Lightning's relaunch for DDP needs.
HYDRA_COMMANDS = {
    "train": "pre-train one model (or a plain Hydra multirun with -m)",
    "sweep": "plan and train a scaling study, then fit it",
}
PLAIN_COMMANDS = {
    "status": "where a sweep stands, from another terminal; --watch keeps showing it",
    "fit": "fit scaling laws to a sweep or to any table of parameters, tokens and loss",
    "sample": "text from a trained run's model",
    "budget": "parameters, FLOPs, memory, time and cost of a model; or the best model for a budget",
}

USAGE = "usage: scaling COMMAND [key=value …] [--help]"


def help_text() -> str:
    commands = {**HYDRA_COMMANDS, **PLAIN_COMMANDS}
    rows = "\n".join(f"  {name:8} {what}" for name, what in commands.items())
    return f"""{USAGE}

Pre-train small language models at several sizes and budgets, fit the scaling law they follow,
and read off what to train next.

commands:
{rows}

first steps:
  scaling sweep experiment=quickstart           a real study on this machine, in minutes
  scaling sweep experiment=gpu --dry-run        what it would train, need and take
  scaling fit runs/quickstart                   fit it again, offline
  scaling train model.width=64 tokens=1e6       one small model
  scaling budget model=gpt2 tokens=10e9         what a training run needs

`scaling COMMAND --help` says what each one takes.
"""


def main() -> None:
    """Entry point of the console script; exits with the command's status."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        sys.exit(0)
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(version("scaling-simulator"))
        sys.exit(0)
    command = arguments[0]
    if command in HYDRA_COMMANDS:
        import runpy

        # Hydra and Lightning both read sys.argv: leave argv[0] alone and drop only the command's name.
        # A process that Lightning starts again (DDP) runs `-m scaling.cli.train` with the rest.
        sys.argv = [sys.argv[0], *arguments[1:]]
        try:
            runpy.run_module(f"scaling.cli.{command}", run_name="__main__", alter_sys=True)
        except BrokenPipeError:
            sys.exit(0)
    elif command in PLAIN_COMMANDS:
        try:
            sys.exit(import_module(f"scaling.cli.{command}").main(arguments[1:]))
        except BrokenPipeError:  # the reader, such as `head`, has seen enough
            sys.exit(0)
        except (Refusal, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
    else:
        from difflib import get_close_matches

        known = [*HYDRA_COMMANDS, *PLAIN_COMMANDS]
        near = get_close_matches(command, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"commands: {', '.join(known)}."
        print(f"error: unknown command {command!r}: {hint} See `scaling --help`.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
