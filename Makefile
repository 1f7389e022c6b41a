# Each target sets up what it needs. PYTHON may name another interpreter (3.11 or later).
PYTHON ?= python3
TOOLS := build/tools
NOX := $(TOOLS)/bin/nox

.PHONY: help test system
help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

test: $(NOX) system ## Run every check that gates a change: style, types, imports, contract, tests
	$(NOX) -s protos -- --check
	$(NOX)

system: ## Find the system packages that the tests call; install them when root
	$(PYTHON) tools/system_packages.py

$(NOX): requirements/dev.lock
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/dev.lock
	touch $(NOX)
