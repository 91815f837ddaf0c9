# Two commands: `make run` (one learning day) and `make test` (the whole suite).
# Options of `strategy-pipeline run` pass through: make run ARGS="--source files --data DIR --date 2025-06-29"
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin

.PHONY: run test lint types layers definitions check ui clean help

run: $(VENV)/.installed
	@$(BIN)/strategy-pipeline run $(ARGS)

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

ui: $(VENV)/.installed
	@$(BIN)/strategy-pipeline ui

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	@$(BIN)/mypy

layers: $(VENV)/.installed-test
	@$(BIN)/lint-imports

definitions: $(VENV)/.installed
	@DAGSTER_HOME= $(BIN)/dagster definitions validate -m strategy_pipeline.definitions

check: lint types layers definitions

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 13); sys.exit(0 if ok else "Expected Python 3.11 or 3.12, was %d.%d; install one and run: make PYTHON=python3.11 $(MAKECMDGOALS)" % sys.version_info[:2])'
	@echo "Making $(VENV) (once; about five minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

# An old pip cannot resolve this set, hence the upgrade above; the constraints keep every version fixed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	@$(BIN)/python -W ignore -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(BIN)/python -W ignore -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
