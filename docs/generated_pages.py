"""The pages of the site that are made of the code itself: every key, every public module, and the guide."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path

from omegaconf import MISSING as SET_BY_GROUP

from analysis import laws
from scaling.budget.keys import BudgetKeys, FineTuneKeys, ServeKeys, SolveKeys
from scaling.cli.sample import SampleKeys
from scaling.config.overrides import field_help
from scaling.config.schema import SCHEMAS, SweepConfig, TrainConfig
from scaling.fitting.keys import CompareKeys, FitKeys

GUIDE = Path(__file__).parent / "guide" / "from_csv_to_plan.py"
PACKAGES = ("scaling", "analysis")


def write(folder: Path) -> None:
    """Writes every generated page into a folder; a page that has not changed keeps its date."""
    pages = {
        "keys.md": keys_page(),
        "laws.md": laws_page(),
        "guide.md": guide_page(GUIDE.read_text()),
        **api_pages(),
    }
    folder.mkdir(exist_ok=True)
    for stale in {path.name for path in folder.iterdir()} - set(pages):
        (folder / stale).unlink()
    for name, text in pages.items():
        if not (folder / name).is_file() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


# --- every law -----------------------------------------------------------------------------------------

WHEN = {
    "sizes and tokens": ("chinchilla", "kappa", "farseer", "kaplan", "gadre"),
    "one variable alone": ("compute_floor", "kaplan_n", "kaplan_d", "kaplan_c"),
    "data that are seen several times": ("muennighoff", "unique_additive", "unique_saturating"),
    "mixtures of experts": ("moe_clark", "moe_floor", "moe_krajewski", "moe_abnar"),
    "sparse models": ("sparsity_frantar", "sparsity_upcycled"),
    "training in few bits": ("precision_kumar", "precision_kumar_all"),
    "parallel streams": ("parallel_chen",),
    "the vocabulary": ("vocabulary_tao", "vocabulary_matched"),
    "mixtures of data": ("mixture_ye", "mixture_implicit"),
    "rate and batch within the loss": ("valley", "critical_batch"),
    "the best rate and batch": ("learning_rate_nd", "learning_rate_c", "batch_tokens_d", "batch_tokens_c"),
    "whole loss curves": ("multi_power",),
}
"""What a table varies → the laws that are for it."""


def laws_page() -> str:
    """All laws with their formulas and sources, from the registry."""
    told = [name for names in WHEN.values() for name in names]
    assert sorted(told) == sorted([*laws.LAWS, *laws.FAMILIES]), "each law stands under one heading of WHEN"
    parts = [
        "# Every law",
        "Made from the registry, as `scaling fit law=?` is. `scaling fit FILE law=NAME variable=COLUMN …` fits one; "
        "`fixed.E=1.6` holds a parameter at a value. A law of more parameters fits its own runs the better, and need "
        "not foretell others the better: where several could be meant, compare them on runs that were held back.",
    ]
    for what, names in WHEN.items():
        parts.append(f"## {what[0].upper()}{what[1:]}")
        for name in names:
            law = laws.FAMILIES[name](3) if name in laws.FAMILIES else laws.get(name)
            lines = [f"### {name}", f"`{law.formula}`", f"{law.source}. {law.note}".strip()]
            reads = ", ".join(f"`{v}` ({laws.variable(v).meaning})" for v in law.variables)
            lines.append(f"Reads {reads}; predicts `{law.target}`.")
            for study, values in law.published.items():
                lines.append(f"{study}: " + ", ".join(f"{k} = {v:.6g}" for k, v in values.items()) + ".")
            parts += lines
    return "\n\n".join([*parts, OWN_LAW]) + "\n"


OWN_LAW = """## A law of your own

Write a function of the columns and of its parameters, each with the range in which to look for it, in a file of yours:

```python
import numpy as np

def ours(x, E=(0.5, 3.0), A=(1.0, 1e4), alpha=(0.05, 1.0), step=(-0.5, 0.5)):
    \"\"\"L = E + A·N^-α·e^(step·depth)\"\"\"
    return E + A * x["params"] ** -alpha * np.exp(step * x["depth"])
```

