"""Each job of a multirun has a folder of its own, short and readable, whatever was swept."""

from itertools import product
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from hydra_plugins import scaling_simulator  # noqa: F401 # registers the resolver `job_folder`
from omegaconf import DictConfig, OmegaConf

from scaling.config.schema import register
from scaling.sweep.job_folders import FOLDER_BYTES, job_folder, prepare, quoted, tells_apart
from scaling.sweep.multirun import MultirunJob, multirun_job


def jobs_of(*words: str) -> tuple[DictConfig, list[MultirunJob]]:
    """A multirun's config, and its jobs as Hydra's basic sweeper makes them."""
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        loader = hydra.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        config = loader.load_configuration("train", ["hydra.mode=MULTIRUN", *words], RunMode.MULTIRUN)
        setup_globals()
        prepare(config)
        parsed = [
            override
            for override in OverridesParser.create().parse_overrides(list(words))
            if not override.is_hydra_override()
        ]
        values = [
            list(each.sweep_string_iterator())
            if each.is_sweep_override()
            else [each.get_value_element_as_str()]
            for each in parsed
        ]
        jobs: list[MultirunJob] = []
        for chosen in product(*values):
            job = [f"{each.get_key_element()}={value}" for each, value in zip(parsed, chosen, strict=True)]
            composed = loader.load_sweep_config(config, job)
            composed.hydra.job.num = len(jobs)
            composed.hydra.job.id = str(len(jobs))
            bare = composed.copy()
            OmegaConf.set_struct(bare, False)
            del bare["hydra"]
            HydraConfig.instance().set_config(composed)
            found = multirun_job(bare, composed)
            assert found is not None
            jobs.append(found)
        return config, jobs


@pytest.mark.parametrize(
    ("words", "study", "folders"),
    [
        (["optim.lr=1e-3,3e-3"], "train", ["train/optim.lr=0.001", "train/optim.lr=0.003"]),
        (["model.width=16,24", "name=x"], "x", ["x/model.width=16", "x/model.width=24"]),
        (["optim=adamw,muon", "seed=3"], "train", ["train/optim=adamw", "train/optim=muon"]),
        (["optim=adamw,muon", "name=og/${optim.kind}"], "og", ["og/adamw", "og/muon"]),
        (["optim.lr=1e-3,3e-3", "name=x-${optim.lr}"], "x", ["x-0.001", "x-0.003"]),
        (["seed=1,2", "name=x-${model.width}", "model.width=16"], "x-16", ["x-16/seed=1", "x-16/seed=2"]),
        (["model.width=16,24", "seed=1", "name=n${hydra:job.num}"], "n", ["n0", "n1"]),
        (["name=a,b"], "multirun", ["a", "b"]),
        (["name=a,b", "seed=1,2"], "multirun", ["a/seed=1", "a/seed=2", "b/seed=1", "b/seed=2"]),
        (["tokens=1e6"], "train", ["train"]),
        (
            ["optim.lr=1e-3,3e-3", "seed=1,2", "name=x-${optim.lr}"],
            "x",
            ["x-0.001/seed=1", "x-0.001/seed=2", "x-0.003/seed=1", "x-0.003/seed=2"],
        ),
    ],
)
def test_folders_tell_the_swept_overrides_apart(words: list[str], study: str, folders: list[str]) -> None:
    config, jobs = jobs_of(*words)
    assert Path(config.hydra.sweep.dir) == Path("runs") / study
    assert [str(job.folder) for job in jobs] == [f"runs/{folder}" for folder in folders]
    assert all(job.config is not None and job.config.folder == job.folder for job in jobs)
    assert len({" ".join(job.overrides) for job in jobs}) == len(jobs)


def test_a_folder_of_the_users_own_is_kept() -> None:
    config, jobs = jobs_of("seed=1,2", "hydra.sweep.dir=elsewhere", r"out='it\'s here'")
    assert config.hydra.sweep.dir == "elsewhere"
    assert [str(job.folder) for job in jobs] == ["it's here/train/seed=1", "it's here/train/seed=2"]
    assert {str(job.study) for job in jobs} == {"elsewhere"}


def test_many_overrides_make_a_short_folder_that_differs() -> None:
    long = [f"optim.{key}={value}" for key in ("beta1", "beta2") for value in ("0.9", "0.95")] * 9
    folders = {job_folder(",".join([*long, f"seed={seed}"])) for seed in range(100)}
    assert len(folders) == 100
    assert all(len(folder.encode()) <= FOLDER_BYTES for folder in folders)
    assert all(folder.startswith("optim.beta1=0.9,") for folder in folders)


@pytest.mark.parametrize(
    "text", ["corpus.paths=[a/b]", "corpus.paths=[a_b]", "name='täxt \N{SNOWMAN}'", "x=" + "ü" * 99]
)
def test_what_no_folder_can_be_called_is_replaced(text: str) -> None:
    folder = job_folder(text)
    assert "/" not in folder
    assert " " not in folder
    assert len(folder.encode()) <= FOLDER_BYTES
    assert folder != job_folder(text.replace("/", "_").replace(" ", "_").replace("[", "").replace("x", "y"))


def test_a_reference_to_a_whole_option_tells_groups_apart() -> None:
    assert tells_apart("x-${optim.kind}", "optim")
    assert tells_apart("x-${hydra:runtime.choices.experiment}", "experiment")
    assert not tells_apart("x-${optim.lr}", "optim")
    assert not tells_apart("x", "optim")


@pytest.mark.parametrize("value", ["plain", "it's", r"a\b", "a\\", r"\'", "a,b = {c}", "täxt"])
def test_a_quoted_value_is_read_back(value: str) -> None:
    override = OverridesParser.create().parse_override(f"key={quoted(value)}")
    read = override.value()
    assert str(getattr(read, "text", read)) == value


def test_the_sweep_command_is_no_multirun() -> None:
    register()
    GlobalHydra.instance().clear()
    with initialize_config_module("scaling.conf", version_base="1.3"):
        composed = compose("sweep", return_hydra_config=True)
    assert multirun_job(composed, composed) is None
