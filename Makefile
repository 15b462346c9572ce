# Everything a developer runs. On a fresh clone: `make setup`, then any of the others.
# Needs Python 3.11 or newer, git and make; all else comes as wheels.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first interpreter that is new enough; another one: make setup PYTHON=/path/to/python
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$each >/dev/null && \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$each && break; done)
JOBS ?= 2
TESTS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
DOCS_STAMP := $(VENV)/.docs-done

.PHONY: help setup test check lint types rooms limits snippets format docs bench bench-peers chaos demo demo-graph constraints clean

help:  ## say what there is to run
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## make .venv with penstock and all that the checks need

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "penstock needs" \
		"Python 3.11 or newer; '$(PYTHON)' is not. Install one, or name it:" \
		"make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

test: setup  ## run the tests (some of them: make test TESTS=tests/rules)
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

check: lint types rooms limits snippets  ## all of the five checks; see them all fail: make -k check

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup  ## pyright, strict, on src/
	$(BIN)/pyright

rooms: setup  ## import-linter: a room imports only from rooms below it
	$(BIN)/lint-imports

limits: setup  ## files and functions short enough to read; nothing of one machine in the tree
	$(BIN)/python tools/check_limits.py
	$(BIN)/python tools/check_leaks.py

snippets: setup  ## every snippet of the README and the docs runs
	$(BIN)/python tools/check_snippets.py

docs: $(DOCS_STAMP)  ## build the documentation into site/, without a warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; with search: $(BIN)/python -m http.server -d site"

# Not part of setup: only who builds the site, or tests it, needs these.
$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[docs]'
	@touch $@

format: setup  ## put the code into its format, and mend what ruff can mend
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

chaos: setup  ## the chaos tests, for a minute each; again: make chaos CHAOS_SEED=...
	CHAOS_SECONDS=60 CHAOS_SEED=$(CHAOS_SEED) $(BIN)/python -m pytest tests/chaos --timeout 300

bench: setup  ## measure the performance budget against its floors
	$(BIN)/python -m benchmarks

bench-peers: setup  ## measure other engines side by side, where their environments exist
	$(BIN)/python -m benchmarks.peers

demo: setup  ## run examples/flights: a year of real flights, month by month
	$(BIN)/python examples/flights/flights.py

demo-graph: setup  ## run examples/quality_gate: a graph that repairs, rests, and is approved of
	$(BIN)/python examples/quality_gate/demo.py

constraints:  ## choose the newest versions anew and write them down (then: make setup test check)
	"$(PYTHON)" tools/write_constraints.py

clean:  ## remove what setup, tests and the demos made
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis examples/*/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
