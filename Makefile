# The Backend Workbook. `make help` lists the targets; nothing but Python 3.11 or newer is needed.

SHELL := /bin/sh
PYTHON ?= python3
LAB_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
GRADE_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# The stamp names what the environment was made from: the lock, the project and the folder, since scripts hold its path.
# The tests' and linters' settings stand in pyproject.toml too; reinstalling for them takes three seconds.
STAMP := $(VENV)/.stamp-$(shell (pwd; cat requirements.lock pyproject.toml) | cksum | tr ' ' -)

.DEFAULT_GOAL := help
.PHONY: help lab test check backend lint types drift verify build grade bench coverage pythons format lock clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

lab: $(STAMP) ## open JupyterLab on chapter 00 (LAB_ARGS="--no-browser --port 9999")
	@$(BIN)/workbook lab $(LAB_ARGS)

test: $(STAMP) ## run every test (PYTEST_ARGS="-k schemas")
	$(BIN)/pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS)

# the backend's tests run once more than in `make test`, on PostgreSQL, and their coverage has a floor
check: PYTEST_ARGS += tests/workbook tests/course tests/browser
check: lint types test backend drift verify ## everything CI runs: lint, types, tests, both databases, drift, proof of the checks

backend: $(STAMP) ## test solutions/app on SQLite, with its coverage, and on PostgreSQL
	$(BIN)/python -m tests.backend

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

types: $(STAMP)
	$(BIN)/mypy
	cd solutions && MYPYPATH=.:..:../tests/chapters ../$(BIN)/mypy --config-file ../pyproject.toml app ../tests/backend

# `make test` runs every notebook and compares its outputs
drift: $(STAMP)
	$(BIN)/workbook build --check --no-run

# verdicts whose package, checks and engine have not changed are known from tests/proof.txt; a sample is run all the same
verify: $(STAMP)
	$(BIN)/workbook verify --sample 200

build: $(STAMP) ## make the notebooks and solutions/app from solutions/*.md
	$(BIN)/workbook build

grade: $(STAMP) ## grade a submission (DIR=path)
	@if [ -z "$(DIR)" ]; then printf 'error: make grade needs a folder\n\nhint: make grade DIR=path/to/submission\n' >&2; exit 2; fi
	$(BIN)/workbook grade $(GRADE_ARGS) "$(DIR)"

bench: $(STAMP) ## measure what a learner waits for (BENCH_ARGS="--json bench.json")
	$(BIN)/python -m bench $(BENCH_ARGS)

coverage: $(STAMP) ## run every test and show which lines none of them reaches
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

pythons: $(STAMP) ## run every test on each supported Python of this machine, in environments of their own (.venv-3.12)
	@$(BIN)/python -m tests.pythons | while read -r version python; do \
		echo "== Python $$version" && $(MAKE) test VENV=.venv-$$version PYTHON="$$python" </dev/null || exit 1; done

format: $(STAMP) ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## pin the newest versions in requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --extra dev \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock pyproject.toml

clean: ## remove the environment and every cache; your work stays
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The one installer, for make, conda and Windows: workbook/install/installer.py. It needs no package.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || { \
		printf 'error: the workbook needs Python 3.11 to 3.14, but %s is %s\n\nhint: make PYTHON=python3.12, with the path of a Python you have\n' \
			'$(PYTHON)' "$$($(PYTHON) --version 2>&1 | grep Python || echo missing)" >&2; exit 1; }
	@$(PYTHON) -m workbook.install $(VENV)
	@rm -f $(VENV)/.stamp-*
	@touch $@
