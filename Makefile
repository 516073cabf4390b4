# Everything a person does with this repository. `make` alone lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
.DEFAULT_GOAL := help

.PHONY: help setup up test check faults soak bench screens lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install everything the lock names (done for you by the others)

$(STAMP): requirements.lock pyproject.toml contracts/pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit(f"Kronik needs Python 3.11 or newer; $(PYTHON) is {v}. Name another one: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable contracts --editable .
	@touch $@

up: $(STAMP) ## Start Kronik with a made-up community (more options: make up ARGS="--port 0")
	@$(BIN)/kronik up --demo $(ARGS)

# Most tests wait for servers, so five at a time; those that inject faults and those that follow the documents
# word by word, which start a dozen processes each, three at a time.
LARGE := tests/faults tests/docs
test: $(STAMP) ## Run every test (real nats-server, Postgres and Chromium), or some: make test ARGS=tests/unit
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest -n 5 --dist worksteal $(addprefix --ignore=,$(LARGE))
	$(BIN)/python -m pytest -n 3 --dist worksteal $(LARGE)
endif

check: $(STAMP) ## ruff, mypy --strict, import-linter, and whether schemas/ is current and breaks nobody
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kronik schemas --check

faults: $(STAMP) ## Inflict every fault as often as its figures want (two hours), and print its table
	$(BIN)/python -m pytest -m deep tests/model
	$(BIN)/python -m tests.faults --full $(ARGS)

soak: $(STAMP) ## Random faults under random load: make soak MINUTES=10
	$(BIN)/python -m tests.faults --soak $(or $(MINUTES),10) $(ARGS)

bench: $(STAMP) ## Measure this machine; with PEERS=1 other job libraries beside it
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers) $(ARGS)

screens: $(STAMP) ## Every page of the panel in one contact sheet: build/screens/sheet.html
	$(BIN)/python -m tests.panel.screens $(ARGS)

lock: $(STAMP) ## Renew requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-package kronik --no-header --extra dev --upgrade pyproject.toml --output-file requirements.lock

clean: ## Remove .venv (the state in .kronik stays)
	rm -rf $(VENV)
