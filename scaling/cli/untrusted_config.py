"""Refuses config files that would make Hydra import or run code.

A user may take YAML files from other people (`--config-dir`, `--config-path`). Hydra builds callbacks, launchers,
sweepers and log handlers from the classes that the config's node `hydra` names, before a command sees its config. A
file that did not come with an installed package may therefore choose a launcher and set its resources, and nothing
else in that node. Nor may it set `trainer.callbacks`, from which training builds callbacks. The user can still set all
of that on the command line.
"""

import re
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource as HydrasFileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from scaling.errors import UserError

RESOURCES = frozenset({
    "account", "array_parallelism", "comment", "constraint", "cpus_per_task", "exclude", "gpus_per_node",
    "gpus_per_task", "gres", "max_num_timeout", "mem_gb", "mem_per_cpu", "mem_per_gpu", "n_jobs", "name", "nodelist",
    "nodes", "num_cpus", "num_gpus", "partition", "qos", "tasks_per_node", "timeout_min", "workers",
})  # fmt: skip
"""Keys of `hydra.launcher` that a file may set: the resources of a job, but not the commands that it runs."""
CALLBACKS = "callbacks"
"""Key of `trainer` that holds the user's callbacks; no other key of a training job has this name."""
_PLAIN_VALUE = re.compile(r"[\w.,:@%=+/\[\] -]*")
"""Values that a file may give to these keys: one line without interpolation, since it is written to a batch script."""


class FileConfigSource(HydrasFileConfigSource):
    """Hydra's reader of config files, which also checks them. Hydra's registry finds it by the name of the class."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file.

        Raises:
            UserError: one line, for a file that is not YAML, or that would set more of Hydra than it may.
        """
        file = f"{self.path}/{config_path.removesuffix('.yaml')}.yaml"
        try:
            result = super().load_config(config_path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not plain YAML ({' '.join(str(error).split())})") from error
        package = result.header.get("package") or ""
        if places := [place for place in (config_path, package) if _in_hydra_node(place)]:
            raise _refusal(file, places[0].replace("/", "."))
        for place in (
            config_path.rpartition("/")[0],
            package,
        ):  # a group is a package where no header says another
            if CALLBACKS in re.split(r"[./]", place):
                raise _refusal(file, place.replace("/", "."))
        content = OmegaConf.to_container(result.config, resolve=False)
        if isinstance(content, dict):
            refuse_code(file, content)
        return result


def install() -> None:
    """Make Hydra check every file that it reads from now on; configs in installed packages are read as before."""
    SourcesRegistry.instance().types["file"] = FileConfigSource


def refuse_code(file: str, content: dict[Any, Any]) -> None:
    """Refuse a config that sets more of Hydra than a launcher's resources.

    Raises:
        UserError: one line, naming file and key.
    """
    for entry in content.get("defaults") or ():
        # `group@package: option` puts another file's content at `package`; `override hydra/launcher: x` only chooses
        # one of the installed launchers, which is allowed.
        words = entry.items() if isinstance(entry, dict) else [(entry, None)]
        for key, _ in words:
            package = str(key).partition("@")[2]
            if _in_hydra_node(package) or CALLBACKS in package.split("."):
                raise _refusal(file, f"defaults: {key}")
    # YAML reads a dotted key as one key, but the merged config may read it as a path: it is judged as a path.
    for key, value in content.items():
        if key == "hydra" and isinstance(value, dict):
            for inner, node in value.items():
                if inner != "launcher" or not isinstance(node, dict):
                    raise _refusal(file, f"hydra.{inner}")
                for name, setting in node.items():
                    if name not in RESOURCES or not _is_plain(setting):
                        raise _refusal(file, f"hydra.launcher.{name}")
        elif _in_hydra_node(str(key)):
            raise _refusal(file, str(key))
    if place := _place_of_code(content):
        raise _refusal(file, place)


def _place_of_code(node: Any, within: str = "") -> str | None:
    """The first key below which a file names code to be called, or might by an interpolation; None: it names none."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        place = f"{within}.{key}".removeprefix(".")
        words = str(key).split(".")
        # A study's own `config.yaml` says that it has none.
        if (CALLBACKS in words and value != []) or "_target_" in words:
            return place
        if words[-1] == "trainer" and isinstance(value, str):
            return place
        if found := _place_of_code(value, place):
            return found
    return None


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list) and _PLAIN_VALUE.fullmatch(str(value)) is not None


def _in_hydra_node(place: str) -> bool:
    """Whether a group, package or key lies in the node `hydra`, or might: an interpolation has no value yet."""
    return "$" in place or "hydra" in re.split(r"[./@:]", place)


def _refusal(file: str, key: str) -> UserError:
    return UserError(
        f"{file}: sets {key}, which can run code; a config file from elsewhere may set no callbacks, and of Hydra's "
        f"own settings only a launcher and its resources; set {key} on the command line"
    )
