# `make quickstart` and `make test` do everything on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: quickstart test test-all check format docs diagrams constraints clean

# A finished installation leaves a stamp, so that the environment is made once, and again only when
# the requirements change.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: .venv/installed
	$(BIN)/scaling sweep experiment=quickstart

# All tests but the slow ones: within five minutes on two cores.
test: .venv/installed
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: .venv/installed
	$(BIN)/python -m pytest -n 2

check: .venv/installed docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The site, in docs/_build/index.html; a warning is an error.
docs: .venv/installed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

# The drawings of the Mermaid fences in docs/; needs npm and Chromium.
diagrams: .venv/installed
	$(BIN)/python docs/draw_diagrams.py

# The newest versions that pyproject.toml allows, for every platform and extra.
constraints:
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install --quiet uv
	build/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-annotate --no-header --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv build docs/_build docs/_generated *.egg-info
