# Everything from a fresh clone needs only Python 3.11 to 3.13 and a package registry: each target
# sets up what it needs, and what is set up already costs nothing. Nothing that one target installed
# is removed by another.
#
#   make run ARGS="--advance 1d"     arguments for `waypoint run`
#   make test ARGS="-k landing"      arguments for pytest
#   make setup PYTHON=python3.12     a Python of your choice

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# the first Python that will do; only asked for when an environment is made
PYTHON = $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		2>/dev/null; then echo $$python; break; fi; done)
UV := .uv/bin/uv
BIN := .venv/bin
export UV_PYTHON_DOWNLOADS := never
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

# One more than there are cores, as some tests wait for servers; four take memory enough.
WORKERS = $(shell $(BIN)/python -c 'import os; print(min((os.cpu_count() or 1) + 1, 4))')

# A set of packages is installed when the stamp with its lock's checksum is there.
fingerprint = $(shell cat locks/$(1).txt pyproject.toml 2>/dev/null | cksum | tr ' ' -)
RUN := .venv/.installed-run-$(call fingerprint,run)
TEST := .venv/.installed-test-$(call fingerprint,test)
ALL := .venv/.installed-all-$(call fingerprint,all)

# uv's cache goes where it can be written, and uv asks the registry that pip is set up for.
define uv
	cache="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$${HOME:-/nonexistent}/.cache}/uv}"; \
	if ! mkdir -p "$$cache" 2>/dev/null || ! test -w "$$cache"; then cache="$(CURDIR)/.uv/cache"; fi; \
	index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$(.uv/bin/pip config get \
		global.index-url 2>/dev/null || true)}}}"; \
	if test -n "$$index"; then export UV_DEFAULT_INDEX="$$index"; fi; \
	UV_CACHE_DIR="$$cache" $(UV)
endef

##@ Use it
.PHONY: run
run: $(RUN) ## Bring everything up to date: sources, warehouse, published tables, the page
	$(BIN)/waypoint run $(ARGS)

##@ Work on it
.PHONY: setup
setup: $(ALL) ## Install everything: tests, lint, Snowflake, benchmarks
	@echo "ready: $(BIN)/waypoint and $(BIN)/dbt"

.PHONY: test
test: $(TEST) ## Run everything that a pull request must pass
	$(MAKE) --jobs=2 lint contracts unit-tests
	$(MAKE) pytest

.PHONY: test-long
test-long: $(TEST) ## Run the tests that take minutes: real data, kills, large volumes
	$(BIN)/python -m pytest -m long $(ARGS)

.PHONY: pytest
pytest: $(TEST) ## Run the Python tests that are not marked long, on all cores
	$(BIN)/python -m pytest -m "not long" --numprocesses $(WORKERS) --dist loadfile \
		--no-loadscope-reorder --durations 20 $(ARGS)

.PHONY: unit-tests
unit-tests: $(TEST) ## Build the models on an empty warehouse with their unit tests; all is under contract
	@state=$$(mktemp -d); trap 'rm -rf "$$state"' EXIT; \
	export WAYPOINT_STATE="$$state"; $(BIN)/waypoint build --with-unit-tests; \
	$(BIN)/waypoint contracts coverage; $(BIN)/waypoint access leaks; \
	cp dbt-bouncer.yml "$$state"; $(BIN)/dbt-bouncer run --config-file "$$state/dbt-bouncer.yml"

.PHONY: contracts
contracts: $(TEST) ## Check the contracts, and that what is derived from them is up to date
	$(BIN)/waypoint contracts lint
	$(BIN)/waypoint contracts render --check

.PHONY: check-snowflake
check-snowflake: $(TEST) ## Check all SQL as it is compiled for Snowflake; needs no account
	$(BIN)/waypoint snowflake check

.PHONY: test-snowflake
test-snowflake: $(ALL) ## The rehearsal on the account that SNOWFLAKE_* name, in a database of its own
	$(BIN)/waypoint snowflake check
	$(BIN)/waypoint snowflake rehearse --account $(ARGS)

.PHONY: lint
lint: $(TEST) ## Check the Python code: style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.PHONY: lint-sql
lint-sql: $(ALL) ## Check the style of all compiled SQL, in both dialects (minutes); ARGS="--base main"
	$(BIN)/python .ci/lint_sql.py $(ARGS)

.PHONY: security
security: $(ALL) ## Look for secrets in what is committed, and for packages with known holes
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/pip-audit --disable-pip --require-hashes -r locks/all.txt

.PHONY: bench
bench: $(ALL) ## Measure it against bare DuckDB and other tools (docs/benchmarks.md)
	$(BIN)/python bench/extraction.py
	$(BIN)/python bench/building.py
	$(BIN)/python bench/contracts.py
	$(BIN)/python bench/static_gate.py

# what tests need beside the minimum for a run
TESTED := test lint gate quality orchestration stream snowflake rehearsal

.PHONY: lock
lock: .venv/pyvenv.cfg ## Renew locks/ from pyproject.toml; ARGS=--upgrade takes newer versions
	$(call compile,all) $(addprefix --group ,$(TESTED) bench)
	$(call compile,test) $(addprefix --group ,$(TESTED)) --constraints locks/all.txt
	$(call compile,run) --constraints locks/all.txt

# without URLs, so that a lock is good behind any mirror; the hashes say what may be installed
compile = @$(uv) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	--output-file locks/$(1).txt $(ARGS)

.PHONY: clean
clean: ## Remove environments, caches and target/; what is in var/ stays
	rm -rf .venv .uv target logs dbt_packages .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# the environment

.uv/bin/uv:
	@if test -z "$(PYTHON)"; then \
		echo "Waypoint needs Python 3.11, 3.12 or 3.13, and none of python3, python3.13, python3.12" >&2; \
		echo "or python3.11 is one. Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; \
		exit 2; fi
	@rm -rf .uv
	@$(PYTHON) -m venv .uv || { echo "$(PYTHON) cannot make environments: on Debian and Ubuntu," \
		"apt-get install python3-venv" >&2; rm -rf .uv; exit 2; }
	@.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt \
		|| { rm -rf .uv; exit 3; }

.venv/pyvenv.cfg: | .uv/bin/uv
	@$(uv) venv --quiet --allow-existing --python .uv/bin/python .venv

# Compiled at once for the tests, which start Python hundreds of times: where nothing may be written
# beside the sources (PYTHONDONTWRITEBYTECODE), each start would do it again.
.venv/.installed-%: | .venv/pyvenv.cfg
	@set=$*; set=$${set%%-*}; \
	compile=--compile-bytecode; test $$set != run || compile=; \
	$(uv) pip install --python $(BIN)/python --require-hashes $$compile -r locks/$$set.txt; \
	$(uv) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .; \
	mkdir -p var/warehouse; touch $@
