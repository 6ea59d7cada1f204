"""A tiny study for tests."""

from collections.abc import Callable
from typing import Any

import pytest

from scaling.config.schema import DesignConfig, SweepConfig, TrainConfig
from scaling.sweep import provenance
from scaling.sweep.plan import PlannedJob, plan_jobs


@pytest.fixture
def study(tiny_job: Callable[..., TrainConfig]) -> SweepConfig:
    """Three jobs of two runs."""
    values: dict[str, Any] = {**vars(tiny_job([2048])), "branches": [], "name": "sweep"}
    design = DesignConfig(
        min_flops=4e7, max_flops=8e7, budgets=2, sizes=3, size_ratio=1.6,
        expected_params=7e3, expected_at_flops=6e7, expected_exponent=0.0,
    )  # fmt: skip
    return SweepConfig(**values, design=design)


@pytest.fixture
def jobs(study: SweepConfig) -> list[PlannedJob]:
    """The jobs of `study`, whose plan is written into its folder."""
    planned = plan_jobs(study)
    provenance.settle(study.folder, provenance.describe(study, planned))
    return planned
