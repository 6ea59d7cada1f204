"""What a fit leaves: files where the user wants them, and no answer lost to a folder that cannot be written."""

from pathlib import Path

import pytest
from simulated_isoflop import isoflop_study

from scaling.errors import UserError
from scaling.fitting.keys import FitKeys
from scaling.fitting.report import fit_and_report


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    isoflop_study(noise=0.002).to_csv("losses.csv", index=False)
    return Path("losses.csv")


def test_an_output_that_is_a_file_is_left_alone(table: Path) -> None:
    Path("taken").write_text("mine")
    with pytest.raises(UserError, match="out=taken is a file"):
        fit_and_report(table, FitKeys(bootstrap=0, out="taken"))
    assert Path("taken").read_text() == "mine"


def test_an_unwritable_output_is_said_after_the_answer(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("blocked").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"cannot write to blocked/deep: .*out=FOLDER"):
        fit_and_report(table, FitKeys(bootstrap=0, out="blocked/deep"))
    assert "Fitted law" in capsys.readouterr().out


def test_a_sweeps_fit_goes_beside_its_runs(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("runs/study")
    folder.mkdir(parents=True)
    table.rename(folder / "records.csv")
    fit_and_report(folder, FitKeys(bootstrap=0, approach="isoflop"))
    assert (folder / "fit" / "report.html").is_file()
    assert "runs/study/fit/report.html has all of this" in capsys.readouterr().out
