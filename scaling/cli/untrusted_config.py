"""YAML from elsewhere (`--config-dir`, `--config-path`) is data: it names no code that Hydra would import or run.

Hydra builds callbacks, launchers, sweepers and log handlers from whatever its own node `hydra` names, before a command
sees its config. So a file that did not come with an installed package may set nothing there but a launcher's
resources and the choice among installed options; the rest is said on the command line, by whoever types it.
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
"""Keys of `hydra.launcher` that a file may set: what a job gets, never what runs before it or in its place."""
_PLAIN = re.compile(r"[\w.,:@%=+/\[\] -]*")
"""A value of one line without interpolation: it ends up in a batch script."""


class FileConfigSource(HydrasFileConfigSource):
    """Hydra's reader of files, for those that say nothing about code; Hydra's registry goes by the name."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file.

        Raises:
            UserError: one line, for a file that is no YAML, or that would configure Hydra.
        """
        file = f"{self.path}/{config_path.removesuffix('.yaml')}.yaml"
        try:
            result = super().load_config(config_path)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not plain YAML ({' '.join(str(error).split())})") from error
        package = result.header.get("package") or ""
        if places := [place for place in (config_path, package) if _is_hydras(place)]:
            raise _refusal(file, places[0].replace("/", "."))
        content = OmegaConf.to_container(result.config, resolve=False)
        if isinstance(content, dict):
            refuse_code(file, content)
        return result


def install() -> None:
    """Have Hydra read all files this way from now on; what installed packages hold is read as before."""
    SourcesRegistry.instance().types["file"] = FileConfigSource


def refuse_code(file: str, content: dict[Any, Any]) -> None:
    """Refuse a config that sets more of Hydra than a launcher's resources.

    Raises:
        UserError: one line, naming file and key.
    """
    for entry in content.get("defaults") or ():
        # `group@package: option` puts another file's content there; `override hydra/launcher: x` only chooses.
        words = entry.items() if isinstance(entry, dict) else [(entry, None)]
        for key, _ in words:
            if _is_hydras(str(key).partition("@")[2]):
                raise _refusal(file, f"defaults: {key}")
    # A dotted key in YAML is one key, not a path; whoever writes it means the path.
    for key, value in content.items():
        if key == "hydra" and isinstance(value, dict):
            for inner, node in value.items():
                if inner != "launcher" or not isinstance(node, dict):
                    raise _refusal(file, f"hydra.{inner}")
                for name, setting in node.items():
                    if name not in RESOURCES or not _plain(setting):
                        raise _refusal(file, f"hydra.launcher.{name}")
        elif _is_hydras(str(key)):
            raise _refusal(file, str(key))


def _plain(value: Any) -> bool:
    return not isinstance(value, dict | list) and _PLAIN.fullmatch(str(value)) is not None


def _is_hydras(place: str) -> bool:
    """Whether a group, package or key lies in Hydra's node, or may: an interpolation is not known yet."""
    return "$" in place or "hydra" in re.split(r"[./@:]", place)


def _refusal(file: str, key: str) -> UserError:
    return UserError(
        f"{file}: sets {key}; a config file from elsewhere may choose a launcher and its resources, and name nothing "
        f"else for Hydra to load or run: say it on the command line"
    )
