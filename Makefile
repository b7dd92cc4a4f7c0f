# The habits of this project. `make help` lists them; CI calls only `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SOAK_MINUTES ?= 30

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input --retries 10
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

# Two processes: each test class, or each file's functions, runs in one of them, so that a database server or a Docker
# engine is started where it is needed and not twice.
PYTEST := $(BIN)/python -m pytest --quiet
PARALLEL := -n 2 --dist loadscope

SERVER := $(VENV)/.server
DEV := $(VENV)/.dev

.DEFAULT_GOAL := help
.PHONY: help install run dev tools format lint imports types docs test test-unit test-contract test-http test-access test-client test-management test-faults \
	test-collection crashes soak conformance clients bench-clients bench-quick bench-smoke lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Running it

install: $(SERVER) ## make .venv and install the registry into it

run: $(SERVER) ## start the registry on 127.0.0.1:5000, data in ./.data (ARGS="--anonymous pull" adds options)
	@exec $(BIN)/entrepot serve --data ./.data $(ARGS)

## Checking it

test: $(DEV) tools lint types ## everything that CI runs: lint, types, every test; installs what they need
	$(PYTEST) $(PARALLEL) tests

test-unit: $(DEV) ## tests that need nothing but Python
	$(PYTEST) tests/unit

test-contract: $(DEV) tools ## every storage and database back end against its contract
	$(PYTEST) tests/contract

test-http: $(DEV) ## each endpoint, each error over the wire
	$(PYTEST) tests/http

test-access: $(DEV) tools ## logins at a certified OpenID provider and an LDAP directory, and the attacks on them
	$(PYTEST) tests/access

test-client: $(DEV) tools ## the client: two registries, connections that break, kill -9, what it prints
	$(PYTEST) tests/client

test-management: $(DEV) tools ## the management API and the rights of every role on every route, on both databases
	$(PYTEST) $(PARALLEL) tests/management

test-collection: $(DEV) tools ## the collection: its promises against a model, a short soak on both databases
	$(PYTEST) $(PARALLEL) tests/collection

test-faults: $(DEV) tools ## full disks, lost power, vanished clients, two writers
	$(PYTEST) tests/faults

crashes: $(DEV) tools ## kill -9 at each step and at any moment, power cuts, full disks, restarts, floods of connections
	$(PYTEST) $(PARALLEL) tests/crashes

soak: $(DEV) tools ## the long tests, each SOAK_MINUTES=30 on each database: kill -9 at any moment, and the collection
	SOAK_MINUTES=$(SOAK_MINUTES) $(PYTEST) $(PARALLEL) --timeout=0 -rP tests/crashes/test_random_kills.py
	SOAK_SECONDS=$$(( $(SOAK_MINUTES) * 60 )) MODEL_EXAMPLES=2000 COST_ROWS=100000 $(PYTEST) --timeout=0 -s tests/collection

conformance: $(DEV) tools ## the OCI distribution specification's own suite, on SQLite and on PostgreSQL
	$(PYTEST) $(PARALLEL) tests/conformance

clients: $(DEV) tools ## docker, podman, buildah, skopeo, ctr, crane, oras, helm against a live registry
	$(PYTEST) $(PARALLEL) tests/clients

bench-smoke: $(DEV) tools ## the benchmark in small: fails on wrong answers, never on speed
	$(PYTEST) tests/benchmarks

bench-clients: $(DEV) tools ## measure the client beside skopeo, crane and oras, some minutes; writes docs/benchmarks.md
	$(BIN)/python -m bench.clients

bench-quick: $(DEV) tools ## measure beside CNCF distribution, some minutes; writes docs/benchmarks.md
	$(BIN)/python -m bench

lint: $(DEV) imports ## ruff's rules and format, import contracts
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	@! grep -nE '://|^-' requirements/*.txt || { echo 'requirements: a lock names no address and has no options'; exit 1; }

imports: $(DEV) ## the import contracts of pyproject.toml
	@$(BIN)/lint-imports > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }

types: $(DEV) ## mypy, strict, tests included
	$(BIN)/mypy

## Changing it

format: $(DEV) ## bring the code into shape
	$(BIN)/ruff check --quiet --fix-only
	$(BIN)/ruff format --quiet

docs: $(DEV) ## write docs/settings.md and its Chinese twin anew from the settings
	$(BIN)/python tools/settings_reference.py

dev: $(DEV) ## install what `make lint types test-unit` needs

tools: $(DEV) ## install the programs that the other tests start (root, or they are listed)
	@$(BIN)/python tools/install_tools.py

lock: $(DEV) ## make requirements/*.txt anew from pyproject.toml, newest versions
	$(LOCK) --upgrade --extra server --group build pyproject.toml -o requirements/server.txt
	$(LOCK) --upgrade --extra server --group dev pyproject.toml -o requirements/dev.txt
	$(LOCK) requirements/go.in -o requirements/go.txt

clean: ## remove what these commands made, but not ./.data
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

## Files

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "entrepot needs Python 3.11 or newer: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(SERVER): $(VENV)/.made requirements/server.txt pyproject.toml
	@echo "Installing requirements/server.txt into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/server.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(SERVER) requirements/dev.txt
	@echo "Installing requirements/dev.txt into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
