# Linux and macOS, with Python 3.11 or newer and make (GNU make 3.81 will do). All else is installed into $(VENV).
#
#   make PYTHON=python3.13 ...   another Python        make VENV=.venv-313 ...   another environment
#   make test ARGS="-k magic"    arguments for pytest  make test LOWEST=1 VENV=.venv-lowest   lowest dependencies

PYTHON ?= python3
VENV ?= .venv
LOWEST ?=
ARGS ?=

SHELL := /bin/sh
BIN := $(VENV)/bin
DEMO := .demo
CONSTRAINTS := $(if $(LOWEST),$(VENV)/constraints.txt)

# The quickstart's results are its own: your cache directory stays untouched.
lab: export SQLCACHE_NB_DIR := $(CURDIR)/$(DEMO)/cache

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lab notebook test pandas-suite types lint bench clean

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/has-demo $(DEMO)/flights.db  ## run the quickstart, kill its kernel, run it again, and compare
	@$(BIN)/python notebooks/demo.py $(ARGS)

lab: $(VENV)/has-lab $(DEMO)/flights.db  ## open the quickstart in JupyterLab
	$(BIN)/jupyter lab notebooks/quickstart.ipynb $(ARGS)

notebook: $(VENV)/has-demo $(DEMO)/flights.db  ## run the quickstart and keep its outputs in the notebook
	@$(BIN)/python notebooks/demo.py --write $(ARGS)

test: $(VENV)/has-test  ## run all tests
	$(BIN)/python -m pytest $(ARGS)

pandas-suite: $(VENV)/has-test  ## run pandas' own tests of read_sql, every read three ways, and print the counts
	$(BIN)/python -m pytest tests/pandas_suite --capture=no $(ARGS)

types: $(VENV)/has-test  ## print each column type of each database under each option: exact, or refused and why
	@$(BIN)/python -m tests.matrix $(ARGS)

lint: $(VENV)/has-lint  ## check style, types and which module may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/has-demo $(DEMO)/flights.db  ## measure a hit, a miss, a key, the codec and a store of many entries, as ratios
	@$(BIN)/python -m benchmarks.hit $(DEMO)/flights.db $(ARGS)
	@$(BIN)/python -m benchmarks.keys $(ARGS)
	@$(BIN)/python -m benchmarks.codec $(ARGS)
	@$(BIN)/python -m benchmarks.store $(ARGS)
	@$(BIN)/python -m benchmarks.space

clean:  ## remove what was made here: environment, demo, tools' caches
	rm -rf $(VENV) .venv-lowest $(DEMO) dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find sqlcache_nb tests notebooks benchmarks .ci -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each set of dependencies: what is installed stays until pyproject.toml changes.
$(VENV)/has-%: pyproject.toml $(VENV)/made $(CONSTRAINTS)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[$*]' $(if $(LOWEST),--constraint $(CONSTRAINTS))
	@touch $@

$(VENV)/constraints.txt: pyproject.toml .ci/floors.py $(VENV)/made
	$(BIN)/python .ci/floors.py > $@

$(VENV)/made:
	@command -v "$(PYTHON)" > /dev/null || { \
	  echo "There is no $(PYTHON) here. Say which Python to take: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "sqlcache_nb needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." >&2; \
	  echo "Say which Python to take: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(DEMO)/flights.db: notebooks/flights.py | $(VENV)/has-demo
	$(BIN)/python notebooks/flights.py $@
	@touch $@
