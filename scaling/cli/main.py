"""`scaling COMMAND …`: finds the command and runs it. Imports nothing heavy, so that `--help` is instant."""

import runpy
import sys
from importlib import import_module
from importlib.metadata import version

from scaling.cli.exit_status import exit_with_status
from scaling.cli.next_steps import say
from scaling.config.nearest import nearest
from scaling.errors import UserError

# command → (what it does, module). Hydra apps run as `__main__`, as Lightning's relaunch for DDP needs.
HYDRA_COMMANDS = {
    "train": "pre-train one model (or a plain Hydra multirun with -m)",
    "sweep": "plan and train a scaling study, then fit it",
}
PLAIN_COMMANDS = {
    "status": "how far a sweep is, from another terminal; --watch keeps showing it",
    "fit": "fit scaling laws to a sweep or to any table of parameters, tokens and loss",
    "compare": "how studies differ: exponents, and the compute that one needs for the loss of another",
    "sample": "text from a trained run's model",
    "budget": "parameters, FLOPs, memory, time and cost of a model; or the best model for a budget",
    "simulate": "what an experiment would teach, and which runs answer best, before any is trained",
    "completion": 'completion by Tab: eval "$(scaling completion bash)"; also for zsh and fish',
}

JOB_FLAGS = ("-m", "--multirun", "--dry-run")
"""Flags of a Hydra app with which it does its work; the others make it print something and stop."""
USAGE = "usage: scaling COMMAND [key=value …] [--help]"


def help_text() -> str:
    """The text of `scaling --help`."""
    commands = {**HYDRA_COMMANDS, **PLAIN_COMMANDS}
    rows = "\n".join(f"  {name:10} {what}" for name, what in commands.items())
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
    with exit_with_status():
        run(sys.argv[1:])


def run(arguments: list[str]) -> None:
    """Run the command that the first word names.

    Raises:
        SystemExit: with the command's status, unless that is 0.
        UserError: for an unknown command.
    """
    command = arguments[0] if arguments else "help"
    if command in ("-h", "--help", "help"):
        print(help_text())
    elif command == "--version":
        print(version("scaling-simulator"))
    elif command in HYDRA_COMMANDS:
        if not any(word.startswith("-") and word not in JOB_FLAGS for word in arguments):
            say("importing PyTorch, Lightning and Hydra")
        # Hydra and Lightning both read sys.argv: leave argv[0] alone and drop only the command's name.
        # A process that Lightning starts again (DDP) runs `-m scaling.cli.train` with the rest.
        sys.argv = [sys.argv[0], *arguments[1:]]
        runpy.run_module(f"scaling.cli.{command}", run_name="__main__", alter_sys=True)
    elif command in PLAIN_COMMANDS:
        if status := import_module(f"scaling.cli.{command}").main(arguments[1:]):
            raise SystemExit(status)
    else:
        hint = nearest(command, [*HYDRA_COMMANDS, *PLAIN_COMMANDS])
        raise UserError(f"unknown command {command!r}: {hint} See `scaling --help`.")


if __name__ == "__main__":
    main()
