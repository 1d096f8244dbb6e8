# `make reproduce` and `make test` do all the setup they need. `make help` lists every target.
SHELL := /bin/bash
.DEFAULT_GOAL := help

EXPERIMENT ?= bench
CORES ?= all
ROUNDS ?= 20
SEED ?= 0
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/installed
INSPECT := $(VENV)/inspect
# Each worker takes one test file at a time, in order: the longest come first.
PYTEST = $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
RUN = $(BIN)/python workflow/scripts run --experiment $(EXPERIMENT) --cores $(CORES)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  EXPERIMENT=<name> takes config/<name>.yaml (default: $(EXPERIMENT)); CORES=<n> limits the cores."

reproduce: $(ENVIRONMENT) ## Build every figure, table and the paper of an experiment.
	@$(RUN)

plan: $(ENVIRONMENT) ## Say what a run will compute, download and need; runs nothing. CHECK=1 asks every source.
	@$(BIN)/python workflow/scripts plan --experiment $(EXPERIMENT) $(if $(CHECK),--check)

why-rerun: $(ENVIRONMENT) ## Say which jobs would run again, and why: the setting, pin, code or file that changed.
	@$(BIN)/python workflow/scripts why-rerun --experiment $(EXPERIMENT)

verify: $(ENVIRONMENT) ## Compare a finished run with the reference that ships with the project.
	@$(BIN)/python workflow/scripts verify --experiment $(EXPERIMENT)

reference: $(ENVIRONMENT) ## Make a finished run the reference.
	@$(BIN)/python workflow/scripts verify --experiment $(EXPERIMENT) --write

figures: $(ENVIRONMENT) ## Redraw the figures after a change of colours or display names.
	@$(RUN) --forcerun figure table numbers

report: $(ENVIRONMENT) ## Write a self-contained HTML report of a finished experiment.
	@$(BIN)/snakemake --config experiment=$(EXPERIMENT) --report results/$(EXPERIMENT)/report.html

inspect: $(INSPECT)/installed ## Write the responses and verdicts of a finished experiment as logs of Inspect.
	@$(INSPECT)/bin/python workflow/scripts inspect --experiment $(EXPERIMENT)

rulegraph: $(ENVIRONMENT) ## Draw the graph of the rules into docs/rulegraph.svg (needs Graphviz).
	@$(BIN)/snakemake complete --config experiment=bench --rulegraph dot 2>/dev/null | dot -Tsvg > docs/rulegraph.svg

docs: $(ENVIRONMENT) ## Write config/README.md and the schemas from the models that check the configuration.
	@$(BIN)/python workflow/scripts docs

lock: $(ENVIRONMENT) ## Write envs/ from the pins in pyproject.toml (needs a package index).
	@$(BIN)/python workflow/scripts lock

test: $(ENVIRONMENT) ## Run lint, the fast tests and the smoke experiment.
	@$(MAKE) --no-print-directory lint
	@$(PYTEST)

test-all: $(ENVIRONMENT) ## Run the slow tests too.
	@$(MAKE) --no-print-directory lint
	@$(PYTEST) -m "not network"

test-network: $(ENVIRONMENT) ## Run the tests that leave the machine, and only those.
	@$(BIN)/python -m pytest -m network

kills: $(ENVIRONMENT) ## Kill runs of the smoke experiment at random moments: ROUNDS=20 SEED=0.
	@$(BIN)/python tests/support/kills.py --rounds $(ROUNDS) --seed $(SEED)

lint: $(ENVIRONMENT) ## Check the style, the types and the imports of the code, and the style of the workflow.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=workflow/scripts $(BIN)/lint-imports
	@$(BIN)/snakefmt --check Snakefile workflow/rules
	@$(BIN)/snakemake --lint >/dev/null

format: $(ENVIRONMENT) ## Format code and rules.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile workflow/rules

benchmark: $(ENVIRONMENT) ## Measure the engine beside what people use: generate, one prompt at a time, and the pipeline.
	@OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_engine.py

full-size: $(ENVIRONMENT) ## Measure LLaVA-1.5-7B at its real size, with random weights (17 GB of memory).
	@OMP_NUM_THREADS=1 nice $(BIN)/python tests/benchmarks/full_size.py

gpu: ## Measure models of real size on a GPU, in 4 minutes; needs only a PYTHON with torch and transformers.
	@$(PYTHON) tests/benchmarks/gpu.py

gpu-page: ## Write what `make gpu` measured into docs/gpu.md and docs/gpu.json, from which plans take their rates.
	@$(PYTHON) tests/benchmarks/gpu.py --document

clean: ## Remove the results, figures and paper of an experiment (the environment stays).
	rm -rf results/$(EXPERIMENT) figures/$(EXPERIMENT) paper/$(EXPERIMENT).pdf logs/$(EXPERIMENT)

$(ENVIRONMENT): envs/requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Say which one to use: make PYTHON=python3.11 ...")'
	@echo "Making the environment in $(VENV) from envs/requirements.lock (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --requirement envs/requirements.lock
	@touch $@

# Inspect's own environment, which sees the other one's packages behind its own.
$(INSPECT)/installed: $(ENVIRONMENT) pyproject.toml
	@$(BIN)/python -m venv $(INSPECT)
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$($(INSPECT)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	@$(INSPECT)/bin/python -m pip install --quiet $$(PYTHONPATH=workflow/scripts $(BIN)/python -c \
		'from layerwise.jobs import fingerprint; print(*fingerprint.group("inspect"))')
	@touch $@

.PHONY: help reproduce plan why-rerun verify reference figures report inspect rulegraph docs lock test test-all test-network kills lint format benchmark full-size gpu gpu-page clean