and name it on the command line: `scaling fit runs.csv law=ours.py:ours depth=n_layers`. A parameter whose range is
above 0 stays above 0. Derivatives follow by the chain rule from numpy's elementary functions, and from finite
differences where something else is used. The file is run, so name none that you would not run. CONTRIBUTING.md says how
to add a law for everybody."""


# --- every key -----------------------------------------------------------------------------------------


def keys_page() -> str:
    """All keys of all commands, from the dataclasses that declare them."""
    parts = [
        "# Every key",
        "Made from the declarations, as `--help` is. A key is set on the command line as `key=value`. `null` leaves it "
        "to the rule that its text names.",
        "## scaling train",
        *_section(TrainConfig, ""),
    ]
    options = {"corpus": [], "tokenizer": [], "optim": [], "schedule": []}  # type: dict[str, list[str]]
    for path, schema in SCHEMAS.items():
        group, slash, name = path.partition("/schema_")
        if slash:
            options[group] += [f"### {group}={name}", *_section(schema, f"{group}.")]
    for rows in options.values():
        parts += rows
    parts += [
        "## scaling sweep",
        "All keys of `scaling train`, and:",
        *_section(SweepConfig, "", without=TrainConfig),
    ]
    for command, schema in {
        "fit": FitKeys, "compare": CompareKeys, "sample": SampleKeys, "budget": BudgetKeys, "budget solve": SolveKeys,
        "budget serve": ServeKeys, "budget finetune": FineTuneKeys,
    }.items():  # fmt: skip
        parts += [f"## scaling {command}", *_section(schema, "")]
    return "\n\n".join(parts) + "\n"


def _section(schema: type, prefix: str, without: type | None = None) -> Iterator[str]:
    """What a dataclass says of itself, a table of its own keys, and a section for each group of keys in it."""
    inherited = {item.name for item in fields(without)} if without else set()
    texts = field_help(schema)
    yield " ".join((schema.__doc__ or "").split())
    rows, groups = [], []
    for item in fields(schema):
        if item.name in inherited:
            continue
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        if is_dataclass(default):
            groups.append((item.name, type(default)))
        elif default != SET_BY_GROUP:
            assert texts[item.name], f"{schema.__name__}.{item.name} has no text to show as its help"
            shown = (
                "null" if default is None else str(default).lower() if isinstance(default, bool) else default
            )
            rows.append(
                f"| `{prefix}{item.name}` | `{shown if shown != '' else chr(39) * 2}` | {_cell(texts[item.name])} |"
            )
    if rows:
        yield "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])
    for name, group in groups:
        yield f"### {name}"
        yield from _section(group, f"{prefix}{name}.")


def _cell(text: str) -> str:
    """Plain text in a cell of a Markdown table."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([*_|<\[\]])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


# --- the reference of modules --------------------------------------------------------------------------


def api_pages() -> dict[str, str]:
    """A page for each package, with every public module in it."""
    pages, names = {}, []
    for package in PACKAGES:
        rooms = [package, *(m.name for m in _modules(package) if m.ispkg)]
        for room in rooms:
            modules = [m.name for m in _modules(room) if not m.ispkg]
            if (import_module(room).__doc__ or "").strip():
                modules.insert(0, room)
            if modules:
                names.append(f"api-{room}")
                pages[f"api-{room}.rst"] = "\n".join(
                    [_title(room, "="), *(_module(name) for name in modules)]
                )
    listed = "\n".join(names)
    pages["api.md"] = (
        f"# Modules\n\nEvery public module, from its docstrings.\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    )
    return pages


def _title(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n"


def _module(name: str) -> str:
    # What a package exports from elsewhere stands with the module that defines it.
    return f"{_title(name, '-')}\n.. automodule:: {name}\n   :members:\n   :ignore-module-all:\n"


def _modules(package: str) -> list[pkgutil.ModuleInfo]:
    found = pkgutil.iter_modules(import_module(package).__path__, f"{package}.")
    return [module for module in found if not module.name.rpartition(".")[2].startswith("_")]


def as_restructured_text(
    _app: object, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Reads a docstring as plain text: outside backticks marks stand for themselves, and a list needs no gap above."""
    text = "".join(
        part if part.startswith("`") else re.sub(r"\*|\||_(?=\W|$)", r"\\\g<0>", part)
        for part in re.split(r"(`[^`]*`)", "\n".join(lines))
    )
    text = re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", text)
    text = re.sub(r"^( *)(?!\1- |\1  )(\S.*)\n(?=\1- )", r"\1\2\n\n", text, flags=re.MULTILINE)
    # Napoleon takes an attribute's first line up to a colon for its type; our types stand in the code.
    lines[:] = ["", *text.split("\n")] if what in ("attribute", "data", "property") else text.split("\n")


# --- the guide -----------------------------------------------------------------------------------------


def guide_page(script: str) -> str:
    """The guide, a script of Markdown cells and code cells, as one page."""
    parts = []
    for cell in script.split("# %%")[1:]:
        kind, _, body = cell.partition("\n")
        if "[markdown]" in kind:
            parts.append(
                "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines())
            )
        else:
            parts.append(f"```python\n{body.strip()}\n```")
    return "\n\n".join(parts) + "\n"
