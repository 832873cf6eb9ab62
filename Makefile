# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.

# The Python that makes .venv: 3.11, 3.12 or 3.13.
PYTHON ?= python3
DEMO_CONFIG ?= configs/demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py
# More arguments for the demo's training or for pytest.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# Tests and configs may run in another directory.
ifdef HPML_MM_DATA
export HPML_MM_DATA := $(abspath $(HPML_MM_DATA))
endif

.PHONY: help plotly demo test test-quick test-system test-reliability lint format tables gpu report docs env env-extras python clean
.DEFAULT_GOAL := help

help:  ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: env  ## Install what is missing, then train on faces that the demo draws itself.
	$(BIN)/hpml train $(DEMO_CONFIG) --overwrite $(ARGS)

# Tests use small tensors: one thread is as fast, and not slowed down by other programs.
test test-quick test-system test-reliability: export OMP_NUM_THREADS ?= 1
# They wait for a part of their time: for processes, a disk, a browser, SLURM.
# Without the variable by which nproc would count a test's threads instead of cores.
WORKERS := $(shell n=$$(( $$(env -u OMP_NUM_THREADS nproc) * 3 / 2 )); echo $$(( n > 8 ? 8 : n )))
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test: env-extras  ## Install what is missing, the optional extras too, then test everything.
	$(PYTEST) -m "not system" $(ARGS)

test-quick: env-extras  ## Test in two minutes what takes less than a second.
	$(PYTEST) -m "not slow and not system" $(ARGS)

# To collect other files takes longer than some of these tests. Sorted, so that those of
# SLURM come early, to one process, which starts one cluster for them.
SYSTEM ?= $$(grep -rl 'mark\.system' tests projects --include='test_*.py' | sort)
test-system: env-extras  ## Test what needs a browser, a cluster or minutes.
	$(PYTEST) -m system $(SYSTEM) $(ARGS)

test-reliability: env-extras  ## Kill, fill, damage and attack in full, for up to an hour.
	$(BIN)/python tests/reliability/all_promises.py $(ARGS)

lint: env-extras  ## Check style, format and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: env-extras  ## Mend style and format where ruff can.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: env-extras  ## Build the documents and the API reference into build/docs.
	$(BIN)/python -m sphinx -q -j auto -W --keep-going -c docs . build/docs
	@echo "docs: open build/docs/index.html"

gpu: env-extras  ## Prove on a GPU what this project promises, in six minutes.
	$(BIN)/python -m projects.gpu $(ARGS)

tables: env  ## Write the tables of the documents from results/*.csv.
	$(BIN)/hpml results documents
	$(BIN)/python -m projects.cat_grid --write
	$(BIN)/python -m projects.claims --write

plotly:  ## Make the part of plotly.js that the report's page holds (node 20, npm).
	mkdir -p build/plotly
	cp $(addprefix hpml_mm/report/static/vendor/,package.json build.mjs) build/plotly
	cd build/plotly && npm install && npm run build -- $(CURDIR)/hpml_mm/report/static/vendor

report: env-extras  ## Make one page of results/ and the cat grid, build/report/index.html.
	$(BIN)/hpml report results configs/cat_pose --out build/report

env: python  ## Install what is missing into .venv.
	@$(PYTHON) tools/setup_env.py --venv $(VENV)

env-extras: python
	@$(PYTHON) tools/setup_env.py --venv $(VENV) --extras

python:
	@command -v $(PYTHON) > /dev/null || { echo "setup: error: no $(PYTHON) here," \
	  "Python 3.11, 3.12 or 3.13 is needed. Install it (Debian, Ubuntu: apt install" \
	  "python3.11-full) and add PYTHON=python3.11 to the make command." >&2; exit 1; }

clean:  ## Remove .venv and what tools leave; work_dirs stays.
	rm -rf $(VENV) build dist docs/api *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
