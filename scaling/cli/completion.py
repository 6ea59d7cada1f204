"""`scaling completion SHELL`: a script that completes the command line of `scaling` when Tab is pressed.

The script holds every word that can be completed, so that pressing Tab starts no Python and takes no time. The words
come from where commands, keys and options are declared.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from importlib.resources import files
from typing import get_type_hints

from scaling.errors import UserError

SHELLS = ("bash", "zsh", "fish")
USAGE = """usage: scaling completion bash|zsh|fish

Prints a script for the shell, which completes commands, keys, options, flags, and names of models and devices:

  bash  eval "$(scaling completion bash)"       (in ~/.bashrc, to have it in every terminal)
  zsh   eval "$(scaling completion zsh)"        (in ~/.zshrc)
  fish  scaling completion fish | source        (in ~/.config/fish/config.fish)
"""
HYDRA_NODES = ("hydra/launcher", "hydra/sweeper")
LAUNCHERS = ("basic", "local", "joblib", "ray", "submitit_local", "submitit_slurm")


@dataclass(frozen=True)
class Words:
    """What may follow a command."""

    first: tuple[str, ...] = ()
    """Words that may stand right after the command: the questions of budget, the shells of completion."""
    keys: tuple[str, ...] = ()
    """Keys and groups, each with its equals sign."""
    values: tuple[str, ...] = ()
    """Whole words of the form key=value, for keys whose values are known."""
    flags: tuple[str, ...] = ("--help",)


def main(argv: list[str]) -> int:
    """Print the script of a shell; returns the exit status.

    Raises:
        UserError: one line, for a shell that is not known.
    """
    if not argv or "--help" in argv or "-h" in argv:
        print(USAGE)
        return 0
    if len(argv) > 1 or argv[0] not in SHELLS:
        raise UserError(f"scaling completion {' '.join(argv)}: choose one shell of {', '.join(SHELLS)}")
    print(script(argv[0]))
    return 0


def script(shell: str) -> str:
    """The completion script of a shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](all_words())


def all_words() -> dict[str, Words]:
    """What may follow each command; a question of budget is a command of its own, `budget solve`."""
    from hydra._internal.utils import get_args_parser

    from scaling.budget.keys import DEFAULT_LAW, BudgetKeys
    from scaling.cli.budget import QUESTIONS
    from scaling.cli.main import HYDRA_COMMANDS, PLAIN_COMMANDS
    from scaling.cli.sample import SampleKeys
    from scaling.config.schema import SCHEMAS
    from scaling.fitting.keys import CompareKeys, FitKeys
    from scaling.shape.published_models import PUBLISHED

    known = {
        "hardware": _devices(),
        "model": tuple(PUBLISHED),
        "model.name": tuple(PUBLISHED),
        "law": (DEFAULT_LAW,),
    }
    hydra_flags = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    hydra_flags = [
        flag for flag in hydra_flags if flag not in ("--shell-completion", "-sc", "--experimental-rerun")
    ]
    words = {"": Words(first=(*HYDRA_COMMANDS, *PLAIN_COMMANDS), flags=("--help", "--version"))}
    for command in HYDRA_COMMANDS:
        roots = {
            path: schema for path, schema in SCHEMAS.items() if "/" in path or path == f"{command}_schema"
        }
        keys = [key for path, schema in roots.items() for key in _keys(schema, _prefix(path))]
        booleans = [key for path, schema in roots.items() for key in _keys(schema, _prefix(path), only=bool)]
        groups = _groups()
        values = [f"{group}={option}" for group, options in groups.items() for option in options]
        words[command] = Words(
            keys=_unique([*(f"{group}=" for group in groups), *(f"{key}=" for key in keys)]),
            values=_unique([*values, *(f"{key}={flag}" for key in booleans for flag in ("true", "false"))]),
            flags=_unique([*hydra_flags, *(["--dry-run"] if command == "sweep" else [])]),
        )
    words["status"] = Words(flags=("--watch", "--help"))
    words["completion"] = Words(first=SHELLS)
    plain: dict[str, type | None] = {
        "fit": FitKeys,
        "compare": CompareKeys,
        "sample": SampleKeys,
        "budget": BudgetKeys,
    }
    plain |= {f"budget {question}": schema for question, schema in QUESTIONS.items()}
    for command, keys_schema in plain.items():
        names = _keys(keys_schema, "") if keys_schema else []
        names += ["model"] if "model.name" in names else []
        budget = known if command.startswith("budget") else {}
        values = [f"{name}={value}" for name in names for value in budget.get(name, ())]
        booleans = _keys(keys_schema, "", only=bool) if keys_schema else []
        words[command] = Words(
            first=tuple(QUESTIONS) if command == "budget" else (),
            keys=_unique(f"{name}=" for name in names),
            values=_unique([*values, *(f"{key}={flag}" for key in booleans for flag in ("true", "false"))]),
            flags=("--help",) if command == "sample" else ("--json", "--help"),
        )
    return words


def _devices() -> tuple[str, ...]:
    from scaling.accounting.catalogue import CATALOGUE

    return tuple(CATALOGUE)


