# Two commands do everything on a fresh machine with Python 3.11: make demo, make test.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Waiting threads sleep: spinning ones take the CPU from the others on a busy host.
export OMP_WAIT_POLICY := PASSIVE
export OPENBLAS_NUM_THREADS := 1

.PHONY: env peers demo redis browser test lint docs clean help
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install it or set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { apt-get update && apt-get install -y python3.11-venv && $(PYTHON) -m venv $(VENV); }

# torch goes first and pinned: an open range would pull gigabytes of CUDA.
$(VENV)/.user: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (about two minutes) ..."
	$(PIP) install --constraint constraints.txt torch
	$(PIP) install --constraint constraints.txt --editable ".[all]"
	@touch $@

$(VENV)/.developer: $(VENV)/.user
	@echo "adding test and documentation tools ..."
	$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@

env: $(VENV)/.developer  ## build .venv with everything, tools included

# boost-corr runs on Python 3.11 but does not say so.
$(VENV)/.peers: $(VENV)/.developer
	@echo "adding the programs to compare with ..."
	$(PIP) install --constraint constraints.txt --editable ".[peers]"
	$(PIP) install --constraint constraints.txt --no-deps --ignore-requires-python boost-corr
	@touch $@

peers: $(VENV)/.peers  ## add boost-corr and others, for `ainerd bench correlator`

demo: $(VENV)/.user  ## scan unknown samples on a simulated beamline and classify them
	$(BIN)/ainerd demo $(ARGS)

# Where the queue server of the tests keeps its queue.
redis:
	@command -v redis-server >/dev/null || { apt-get update && apt-get install -y redis-server; } \
	  || echo "no redis-server, and it could not be installed: its tests are skipped"

browser:  ## install Chromium, for the slow tests of pages
	@command -v chromium >/dev/null || { apt-get update && apt-get install -y chromium; } \
	  || echo "no chromium, and it could not be installed: its tests are skipped"

test: $(VENV)/.developer redis  ## run the tests (add ARGS="-m slow" for the slow ones)
	$(BIN)/pytest --numprocesses=auto --dist=worksteal $(ARGS)

lint: $(VENV)/.developer  ## check format, style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.developer  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove the environment and everything made here
	rm -rf $(VENV) site build dist demo .mypy_cache .pytest_cache .ruff_cache .coverage*
