# The two commands: `make demo` and `make test`. Both need Python 3.11 or newer with venv, and nothing else.

PYTHON ?= python3
BUDGET ?= 3m
WORKERS ?= 2
THREADS ?= 1
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check constraints clean

demo: $(VENV)/.demo
	$(BIN)/maskwright demo --budget $(BUDGET)

test: check
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each stamp is made again only when what it was installed from has changed.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.demo

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "maskwright needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Write down what is installed now, after a deliberate upgrade of all extras.
constraints: | $(BIN)/python
	$(PIP) install --quiet --upgrade -e ".[dev,wandb,bench]"
	$(BIN)/python -m pip freeze --exclude-editable | LC_ALL=C sort -f > constraints.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
