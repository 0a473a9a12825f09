# make help tells what there is. Everything is installed into .venv and .demo inside this checkout.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNELS := $(VENV)/.compiled
SHARED := --numprocesses 3 --no-loadscope-reorder

.PHONY: help install demo demo-s3 demo-stop test test-full servers check format bench bench-release scale attack lab lock proto clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) $(KERNELS) ## Make the virtual environment .venv with locked versions

$(STAMP): requirements/pip.lock requirements/dev.lock pyproject.toml datasets/client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "found $$($(PYTHON) --version); wanted Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing; installing it"; bash scripts/as_root.sh apt-get update -qq; bash scripts/as_root.sh apt-get install -y -qq python3-venv; }
	@echo "installing the locked packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pip.lock # the distribution's takes thrice as long
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true # side by side, as pip does not; some packages ship files that are no Python
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e datasets/client
	@touch $@

$(KERNELS): $(STAMP)
	@$(BIN)/python -m collector.warm
	@touch $@

demo: install ## Run the main job end to end: collect, release, publish, load; says where to look
	@$(BIN)/python -m demo.run

demo-s3: install ## The demo's simulated cluster into a real S3 server (Ceph, installed with apt) that it starts
	@$(BIN)/python -m demo.s3

demo-stop: ## Stop the demo's Prometheus and node_exporter
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m demo.source down; fi

test: $(STAMP) ## Format, lint, types and all tests
	@$(MAKE) --no-print-directory --output-sync --jobs $(KERNELS) check servers
	@$(BIN)/pytest -q $(SHARED)

test-full: install ## The long forms of the tests: more seeds, more kills
	@OPSCOMMONS_TEST_FULL=1 $(BIN)/pytest -q $(SHARED)

servers: $(STAMP)
	@$(BIN)/python -m tests.lab.rgw install

check: $(STAMP) ## Format, lint and types
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: $(STAMP) ## Bring the code into form
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

bench: install ## Measure speed and size beside the peer; writes reports/bench.json
	@$(BIN)/python -m benchmarks.bench

scale: install ## Measure what a run costs and rewrite docs/scale.md
	@$(BIN)/python -m benchmarks.scale

attack: install ## Attack releases of a simulated cluster; writes reports/attack.json and demo/attacks.json
	@$(BIN)/python -m attacks.run

lab: install ## Real exporters and servers on one machine, and a release of them held to what they say; writes reports/lab.json
	@$(BIN)/python -m tests.lab.run

bench-release: install ## Build a release of 50 million rows; writes reports/release.json
	@$(BIN)/python -m benchmarks.release

lock: install ## Resolve the locked versions anew
	@$(BIN)/pip install --quiet pip-tools
	@echo pip | $(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe -o requirements/pip.lock -
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe --extra dev -o requirements/dev.lock pyproject.toml datasets/client/pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --allow-unsafe -c requirements/dev.lock -o requirements/runtime.lock pyproject.toml

proto: install ## Generate the remote-read messages anew
	@$(BIN)/python -m grpc_tools.protoc -I collector/proto --python_out=collector --pyi_out=collector collector/proto/remote.proto

clean: demo-stop ## Remove what was made: .venv, .demo, .opspub, ./staging and ./public, the demo's releases included
	@echo "removing .venv .demo .opspub staging public reports and caches"
	@rm -rf $(VENV) .demo .opspub staging public reports build *.egg-info datasets/client/src/*.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
