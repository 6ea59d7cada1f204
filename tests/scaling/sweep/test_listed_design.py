"""A sweep of runs that a file lists, as `scaling simulate` writes it."""

from pathlib import Path

import numpy as np
import pytest

from scaling.cli.sweep import with_design_file
from scaling.config.design import DesignConfig, ListedRun
from scaling.errors import UserError
from scaling.shape.params import count_params
from scaling.simulate.candidates import on_ladder
from scaling.simulate.cost import small_shape
from scaling.simulate.design import listed, write_design
from scaling.sweep.design import jobs, planned_runs

LIKE = small_shape(256, 64)


def test_listed_runs_are_planned_as_they_stand() -> None:
    sizes = on_ladder(np.geomspace(5e3, 1e6, 15), 256, 64)
    design = DesignConfig(
        runs=[
            ListedRun(params=float(n), tokens=d, seed=s)
            for n in sizes
            for d, s in ((1e5, 1), (2e5, 1), (1e5, 2))
        ]
    )
    runs = planned_runs(design, LIKE, seed=7)
    assert [run.params_total for run in runs] == [round(n) for n in sizes for _ in range(3)]
    assert {run.seed for run in runs} == {1, 2}
    assert np.isnan([run.budget_flops for run in runs]).all()
    assert len(jobs(runs, share_trunks=True)) == 2 * len(sizes)


def test_a_size_off_the_ladder_gets_its_nearest_shape() -> None:
    (run,) = planned_runs(DesignConfig(runs=[ListedRun(params=123_456, tokens=1e5)]), LIKE, seed=7)
    assert abs(count_params(run.shape).total / 123_456 - 1) < 0.1
    assert run.seed == 7


def test_a_file_becomes_a_key_that_every_job_is_told(tmp_path: Path) -> None:
    path = tmp_path / "chosen.yaml"
    write_design(listed("two", np.array([9328.0, 9328.0]), np.array([1e5, 2e5])), path, ["two runs"])
    words = with_design_file(["sweep", f"design={path}", "design.seeds=2"])
    assert words[1] == (
        "design.runs=[{params:9328,tokens:100000,seed:0,budget_flops:null},"
        "{params:9328,tokens:200000,seed:0,budget_flops:null}]"
    )
    assert with_design_file(["design=isoflop"]) == ["design=isoflop"]
    with pytest.raises(UserError, match="no such file"):
        with_design_file(["design=missing.yaml"])