def _prefix(path: str) -> str:
    group = path.rpartition("/")[0]
    return f"{group}." if group else ""


def _groups() -> dict[str, list[str]]:
    """The options of each group in `conf/`, and of Hydra's own groups of launchers and sweepers."""
    conf = files("scaling.conf")
    groups = {
        folder.name: sorted(
            file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")
        )
        for folder in conf.iterdir()
        if folder.is_dir() and folder.name not in ("hydra", "__pycache__")
    }
    for node in HYDRA_NODES:
        folder = conf / node
        names = {file.name.removesuffix(".yaml") for file in folder.iterdir()} if folder.is_dir() else set()
        groups[node] = sorted(names | (set(LAUNCHERS) if node.endswith("launcher") else {"basic"}))
    return dict(sorted(groups.items()))


def _keys(schema: type, prefix: str, only: type | None = None) -> list[str]:
    """Dotted keys of a dataclass and of those in it; `only`: those of one type."""
    keys = []
    for item in fields(schema):
        hint = get_type_hints(schema)[item.name]
        if is_dataclass(hint) and isinstance(hint, type):
            keys += _keys(hint, f"{prefix}{item.name}.", only)
        elif only is None or only is hint or only | None == hint:
            keys.append(prefix + item.name)
    return keys


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _cases(words: dict[str, Words], case: str, end: str, write: str) -> str:
    """One branch of a shell's case statement for each command and kind of words, which prints them, one a line."""
    lines = []
    for command, each in words.items():
        for kind in ("first", "keys", "values", "flags"):
            if listed := getattr(each, kind):
                label = f"{command}:{kind}"
                lines.append(f"    {case.format(label)} {write} {' '.join(listed)}{end}")
    return "\n".join(lines)


BASH_AND_ZSH = """_scaling_words() {{  # prints the words of one kind that may follow a command, one a line
  case "$1" in
{cases}
  esac
}}
_scaling_matches() {{  # prints what completes the word $2 after the words $1 of a line
  local command="" kind=keys
  set -- "$1" "$2" ${{=1}}
  command="${{3:-}}"
  [ "$command" = budget ] && [ -n "$(_scaling_words "budget ${{4:-}}:flags")" ] && command="budget $4"
  case "$2" in
    -*) kind=flags ;;
    *=*) kind=values ;;
  esac
  {{
    [ $kind = keys ] && [ $# -le 3 ] && _scaling_words "$command:first"
    _scaling_words "$command:$kind"
  }} | while IFS= read -r word; do
    case "$word" in "$2"*) printf '%s\\n' "$word" ;; esac
  done
}}
"""


def _bash(words: dict[str, Words]) -> str:
    shared = BASH_AND_ZSH.format(cases=_cases(words, '"{}")', " ;;", "printf '%s\\n'"))
    return (
        shared.replace("${=1}", "$1")
        + """_scaling() {
  local line="${COMP_LINE:0:COMP_POINT}" current before match
  current="${line##*[[:space:]]}"
  before="${line%"$current"}"
  before="${before#*[[:space:]]}"
  COMPREPLY=()
  while IFS= read -r match; do
    [ "${match%=}" != "$match" ] && compopt -o nospace
    # Where bash breaks words at equals signs, it wants only what stands after the last of them.
    [[ "$COMP_WORDBREAKS" == *=* && "$current" == *=* ]] && match="${match#"${current%=*}="}"
    COMPREPLY+=("$match")
  done < <(_scaling_matches "$before" "$current")
}
complete -o default -F _scaling scaling"""
    )


def _zsh(words: dict[str, Words]) -> str:
    shared = BASH_AND_ZSH.format(cases=_cases(words, '"{}")', " ;;", "printf '%s\\n'"))
    return (
        shared
        + """_scaling() {
  local -a found
  found=("${(@f)$(_scaling_matches "${(j: :)words[2,CURRENT-1]}" "$words[CURRENT]")}")
  if [ -z "$found[1]" ]; then
    _files
    return
  fi
  compadd -S '' -- ${(M)found:#*=}
  compadd -- ${found:#*=}
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _scaling scaling"""
    )


def _fish(words: dict[str, Words]) -> str:
    cases = _cases(words, "case '{}'\n     ", "", "printf '%s\\n'")
    start = f"""function __scaling_words
  switch "$argv[1]"
{cases}
  end
end
"""
    return (
        start
        + """function __scaling_matches
  set -l before (commandline -opc)
  set -e before[1]
  set -l current (commandline -ct)
  set -l command "$before[1]"
  if test "$command" = budget; and test (count $before) -gt 1
    test -n "$(__scaling_words "budget $before[2]:flags")"; and set command "budget $before[2]"
  end
  switch "$current"
    case '-*'
      __scaling_words "$command:flags"
    case '*=*'
      __scaling_words "$command:values"
    case '*'
      test (count $before) -le 1; and __scaling_words "$command:first"
      __scaling_words "$command:keys"
  end
end
complete -c scaling -a '(__scaling_matches)'"""
    )
