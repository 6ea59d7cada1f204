"""A tuning finds the lowest loss, goes on where it was cut short, and prunes what has no loss."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from scaling.errors import UserError
from scaling.sweep.tune import open_study, search_space, tune

optuna = pytest.importorskip("optuna", reason="the extra [optuna] is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of Optuna 2, of its own storage's library

PARAMS = {"optim.lr": "tag(log, interval(1e-4, 1e-1))", "optim.batch_tokens": "choice(512, 1024)"}


class Launcher:
    """Returns a loss that is lowest at a rate of 1e-2; infinite, as a job that fails does, for rates above 5e-2."""

    def __init__(self) -> None:
        self.words: list[list[str]] = []

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        results = []
        for words in jobs:
            self.words.append(list(words))
            lr = float(dict(word.split("=") for word in words)["optim.lr"])
            result = JobReturn(status=JobStatus.COMPLETED)
            result.return_value = abs(lr - 1e-2) if lr <= 5e-2 else inf
            results.append(result)
        return results


def states(storage: str) -> list[str]:
    return [trial.state.name for trial in optuna.load_study(study_name="tuning", storage=storage).trials]


def test_a_tuning_goes_on_in_its_folder_and_prunes_failures(tmp_path: Path) -> None:
    storage, folder = f"sqlite:///{tmp_path}/tuning.db", str(tmp_path)
    launcher, space = Launcher(), search_space(PARAMS, ["model.width=16"])
    tune(open_study(storage, folder, seed=0), space, launcher.launch, trials=10, at_once=2)
    assert len(launcher.words) == 10
    assert all("model.width=16" in words for words in launcher.words)
    tune(open_study(storage, folder, seed=0), space, launcher.launch, trials=10, at_once=2)
    assert len(launcher.words) == 10
    tune(open_study(storage, folder, seed=0), space, launcher.launch, trials=15, at_once=2)
    assert len(launcher.words) == 15
    assert len({tuple(words) for words in launcher.words}) == 15
    assert set(states(storage)) == {"COMPLETE", "PRUNED"}


def test_a_trial_that_was_cut_short_is_proposed_again(tmp_path: Path) -> None:
    storage, folder = f"sqlite:///{tmp_path}/tuning.db", str(tmp_path)
    space = search_space(PARAMS, [])
    seen: list[Sequence[str]] = []

    def killed(jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        seen.extend(jobs)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(open_study(storage, folder, seed=0), space, killed, trials=2, at_once=1)
    launcher = Launcher()
    tune(open_study(storage, folder, seed=0), space, launcher.launch, trials=2, at_once=1)
    assert launcher.words[0] == list(seen[0])
    assert len(launcher.words) == 2


def test_a_word_replaces_a_range_and_a_tuning_needs_one() -> None:
    space = search_space(PARAMS, ["optim.batch_tokens=2048", "model.width=interval(16, 64)"])
    assert [key for key, override in space.items() if override.is_sweep_override()] == [
        "optim.lr",
        "model.width",
    ]
    with pytest.raises(UserError, match="no key has a range"):
        search_space(PARAMS, ["optim.lr=1", "optim.batch_tokens=2048"])


def test_an_interval_must_rise(tmp_path: Path) -> None:
    study = open_study(None, str(tmp_path), seed=0)
    for interval in ("interval(1e-2, 1e-3)", "tag(log, interval(0, 1))"):
        with pytest.raises(UserError, match="must rise"):
            tune(study, search_space({"optim.lr": interval}, []), Launcher().launch, trials=1, at_once=1)
