# Each target sets up what it needs. PYTHON may name another interpreter (3.11 or later).
PYTHON ?= python3
DEV := build/dev
NOX := $(DEV)/bin/nox
LOCK := requirements/dev.lock

.DEFAULT_GOAL := help
.PHONY: help demo bench test images dev system e2e e2e-full e2e-up e2e-down bench-e2e

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: dev ## Watch a volume's whole life on this machine, with real disks (as root; under a minute)
	@$(DEV)/bin/diskcsi demo $(ARGS)

bench: dev ## Measure what the driver costs, beside its floors; writes build/bench.json (as root; five minutes)
	@$(DEV)/bin/python -m benchmarks $(ARGS)

test: dev ## Run every check that gates a change (as root; about ten minutes)
	@$(NOX) --no-color $(ARGS)

images: dev ## Build the images of driver and mock (docker); BASE=IMAGE or debian, ARGS="--provider DIRECTORY"
	@$(DEV)/bin/python tools/images.py build $(if $(BASE),--base $(BASE)) $(ARGS)

e2e-up: dev ## Make a kind cluster with the driver and a mock of the cloud in it (docker, or as root E2E_DOCKERD=own)
	@$(DEV)/bin/python -m e2e.cluster up

e2e: e2e-up ## Run the scenarios in that cluster; K=WORDS chooses some, as pytest's -k does
	@$(DEV)/bin/python -m e2e.run $(if $(K),-k "$(K)") $(ARGS)

e2e-full: e2e-up ## Run the scenarios, and the slow ones that e2e leaves out; K=WORDS as there
	@$(DEV)/bin/python -m e2e.run --full $(if $(K),-k "$(K)") $(ARGS)

bench-e2e: e2e-up ## Measure the driver in that cluster; writes build/bench-e2e.json (half an hour)
	@$(DEV)/bin/python -m e2e.bench

e2e-down: dev ## Take the cluster away; nothing is left
	@$(DEV)/bin/python -m e2e.cluster down

dev: system $(DEV)/.ready ## Set up build/dev: the locked tools and both packages, linked to their source

system: ## Find the system packages that are called; install them when root
	@$(PYTHON) tools/system_packages.py

$(DEV)/.ready: $(LOCK) pyproject.toml mockcloud/pyproject.toml
	@echo "setting up $(DEV) with the packages of $(LOCK): a minute"
	@rm -rf $(DEV)
	@$(PYTHON) -m venv $(DEV)
	@$(DEV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $(LOCK)
	@$(DEV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable mockcloud
	@touch $@
