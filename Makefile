# `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=

# Compiling every module again at each start costs each command, and each process of the tests, its time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types bench docs lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.run ## Make the virtual environment with landbridge in it

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "landbridge needs Python 3.11 or newer; say which one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "cannot make a virtual environment; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.run: pyproject.toml requirements/run.txt | $(VENV)/bin/python
	@echo "installing landbridge into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt scripts/real-parts
	@scripts/real-parts
	@echo "installing the tools for development into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.run ## Take ten thousand invented accounts from a local site to an SFTP server, and changes back
	@$(BIN)/landbridge demo

test: $(VENV)/.dev ## Run all tests against real servers on loopback
	@$(BIN)/pytest -n 6 --dist worksteal $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check style and form
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## Check types
	@$(BIN)/mypy

bench: $(VENV)/.dev ## Measure against the bare libraries, a hand-written script and other tools
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

docs: $(VENV)/.dev ## Build the documentation into site-docs/
	@$(BIN)/python scripts/docs_reference.py $(if $(CI),--check)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: ## Renew the lock files in requirements/ (needs uv)
	@uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --quiet -o requirements/run.txt
	@uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --quiet --all-extras --group test --group lint --group docs -c requirements/run.txt -o requirements/dev.txt

clean: ## Remove what the other targets made
	@rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis site-docs benchmarks/data benchmarks/results benchmarks/.venv-peers
