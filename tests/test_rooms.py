"""What rooms may import, beyond the contracts that import-linter checks: those also count imports inside functions."""

import subprocess
import sys

import pytest

LISTED = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    importlib.import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize(
    "room", ["accounting", "config", "corpus", "fitting", "records", "shape", "simulate"]
)
def test_a_room_that_counts_and_plans_is_imported_without_torch(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED, f"scaling.{room}"], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "scaling" in imported
    assert not imported & {"torch", "lightning"}
