"""Fixtures shared by all tests."""

import os
from pathlib import Path

# One thread a process: small products gain nothing from more, and results are the same on any machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of prepared corpora for one test process."""
    return tmp_path_factory.mktemp("cache")
